"""Where an approval and its call stand, in the words of a page.

Owns the stages a page can show and what each says: what happened, and what happens next in the
chat. Pure; the states themselves belong to `approvals/request.py` and the gate.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from signoff.approvals.request import Approval, Event, Status, advance

Tone = Literal["good", "bad", "warn", "calm", "busy"]


class Stage(StrEnum):
    """What the page is about."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A page after the decision. `happened` may hold `{by}`, the one who decided."""

    label: str
    heading: str
    tone: Tone
    happened: str
    next: str


# How the call ended, as the gate reports it (DESIGN §5); before that, the approval's own status.
_BY_OUTCOME: Final[Mapping[str, Stage]] = {
    "succeeded": Stage.DONE,
    "failed": Stage.FAILED,
    "outcome_unknown": Stage.UNKNOWN,
    "refused": Stage.REFUSED,
    "lapsed": Stage.LAPSED,
    "withdrawn": Stage.WITHDRAWN,
}
_BY_STATUS: Final[Mapping[Status, Stage]] = {
    Status.PENDING: Stage.PENDING,
    Status.APPROVED: Stage.RUNNING,
    Status.REDEEMED: Stage.RUNNING,
    Status.DENIED: Stage.DENIED,
    Status.EXPIRED: Stage.EXPIRED,
    Status.WITHDRAWN: Stage.WITHDRAWN,
    Status.LAPSED: Stage.LAPSED,
}
_CALLS: Final[Mapping[Stage, Ending]] = {
    Stage.RUNNING: Ending(
        label="Running",
        heading="Approved, now running",
        tone="busy",
        happened="{by} approved this. The request is on its way.",
        next="The assistant gets the result in the chat. This page follows along.",
    ),
    Stage.DONE: Ending(
        label="Done",
        heading="Done",
        tone="good",
        happened="{by} approved this. It was sent once, and it succeeded.",
        next="The assistant has the result in the chat. You can close this page.",
    ),
    Stage.FAILED: Ending(
        label="Failed",
        heading="It did not succeed",
        tone="bad",
        happened="{by} approved this, but the request failed.",
        next="The assistant was told why in the chat. Trying again needs a new approval.",
    ),
    Stage.UNKNOWN: Ending(
        label="Outcome unknown",
        heading="It may or may not have happened",
        tone="warn",
        happened="{by} approved this and the request left, but no clear answer came back.",
        next="Nothing is sent again. The assistant was told in the chat that the end is unknown. "
        "Look in the other system's own records, then mark here what you found.",
    ),
    Stage.DENIED: Ending(
        label="Denied",
        heading="Denied",
        tone="calm",
        happened="{by} denied this. Nothing was sent.",
        next="The assistant was told in the chat. You can close this page.",
    ),
    Stage.EXPIRED: Ending(
        label="Expired",
        heading="Expired",
        tone="calm",
        happened="Nobody decided in time. Nothing was sent.",
        next="The assistant was told in the chat. If this is still wanted, ask it there again.",
    ),
    Stage.WITHDRAWN: Ending(
        label="Withdrawn",
        heading="Withdrawn",
        tone="calm",
        happened="The request was taken back. Nothing was sent.",
        next="There is nothing to do. If this is still wanted, ask in the chat again.",
    ),
    Stage.REFUSED: Ending(
        label="Refused",
        heading="Stopped before it was sent",
        tone="bad",
        happened="{by} approved this, but it no longer was what had been approved, "
        "or was no longer allowed. Nothing was sent.",
        next="The assistant was told in the chat. If this is still wanted, ask it there again.",
    ),
    Stage.LAPSED: Ending(
        label="Lapsed",
        heading="Approved, but too late",
        tone="warn",
        happened="{by} approved this, but the yes was not used in time. Nothing was sent.",
        next="If this is still wanted, ask in the chat again: you will get a new card.",
    ),
}
_APPLICATION: Final[Mapping[Stage, Ending]] = {
    **_CALLS,
    Stage.RUNNING: Ending(
        label="Approved",
        heading="Approved",
        tone="good",
        happened="{by} approved this.",
        next="Go on in the application that asked. You can close this page.",
    ),
    Stage.DENIED: Ending(
        label="Denied",
        heading="Denied",
        tone="calm",
        happened="{by} denied this. The application got no permission.",
        next="The application is told when it asks. You can close this page.",
    ),
    Stage.EXPIRED: Ending(
        label="Expired",
        heading="Expired",
        tone="calm",
        happened="Nobody decided in time. The application got no permission.",
        next="If this is still wanted, start again in the application.",
    ),
    Stage.LAPSED: Ending(
        label="Lapsed",
        heading="Approved, but too late",
        tone="warn",
        happened="{by} approved this, but the application did not come back for it in time.",
        next="If this is still wanted, start again in the application.",
    ),
}


def stage(approval: Approval) -> Stage:
    """Return what the page of `approval` is about."""
    if approval.status in (Status.APPROVED, Status.REDEEMED) and approval.outcome is not None:
        return _BY_OUTCOME.get(approval.outcome, Stage.RUNNING)
    return _BY_STATUS[approval.status]


def ending(approval: Approval) -> Ending | None:
    """Return the words of the page after the decision, None while it is pending."""
    at = stage(approval)
    if at is Stage.PENDING:
        return None
    return (_APPLICATION if approval.call_id is None else _CALLS)[at]


def settled(approval: Approval, *, now: datetime) -> Approval:
    """Return `approval` as it is at `now`: past its time it is over, swept or not."""
    if approval.status is Status.PENDING and now >= approval.expires_at:
        return advance(approval, Event.EXPIRE, now=now)
    return approval


def seconds_left(approval: Approval, *, now: datetime) -> int:
    """Return how long the approval may still be decided, 0 when it is over."""
    if approval.status is not Status.PENDING:
        return 0
    return max(0, math.ceil((approval.expires_at - now).total_seconds()))


def version(approval: Approval) -> str:
    """Return a word that changes when a page of `approval` must be read again."""
    return "-".join((stage(approval), approval.decided_by or "", approval.outcome or ""))


def inbox_version(approvals: Sequence[Approval]) -> str:
    """Return a word that changes when the list must be read again."""
    listed = "\n".join(f"{approval.id} {version(approval)}" for approval in approvals)
    return hashlib.sha256(listed.encode()).hexdigest()[:16]
