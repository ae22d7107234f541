"""Rich authorization requests (RFC 9396): the types, who may use them, what comes back."""

import json
from typing import Any

import pytest

from as_parts import (
    BANK,
    ISSUER,
    PAYMENT,
    Provider,
    basic,
    refused,
    running_provider,
    tool_call,
)
from signoff.oauth.clients import CIBA, ClientError, Issued
from signoff.schema import Validator
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.tokens.verify import unverified_claims

CONSENT = Validator({
    "type": "object",
    "properties": {"type": {}, "account": {"type": "string", "maxLength": 3}},
    "additionalProperties": False,
})
PAY_25 = {"type": "payment", "amount": 25}


@pytest.fixture
async def provider(database: Database, sealer: Sealer) -> Any:

    types = {"payment": PAYMENT, "account_information": CONSENT}
    async with running_provider(database, sealer, details_types=types) as running:
        yield running


@pytest.fixture
async def client(provider: Provider) -> Issued:
    return await provider.other_client(details_types=["payment"])


async def told(provider: Provider, client: Issued, details: Any) -> str:
    """Return the words of the refusal."""
    answer = await provider.ask(
        auth=basic(client), resource=BANK, authorization_details=json.dumps(details)
    )
    return refused(answer, "invalid_authorization_details")


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ([{"type": "unheard_of"}], "member 1 has a type that this server does not know"),
        ([PAY_25, {"type": "payments"}], "member 2 has a type that this server does not know"),
        ([{"type": ""}], "member 1 has a type that this server does not know"),
        (
            [PAY_25, {"type": "account_information"}],
            "member 2 has a type that this client may not use",
        ),
        ([tool_call()], "member 1 has a type that this client may not use"),
        ([{"type": "payment"}], "member 1 does not fit its type: required"),
        (
            [PAY_25, {"type": "payment", "amount": "25"}],
            "member 2 does not fit its type: type",
        ),
        (
            [{**PAY_25, 'to "<script>\\\u202e': 1}],
            "member 1 does not fit its type: additionalProperties",
        ),
        ([{"type": 5}], "every member is an object with a type"),
        ([{"amount": 25}], "every member is an object with a type"),
        (["payment"], "every member is an object with a type"),
        ([], "an array of 1 to 10 objects is wanted"),
        (PAY_25, "an array of 1 to 10 objects is wanted"),
        ([PAY_25] * 11, "an array of 1 to 10 objects is wanted"),
    ],
)
async def test_a_detail_that_does_not_hold_is_refused_in_these_words_and_asks_nobody(
    provider: Provider, client: Issued, details: Any, words: str
) -> None:
    assert await told(provider, client, details) == words
    assert await provider.approvals.inbox("alice") == []


@pytest.mark.parametrize("text", ["payment", "[{]", '[{"type":"payment","type":"payment"}]'])
async def test_what_is_no_json_is_refused(provider: Provider, client: Issued, text: str) -> None:
    answer = await provider.ask(auth=basic(client), resource=BANK, authorization_details=text)
    assert refused(answer, "invalid_authorization_details") == "not JSON"


async def test_a_client_that_registered_no_type_may_use_none(provider: Provider) -> None:
    plain = await provider.other_client(details_types=[])
    assert (
        await told(provider, plain, [PAY_25]) == "member 1 has a type that this client may not use"
    )


@pytest.mark.seed("B8")
async def test_what_was_approved_is_in_the_answer_the_token_and_the_introspection(
    provider: Provider,
) -> None:
    client = await provider.other_client(details_types=["payment", "account_information"])
    details = [PAY_25, {"type": "account_information", "account": "abc"}]
    auth_req_id = await provider.asked(
        auth=basic(client), resource=BANK, authorization_details=json.dumps(details)
    )
    await provider.decide(auth_req_id, client_id=client.client.id)
    answer = (await provider.poll(auth_req_id, auth=basic(client))).json()
    assert answer["authorization_details"] == details
    assert unverified_claims(answer["access_token"])["authorization_details"] == details
    form = {"token": answer["access_token"]}
    shown = (await provider.post("/oauth2/introspect", form, auth=basic(client))).json()
    assert shown["authorization_details"] == details


async def test_a_type_taken_away_from_a_client_ends_what_lasts(provider: Provider) -> None:
    client = await provider.other_client(
        grant_types=[CIBA, "refresh_token"], details_types=["payment", "account_information"]
    )
    auth_req_id = await provider.asked(
        auth=basic(client),
        resource=BANK,
        scope="openid offline_access",
        authorization_details=json.dumps([PAY_25]),
    )
    await provider.decide(auth_req_id, client_id=client.client.id)
    given = (await provider.poll(auth_req_id, auth=basic(client))).json()
    await provider.clients.update(
        client.client.id, by="operator", details_types=["account_information"]
    )
    form = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    refused(await provider.post("/oauth2/token", form, auth=basic(client)), "invalid_grant")


async def test_the_metadata_names_every_type(provider: Provider) -> None:
    document = (await provider.http.get("/.well-known/openid-configuration")).json()
    assert document["authorization_details_types_supported"] == [
        *("tool_call", "account_information", "payment"),
    ]
    assert document["issuer"] == ISSUER


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"details_types": ["paymnt"]},
            "no authorization_details type paymnt; there is account_information, payment",
        ),
        ({"details_types": ["tool_call"]}, "no authorization_details type tool_call"),
        (
            {"details_types": ["payment"], "grant_types": ["client_credentials"]},
            "asked for by the grant ciba",
        ),
        ({"details_types": ["payment"], "role": "gate", "grant_types": [CIBA]}, "its own type"),
    ],
)
async def test_a_client_with_types_it_could_not_use_is_not_made(
    provider: Provider, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError, match=words):
        await provider.other_client(**settings)


async def test_a_machine_gives_itself_no_details(provider: Provider) -> None:
    client = await provider.other_client()
    form = {
        "grant_type": "client_credentials",
        "authorization_details": json.dumps([PAY_25]),
    }
    answer = await provider.post("/oauth2/token", form, auth=basic(client))
    assert refused(answer, "invalid_authorization_details") == (
        "this grant gives no authorization_details: a person must be asked for them"
    )
