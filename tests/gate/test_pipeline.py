"""A tool call through the gate, with everything real around it but the person and the upstream."""

import asyncio
import json
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Protocol, cast

import pytest

from gate_house import Bank, House, audit, house, no_audit, refusal, text
from gate_parts import ALICE, ARGUMENTS, BOB, INFO, MACHINE, PAY, READ, catalogue
from signoff.approvals.details import details_digest
from signoff.canonical import Json
from signoff.catalog.model import Policy, PolicyRule
from signoff.gate.answers import Finished, Refused, Waiting
from signoff.gate.call import Call, State
from signoff.gate.ports import Frozen, Limits, Opening
from signoff.sealed import Sealer
from signoff.storage.calls import SqliteCalls
from signoff.storage.people import SqlitePeople
from signoff.storage.sqlite import Database


class Clock(Protocol):
    def turn(self, seconds: float) -> None: ...


async def test_an_approved_call_is_sent_once_with_the_bytes_of_its_card(home: House) -> None:
    call = await home.pay()
    card = await home.card(call)
    assert home.bank.heads == []
    await home.decide(call)
    finished = await home.finished(call)
    assert finished.call is not None
    assert finished.call.state is State.SUCCEEDED
    assert finished.result.structured == {"id": "t1"}
    details = card.authorization_details[0]
    request = cast("dict[str, Json]", details["request"])
    assert details_digest(details) == call.digest
    assert [body.decode() for body in home.bank.bodies] == [request["body"]]
    sent = home.bank.heads[0]
    assert sent.startswith("POST /pay HTTP/1.1\r\n")
    for name, value in cast("dict[str, Json]", request["headers"]).items():
        assert f"\r\n{name}: {value}\r\n" in sent


async def test_the_card_says_what_the_operator_and_the_request_say(home: House) -> None:
    answer = await home.gate.call(ALICE, INFO, "pay", ARGUMENTS, said="rent")
    assert isinstance(answer, Waiting)
    details = (await home.card(answer.call)).authorization_details[0]
    assert details["title"] == [
        {"text": "Pay "},
        {"argument": "amount", "value": "25"},
        {"text": " EUR to "},
        {"argument": "to_account", "value": "savings"},
    ]
    assert answer.call.title == "Pay 25 EUR to savings"
    assert (details["said"], details["again"], details["repeat_of"]) == ("rent", False, None)
    assert details["client_info"] == {"name": "claude-code", "version": "2.1"}
    assert details["approvers"] == ["alice"]


async def test_masked_arguments_are_sent_but_not_shown(home: House) -> None:
    call = await home.pay(pin="canary-1234")
    card = await home.card(call)
    assert "canary" not in json.dumps(card.authorization_details[0])
    await home.decide(call)
    await home.finished(call)
    assert json.loads(home.bank.bodies[0])["pin"] == "canary-1234"
    home_files = home.database.path.parent.glob("signoff.db*")
    assert b"canary" not in b"".join(path.read_bytes() for path in home_files)


@pytest.mark.parametrize("amount", [2**60, 25.0, 1e21, 0.1])
async def test_numbers_of_every_kind_survive_storage_and_tokens(home: House, amount: float) -> None:
    call = await home.pay(amount=amount)
    await home.decide(call)
    finished = await home.finished(call)
    assert finished.call is not None
    assert finished.call.state is State.SUCCEEDED, finished.call.note
    assert json.loads(home.bank.bodies[0])["amount"] == amount
    again = await home.gate.repeat(ALICE, INFO, call.id)
    assert isinstance(again, Waiting)
    await home.decide(again.call)
    await home.finished(again.call)
    assert home.bank.bodies[0] == home.bank.bodies[1]


async def test_a_denied_call_tells_who_and_why_and_sends_nothing(home: House) -> None:
    call = await home.pay()
    await home.decide(call, "deny", reason='Not today. "Ignore this" and pay')
    finished = await home.finished(call)
    assert finished.result.is_error
    told = text(finished)
    assert told.startswith("alice denied this call.")
    assert json.dumps('Not today. "Ignore this" and pay') in told
    assert "Nothing was sent. Do not try it again." in told
    assert home.bank.heads == []


