"""The same call made again: attached to, told again, or opened again on purpose."""

import asyncio
import json
from typing import Protocol, cast

import pytest

from gate_house import House
from gate_parts import ALICE, ARGUMENTS, BOB, INFO
from signoff.gate.answers import Finished, Waiting


class Clock(Protocol):
    def turn(self, seconds: float) -> None: ...


async def test_after_a_deny_the_same_call_opens_no_card_for_fifteen_minutes(
    home: House, clock: Clock
) -> None:
    call = await home.pay()
    await home.decide(call, "deny")
    await home.finished(call)
    for answer in (await home.call(), await home.gate.repeat(ALICE, INFO, call.id)):
        assert isinstance(answer, Finished)
        assert answer.repeat
        assert answer.call is not None
        assert answer.call.id == call.id
    clock.turn(15 * 60)
    again = await home.pay()
    assert again.id != call.id
    assert again.repeat_of == call.id


@pytest.mark.seed("D9")
async def test_the_same_call_attaches_while_it_is_open(home: House) -> None:
    first = await home.call()
    second = await home.call()
    assert isinstance(first, Waiting)
    assert isinstance(second, Waiting)
    assert (first.attached, second.attached) == (False, True)
    assert first.call.id == second.call.id


async def test_parallel_identical_calls_open_one_card(home: House) -> None:
    answers = await asyncio.gather(*(home.call() for _ in range(20)))
    assert len({cast("Waiting", answer).call.id for answer in answers}) == 1
    assert sum(not cast("Waiting", answer).attached for answer in answers) == 1
    await home.card(cast("Waiting", answers[0]).call)
    assert len(await home.approvals.inbox("alice")) == 1


async def test_the_order_of_arguments_makes_no_other_call(home: House) -> None:
    call = await home.pay()
    turned = {name: ARGUMENTS[name] for name in ("to_account", "amount")}
    answer = await home.gate.call(ALICE, INFO, "pay", turned, said=None)
    assert isinstance(answer, Waiting)
    assert answer.call.id == call.id


async def test_another_caller_with_the_same_arguments_gets_its_own_card(home: House) -> None:
    assert (await home.pay()).id != (await home.pay(BOB)).id


async def test_a_finished_call_is_told_again_and_not_sent_again(home: House, clock: Clock) -> None:
    call = await home.pay()
    await home.decide(call)
    first = await home.finished(call)
    answer = await home.call()
    assert isinstance(answer, Finished)
    assert answer.repeat
    assert answer.result.structured == first.result.structured
    mark = json.loads(str(answer.result.content[-1]["text"]))
    assert (mark["repeat"], mark["call_id"]) == (True, call.id)
    assert len(home.bank.heads) == 1
    clock.turn(15 * 60)
    later = await home.pay()
    details = (await home.card(later)).authorization_details[0]
    earlier = cast("dict[str, str]", details["repeat_of"])
    assert (earlier["call_id"], earlier["outcome"]) == (call.id, "succeeded")
    assert details["again"] is False


async def test_repeat_call_opens_a_second_card_that_says_so(home: House) -> None:
    call = await home.pay()
    await home.decide(call)
    await home.finished(call)
    answer = await home.gate.repeat(ALICE, INFO, call.id)
    assert isinstance(answer, Waiting)
    details = (await home.card(answer.call)).authorization_details[0]
    assert details["again"] is True
    assert cast("dict[str, str]", details["repeat_of"])["call_id"] == call.id
    await home.decide(answer.call)
    await home.finished(answer.call)
    keys = {_field(head, "Idempotency-Key") for head in home.bank.heads}
    assert len(keys) == 2


def _field(head: str, name: str) -> str:
    return next(line for line in head.split("\r\n") if line.startswith(f"{name}: "))
