"""The main job: a risky call stops, a person signs it off, the bank moves the money once."""

import asyncio
import json

from harness import Bank, Launch, Server, SignIn, StartBank, catalogue, free_port
from signoff.client.session import CallOutcome, call_tool

TRANSFER = {"amount": 25, "currency": "EUR", "from_account": "checking", "to_account": "savings"}


async def asked(
    server: Server, statuses: list[str], tool: str = "transfer_funds"
) -> "asyncio.Task[CallOutcome]":
    """Begin the call as an assistant and return once a person is being asked."""
    work = asyncio.create_task(
        call_tool(
            f"{server.url}/mcp", server.token, tool, TRANSFER, statuses.append, token_from="test"
        )
    )
    async with asyncio.timeout(20):
        while not statuses and not work.done():  # noqa: ASYNC110 — a client has no condition
            await asyncio.sleep(0.02)
    return work


async def started(bank: StartBank, launch: Launch, **over: object) -> tuple[Server, Bank]:
    port = free_port()
    books = await bank(f"http://localhost:{port}")
    return await launch(catalogue(books.url, **over), port=port), books


async def test_a_transfer_waits_for_the_person_and_is_booked_once(
    bank: StartBank,
    launch: Launch,
    person: SignIn,
) -> None:
    server, books = await started(bank, launch)
    alice = await person(server)
    statuses: list[str] = []
    work = await asked(server, statuses)
    await alice.open_first()
    assert books.transfers() == []
    assert "Transfer 25 EUR from checking to savings" in await alice.page.inner_text("h1")
    await alice.approve()
    outcome = await work
    assert outcome.state == "done"
    assert books.transfers() == [("checking", "savings", 2500)]
    assert any("alice" in status for status in statuses)
    again = await call_tool(
        f"{server.url}/mcp", server.token, "transfer_funds", TRANSFER, statuses.append,
        token_from="test",
    )  # fmt: skip
    assert again.state == "done"
    assert "repeat" in json.dumps(again.structured)
    assert books.transfers() == [("checking", "savings", 2500)]
