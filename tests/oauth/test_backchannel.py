"""The backchannel request: every parameter that is refused, and what an accepted one stores."""

import asyncio
import json
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from as_parts import (
    BANK,
    GATE,
    ISSUER,
    Provider,
    basic,
    refused,
    running_provider,
    tool_call,
)
from conftest import TurnedClock
from signoff.approvals.request import Status
from signoff.approvals.service import Limits
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database


@pytest.mark.seed("CIBA-34")
@pytest.mark.seed("CIBA-35")
@pytest.mark.seed("CIBA-36")
@pytest.mark.seed("B11")
async def test_an_accepted_request_is_acknowledged_and_stored_as_it_came(
    provider: Provider, clock: TurnedClock
) -> None:
    details = tool_call(approvers=["alice", "bob"])
    response = await provider.ask(details)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    auth_req_id = answer["auth_req_id"]
    card = await provider.card(auth_req_id)
    assert answer == {
        "auth_req_id": auth_req_id,
        "expires_in": 900,
        "interval": 5,
        "approve_at": f"{ISSUER}/approvals/{card.id}",
    }
    assert len(auth_req_id) == 43
    assert set(auth_req_id) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )
    assert (card.status, card.eligible, card.digest) == (
        Status.PENDING,
        ("alice", "bob"),
        details["digest"],
    )
    assert card.authorization_details == (details,)
    assert card.opened_at == clock()


@pytest.mark.seed("B'")
async def test_the_store_holds_neither_the_auth_req_id_nor_the_arguments_in_clear(
    provider: Provider, database: Database
) -> None:
    auth_req_id = await provider.asked(tool_call(arguments={"memo": "a private matter"}))
    await database.write(lambda tx: tx.one("SELECT 1"))
    kept = b"".join(path.read_bytes() for path in database.path.parent.iterdir())
    assert b"approval_eligible" in kept
    assert auth_req_id.encode() not in kept
    assert b"a private matter" not in kept


@pytest.mark.seed("B12")
async def test_an_opened_approval_is_announced_in_the_same_transaction_without_free_text(
    provider: Provider, database: Database
) -> None:
    card = await provider.card(await provider.asked())
    (row,) = await database.fetch_all("SELECT * FROM outbox")
    assert (row["kind"], row["subject"]) == ("approval.opened", card.id)
    assert json.loads(row["payload"]) == {
        "eligible": ["alice"],
        "client_id": "signoff-gate",
        "expires_at": card.expires_at.isoformat(),
    }


async def test_a_call_asked_for_again_is_one_card_with_a_further_id(
    provider: Provider, clock: TurnedClock
) -> None:
    first = await provider.asked()
    clock.turn(100)
    again = await provider.ask()
    second = again.json()["auth_req_id"]
    assert second != first
    assert again.json()["expires_in"] == 800
    assert (await provider.card(first)).id == (await provider.card(second)).id
    await provider.decide(first)
    assert (await provider.poll(second)).status_code == 200
    refused(await provider.poll(first), "invalid_grant")


async def test_a_call_asked_for_again_after_its_decision_is_no_second_card(
    provider: Provider,
) -> None:
    await provider.decide(await provider.asked(), "deny")
    response = await provider.poll(await provider.asked())
    assert response.json()["error"] == "access_denied"


async def test_parallel_requests_for_one_call_make_one_card(provider: Provider) -> None:
    ids = await asyncio.gather(*(provider.asked() for _ in range(20)))
    cards = {(await provider.card(auth_req_id)).id for auth_req_id in ids}
    assert (len(set(ids)), len(cards)) == (20, 1)


async def test_a_call_asked_for_again_with_other_details_is_refused(provider: Provider) -> None:
    await provider.asked()
    refused(
        await provider.ask(tool_call(arguments={"amount": 9999})), "invalid_authorization_details"
    )


@pytest.mark.seed("CIBA-18")
@pytest.mark.seed("B3")
@pytest.mark.parametrize(
    "hints",
    [
        {"login_hint": None},
        {"login_hint": ""},
        {"login_hint": "alice", "login_hint_token": "x"},
        {"login_hint": "alice", "id_token_hint": "x"},
        {"login_hint": None, "id_token_hint": "x", "login_hint_token": "y"},
        {"login_hint": "a" * 2000},
    ],
)
async def test_anything_but_one_hint_is_refused(provider: Provider, hints: dict[str, Any]) -> None:
    refused(await provider.ask(**hints), "invalid_request")


