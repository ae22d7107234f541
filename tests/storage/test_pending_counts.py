"""How many approvals wait is counted as they come and go, and the count never drifts."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from as_parts import Provider, basic, running_provider, tool_call
from conftest import TurnedClock
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

COUNTED = "SELECT kind, id, pending FROM pending_counts WHERE pending > 0 ORDER BY kind, id"
WAITING = """
SELECT 'client' AS kind, client_id AS id, COUNT(*) AS pending FROM approvals
WHERE status = 'pending' GROUP BY client_id
UNION ALL
SELECT iif(client_id IS NULL, 'calls', 'user'), user_id, COUNT(*) FROM approval_eligible
WHERE waiting = 1 GROUP BY 1, 2
UNION ALL
SELECT 'pair', client_id || ' ' || user_id, COUNT(*) FROM approval_eligible
WHERE waiting = 1 AND client_id IS NOT NULL GROUP BY 2
ORDER BY 1, 2
"""


@pytest.fixture
async def provider(database: Database, sealer: Sealer) -> AsyncGenerator[Provider, None]:
    async with running_provider(database, sealer) as running:
        yield running


async def counted(database: Database) -> list[tuple[str, str, int]]:
    """Return the counts, checked against what waits."""
    found = [tuple(row) for row in await database.fetch_all(COUNTED)]
    assert found == [tuple(row) for row in await database.fetch_all(WAITING)]
    return found


async def test_the_counts_are_what_waits_whatever_happens(
    provider: Provider, database: Database, clock: TurnedClock
) -> None:
    for_nobody = {"kind": "local", "issuer": "local", "client_id": "local:http"}
    both: dict[str, Any] = {"approvers": ["alice", "bob"], "caller": for_nobody}
    ids = [await provider.asked(tool_call(f"call_{number}", **both)) for number in range(6)]
    other = await provider.other_client()
    mine = await provider.asked(auth=basic(other), authorization_details=None, resource=None)
    assert await counted(database) == [
        ("calls", "alice", 6),
        ("calls", "bob", 6),
        ("client", other.client.id, 1),
        ("client", "signoff-gate", 6),
        ("pair", f"{other.client.id} alice", 1),
        ("user", "alice", 1),
    ]
    await provider.decide(ids[0])
    await provider.poll(ids[0])
    await provider.decide(ids[1], "deny")
    await provider.post("/ciba/withdraw", {"auth_req_id": ids[2]})
    assert await counted(database) == [
        ("calls", "alice", 3),
        ("calls", "bob", 3),
        ("client", other.client.id, 1),
        ("client", "signoff-gate", 3),
        ("pair", f"{other.client.id} alice", 1),
        ("user", "alice", 1),
    ]
    await provider.clients.delete(other.client.id, by="operator")
    await provider.people.disable("alice", by="operator")
    assert (await provider.approvals.find(mine, client_id=other.client.id)) is not None
    assert [row[:2] for row in await counted(database)] == [
        ("calls", "alice"),
        ("calls", "bob"),
        ("client", "signoff-gate"),
    ]
    clock.turn(900)
    await provider.approvals.sweep()
    assert await counted(database) == []
    clock.turn(timedelta(days=31).total_seconds())
    await provider.approvals.sweep()
    assert await counted(database) == []


async def test_a_refused_request_is_not_counted(provider: Provider, database: Database) -> None:
    await provider.asked()
    await provider.ask(tool_call(arguments={"amount": 26}))  # the same call, other details
    await provider.ask(tool_call("call_2"), scope="openid unknown")
    assert [row[2] for row in await counted(database)] == [1, 1]


async def test_what_is_deleted_while_it_waits_is_counted_no_more(
    provider: Provider, database: Database
) -> None:
    await asyncio.gather(*(provider.asked(tool_call(f"call_{n}")) for n in range(20)))
    assert [row[2] for row in await counted(database)] == [20, 20]
    await database.write(lambda tx: tx.execute("DELETE FROM approvals"))
    assert await counted(database) == []
