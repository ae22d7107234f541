"""What a token is for, said once more when it is fetched: less than was approved, never more."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from as_parts import BANK, ISSUER, PAYMENT, Provider, basic, refused, running_provider, tool_call
from signoff.approvals.details import token_details
from signoff.oauth.clients import CIBA, Issued
from signoff.schema import Validator
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.tokens.verify import unverified_claims, verify_access_token

PAY_25 = {"type": "payment", "amount": 25}
PAY_30 = {"type": "payment", "amount": 30}
WIDER: list[Any] = [
    [{"type": "payment", "amount": 31}],
    [PAY_25, PAY_30, {"type": "payment", "amount": 25.5}],
    [{"type": "payment", "amount": True}],
    [{"type": "payment"}],
    [{"type": "note", "text": "x"}],
    [tool_call()],
    [],
    {},
    "payment",
    None,
]


@pytest.fixture
async def open_types(database: Database, sealer: Sealer) -> AsyncGenerator[Provider, None]:
    """A server with a type that takes whatever is sent."""
    types = {"note": Validator({"type": "object"}), "payment": PAYMENT}
    async with running_provider(database, sealer, details_types=types) as running:
        yield running


async def approved(provider: Provider, client: Issued, details: Any, **changed: Any) -> str:
    auth_req_id = await provider.asked(
        auth=basic(client), resource=BANK, authorization_details=json.dumps(details), **changed
    )
    await provider.decide(auth_req_id, client_id=client.client.id)
    return auth_req_id


async def test_the_token_of_a_yes_can_be_for_some_of_the_details_that_were_approved(
    provider: Provider,
) -> None:
    client = await provider.other_client()
    auth_req_id = await approved(provider, client, [PAY_25, PAY_30])
    for wider in WIDER:
        answer = await provider.poll(
            auth_req_id, auth=basic(client), authorization_details=json.dumps(wider)
        )
        refused(answer, "invalid_authorization_details")
    answer = await provider.poll(
        auth_req_id, auth=basic(client), authorization_details=json.dumps([PAY_30])
    )
    told = answer.json()
    assert told["authorization_details"] == [PAY_30]
    assert unverified_claims(told["access_token"])["authorization_details"] == [PAY_30]
    form = {"token": told["access_token"]}
    known = await provider.post("/oauth2/introspect", form, auth=basic(client))
    assert known.json()["authorization_details"] == [PAY_30]


async def test_a_yes_that_lasts_stays_whole_though_its_first_token_was_for_less(
    provider: Provider,
) -> None:
    client = await provider.other_client(grant_types=[CIBA, "refresh_token"])
    auth_req_id = await approved(provider, client, [PAY_25, PAY_30], scope="openid offline_access")
    first = await provider.poll(
        auth_req_id, auth=basic(client), authorization_details=json.dumps([PAY_30])
    )
    form = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]}
    whole = (await provider.post("/oauth2/token", form, auth=basic(client))).json()
    assert whole["authorization_details"] == [PAY_25, PAY_30]


async def test_a_yes_without_details_gives_none_that_the_poll_names(provider: Provider) -> None:
    client = await provider.other_client()
    auth_req_id = await provider.asked(
        auth=basic(client), resource=BANK, authorization_details=None
    )
    await provider.decide(auth_req_id, client_id=client.client.id)
    answer = await provider.poll(
        auth_req_id, auth=basic(client), authorization_details=json.dumps([PAY_25])
    )
    refused(answer, "invalid_authorization_details")
    plain = (await provider.poll(auth_req_id, auth=basic(client))).json()
    assert "authorization_details" not in plain


async def test_a_poll_of_the_gate_names_its_own_call_or_none(provider: Provider) -> None:
    call = tool_call()
    auth_req_id = await provider.asked(call)
    await provider.decide(auth_req_id)
    other = json.dumps([tool_call("call_2")])
    answer = await provider.poll(auth_req_id, authorization_details=other)
    refused(answer, "invalid_authorization_details")
    told = await provider.poll(auth_req_id, authorization_details=json.dumps([call]))
    assert told.json()["authorization_details"] == [token_details(call)]


async def test_details_that_no_token_could_carry_are_not_asked_for(open_types: Provider) -> None:
    client = await open_types.other_client()
    for details in (
        [{"type": "note", "text": "x" * 16_384}],
        [{"type": "note", "text": "x" * 1_700}] * 10,
        [{"type": "note", "text": "€" * 5_500}],
        [{"type": "note", "names": {f"n{n}": n for n in range(2_000)}}],
    ):
        answer = await open_types.ask(
            auth=basic(client), resource=BANK, authorization_details=json.dumps(details)
        )
        words = refused(answer, "invalid_authorization_details")
        assert words == "the authorization_details are larger than 16384 bytes"
    assert await open_types.database.fetch_all("SELECT id FROM approvals") == []


async def test_details_of_the_largest_size_reach_a_token_that_verifies(
    open_types: Provider,
) -> None:
    client = await open_types.other_client()
    room = 16_384 - len('[{"text":"","type":"note"}]')
    details = [{"type": "note", "text": "x" * room}]
    auth_req_id = await approved(open_types, client, details)
    answer = (await open_types.poll(auth_req_id, auth=basic(client))).json()
    claims = verify_access_token(
        answer["access_token"],
        keys=open_types.keyring.public,
        issuer=ISSUER,
        audience=BANK,
        now=open_types.database.now(),
    )
    assert claims["authorization_details"] == details