@pytest.mark.seed("CIBA-19")
@pytest.mark.seed("B4")
@pytest.mark.parametrize(
    "hint",
    [
        "alice",
        "Alice@Example.com",
        '{"format":"iss_sub","iss":"http://localhost:8420","sub":"alice"}',
        '{"format":"iss_sub","iss":"http://localhost:8420/","sub":"alice"}',
        '{"format":"iss_sub","iss":"https://idp.example","sub":"a-1"}',
    ],
)
async def test_a_person_is_found_by_id_by_mail_and_by_subject(
    provider: Provider, hint: str
) -> None:
    card = await provider.card(await provider.asked(login_hint=hint))
    assert card.eligible == ("alice",)


@pytest.mark.seed("B4")
@pytest.mark.seed("CIBA-19")
@pytest.mark.parametrize(
    "hint",
    [
        "mallory",
        "Alice",
        "mallory@example.com",
        "@",
        "{",
        "{}",
        '{"format":"email","email":"alice@example.com"}',
        '{"format":"iss_sub","iss":"https://elsewhere.example","sub":"alice"}',
        '{"format":"iss_sub","iss":"https://idp.example","sub":"alice"}',
        '{"format":"iss_sub","iss":["http://localhost:8420"],"sub":"alice"}',
        '{"format":"iss_sub","iss":"http://localhost:8420","sub":"alice","sub":"bob"}',
        '{"format":"iss_sub","iss":"http://localhost:8420"}',
        "bob",
    ],
)
async def test_a_hint_at_nobody_who_may_approve_is_refused(provider: Provider, hint: str) -> None:
    refused(await provider.ask(login_hint=hint), "unknown_user_id")


@pytest.mark.seed("B4")
async def test_an_unknown_and_a_switched_off_user_are_one_answer(provider: Provider) -> None:
    await provider.people.disable("alice", by="operator")
    other = basic(await provider.other_client())
    form: dict[str, Any] = {"authorization_details": None, "resource": None, "auth": other}
    off = await provider.ask(**form, login_hint="alice")
    unknown = await provider.ask(**form, login_hint="mallory")
    refused(off, "unknown_user_id")
    assert (off.content, str(off.headers)) == (unknown.content, str(unknown.headers))


async def test_approvers_who_are_not_users_are_refused(provider: Provider) -> None:
    response = await provider.ask(tool_call(approvers=["alice", "mallory"]))
    refused(response, "unknown_user_id")


async def test_a_request_nobody_who_is_left_could_decide_is_refused(provider: Provider) -> None:
    await provider.people.disable("alice", by="operator")
    await provider.people.disable("bob", by="operator")
    refused(await provider.ask(tool_call(approvers=["alice", "bob"])), "unknown_user_id")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "not json",
        '["x"]',
        "[{}]",
        '[{"type":1}]',
        '[{"type":"payment","type":"tool_call"}]',
        '[{"type":"payment","amount":NaN}]',
        json.dumps([tool_call("a"), tool_call("b")]),
        json.dumps([{"type": "payment", "amount": 1}]),
        json.dumps([tool_call() | {"digest": "sha-256:" + "0" * 64}]),
        json.dumps([tool_call() | {"arguments": {"amount": 26}}]),
        json.dumps([tool_call() | {"said": "trust me"}]),
        json.dumps([tool_call() | {"extra": 1}]),
        json.dumps([{k: v for k, v in tool_call().items() if k != "risk"}]),
    ],
)
@pytest.mark.seed("B8")
async def test_details_the_gate_may_not_send_or_that_do_not_hold_are_refused(
    provider: Provider, text: str
) -> None:
    refused(await provider.ask(authorization_details=text), "invalid_authorization_details")


async def test_a_changed_body_or_url_does_not_hold(provider: Provider) -> None:
    for member, value in (("body", '{"amount":26}'), ("url", "https://evil.example")):
        details = tool_call()
        request = cast("dict[str, Any]", details["request"])
        changed = {**details, "request": {**request, member: value}}
        refused(await provider.ask(changed), "invalid_authorization_details")


@pytest.mark.seed("CIBA-27")
@pytest.mark.parametrize(
    "details",
    [
        tool_call(),
        {"type": "tool_call"},
        {"type": "unknown"},
        {"type": "payment", "amount": "25"},
        {"type": "payment", "amount": 25, "more": 1},
    ],
)
async def test_another_client_may_not_send_a_tool_call_nor_what_has_no_schema(
    provider: Provider, details: dict[str, Any]
) -> None:
    other = basic(await provider.other_client())
    response = await provider.ask(details, auth=other, resource=BANK)
    refused(response, "invalid_authorization_details")