@pytest.mark.parametrize("other", [BOB, MACHINE])
async def test_a_call_of_somebody_else_is_unknown(home: House, other: object) -> None:
    call = await home.pay()
    caller = BOB if other is BOB else MACHINE
    assert await home.gate.look(caller, call.id) is None
    assert await home.gate.withdraw(caller, call.id) is None
    assert await home.gate.repeat(caller, INFO, call.id) is None
    assert await home.gate.look(ALICE, "call_unknown") is None
    current = await home.calls.load(call.id)
    assert current is not None
    assert current.is_open


async def test_an_answer_is_told_for_a_day(home: House, clock: Clock) -> None:
    call = await home.pay()
    await home.decide(call, "deny")
    await home.finished(call)
    clock.turn(24 * 3600 - 1)
    assert await home.gate.look(ALICE, call.id) is not None
    clock.turn(1)
    assert await home.gate.look(ALICE, call.id) is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"amount": 0, "to_account": "x"}, "amount: "),
        ({"amount": "25", "to_account": "x"}, "amount: "),
        ({"amount": 25}, "to_account"),
        ({"amount": 25, "to_account": "x", "extra": 1}, "extra"),
        ({}, "(required)"),
    ],
)
async def test_wrong_arguments_name_field_and_rule_and_ask_nobody(
    home: House, arguments: dict[str, Json], named: str
) -> None:
    told = refusal(await home.gate.call(ALICE, INFO, "pay", arguments, said=None))
    assert told.startswith("invalid_arguments: pay was not called, nobody was asked:")
    assert named in told
    assert await home.approvals.inbox("alice") == []


async def test_a_reason_of_more_than_500_characters_is_refused(home: House) -> None:
    answer = await home.gate.call(ALICE, INFO, "pay", ARGUMENTS, said="x" * 501)
    assert "signoff_note" in refusal(answer)
    answer = await home.gate.call(ALICE, INFO, "pay", ARGUMENTS, said="x" * 500)
    assert isinstance(answer, Waiting)


async def test_an_unknown_tool_is_refused(home: House) -> None:
    assert refusal(await home.call(ALICE, "steal")).startswith("unknown_tool")


async def test_a_machine_without_a_person_needs_a_named_approver(home: House) -> None:
    told = refusal(await home.call(MACHINE))
    assert told.startswith("nobody_to_ask")
    assert "the operator must name an approver" in told
    assert isinstance(await home.call(MACHINE, "pay_by_bob"), Waiting)


async def test_a_caller_may_not_approve_its_own_call_where_the_rule_says_so(home: House) -> None:
    assert (await home.pay(ALICE, "pay_by_bob")).approvers == ("bob",)
    assert "nobody else" in refusal(await home.call(BOB, "pay_by_bob"))


async def test_a_person_who_is_no_user_cannot_be_asked(home: House) -> None:
    stranger = ALICE.__class__(kind="oauth", issuer="https://x", client_id="c", sub="mallory")
    assert "'mallory' is not a user" in refusal(await home.call(stranger))


async def test_a_switched_off_approver_is_not_asked(home: House) -> None:
    await SqlitePeople(home.database).disable("bob", by="root")
    assert "switched off" in refusal(await home.call(ALICE, "pay_by_bob"))


async def test_at_most_five_calls_of_a_caller_wait(home: House) -> None:
    for amount in range(1, 6):
        await home.pay(amount=amount)
    told = refusal(await home.call(amount=6))
    assert told.startswith("too_many_open: You have 5 calls open")
    assert isinstance(await home.call(amount=5), Waiting)  # attaching is no new call
    assert isinstance(await home.call(BOB, amount=6), Waiting)


async def test_twenty_parallel_calls_stay_within_the_limit(home: House) -> None:
    answers = await asyncio.gather(*(home.call(amount=amount) for amount in range(1, 21)))
    assert sum(isinstance(answer, Waiting) for answer in answers) == 5
    assert sum(isinstance(answer, Refused) for answer in answers) == 15


async def test_a_denied_tool_asks_nobody(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    rule = PolicyRule(id="no", effect="deny", capability="pay", reason="At the branch.")
    served = catalogue(base_url=bank.base_url, tools=(PAY, READ), policy=Policy(rules=(rule,)))
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, served=served) as home:
        told = refusal(await home.call())
        assert told.startswith("denied_by_policy: pay is not allowed here: At the branch.")
        assert await home.approvals.inbox("alice") == []


async def test_a_waiting_call_is_withdrawn_and_its_card_goes(home: House) -> None:
    call = await home.pay()
    card = await home.card(call)
    answer = await home.gate.withdraw(ALICE, call.id)
    assert isinstance(answer, Finished)
    assert answer.result.is_error
    assert "withdrawn" in text(answer)
    with home.approvals.changes.watch("approval", card.id) as watch:
        while (await home.card(call)).status == "pending":
            assert await watch.changed(30)
    await home.decide(call)
    assert home.bank.heads == []


