"""What the gate needs from outside: the storage of calls, and who can be reached.

Protocols and the values that cross them. Each method says what a crash before and after it means.
Storage implements them and depends inward; nothing here knows SQL, HTTP or tokens.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from signoff.audit import AuditEvent
from signoff.gate.call import Call, Event, Facts


class StoreUnavailableError(Exception):
    """The store did not take a write or could not be read. Nothing of it happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What a call is made of, as bytes to be sealed: arguments, details and upstream request."""

    arguments: bytes
    details: bytes
    request: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be open at once."""

    per_caller: int = 5
    per_approver: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The call was stored, and is `opening`."""

    call: Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken:
    """Another call with this request_key came in between: look again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooMany:
    """A limit is reached. `whose` is `caller` or the approver's user id."""

    whose: str
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The swap took place; `call` is the new record."""

    call: Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Somebody or the clock was faster. `call` is the record as it stands now."""

    call: Call | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchedOff:
    """A user or client of this call is disabled, so the swap did not take place."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """The token's jti is already bound to another call."""


Opening: TypeAlias = Opened | Overtaken | TooMany | SwitchedOff
Swap: TypeAlias = Moved | Lost | SwitchedOff | Reused
Payload: TypeAlias = Literal["auth_req_id", "access_token", "result"]


class Calls(Protocol):
    """The storage of calls. One method that writes is one transaction, its audit row included."""

    @property
    def exclusive(self) -> bool:
        """Whether this process alone owns the store, so that leases of the past are over."""
        ...

    def now(self) -> datetime:
        """Return the store's time, which never steps back."""
        ...

    async def open(
        self, call: Call, frozen: Frozen, *, seen: str | None, limits: Limits
    ) -> Opening:
        """Store a new call as `opening`.

        `seen` is the id of the newest call with this request_key that the decision was based on.
        Crash before: no call, nothing asked. After: recovery asks for it.
        """
        ...

    async def load(self, call_id: str) -> Call | None:
        """Return the record."""
        ...

    async def latest(self, request_key: bytes) -> Call | None:
        """Return the newest call with this request_key."""
        ...

    async def load_frozen(self, call_id: str) -> Frozen | None:
        """Return what was frozen; None when it was dropped after its time.

        Raises:
            SealError: the stored bytes were changed.
        """
        ...

    async def load_payload(self, call_id: str, payload: Payload) -> bytes | None:
        """Return one sealed column.

        Raises:
            SealError: the stored bytes were changed.
        """
        ...

    async def move(
        self,
        call: Call,
        event: Event,
        facts: Facts = ...,
        *,
        audit: AuditEvent | None = None,
        auth_req_id: str | None = None,
        access_token: str | None = None,
        result: bytes | None = None,
    ) -> Swap:
        """Swap the record of `call` for what `advance` makes of it, guarded by state and fence.

        Towards sending (authorize, claim, intend) it is also guarded against disabled people.
        Crash before: the old state, and recovery continues from there. After: the new one.
        Intend is the edge: once it is stored, the request may have left.
        """
        ...

    async def intend_again(self, call: Call, lease_until: datetime) -> Swap:
        """Retry and intend in one transaction: no crash leaves a sent call in `claimed`."""
        ...

    async def disabled(self, ids: Collection[str]) -> frozenset[str]:
        """Return which of `ids` are switched off."""
        ...

    async def unsent_of(self, user_or_client_id: str) -> Sequence[Call]:
        """Return the calls of this user or client that wait or are authorized."""
        ...

    async def unfinished(self) -> Sequence[str]:
        """Return the ids of calls that are open, oldest first."""
        ...

    async def untold(self) -> Sequence[str]:
        """Return the ids of ended calls whose end the authorization server has not heard."""
        ...

    async def unknown(self) -> Sequence[str]:
        """Return the ids of the newest calls of unknown outcome, which a person may find out."""
        ...

    async def mark_told(self, call: Call) -> None:
        """Remember that the authorization server heard. Crash before: it hears it again."""
        ...

    async def record(self, event: AuditEvent) -> None:
        """Append an audit row that belongs to no swap."""
        ...

    async def forget(self, finished_before: datetime) -> int:
        """Drop what ended calls were made of and their results; return how many."""
        ...


class People(Protocol):
    """Who can be asked at all."""

    async def signed_in(self, user_ids: Collection[str]) -> set[str]:
        """Return the users with a device that is signed in."""
        ...
