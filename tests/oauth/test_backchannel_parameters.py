"""Each parameter of the backchannel request: what is taken, what is cut, and what is refused."""

from typing import Any

import pytest

from as_parts import (
    BANK,
    ISSUER,
    Provider,
    basic,
    refused,
    running_provider,
    tool_call,
)
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database


@pytest.mark.seed("B6")
@pytest.mark.seed("CIBA-24")
@pytest.mark.parametrize(
    "message", ["1234", "W4SCT", "Überweisung 25 €", "支払い 25", "A1-B2 + C3!", "x" * 256]
)
async def test_a_binding_message_of_visible_text_is_kept_exactly(
    provider: Provider, message: str
) -> None:
    card = await provider.card(await provider.asked(binding_message=message))
    assert card.binding_message == message


@pytest.mark.seed("CIBA-24")
@pytest.mark.seed("B6")
@pytest.mark.parametrize(
    "message",
    [
        "x" * 257,
        " padded ",
        "two\nlines",
        "tab\there",
        "bell\x07",
        "c1\x85",
        "\u202eesrever",
        "\u2066isolate\u2069",
        "zero\u200bwidth",
        "word\u2060joiner",
        "no\u00a0break",
        "line\u2028separator",
        "hangul\u3164filler",
        "braille\u2800blank",
        "variation\ufe0f",
        "tag\U000e0041",
        "soft\u00adhyphen",
        "private\ue000",
        "Z̸̡̢̛alg",
        "see https://evil.example",
        "HTTPS://EVIL",
        "www.evil",
        "evil.example/pay",
        "\uff45vil\uff0eexample",
        "mailto:me",
        "javascript:alert(1)",
    ],
)
async def test_a_binding_message_that_deceives_is_refused(provider: Provider, message: str) -> None:
    refused(await provider.ask(binding_message=message), "invalid_binding_message")


@pytest.mark.seed("D3")
@pytest.mark.seed("CIBA-26")
@pytest.mark.seed("B7")
@pytest.mark.parametrize(
    ("asked", "given"),
    [("1", 1), ("120", 120), ("0300", 300), ("99999999", 72 * 3600), ("9" * 5000, 72 * 3600)],
)
async def test_a_requested_expiry_is_taken_or_cut_and_the_answer_says_which(
    provider: Provider, asked: str, given: int
) -> None:
    response = await provider.ask(requested_expiry=asked)
    assert response.json()["expires_in"] == given
    card = await provider.card(response.json()["auth_req_id"])
    assert (card.expires_at - card.opened_at).total_seconds() == given


async def test_without_a_requested_expiry_a_request_is_open_for_five_minutes(
    provider: Provider,
) -> None:
    assert (await provider.ask(requested_expiry=None)).json()["expires_in"] == 300


@pytest.mark.seed("CIBA-26")
@pytest.mark.parametrize("expiry", ["0", "-5", "1.5", "abc", "1e3", " 60", "+60", "٦٠", "0x10"])
async def test_a_requested_expiry_that_is_no_positive_integer_is_refused(
    provider: Provider, expiry: str
) -> None:
    refused(await provider.ask(requested_expiry=expiry), "invalid_request")


@pytest.mark.seed("CIBA-16")
@pytest.mark.seed("B2")
@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("payments", "the scope must contain openid"),
        ("offline_access", "the scope must contain openid"),
        ("openidx", "the scope must contain openid"),
        ("OpenID", "the scope must contain openid"),
        ("openid admin", "the client may not have one of these scopes"),
        ("openid  ", "the client may not have one of these scopes"),
    ],
)
async def test_a_scope_without_openid_or_beyond_the_clients_is_refused(
    provider: Provider, scope: str, words: str
) -> None:
    other = basic(await provider.other_client())
    answer = await provider.ask(auth=other, scope=scope, authorization_details=None, resource=BANK)
    assert refused(answer, "invalid_scope") == words


async def test_a_missing_scope_is_refused(provider: Provider) -> None:
    refused(await provider.ask(scope=None), "invalid_request")


@pytest.mark.seed("CIBA-16")
async def test_the_order_of_scopes_does_not_matter(provider: Provider) -> None:
    other = basic(await provider.other_client())
    response = await provider.ask(
        auth=other, scope="payments openid", authorization_details=None, resource=BANK
    )
    assert response.status_code == 200


@pytest.mark.seed("CIBA-23")
async def test_the_first_strength_that_can_be_had_is_taken(provider: Provider) -> None:
    card = await provider.card(await provider.asked(acr_values="gold session"))
    assert card.acr == "session"


@pytest.mark.parametrize("acr", ["passkey", "gold", "Session"])
async def test_a_strength_that_cannot_be_had_is_refused(provider: Provider, acr: str) -> None:
    refused(await provider.ask(acr_values=acr), "invalid_request")


async def test_a_strength_other_than_that_of_the_details_is_refused(provider: Provider) -> None:
    refused(await provider.ask(tool_call(acr="passkey")), "invalid_authorization_details")


@pytest.mark.parametrize(
    "resource",
    [f"{ISSUER}/mcp", "https://elsewhere.example", f"{BANK}/", f"{BANK}#f", "gate", [BANK, ISSUER]],
)
async def test_a_resource_the_gate_may_not_have_a_token_for_is_refused(
    provider: Provider, resource: Any
) -> None:
    refused(await provider.ask(resource=resource), "invalid_target")


async def test_not_even_the_configuration_gets_an_approval_token_for_the_assistants_own_address(
    database: Database, sealer: Sealer
) -> None:
    audiences = frozenset({f"{ISSUER}/mcp"})
    async with running_provider(database, sealer, gate_audiences=audiences) as provider:
        refused(await provider.ask(resource=f"{ISSUER}/mcp"), "invalid_target")
