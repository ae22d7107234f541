"""What a person found out about an unknown outcome reaches the gate that asked, once."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from as_parts import ISSUER, Provider, tool_call
from far_gate import Far, registered
from signoff.canonical import Json
from signoff.gate import ciba
from signoff.gate.ciba import CibaClient
from signoff.gate.credentials import SharedSecret
from signoff.gate.wire import Wire
from signoff.storage.settlements import SqliteSettlements


async def unknown(provider: Provider, far: Far) -> str:
    """Return a request whose call was approved, and ended nobody knows how."""
    auth_req_id = await far.asked(tool_call(f"call_{far.id}"))
    await provider.decide(auth_req_id, client_id=far.id)
    assert isinstance(await far.client.poll(auth_req_id), ciba.Granted)
    assert await heard(provider, far, auth_req_id) == ciba.Heard()
    return auth_req_id


async def heard(provider: Provider, far: Far, auth_req_id: str) -> Any:
    at = provider.database.now()
    return await far.client.report(auth_req_id, state="outcome_unknown", at=at)


@pytest.mark.parametrize("done", [True, False])
async def test_what_a_person_found_out_is_told_to_the_gate_that_asks(
    provider: Provider, *, done: bool
) -> None:
    far, other = await registered(provider), await registered(provider, name="Other")
    auth_req_id = await unknown(provider, far)
    theirs = await unknown(provider, other)
    settlements = SqliteSettlements(provider.database)
    card = await provider.card(auth_req_id, client_id=far.id)
    assert await settlements.settle(card.id, done=done, by="alice")
    assert await heard(provider, far, auth_req_id) == ciba.Heard(settled=(done, "alice"))
    card = await provider.card(auth_req_id, client_id=far.id)
    assert card.outcome == ("succeeded" if done else "failed"), "asking does not undo it"
    assert await heard(provider, other, theirs) == ciba.Heard()
    assert isinstance(await heard(provider, other, auth_req_id), ciba.Refused)


async def test_an_outcome_is_settled_once_and_by_those_who_could_decide(
    provider: Provider,
) -> None:
    far = await registered(provider)
    auth_req_id = await unknown(provider, far)
    settlements = SqliteSettlements(provider.database)
    card = await provider.card(auth_req_id, client_id=far.id)
    assert not await settlements.settle(card.id, done=True, by="bob")
    assert not await settlements.settle("apr_unknown", done=True, by="alice")
    marks = [await settlements.settle(card.id, done=done, by="alice") for done in (True, False)]
    assert marks == [True, False]
    bodies = await provider.database.fetch_all("SELECT body FROM audit ORDER BY seq DESC LIMIT 1")
    assert json.loads(bodies[0]["body"])["event"] == "approval.reconciled"


@pytest.mark.parametrize("state", ["succeeded", "failed", "claimed"])
async def test_an_outcome_that_is_known_is_settled_by_nobody(
    provider: Provider, state: str
) -> None:
    far = await registered(provider)
    auth_req_id = await far.asked()
    await provider.decide(auth_req_id, client_id=far.id)
    await far.client.report(auth_req_id, state=state, at=provider.database.now())
    card = await provider.card(auth_req_id, client_id=far.id)
    settlements = SqliteSettlements(provider.database)
    assert not await settlements.settle(card.id, done=True, by="alice")


@pytest.mark.parametrize(
    "settled",
    [None, [], {"done": 1, "by": "alice"}, {"done": True}, {"done": True, "by": 5}, "yes"],
)
async def test_a_settlement_that_is_none_settles_nothing(settled: Json) -> None:
    class Told(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            del request
            return httpx2.Response(200, json={"settled": settled})

    at = datetime(2026, 11, 22, tzinfo=UTC)
    wire = Wire(
        issuer=ISSUER,
        credential=SharedSecret("g", SecretStr("s")),
        transport=Told(),
        now=lambda: at,
    )
    client = CibaClient(wire, client_id="g")
    assert await client.report("r", state="outcome_unknown", at=at) == ciba.Heard()


async def test_asking_again_leaves_no_trace_of_its_own(provider: Provider) -> None:
    far = await registered(provider)
    auth_req_id = await unknown(provider, far)
    at = provider.database.now()
    counts: list[int] = []
    for _ in range(3):
        await far.client.report(auth_req_id, state="outcome_unknown", at=at, note="why")
        rows = await provider.database.fetch_all("SELECT count(*) AS n FROM audit")
        counts.append(rows[0]["n"])
    assert len(set(counts)) == 1
