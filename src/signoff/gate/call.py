"""The life of one gated call: a record, a table of transitions and one pure function.

Rule 1: every state change goes through `advance`; nothing else builds a changed `Call`.
Rule 2: this file knows no clock, no storage, no HTTP and no tokens. Time and facts are arguments.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from signoff.identity import Caller

LEASE: Final = timedelta(seconds=30)
MAX_ATTEMPTS: Final = 3
REPEAT_WINDOW: Final = timedelta(minutes=15)
ANSWERS_FOR: Final = timedelta(hours=24)


class State(StrEnum):
    """Where a call stands."""

    OPENING = "opening"
    WAITING = "waiting"
    AUTHORIZED = "authorized"
    CLAIMED = "claimed"
    DISPATCHING = "dispatching"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    LAPSED = "lapsed"
    OUTCOME_UNKNOWN = "outcome_unknown"


class Event(StrEnum):
    """What can happen to a call."""

    ASK = "ask"  # the authorization server took the request
    AUTHORIZE = "authorize"  # a verified token came, its jti is bound to this call
    DENY = "deny"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"
    LAPSE = "lapse"  # a yes was lost or came too late; nothing was sent
    REFUSE = "refuse"  # what was approved no longer holds; nothing was sent
    CLAIM = "claim"
    RELEASE = "release"  # the lease of a claim is over; nothing was sent
    INTEND = "intend"  # the first byte follows
    RETRY = "retry"  # only where the catalogue declares it
    SUCCEED = "succeed"
    FAIL = "fail"
    LOSE = "lose"  # sent, perhaps, and no definite answer


OPEN: Final = frozenset({
    State.OPENING,
    State.WAITING,
    State.AUTHORIZED,
    State.CLAIMED,
    State.DISPATCHING,
})
UNDECIDED: Final = frozenset({State.OPENING, State.WAITING})

TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = MappingProxyType({
    State.OPENING: {Event.ASK: State.WAITING, Event.FAIL: State.FAILED},
    State.WAITING: {
        Event.AUTHORIZE: State.AUTHORIZED,
        Event.DENY: State.DENIED,
        Event.EXPIRE: State.EXPIRED,
        Event.WITHDRAW: State.WITHDRAWN,
        Event.REFUSE: State.REFUSED,
        Event.LAPSE: State.LAPSED,
    },
    State.AUTHORIZED: {
        Event.CLAIM: State.CLAIMED,
        Event.REFUSE: State.REFUSED,
        Event.LAPSE: State.LAPSED,
        Event.WITHDRAW: State.WITHDRAWN,
    },
    State.CLAIMED: {
        Event.INTEND: State.DISPATCHING,
        Event.RELEASE: State.AUTHORIZED,
        Event.REFUSE: State.REFUSED,
        Event.FAIL: State.FAILED,
    },
    State.DISPATCHING: {
        Event.SUCCEED: State.SUCCEEDED,
        Event.FAIL: State.FAILED,
        Event.RETRY: State.CLAIMED,
        Event.LOSE: State.OUTCOME_UNKNOWN,
    },
    # Reconciled by an eligible approver on the page.
    State.OUTCOME_UNKNOWN: {Event.SUCCEED: State.SUCCEEDED, Event.FAIL: State.FAILED},
    State.SUCCEEDED: {},
    State.FAILED: {},
    State.DENIED: {},
    State.EXPIRED: {},
    State.WITHDRAWN: {},
    State.REFUSED: {},
    State.LAPSED: {},
})


class IllegalTransitionError(Exception):
    """The event is not allowed in this state, or no longer."""

    def __init__(self, state: State, event: Event, why: str = "") -> None:
        super().__init__(f"cannot {event} a call that is {state}" + (f": {why}" if why else ""))
        self.state, self.event = state, event


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One `tools/call` that needs a warrant.

    `title` is plain text for people. `approve_at` is the page's URL. `expires_at` ends the wait
    for a decision, `execute_by` the right to send (the token's exp), `lease_until` one claim.
    `jti` is the token whose one use is this call's intent. `note` says why it ended as it did.
    """

    id: str
    state: State
    fence: int
    attempts: int
    request_key: bytes
    caller: Caller
    tool: str
    title: str
    approvers: tuple[str, ...]
    acr: str
    audience: str
    digest: str
    catalogue_digest: str
    opened_at: datetime
    expires_at: datetime
    approve_at: str
    interval_s: int = 5
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None
    jti: str | None = None
    execute_by: datetime | None = None
    lease_until: datetime | None = None
    finished_at: datetime | None = None
    note: str | None = None
    repeat_of: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the call has not ended yet."""
        return self.state in OPEN

    @property
    def is_undecided(self) -> bool:
        """Whether a person may still be asked."""
        return self.state in UNDECIDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What came with an event. Which members it needs, `advance` says."""

    expires_at: datetime | None = None
    interval_s: int | None = None
    approve_at: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None
    jti: str | None = None
    execute_by: datetime | None = None
    lease_until: datetime | None = None
    note: str | None = None