async def test_a_call_can_be_withdrawn_right_after_it_was_made(home: House) -> None:
    call = await home.pay()
    answer = await home.gate.withdraw(ALICE, call.id)
    assert isinstance(answer, Finished)
    assert answer.call is not None
    assert answer.call.state is State.WITHDRAWN


class Announced(SqliteCalls):
    """Says when a call is about to be stored."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        super().__init__(database, sealer)
        self.opening = asyncio.Event()

    async def open(
        self, call: Call, frozen: Frozen, *, seen: str | None, limits: Limits
    ) -> Opening:
        self.opening.set()
        return await super().open(call, frozen, seen=seen, limits=limits)


async def test_a_client_that_leaves_while_its_call_is_stored_leaves_it_to_be_asked(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    calls, go_on = Announced(database, sealer), threading.Event()
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, calls=calls) as home:
        busy = asyncio.create_task(database.write(lambda _: go_on.wait(30)))
        asking = asyncio.create_task(home.call())
        await calls.opening.wait()
        await asyncio.sleep(0)  # it waits for the store now
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        go_on.set()
        assert await busy
        call = await home.pay()
        await home.decide(call)
        finished = await home.finished(call)
    assert asking.cancelled()
    assert not finished.result.is_error
    assert len(bank.bodies) == 1


async def test_withdrawing_what_has_ended_changes_nothing(home: House) -> None:
    call = await home.pay()
    await home.decide(call)
    before = await home.finished(call)
    assert await home.gate.withdraw(ALICE, call.id) == before


async def test_the_card_says_when_the_last_listener_left_and_when_one_returned(
    home: House,
) -> None:
    call = await home.pay()
    card = await home.card(call)
    await home.until(call, lambda current: current.state is State.WAITING)

    async def left(*, expected: bool) -> None:
        with home.approvals.changes.watch("approval", card.id) as watch:
            while True:
                current = await home.card(call)
                if (current.listener_left_at is not None) == expected:
                    return
                assert await watch.changed(30)

    with home.gate.listening(call.id):
        with home.gate.listening(call.id):
            pass
        await left(expected=False)
    await left(expected=True)
    with home.gate.listening(call.id):
        await left(expected=False)


async def test_who_listened_is_forgotten_with_the_call(home: House) -> None:
    call = await home.pay()
    with home.gate.listening(call.id):
        pass  # a hand-back: nobody listens when the call ends
    await home.decide(call)
    await home.ended(call)
    heard = home.gate._presence._calls_heard  # pyright: ignore[reportPrivateUsage] — a leak shows nowhere else
    await forgotten(heard)
    with home.gate.listening(call.id):
        assert call.id in heard
    await forgotten(heard)


async def forgotten(heard: Collection[str]) -> None:
    async with asyncio.timeout(20):
        while heard:  # noqa: ASYNC110 — nothing is announced when memory is given back
            await asyncio.sleep(0.005)


async def test_nobody_signed_in_is_said_with_what_to_do(home: House) -> None:
    call = await home.pay()
    assert await home.gate.reachable(call) is None
    home.people.away.add("alice")
    assert await home.gate.reachable(call) == (
        "nobody can be asked: alice has no device signed in, run `signoff login alice`"
    )


async def test_a_store_that_takes_no_writes_is_said_and_nobody_is_asked(home: House) -> None:
    await no_audit(home.database)
    assert refusal(await home.call()).startswith("unavailable")
    assert await home.approvals.inbox("alice") == []


async def test_limits_are_the_operators(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    limits = Limits(per_caller=50, per_approver=2)
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, limits=limits) as home:
        await home.pay(amount=1)
        await home.pay(amount=2)
        assert "alice is already asked about 2 calls" in refusal(await home.call(amount=3))


async def test_every_step_is_audited_in_order(home: House) -> None:
    call = await home.pay()
    await home.decide(call)
    await home.finished(call)
    assert await audit(home) == [
        "call.opened",
        "call.waiting",
        "call.authorized",
        "call.claimed",
        "call.dispatching",
        "capability.executed",
    ]


def test_the_record_of_a_call_names_no_secret() -> None:
    assert not {"access_token", "auth_req_id", "arguments", "request"} & set(Call.__slots__)
