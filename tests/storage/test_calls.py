"""Gated calls on a real file: guarded swaps, limits, sealed columns, and who is switched off."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

import pytest

from gate_parts import ALICE, BOB, NOW, new_call
from signoff.audit import AuditEvent
from signoff.gate.call import LEASE, Call, Event, Facts, State
from signoff.gate.ports import (
    Frozen,
    Limits,
    Lost,
    Moved,
    Opened,
    Overtaken,
    Reused,
    StoreUnavailableError,
    SwitchedOff,
    TooMany,
)
from signoff.sealed import Sealer, SealError
from signoff.storage.calls import SqliteCalls
from signoff.storage.sqlite import Database, Tx

FROZEN = Frozen(arguments=b'{"pin":"canary-pin"}', details=b"{}", request=b"canary-request")
LIMITS = Limits()
YES = Facts(
    decided_at=NOW,
    decided_by="alice",
    jti="jti-1",
    execute_by=NOW + timedelta(seconds=120),
    lease_until=NOW + LEASE,
)


class Clock(Protocol):
    def turn(self, seconds: float) -> None: ...


@pytest.fixture
def calls(database: Database, sealer: Sealer) -> SqliteCalls:
    return SqliteCalls(database, sealer)


async def opened(calls: SqliteCalls, call_id: str = "call_1", **changes: object) -> Call:
    call = new_call(call_id, **changes)
    answer = await calls.open(call, FROZEN, seen=None, limits=LIMITS)
    assert answer == Opened(call=call)
    return call


async def step(calls: SqliteCalls, call: Call, event: Event, facts: Facts = YES) -> Call:
    swap = await calls.move(call, event, facts)
    assert isinstance(swap, Moved)
    return swap.call


async def brought_to(calls: SqliteCalls, state: State, call_id: str = "call_1") -> Call:
    call = await opened(calls, call_id)
    facts = replace(YES, jti=f"jti of {call_id}")
    for event in (Event.ASK, Event.AUTHORIZE, Event.CLAIM, Event.INTEND):
        if call.state is state:
            return call
        call = await step(calls, call, event, facts)
    return call


async def switch_off(database: Database, who: str) -> None:
    def job(tx: Tx) -> None:
        tx.execute("INSERT INTO disabled (id, at) VALUES (:id, 0)", {"id": who})

    await database.write(job)


async def events(database: Database) -> list[tuple[str, str]]:
    rows = await database.fetch_all("SELECT body FROM audit ORDER BY seq")
    bodies = [json.loads(row["body"]) for row in rows]
    return [(body["event"], body["subject"]) for body in bodies]


async def test_a_call_comes_back_as_it_was_stored(calls: SqliteCalls) -> None:
    call = await opened(calls)
    assert await calls.load(call.id) == call
    assert await calls.latest(call.request_key) == call
    assert await calls.load_frozen(call.id) == FROZEN


async def test_an_unknown_call_is_none(calls: SqliteCalls) -> None:
    assert await calls.load("call_x") is None
    assert await calls.load_frozen("call_x") is None
    assert await calls.load_payload("call_x", "result") is None
    assert isinstance(await calls.move(new_call("call_x"), Event.ASK), Lost)


async def test_every_swap_has_its_audit_row(calls: SqliteCalls, database: Database) -> None:
    call = await brought_to(calls, State.DISPATCHING)
    told = AuditEvent(event="capability.executed", subject=call.id, actor="local:1")
    await calls.move(call, Event.SUCCEED, audit=told, result=b"{}")
    assert await events(database) == [
        ("call.opened", "call_1"),
        ("call.waiting", "call_1"),
        ("call.authorized", "call_1"),
        ("call.claimed", "call_1"),
        ("call.dispatching", "call_1"),
        ("capability.executed", "call_1"),
    ]


async def test_a_swap_whose_audit_row_cannot_be_written_does_not_happen(
    calls: SqliteCalls, database: Database
) -> None:
    call = await brought_to(calls, State.CLAIMED)

    def job(tx: Tx) -> None:
        tx.execute(
            "CREATE TEMP TRIGGER no_audit BEFORE INSERT ON audit "
            "BEGIN SELECT RAISE(FAIL, 'disk full'); END"
        )

    await database.write(job)
    with pytest.raises(StoreUnavailableError):
        await calls.move(call, Event.INTEND)
    assert await calls.load(call.id) == call


async def test_of_fifty_swaps_at_once_one_wins(calls: SqliteCalls) -> None:
    call = await brought_to(calls, State.AUTHORIZED)
    swaps = await asyncio.gather(*(calls.move(call, Event.CLAIM, YES) for _ in range(50)))
    assert sum(isinstance(swap, Moved) for swap in swaps) == 1
    assert sum(isinstance(swap, Lost) for swap in swaps) == 49


async def test_a_swap_with_an_old_fence_is_lost(calls: SqliteCalls) -> None:
    call = await opened(calls)
    newer = await step(calls, call, Event.ASK)
    assert await calls.move(call, Event.ASK) == Lost(call=newer)


async def test_a_swap_the_table_does_not_know_is_lost(calls: SqliteCalls) -> None:
    call = await opened(calls)
    assert await calls.move(call, Event.INTEND) == Lost(call=call)


async def test_one_jti_authorizes_one_call(calls: SqliteCalls) -> None:
    first = await brought_to(calls, State.WAITING, "call_1")
    second = await brought_to(calls, State.WAITING, "call_2")
    assert isinstance(await calls.move(first, Event.AUTHORIZE, YES), Moved)
    assert isinstance(await calls.move(second, Event.AUTHORIZE, YES), Reused)
    assert await calls.load("call_2") == second


@pytest.mark.parametrize("who", ["alice", "local:1"])
@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.WAITING, Event.AUTHORIZE),
        (State.AUTHORIZED, Event.CLAIM),
        (State.CLAIMED, Event.INTEND),
    ],
)
async def test_nothing_moves_towards_sending_for_whoever_is_switched_off(
    calls: SqliteCalls, database: Database, who: str, state: State, event: Event
) -> None:
    call = await brought_to(calls, state)
    await switch_off(database, who)
    assert await calls.move(call, event, YES) == SwitchedOff(id=who)
    assert await calls.load(call.id) == call


async def test_a_switched_off_approver_stops_the_intent_of_anothers_call(
    calls: SqliteCalls, database: Database
) -> None:
    call = await opened(calls, caller=BOB)
    for event in (Event.ASK, Event.AUTHORIZE, Event.CLAIM):
        call = await step(calls, call, event)
    await switch_off(database, "alice")
    assert await calls.move(call, Event.INTEND) == SwitchedOff(id="alice")


async def test_whoever_is_switched_off_opens_nothing(
    calls: SqliteCalls, database: Database
) -> None:
    await switch_off(database, "alice")
    answer = await calls.open(new_call(), FROZEN, seen=None, limits=LIMITS)
    assert answer == SwitchedOff(id="alice")
    assert await calls.load("call_1") is None


async def test_a_call_already_sent_may_still_end_when_its_people_are_switched_off(
    calls: SqliteCalls, database: Database
) -> None:
    call = await brought_to(calls, State.DISPATCHING)
    await switch_off(database, "alice")
    assert isinstance(await calls.move(call, Event.SUCCEED), Moved)


async def test_of_identical_calls_at_once_one_opens(calls: SqliteCalls) -> None:
    same = [new_call(f"call_{number}", request_key=b"same") for number in range(8)]
    answers = await asyncio.gather(
        *(calls.open(call, FROZEN, seen=None, limits=LIMITS) for call in same)
    )
    assert [type(answer) for answer in answers].count(Opened) == 1
    assert [type(answer) for answer in answers].count(Overtaken) == 7


async def test_a_caller_has_at_most_five_calls_open(calls: SqliteCalls) -> None:
    approvers = [(f"user{number}",) for number in range(6)]
    answers = await asyncio.gather(
        *(
            calls.open(
                new_call(f"call_{number}", approvers=approvers[number]),
                FROZEN,
                seen=None,
                limits=LIMITS,
            )
            for number in range(6)
        )
    )
    assert answers[5] == TooMany(whose="caller", limit=5)
    assert all(isinstance(answer, Opened) for answer in answers[:5])
    other = new_call("call_9", caller=BOB, approvers=("user9",))
    assert isinstance(await calls.open(other, FROZEN, seen=None, limits=LIMITS), Opened)


async def test_an_approver_is_asked_about_at_most_twenty(calls: SqliteCalls) -> None:
    for number in range(21):
        caller = replace(ALICE, client_id=f"local:{number}")
        call = new_call(f"call_{number}", caller=caller)
        answer = await calls.open(call, FROZEN, seen=None, limits=LIMITS)
        if number == 20:
            assert answer == TooMany(whose="alice", limit=20)
        else:
            assert answer == Opened(call=call)


async def test_a_decided_call_no_longer_counts_for_its_approver(calls: SqliteCalls) -> None:
    call = await brought_to(calls, State.AUTHORIZED)
    assert call.state is State.AUTHORIZED
    one = Limits(per_approver=1)
    other = new_call("call_2", caller=BOB)
    assert isinstance(await calls.open(other, FROZEN, seen=None, limits=one), Opened)
    third = new_call("call_3", caller=BOB)
    assert await calls.open(third, FROZEN, seen=None, limits=one) == TooMany(whose="alice", limit=1)


async def test_ended_calls_do_not_count_for_their_caller(calls: SqliteCalls) -> None:
    call = await brought_to(calls, State.WAITING)
    await step(calls, call, Event.DENY)
    again = new_call("call_2", request_key=call.request_key)
    one = Limits(per_caller=1)
    assert isinstance(await calls.open(again, FROZEN, seen=call.id, limits=one), Opened)


async def test_nothing_secret_stands_in_clear(calls: SqliteCalls, database: Database) -> None:
    call = await opened(calls, title="canary-title")
    swap = await calls.move(call, Event.ASK, auth_req_id="canary-auth-req-id")
    assert isinstance(swap, Moved)
    await calls.move(swap.call, Event.AUTHORIZE, YES, access_token="canary-access-token")
    assert await calls.load_payload(call.id, "auth_req_id") == b"canary-auth-req-id"
    assert await calls.load_payload(call.id, "access_token") == b"canary-access-token"
    stored = b"".join(path.read_bytes() for path in database.path.parent.glob("signoff.db*"))
    assert b"canary" not in stored


async def test_the_token_is_gone_with_the_end(calls: SqliteCalls, database: Database) -> None:
    call = await brought_to(calls, State.WAITING)
    swap = await calls.move(call, Event.AUTHORIZE, YES, access_token="token")
    assert isinstance(swap, Moved)
    await calls.move(swap.call, Event.REFUSE)
    assert await calls.load_payload(call.id, "access_token") is None
    row = await database.fetch_one("SELECT access_token FROM calls")
    assert row is not None
    assert row["access_token"] is None


@pytest.mark.parametrize("column", ["arguments", "details", "request"])
async def test_one_changed_byte_of_a_sealed_column_is_noticed(
    calls: SqliteCalls, database: Database, column: str
) -> None:
    await opened(calls)

    def job(tx: Tx) -> None:
        row = tx.one(f"SELECT {column} AS sealed FROM calls")  # noqa: S608 — a column of this test
        assert row is not None
        changed = row["sealed"][:-1] + bytes([row["sealed"][-1] ^ 1])
        tx.execute(f"UPDATE calls SET {column} = :changed", {"changed": changed})  # noqa: S608 — as above

    await database.write(job)
    with pytest.raises(SealError):
        await calls.load_frozen("call_1")


async def test_sealed_columns_of_two_calls_cannot_be_exchanged(
    calls: SqliteCalls, database: Database
) -> None:
    await opened(calls, "call_1")
    await opened(calls, "call_2")

    def job(tx: Tx) -> None:
        tx.execute(
            "UPDATE calls SET request = (SELECT request FROM calls WHERE id = 'call_2') "
            "WHERE id = 'call_1'"
        )

    await database.write(job)
    with pytest.raises(SealError):
        await calls.load_frozen("call_1")


async def test_retry_and_intent_are_one_transaction(
    calls: SqliteCalls, database: Database, clock: Clock
) -> None:
    call = await brought_to(calls, State.DISPATCHING)
    swap = await calls.intend_again(call, NOW + LEASE)
    assert isinstance(swap, Moved)
    assert (swap.call.state, swap.call.attempts) == (State.DISPATCHING, 2)
    clock.turn(121)
    late = await calls.intend_again(swap.call, NOW + timedelta(seconds=200))
    assert isinstance(late, Lost)
    assert await calls.load(call.id) == swap.call
    assert (await events(database))[-1] == ("call.dispatching", call.id)


async def test_what_is_unfinished_and_untold_is_found_again(calls: SqliteCalls) -> None:
    waiting = await brought_to(calls, State.WAITING, "call_1")
    call = await brought_to(calls, State.OPENING, "call_2")
    swap = await calls.move(call, Event.ASK, YES, auth_req_id="r")
    assert isinstance(swap, Moved)
    swap = await calls.move(swap.call, Event.LAPSE)
    assert isinstance(swap, Moved)
    assert await calls.unfinished() == [waiting.id]
    assert await calls.untold() == ["call_2"]
    await calls.mark_told(swap.call)
    assert await calls.untold() == []
    assert await calls.load_payload("call_2", "auth_req_id") is None


async def test_an_unknown_outcome_keeps_the_way_to_tell_its_reconciliation(
    calls: SqliteCalls,
) -> None:
    call = await opened(calls)
    swap = await calls.move(call, Event.ASK, YES, auth_req_id="r")
    for event in (Event.AUTHORIZE, Event.CLAIM, Event.INTEND, Event.LOSE):
        assert isinstance(swap, Moved)
        swap = await calls.move(swap.call, event, YES)
    assert isinstance(swap, Moved)
    await calls.mark_told(swap.call)
    assert await calls.untold() == []
    done = await calls.move(swap.call, Event.SUCCEED)
    assert isinstance(done, Moved)
    assert await calls.untold() == [call.id]
    assert await calls.load_payload(call.id, "auth_req_id") == b"r"


async def test_a_swap_is_announced_after_it_is_stored(
    calls: SqliteCalls, database: Database
) -> None:
    call = await opened(calls)
    with database.changes.watch("call", call.id) as watch:
        await calls.move(call, Event.ASK)
        assert await watch.changed(30)


async def test_old_ends_lose_what_they_were_made_of_and_keep_their_record(
    calls: SqliteCalls,
) -> None:
    call = await step(calls, await brought_to(calls, State.WAITING), Event.EXPIRE)
    assert await calls.forget(NOW) == 0
    assert await calls.forget(NOW + timedelta(seconds=1)) == 1
    assert await calls.load_frozen(call.id) is None
    assert await calls.load(call.id) == call


async def test_a_call_in_flight_is_never_forgotten(calls: SqliteCalls) -> None:
    call = await brought_to(calls, State.DISPATCHING)
    assert await calls.forget(NOW + timedelta(days=9)) == 0
    assert await calls.load_frozen(call.id) == FROZEN


async def test_disabled_names_only_those_asked_for(calls: SqliteCalls, database: Database) -> None:
    await switch_off(database, "bob")
    assert await calls.disabled(["alice", "bob"]) == frozenset({"bob"})
    assert await calls.disabled([]) == frozenset()