@pytest.mark.seed("D6")
@pytest.mark.seed("B8")
async def test_another_clients_own_type_is_shown_and_lands_in_its_token(provider: Provider) -> None:
    other = await provider.other_client()
    details = {"type": "payment", "amount": 25}
    auth_req_id = await provider.asked(details, auth=basic(other), resource=BANK)
    card = await provider.decide(auth_req_id, client_id=other.client.id)
    assert (card.authorization_details, card.call_id) == ((details,), None)
    answer = (await provider.poll(auth_req_id, auth=basic(other))).json()
    assert answer["authorization_details"] == [details]
    assert answer["expires_in"] == 600


@pytest.mark.parametrize("name", ["request", "request_uri"])
async def test_a_request_object_of_a_client_without_a_key_is_refused(
    provider: Provider, name: str
) -> None:
    given: dict[str, Any] = {name: "x"}
    refused(await provider.ask(**given), "invalid_request")


@pytest.mark.seed("B20")
async def test_a_client_without_the_grant_may_not_ask(provider: Provider) -> None:
    machine = await provider.other_client(grant_types=["client_credentials"])
    refused(await provider.ask(auth=basic(machine)), "unauthorized_client")


@pytest.mark.seed("CIBA-33")
async def test_authentication_comes_before_every_other_check(provider: Provider) -> None:
    response = await provider.ask(
        auth=None, login_hint=None, scope=None, binding_message="\n", authorization_details="["
    )
    refused(response, "invalid_client", status=401)


@pytest.mark.seed("CIBA-13")
@pytest.mark.seed("CIBA-27")
@pytest.mark.parametrize("path", ["/oauth2/bc-authorize", "/oauth2/token", "/ciba/outcome"])
async def test_what_is_not_one_strict_form_in_the_body_is_refused(
    provider: Provider, path: str
) -> None:
    form = "application/x-www-form-urlencoded"
    no_form = "the body must be application/x-www-form-urlencoded in UTF-8"
    twice, malformed = "a parameter is repeated", "the body is not a well-formed form"
    bodies = [
        (b'{"scope":"openid"}', "application/json", path, no_form),
        (b"scope=openid", "text/plain", path, no_form),
        (b"scope=openid", f"{form}; charset=utf-16", path, no_form),
        (b"scope=openid&scope=openid", form, path, twice),
        (b"scope=openid&scope=", form, path, twice),
        (b"scope=&scope=openid", form, path, twice),
        (b"scope=%ff%fe", form, path, malformed),
        (b"scope=\xc3\xa4", form, path, malformed),
        (b"scope", form, path, malformed),
        (b"&".join(b"p%d=1" % n for n in range(60)), form, path, malformed),
        (
            *(b"scope=openid", form, f"{path}?login_hint=alice"),
            "parameters belong in the body, not in the URL",
        ),
    ]
    for body, media_type, target, words in bodies:
        response = await provider.http.post(
            target, content=body, headers={"content-type": media_type}, auth=GATE
        )
        # In these words: without its check, each would fail for another reason.
        assert refused(response, "invalid_request") == words
    assert (await provider.http.get(path, auth=GATE)).status_code == 405


async def test_a_body_of_five_megabytes_is_refused(provider: Provider) -> None:
    body = urlencode({"scope": "x" * 5_000_000})
    response = await provider.http.post(
        "/oauth2/bc-authorize",
        content=body,
        headers={"content-type": "application/x-www-form-urlencoded"},
        auth=GATE,
    )
    refused(response, "invalid_request", status=413)


async def test_a_person_with_too_many_open_requests_is_asked_no_more(
    database: Database, sealer: Sealer
) -> None:
    async with running_provider(database, sealer, limits=Limits(pending_per_user=2)) as provider:
        first = await provider.asked(tool_call("call_1"))
        await provider.asked(tool_call("call_2"))
        response = await provider.ask(tool_call("call_3"))
        refused(response, "temporarily_unavailable", status=429)
        assert response.headers["retry-after"] == "30"
        assert (await provider.ask(tool_call("call_2"))).status_code == 200
        await provider.decide(first, "deny")
        assert (await provider.ask(tool_call("call_3"))).status_code == 200


async def test_a_client_with_too_many_open_requests_may_ask_no_more(
    database: Database, sealer: Sealer
) -> None:
    async with running_provider(database, sealer, limits=Limits(pending_per_client=1)) as provider:
        await provider.asked(tool_call("call_1"))
        refused(await provider.ask(tool_call("call_2")), "temporarily_unavailable", status=429)


@pytest.mark.seed("CIBA-39")
async def test_an_earlier_yes_does_not_answer_the_next_request(provider: Provider) -> None:
    await provider.decide(await provider.asked(tool_call("call_1")))
    second = await provider.asked(tool_call("call_2"))
    refused(await provider.poll(second), "authorization_pending")
