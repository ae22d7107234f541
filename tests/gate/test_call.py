"""The call's machine: no arrow but the table's, and none that sends twice."""

from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gate_parts import NOW, new_call
from signoff.gate.call import (
    LEASE,
    MAX_ATTEMPTS,
    OPEN,
    TRANSITIONS,
    Call,
    Event,
    Facts,
    IllegalTransitionError,
    State,
    advance,
)

EXECUTE_BY = NOW + timedelta(seconds=120)
FACTS = Facts(
    decided_at=NOW,
    decided_by="alice",
    jti="jti-1",
    execute_by=EXECUTE_BY,
    lease_until=NOW + LEASE,
)


def waiting() -> Call:
    return advance(new_call(), Event.ASK, now=NOW)


def authorized() -> Call:
    return advance(waiting(), Event.AUTHORIZE, now=NOW, facts=FACTS)


def claimed() -> Call:
    return advance(authorized(), Event.CLAIM, now=NOW, facts=FACTS)


def dispatching() -> Call:
    return advance(claimed(), Event.INTEND, now=NOW)


def test_the_straight_way_ends_succeeded_with_one_attempt() -> None:
    call = advance(dispatching(), Event.SUCCEED, now=NOW)
    assert (call.state, call.attempts, call.fence) == (State.SUCCEEDED, 1, 5)
    assert (call.finished_at, call.lease_until) == (NOW, None)


@pytest.mark.parametrize("state", list(State))
def test_every_event_the_table_does_not_name_is_refused(state: State) -> None:
    call = new_call(state=state)
    for event in set(Event) - set(TRANSITIONS[state]):
        with pytest.raises(IllegalTransitionError):
            advance(call, event, now=NOW, facts=FACTS)


@pytest.mark.parametrize("state", sorted(set(State) - OPEN - {State.OUTCOME_UNKNOWN}))
def test_an_ended_call_stays_ended(state: State) -> None:
    assert not TRANSITIONS[state]


def test_an_authorized_call_at_execute_by_lapses_instead_of_being_claimed() -> None:
    late = advance(authorized(), Event.CLAIM, now=EXECUTE_BY, facts=FACTS)
    assert late.state is State.LAPSED


@pytest.mark.parametrize("late", [NOW + LEASE, EXECUTE_BY])
def test_an_intent_after_lease_or_approval_is_refused(late: datetime) -> None:
    with pytest.raises(IllegalTransitionError):
        advance(claimed(), Event.INTEND, now=late)


@pytest.mark.parametrize(
    "facts",
    [
        Facts(decided_at=NOW, decided_by="alice", execute_by=EXECUTE_BY),
        Facts(decided_at=NOW, decided_by="alice", jti="j"),
        Facts(decided_by="alice", jti="j", execute_by=EXECUTE_BY),
        Facts(decided_at=NOW, jti="j", execute_by=EXECUTE_BY),
        Facts(decided_at=NOW, decided_by="bob", jti="j", execute_by=EXECUTE_BY),
        Facts(decided_at=NOW, decided_by="alice", jti="j", execute_by=NOW),
    ],
)
def test_a_yes_without_token_time_or_eligible_person_is_refused(facts: Facts) -> None:
    with pytest.raises(IllegalTransitionError):
        advance(waiting(), Event.AUTHORIZE, now=NOW, facts=facts)


@pytest.mark.parametrize("lease_until", [None, NOW, NOW - LEASE])
def test_a_claim_without_a_lease_is_refused(lease_until: datetime | None) -> None:
    with pytest.raises(IllegalTransitionError):
        advance(authorized(), Event.CLAIM, now=NOW, facts=Facts(lease_until=lease_until))


def test_attempts_are_bounded() -> None:
    call = dispatching()
    for _ in range(MAX_ATTEMPTS - 1):
        call = advance(call, Event.RETRY, now=NOW, facts=FACTS)
        call = advance(call, Event.INTEND, now=NOW)
    with pytest.raises(IllegalTransitionError):
        advance(call, Event.RETRY, now=NOW, facts=FACTS)


def test_a_sent_call_cannot_become_denied_lapsed_refused_or_authorized_again() -> None:
    reached = set(TRANSITIONS[State.DISPATCHING].values())
    assert reached == {State.SUCCEEDED, State.FAILED, State.CLAIMED, State.OUTCOME_UNKNOWN}


class Life(RuleBasedStateMachine):
    """Throws every event at one call, at any time, and checks what can never be."""

    def __init__(self) -> None:
        super().__init__()
        self.call = new_call()
        self.now = NOW
        self.intents = 0
        self.yes = 0
        self.ended: Call | None = None

    @rule(seconds=st.integers(min_value=0, max_value=200))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(event=st.sampled_from(list(Event)), full=st.booleans())
    def happens(self, event: Event, *, full: bool) -> None:
        before = self.call
        facts = Facts()
        if full:
            facts = Facts(
                decided_at=self.now,
                decided_by="alice",
                jti=f"jti-{self.yes}",
                execute_by=self.now + timedelta(seconds=120),
                lease_until=self.now + LEASE,
            )
        try:
            self.call = advance(before, event, now=self.now, facts=facts)
        except IllegalTransitionError:
            assert self.call is before
            return
        assert self.call.fence == before.fence + 1
        self.yes += event is Event.AUTHORIZE
        if self.call.state is State.DISPATCHING:
            self.intents += 1
            assert before.state is State.CLAIMED
            assert before.lease_until is not None
            assert self.now < before.lease_until
            assert before.execute_by is not None
            assert self.now < before.execute_by

    @precondition(lambda self: self.call.state not in OPEN)
    @rule()
    def has_ended(self) -> None:
        self.ended = self.call

    @invariant()
    def nothing_is_sent_without_one_yes(self) -> None:
        assert self.intents == self.call.attempts
        assert self.call.attempts <= MAX_ATTEMPTS
        assert self.yes <= 1
        assert self.call.attempts == 0 or (self.yes == 1 and self.call.jti == "jti-0")

    @invariant()
    def an_end_stays(self) -> None:
        if self.ended is not None and self.ended.state is not State.OUTCOME_UNKNOWN:
            assert self.call == self.ended
        assert (self.call.finished_at is None) == (self.call.state in OPEN)


Life.TestCase.settings = settings(max_examples=300, stateful_step_count=40)
TestLife = Life.TestCase
