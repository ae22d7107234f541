"""A client that leaves while what it asked for is being stored: nothing is half done."""

import asyncio

import pytest

from gate_house import House
from gate_parts import ALICE
from signoff.approvals.request import Status
from signoff.gate.call import Call, State
from writer_parts import busy_writer, queued


async def card_is_gone(home: House, call: Call) -> None:
    """Wait until nobody can decide the call any more: sooner than its held poll would end."""
    card = await home.card(call)
    with home.approvals.changes.watch("approval", card.id) as watch:
        while (await home.card(call)).status is Status.PENDING:
            assert await watch.changed(5), "the card is still there"


@pytest.mark.parametrize("how", ["withdraw_call", "calls deny", "clients disable"])
async def test_a_call_that_was_ended_takes_its_card_along_though_who_ended_it_left(
    home: House, how: str
) -> None:
    call = await home.pay()
    await home.until(call, lambda current: current.state is State.WAITING)
    ends = {
        "withdraw_call": lambda: home.gate.withdraw(ALICE, call.id),
        "calls deny": lambda: home.gate.take_back(call.id, why="no"),
        "clients disable": lambda: home.gate.end_calls_of("local:1"),
    }
    async with busy_writer(home.database):
        leaving = asyncio.ensure_future(ends[how]())
        await queued(home.database)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled()
    ended = await home.ended(call)
    assert ended.state in (State.WITHDRAWN, State.REFUSED)
    await card_is_gone(home, call)
    assert home.bank.heads == []
