"""The life of one approval: a record, a table of transitions and one pure function.

Rule 1: every status change goes through `advance`; nothing else builds a changed `Approval`.
Rule 2: this file knows no clock, no storage, no HTTP and no OAuth. Time arrives as an argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from signoff.canonical import Json

REDEEM_WITHIN: Final = timedelta(seconds=120)


class Status(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REDEEMED = "redeemed"  # a token was minted; terminal, so it is minted only once
    LAPSED = "lapsed"  # a yes that nobody fetched in time


class Event(StrEnum):
    """What can happen to an approval."""

    APPROVE = "approve"
    DENY = "deny"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"
    REDEEM = "redeem"
    LAPSE = "lapse"


TRANSITIONS: Final[Mapping[Status, Mapping[Event, Status]]] = MappingProxyType({
    Status.PENDING: {
        Event.APPROVE: Status.APPROVED,
        Event.DENY: Status.DENIED,
        Event.EXPIRE: Status.EXPIRED,
        Event.WITHDRAW: Status.WITHDRAWN,
    },
    Status.APPROVED: {Event.REDEEM: Status.REDEEMED, Event.LAPSE: Status.LAPSED},
    Status.DENIED: {},
    Status.EXPIRED: {},
    Status.WITHDRAWN: {},
    Status.REDEEMED: {},
    Status.LAPSED: {},
})


class IllegalTransitionError(Exception):
    """The event is not allowed in this state."""

    def __init__(self, status: Status, event: Event) -> None:
        super().__init__(f"cannot {event} an approval that is {status}")
        self.status, self.event = status, event


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The authorization server's record of one backchannel request and its decision.

    `eligible` are the user ids that may see and decide it. `authorization_details` is what is
    shown (RFC 9396), already checked; for the gate its one member has type `tool_call` and its
    digest equals `digest`, for every other client `digest` covers the details as they came.
    `acr` is the strength a decision needs (`session` or `passkey`). `outcome` is how the call
    ended, as the gate reported it, for the page.
    """

    id: str
    client_id: str
    call_id: str | None
    status: Status
    eligible: tuple[str, ...]
    scope: str
    binding_message: str | None
    authorization_details: tuple[Mapping[str, Json], ...]
    digest: str
    nonce: str
    acr: str
    resources: tuple[str, ...]
    opened_at: datetime
    expires_at: datetime
    decided_at: datetime | None = None
    decided_by: str | None = None
    decided_acr: str | None = None
    reason: str | None = None
    redeem_by: datetime | None = None
    listener_left_at: datetime | None = None
    outcome: str | None = None
    outcome_at: datetime | None = None
    outcome_note: str | None = None


def advance(
    approval: Approval,
    event: Event,
    *,
    now: datetime,
    by: str | None = None,
    acr: str | None = None,
    reason: str | None = None,
) -> Approval:
    """Return `approval` after `event`.

    A pending approval at or past `expires_at` can only expire, an approved one at or past
    `redeem_by` can only lapse, whatever was asked for.

    Raises:
        IllegalTransitionError: the table has no such arrow.
    """
    if approval.status is Status.PENDING and now >= approval.expires_at:
        event = Event.EXPIRE
    if approval.redeem_by and approval.status is Status.APPROVED and now >= approval.redeem_by:
        event = Event.LAPSE
    try:
        status = TRANSITIONS[approval.status][event]
    except KeyError:
        raise IllegalTransitionError(approval.status, event) from None
    after = replace(approval, status=status)
    if event in (Event.APPROVE, Event.DENY):
        after = replace(after, decided_at=now, decided_by=by, decided_acr=acr, reason=reason)
    if event is Event.APPROVE:
        after = replace(after, redeem_by=now + REDEEM_WITHIN)
    return after
