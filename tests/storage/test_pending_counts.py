"""How many approvals wait is counted as they come and go, and the count never drifts."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from as_parts import Provider, basic, running_provider, tool_call
from conftest import TurnedClock
from signoff.sealed import Sealer
from signoff.storage.approval_load import LOAD_OF
from signoff.storage.sqlite import Database

COUNTED = "SELECT client_id, pending FROM pending_counts WHERE pending > 0 ORDER BY client_id"
WAITING = """
SELECT client_id, COUNT(*) FROM approvals WHERE status = 'pending' GROUP BY client_id
ORDER BY client_id
"""


@pytest.fixture
async def provider(database: Database, sealer: Sealer) -> AsyncGenerator[Provider, None]:
    async with running_provider(database, sealer) as running:
        yield running


async def counted(database: Database) -> list[tuple[str, int]]:
    """Return the counts, checked against what waits."""
    found = [tuple(row) for row in await database.fetch_all(COUNTED)]
    assert found == [tuple(row) for row in await database.fetch_all(WAITING)]
    return found


async def waiting(
    database: Database, user_id: str, client_id: str = "signoff-gate"
) -> tuple[int, int]:
    """Return what a new request would be measured by: all of its kind, and of its client."""
    params: dict[str, Any] = {
        "user_id": user_id,
        "client_id": client_id,
        "is_call": client_id == "signoff-gate",
        "since": 0,
    }
    row = await database.fetch_one(LOAD_OF, params)
    assert row is not None
    return row["together"] or 0, row["of_pair"] or 0


async def test_the_counts_are_what_waits_whatever_happens(
    provider: Provider, database: Database, clock: TurnedClock
) -> None:
    for_nobody = {"kind": "local", "issuer": "local", "client_id": "local:http"}
    both: dict[str, Any] = {"approvers": ["alice", "bob"], "caller": for_nobody}
    ids = [await provider.asked(tool_call(f"call_{number}", **both)) for number in range(6)]
    other = await provider.other_client()
    mine = await provider.asked(auth=basic(other), authorization_details=None, resource=None)
    assert await counted(database) == [(other.client.id, 1), ("signoff-gate", 6)]
    assert [await waiting(database, user) for user in ("alice", "bob")] == [(6, 0), (6, 0)]
    assert await waiting(database, "alice", other.client.id) == (1, 1)
    assert await waiting(database, "alice", "another") == (1, 0)
    assert await waiting(database, "bob", other.client.id) == (0, 0)
    await provider.decide(ids[0])
    await provider.poll(ids[0])
    await provider.decide(ids[1], "deny")
    await provider.post("/ciba/withdraw", {"auth_req_id": ids[2]})
    assert await counted(database) == [(other.client.id, 1), ("signoff-gate", 3)]
    assert [await waiting(database, user) for user in ("alice", "bob")] == [(3, 0), (3, 0)]
    assert await waiting(database, "alice", other.client.id) == (1, 1)
    await provider.clients.delete(other.client.id, by="operator")
    await provider.people.disable("alice", by="operator")
    assert (await provider.approvals.find(mine, client_id=other.client.id)) is not None
    assert [row[0] for row in await counted(database)] == ["signoff-gate"]
    assert await waiting(database, "alice", other.client.id) == (0, 0)
    clock.turn(900)
    await provider.approvals.sweep()
    assert await counted(database) == []
    assert await waiting(database, "bob") == (0, 0)
    clock.turn(timedelta(days=31).total_seconds())
    await provider.approvals.sweep()
    assert await counted(database) == []


async def test_a_refused_request_is_not_counted(provider: Provider, database: Database) -> None:
    await provider.asked()
    await provider.ask(tool_call(arguments={"amount": 26}))  # the same call, other details
    await provider.ask(tool_call("call_2"), scope="openid unknown")
    assert await counted(database) == [("signoff-gate", 1)]
    assert await waiting(database, "alice") == (1, 0)


async def test_what_is_deleted_while_it_waits_is_counted_no_more(
    provider: Provider, database: Database
) -> None:
    await asyncio.gather(*(provider.asked(tool_call(f"call_{n}")) for n in range(20)))
    assert await counted(database) == [("signoff-gate", 20)]
    assert await waiting(database, "alice") == (20, 0)
    await database.write(lambda tx: tx.execute("DELETE FROM approvals"))
    assert await counted(database) == []
    assert await waiting(database, "alice") == (0, 0)