_NO_FACTS: Final = Facts()


def advance(call: Call, event: Event, *, now: datetime, facts: Facts = _NO_FACTS) -> Call:
    """Return `call` after `event`, its fence one higher.

    An authorized call at or past `execute_by` can only lapse, whatever was asked for, unless it
    ends otherwise. An intent needs a live lease and a token that has not ended.

    Raises:
        IllegalTransitionError: the table has no such arrow, a fact is missing, or it is too late.
    """
    if event is Event.CLAIM and call.execute_by is not None and now >= call.execute_by:
        event = Event.LAPSE
    try:
        state = TRANSITIONS[call.state][event]
    except KeyError:
        raise IllegalTransitionError(call.state, event) from None
    after = replace(call, state=state, fence=call.fence + 1, note=facts.note or call.note)
    if complete := _COMPLETE.get(event):
        after = complete(call, after, facts, now)
    if state not in OPEN:
        after = replace(after, finished_at=now, lease_until=None)
    return after


def _asked(call: Call, after: Call, facts: Facts, now: datetime) -> Call:
    del now
    return replace(
        after,
        expires_at=facts.expires_at or call.expires_at,
        interval_s=facts.interval_s or call.interval_s,
        approve_at=facts.approve_at or call.approve_at,
    )


def _authorized(call: Call, after: Call, facts: Facts, now: datetime) -> Call:
    if not facts.jti or facts.decided_at is None or facts.execute_by is None:
        raise IllegalTransitionError(call.state, Event.AUTHORIZE, "the token's facts are missing")
    if facts.decided_by not in call.approvers:
        raise IllegalTransitionError(call.state, Event.AUTHORIZE, "decided by nobody eligible")
    if now >= facts.execute_by:
        raise IllegalTransitionError(call.state, Event.AUTHORIZE, "the approval has ended")
    return replace(
        after,
        jti=facts.jti,
        decided_at=facts.decided_at,
        decided_by=facts.decided_by,
        execute_by=facts.execute_by,
    )


def _denied(call: Call, after: Call, facts: Facts, now: datetime) -> Call:
    del call
    return replace(
        after,
        decided_at=facts.decided_at or now,
        decided_by=facts.decided_by,
        reason=facts.reason,
    )


def _claimed(call: Call, after: Call, facts: Facts, now: datetime) -> Call:
    if facts.lease_until is None or facts.lease_until <= now:
        raise IllegalTransitionError(call.state, Event.CLAIM, "there is no lease")
    return replace(after, lease_until=facts.lease_until)


def _retried(call: Call, after: Call, facts: Facts, now: datetime) -> Call:
    if call.attempts >= MAX_ATTEMPTS:
        raise IllegalTransitionError(call.state, Event.RETRY, "every attempt is used")
    return _claimed(call, after, facts, now)


def _released(call: Call, after: Call, facts: Facts, now: datetime) -> Call:
    del call, facts, now
    return replace(after, lease_until=None)


def _intended(call: Call, after: Call, facts: Facts, now: datetime) -> Call:
    if call.lease_until is None or now >= call.lease_until:
        raise IllegalTransitionError(call.state, Event.INTEND, "the lease is over")
    if call.execute_by is None or now >= call.execute_by:
        raise IllegalTransitionError(call.state, Event.INTEND, "the approval has ended")
    lease_until = facts.lease_until or call.lease_until
    return replace(after, attempts=call.attempts + 1, lease_until=lease_until)


_Complete = Callable[[Call, Call, Facts, datetime], Call]
_COMPLETE: Final[Mapping[Event, _Complete]] = MappingProxyType({
    Event.ASK: _asked,
    Event.AUTHORIZE: _authorized,
    Event.DENY: _denied,
    Event.CLAIM: _claimed,
    Event.RETRY: _retried,
    Event.RELEASE: _released,
    Event.INTEND: _intended,
})
