"""`kill -9` of the whole server at its worst moments: one effect at most, and a definite end.

The bank is a process of its own, so its ledger says what really happened. The control at the end
retries as a naive client would, and pays twice.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from harness import Bank, Launch, Server, StartBank, catalogue, transfer, until
from ports import free_port
from scripted_person import ScriptedPerson
from signoff.client.session import ClientError


@dataclass
class Street:
    """A bank that outlives servers."""

    server: Server
    bank: Bank
    alice: ScriptedPerson

    async def killed_at(self, failpoint: str, amount: int) -> None:
        """Approve a transfer on a server that kills itself at `failpoint`."""
        await self.server.end(signal.SIGKILL)
        await self.server.start(SIGNOFF_FAILPOINT=failpoint)
        assert self.server.process is not None
        asked = await self.server.ask(transfer(amount))
        with contextlib.suppress(httpx2.TransportError):  # the answer may still come out, or not
            await self.alice.approve(asked.card)
        await gone(self.server)
        with pytest.raises(ClientError):
            await asked.work

    async def end_of(self, amount: int) -> dict[str, Any]:
        """Start again, and return how the call ended."""
        await self.server.start()
        call_id = next(
            call["id"]
            for call in await self.server.operate("calls.list", every=True)
            if f"Transfer {amount} EUR" in call["title"]
        )

        async def ended() -> dict[str, Any] | None:
            call = await self.server.operate("calls.show", call_id=call_id)
            open_states = ("opening", "waiting", "authorized", "claimed", "dispatching")
            return None if call["state"] in open_states else call

        return await until(ended)


async def gone(server: Server) -> None:
    assert server.process is not None
    async with asyncio.timeout(20):
        assert await server.process.wait() == -signal.SIGKILL


@asynccontextmanager
async def street(bank: StartBank, launch: Launch, retry: str) -> AsyncGenerator[Street, None]:
    port = free_port()
    books = await bank(f"http://localhost:{port}")
    document = catalogue(books.url)
    operation = document["upstreams"]["bank"]["operations"]["createTransfer"]
    operation["retry"] = "never" if retry == "never" else {"idempotency_key": "Idempotency-Key"}
    server = await launch(document, port=port)
    alice = await ScriptedPerson(server.url).sign_in(await server.login_link())
    yield Street(server=server, bank=books, alice=alice)
    await alice.close()


@pytest_asyncio.fixture(loop_scope="session")
async def never(bank: StartBank, launch: Launch) -> AsyncGenerator[Street, None]:
    async with street(bank, launch, "never") as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def keyed(bank: StartBank, launch: Launch) -> AsyncGenerator[Street, None]:
    async with street(bank, launch, "idempotency_key") as opened:
        yield opened


async def test_killed_while_a_person_is_asked_the_card_stays_and_the_money_moves_once(
    never: Street,
) -> None:
    asked = await never.server.ask(transfer(50))
    await never.server.end(signal.SIGKILL)
    with pytest.raises(ClientError):
        await asked.work
    await never.server.start()
    assert await never.alice.waiting() == [asked.card]
    again = await never.server.ask(transfer(50))
    assert again.card == asked.card
    await never.alice.approve(asked.card)
    assert (await again.work).state == "done"
    assert never.bank.count(50) == 1


async def test_without_a_retry_every_kill_ends_definite_or_unknown_and_never_pays_twice(
    never: Street,
) -> None:
    expected = [
        ("after_redeem", "lapsed", 0),
        ("after_connect", "succeeded", 1),
        ("after_intent", "outcome_unknown", 0),
        ("after_answer", "outcome_unknown", 1),
    ]
    for position, (failpoint, state, entries) in enumerate(expected):
        amount = 60 + position
        await never.killed_at(failpoint, amount)
        call = await never.end_of(amount)
        assert (failpoint, call["state"], never.bank.count(amount)) == (failpoint, state, entries)
    lapsed = await never.server.call(transfer(60))
    assert lapsed.state == "failed"
    assert "Nothing was sent" in lapsed.text
    unknown = await never.server.call(transfer(63))
    assert "It is not sent again" in unknown.text
    assert never.bank.count(63) == 1


async def test_with_an_idempotency_key_a_kill_after_the_intent_still_pays_exactly_once(
    keyed: Street,
) -> None:
    for position, failpoint in enumerate(("after_intent", "after_answer")):
        amount = 70 + position
        await keyed.killed_at(failpoint, amount)
        call = await keyed.end_of(amount)
        assert (call["state"], keyed.bank.count(amount)) == ("succeeded", 1), failpoint


async def test_killed_while_asking_there_is_one_card_and_after_the_outcome_it_stands(
    never: Street,
) -> None:
    await never.server.end(signal.SIGKILL)
    await never.server.start(SIGNOFF_FAILPOINT="after_ask")
    with pytest.raises(ClientError):
        await never.server.call(transfer(80))
    await gone(never.server)
    await never.server.start()
    (card,) = await until(never.alice.waiting)
    await never.alice.approve(card)
    assert (await never.server.call(transfer(80))).state == "done"
    await never.killed_at("after_outcome", 81)
    assert (await never.end_of(81))["state"] == "succeeded"
    assert (never.bank.count(80), never.bank.count(81)) == (1, 1)


async def test_the_control_that_sends_again_without_a_key_pays_twice(bank: StartBank) -> None:
    books, order = await bank("http://localhost:1"), transfer(90)
    async with httpx2.AsyncClient(
        base_url=books.url, headers={"X-On-Behalf-Of": "alice"}, trust_env=False, timeout=60
    ) as naive:
        first = await naive.post("/transfers", json=order)
        again = await naive.post("/transfers", json=order)
    assert (first.status_code, again.status_code) == (201, 201)
    assert books.count(90) == 2
