"""What the domain needs from outside: the feed of changes, and the storage of approvals.

Protocols and the values they exchange, nothing else. Each method says what a crash before and
after it means. Storage implements them and depends inward; nothing here knows SQL.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

from signoff.approvals.request import Approval, Status
from signoff.canonical import Json


class Watch(Protocol):
    """A subscription to changes of one `(kind, id)`."""

    async def changed(self, timeout_s: float) -> bool:
        """Wait until something changed since the last call or since the watch began.

        Returns False when `timeout_s` passed first. A change is never missed between two calls;
        several changes may come as one. The reader then reads the state again.
        """
        ...


class Changes(Protocol):
    """The in-process feed of committed changes, published by storage after COMMIT."""

    def watch(self, kind: str, id: str) -> AbstractContextManager[Watch]:  # noqa: A002 — the domain's word
        """Watch one record. Begin watching, then read, then wait: so no change slips between.

        An `id` of `*` watches every record of that kind.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """How the client of one auth_req_id hears of its end (CIBA Core §10.2, §10.3)."""

    mode: Literal["ping", "push"]
    auth_req_id: str = field(repr=False)
    token: str = field(repr=False)
    """The `client_notification_token`, with which we authenticate to the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How much a request may add to. The gate's calls and other clients' requests count apart.

    `per_user` is what waits for one user, `per_client_and_user` what waits for them by one client
    other than the gate; `prompts_per_minute` is what one user may be asked within a minute,
    `prompts_of_client` of it by one client other than the gate.
    """

    per_client: int
    per_user: int
    per_client_and_user: int
    prompts_per_minute: int
    prompts_of_client: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A backchannel request that passed every check of the edge, ready to become an approval."""

    id: str
    client_id: str
    call_id: str | None
    eligible: tuple[str, ...]
    scope: str
    binding_message: str | None
    authorization_details: tuple[Mapping[str, Json], ...]
    digest: str
    nonce: str
    acr: str
    resources: tuple[str, ...]
    expires_in: timedelta
    ticket: bytes
    """SHA-256 of the auth_req_id that the client gets."""
    interval_s: int
    caps: Caps
    callback: Callback | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The approval stands. `repeated`: it stood already, the request has a further id for it."""

    approval: Approval
    at: datetime
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NotOpened:
    """Nothing was stored.

    `conflict`: the call has an approval of other content. `too_many`: a cap on pending requests.
    `too_often`: somebody was asked too much within a minute. `nobody`: no eligible user may act.
    `client_off`: the client was switched off meanwhile. `caller_off`: whoever makes the call was
    switched off, or is gone.
    """

    why: Literal["conflict", "too_many", "too_often", "nobody", "client_off", "caller_off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a poll needs to know, without the details: one indexed read."""

    approval_id: str
    status: Status
    """As it is at the time of reading: a pending one past its end reads `expired`."""
    interval_s: int
    expires_at: datetime
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The decision stands and survives a crash."""

    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class TooLate:
    """Somebody or something else ended it first; `approval` says what."""

    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """The decision is about something else (`digest`), or made too weakly (`acr`)."""

    approval: Approval
    member: Literal["digest", "acr"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYours:
    """Unknown, or not for this user: the same to whoever asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """A yes that goes on: a consent comes of it, and the first refresh token, by its hash."""

    consent_id: str
    refresh_token: bytes = field(repr=False)


Decision: TypeAlias = Decided | TooLate | Mismatch | NotYours
Verdict: TypeAlias = Literal["approve", "deny"]


class ApprovalStore(Protocol):
    """Approvals at rest. Each changing method is one transaction with its audit row.

    A crash before a method returns may leave it done or not done; after it returned, it is done
    for good. None of them can be half done.
    """

    async def open(self, opening: Opening) -> Opened | NotOpened:
        """Store the approval, or find the one its call has, and add the auth_req_id.

        A crash after it: the client asks again with the same call and finds the same approval.
        """
        ...

    async def load(self, approval_id: str) -> Approval | None:
        """Return an approval whoever asks. Not for the page."""
        ...

    async def view(
        self, approval_id: str, *, user_id: str, details: bool = True
    ) -> Approval | None:
        """Return an approval to somebody who may decide it, and None to everybody else.

        Without `details` it is where the approval stands, and nothing is unsealed.
        """
        ...

    async def rivals(self, approval: Approval, *, user_id: str, limit: int) -> list[Approval]:
        """Return what else waits for the user by the same tool, soonest end first."""
        ...

    async def inbox(self, user_id: str, *, limit: int, details: bool = True) -> list[Approval]:
        """Return all the user may decide, soonest end first, then what is over, newest first.

        `limit` bounds what is over alone. Without `details` nothing is unsealed.
        """
        ...

    async def find(self, ticket: bytes, *, client_id: str) -> Ticket | None:
        """Return where the request stands; None when unknown or another client's."""
        ...

    async def slow_down(self, ticket: bytes, *, by_s: int, at_most_s: int) -> None:
        """Lengthen the interval of this auth_req_id for good."""
        ...

    async def decide(
        self,
        approval_id: str,
        *,
        user_id: str,
        digest: str,
        verdict: Verdict,
        reason: str | None,
        acr: str,
    ) -> Decision:
        """Decide once: state, end, eligibility, digest and who is switched off, in the swap."""
        ...

    async def redeem(
        self,
        ticket: bytes,
        *,
        client_id: str,
        jti: str,
        decided_at: datetime,
        undelivered: bytes | None = None,
        lasting: Lasting | None = None,
    ) -> Approval | None:
        """Consume the yes for the token `jti`; None when somebody was first or it does not hold.

        `lasting` is kept in the same transaction: its consent names this approval.
        `undelivered` is an answer to be pushed: it is kept, sealed, until it has arrived. Else
        a crash after it and before the token arrived: the yes is gone, the call lapses.
        """
        ...

    async def withdraw(self, ticket: bytes, *, client_id: str) -> Status | None:
        """End a pending request of this client; return the status then, None when unknown."""
        ...

    async def note_outcome(
        self, ticket: bytes, *, client_id: str, state: str, at: datetime, note: str | None
    ) -> bool:
        """Keep how the call goes, for the page; older news never replaces newer. False: unknown."""
        ...

    async def note_listener(self, ticket: bytes, *, client_id: str, left: datetime | None) -> bool:
        """Keep since when nobody listens, or that somebody does again. False: unknown."""
        ...

    async def sweep(self, *, limit: int) -> Sequence[str]:
        """Expire and lapse what is over, at most `limit`; return the ids of those."""
        ...

    async def forget(self, *, older_than: timedelta, limit: int) -> int:
        """Delete ended approvals opened longer ago than that; return how many."""
        ...
