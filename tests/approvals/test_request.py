"""The life of an approval: every state against every event."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from signoff.approvals.request import (
    REDEEM_WITHIN,
    TRANSITIONS,
    Approval,
    Event,
    IllegalTransitionError,
    Status,
    advance,
)

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
LEGAL = {
    (Status.PENDING, Event.APPROVE): Status.APPROVED,
    (Status.PENDING, Event.DENY): Status.DENIED,
    (Status.PENDING, Event.EXPIRE): Status.EXPIRED,
    (Status.PENDING, Event.WITHDRAW): Status.WITHDRAWN,
    (Status.APPROVED, Event.REDEEM): Status.REDEEMED,
    (Status.APPROVED, Event.LAPSE): Status.LAPSED,
}


def approval(status: Status = Status.PENDING) -> Approval:
    return Approval(
        id="apr_1",
        client_id="signoff-gate",
        call_id="call_1",
        status=status,
        eligible=("alice",),
        scope="openid",
        binding_message=None,
        authorization_details=(),
        digest="sha-256:" + "0" * 64,
        nonce="n",
        acr="session",
        resources=(),
        opened_at=NOW,
        expires_at=NOW + timedelta(seconds=60),
        redeem_by=NOW + REDEEM_WITHIN if status is Status.APPROVED else None,
    )


@pytest.mark.parametrize(("status", "event"), list(product(Status, Event)))
def test_only_the_arrows_of_the_design_exist(status: Status, event: Event) -> None:
    expected = LEGAL.get((status, event))
    if expected is None:
        with pytest.raises(IllegalTransitionError):
            advance(approval(status), event, now=NOW)
    else:
        assert advance(approval(status), event, now=NOW).status is expected


def test_the_end_states_have_no_way_out() -> None:
    assert {status for status, arrows in TRANSITIONS.items() if not arrows} == {
        Status.DENIED,
        Status.EXPIRED,
        Status.WITHDRAWN,
        Status.REDEEMED,
        Status.LAPSED,
    }


def test_a_decision_records_who_when_how_and_why() -> None:
    after = advance(approval(), Event.DENY, now=NOW, by="alice", acr="session", reason="not today")
    assert (after.decided_by, after.decided_at, after.decided_acr, after.reason) == (
        "alice",
        NOW,
        "session",
        "not today",
    )
    assert after.redeem_by is None


@pytest.mark.parametrize("event", [Event.APPROVE, Event.DENY, Event.WITHDRAW, Event.EXPIRE])
@pytest.mark.parametrize("milliseconds", [0, 1])
def test_at_its_end_a_request_can_only_expire(event: Event, milliseconds: int) -> None:
    now = approval().expires_at + timedelta(milliseconds=milliseconds)
    after = advance(approval(), event, now=now, by="alice")
    assert (after.status, after.decided_by) == (Status.EXPIRED, None)


@pytest.mark.parametrize(
    ("milliseconds", "status"), [(-1, Status.REDEEMED), (0, Status.LAPSED), (1, Status.LAPSED)]
)
def test_a_yes_is_good_for_two_minutes(milliseconds: int, status: Status) -> None:
    now = NOW + REDEEM_WITHIN + timedelta(milliseconds=milliseconds)
    assert advance(approval(Status.APPROVED), Event.REDEEM, now=now).status is status
