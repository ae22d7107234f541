"""What can be done with an approval: open, look, decide, redeem, withdraw, sweep.

Owns the ids a client gets and the rules that need no storage to be stated: what a digest covers
and when an approval still holds. Everything that must be true at the moment of a change is in the
store's own transaction (`ports.ApprovalStore`). Knows no HTTP, no OAuth error and no SQL.
"""

import hmac
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, cast

from signoff.approvals.details import TYPE, details_digest
from signoff.approvals.ports import (
    ApprovalStore,
    Callback,
    Caps,
    Changes,
    Decision,
    Lasting,
    NotOpened,
    Opening,
    Ticket,
    Verdict,
)
from signoff.approvals.request import Approval, Status
from signoff.canonical import Json, digest
from signoff.sealed import hash_id

MAX_REASON: Final = 500
_SWEEP: Final = 200
_INTERVAL_STEP_S: Final = 5
_INTERVAL_MOST_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may wait at once, and how long ended approvals stay readable.

    `pending_per_user` and `prompts_per_minute` hold for all other clients together, and once more
    for the gate: whatever else asks a person, the gate still can. Of other clients no single one
    may take it all (`…_of_client`).
    """

    pending_per_client: int = 10_000
    pending_per_user: int = 100
    pending_of_client: int = 50
    prompts_per_minute: int = 60
    prompts_of_client: int = 30
    interval_s: int = 5
    keep: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """The client wants to be called back, with this `client_notification_token`."""

    mode: Literal["ping", "push"]
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A backchannel request after the edge's checks; see `request.Approval` for the members."""

    client_id: str
    eligible: tuple[str, ...]
    scope: str
    acr: str
    resources: tuple[str, ...]
    expires_in: timedelta
    binding_message: str | None = None
    authorization_details: tuple[Mapping[str, Json], ...] = ()
    notify: Notify | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The client's id for the request, the only time it exists in clear on our side."""

    auth_req_id: str
    approval: Approval
    asked_at: datetime
    interval_s: int
    repeated: bool


class Approvals:
    """The domain's doors. Safe to share between tasks."""

    def __init__(
        self,
        store: ApprovalStore,
        changes: Changes,
        *,
        limits: Limits | None = None,
        new_token: Callable[[int], str] = secrets.token_urlsafe,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._store, self._new_token, self._new_id = store, new_token, new_id or _new_id
        self._limits = limits or Limits()
        self.changes = changes

    async def open(self, request: Request) -> Acknowledged | NotOpened:
        """Open an approval, or find the one that the call of this client already has."""
        auth_req_id = self._new_token(32)  # CIBA Core §7.3: 256 bits, 43 characters
        call = tool_call_of(request.authorization_details)
        nonce = self._new_token(16) if call is None else str(call["nonce"])
        opening = Opening(
            id=self._new_id(),
            client_id=request.client_id,
            call_id=None if call is None else str(call["call_id"]),
            eligible=request.eligible,
            scope=request.scope,
            binding_message=request.binding_message,
            authorization_details=request.authorization_details,
            # The edge checked a call's digest; `holds` computes it again before anybody decides.
            digest=_digest(request, nonce=nonce) if call is None else str(call["digest"]),
            nonce=nonce,
            acr=request.acr,
            resources=request.resources,
            expires_in=request.expires_in,
            ticket=hash_id(auth_req_id),
            interval_s=self._limits.interval_s,
            caps=Caps(
                per_client=self._limits.pending_per_client,
                per_user=self._limits.pending_per_user,
                per_client_and_user=self._limits.pending_of_client,
                prompts_per_minute=self._limits.prompts_per_minute,
                prompts_of_client=self._limits.prompts_of_client,
            ),
            callback=_callback(request.notify, auth_req_id),
        )
        opened = await self._store.open(opening)
        if isinstance(opened, NotOpened):
            return opened
        return Acknowledged(
            auth_req_id=auth_req_id,
            approval=opened.approval,
            asked_at=opened.at,
            interval_s=self._limits.interval_s,
            repeated=opened.repeated,
        )

    async def inbox(self, user_id: str, *, limit: int = 50, details: bool = True) -> list[Approval]:
        """Return what waits for the user, soonest end first, then what is over, newest first.

        Without `details` it says where each stands, and costs no unsealing.
        """
        return await self._store.inbox(user_id, limit=limit, details=details)

    async def view(
        self, approval_id: str, *, user_id: str, details: bool = True
    ) -> Approval | None:
        """Return the approval to an eligible user; None is unknown or not theirs, alike."""
        return await self._store.view(approval_id, user_id=user_id, details=details)

    async def rivals(self, approval: Approval, *, user_id: str, limit: int) -> list[Approval]:
        """Return what else waits for the user by the same tool, soonest end first."""
        return await self._store.rivals(approval, user_id=user_id, limit=limit)

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
        """Decide, once and for good. `digest` is that of the card the user saw."""
        return await self._store.decide(
            approval_id,
            user_id=user_id,
            digest=digest,
            verdict=verdict,
            reason=(reason or "").strip()[:MAX_REASON] or None,
            acr=acr,
        )

    async def find(self, auth_req_id: str, *, client_id: str) -> Ticket | None:
        """Return where a request stands; None is unknown or another client's, alike."""
        return await self._store.find(hash_id(auth_req_id), client_id=client_id)

    async def slow_down(self, auth_req_id: str) -> None:
        """Lengthen the interval by five seconds, for this and every later poll (CIBA §11)."""
        await self._store.slow_down(
            hash_id(auth_req_id), by_s=_INTERVAL_STEP_S, at_most_s=_INTERVAL_MOST_S
        )

    async def load(self, approval_id: str) -> Approval | None:
        """Return an approval for issuing its token. The page uses `view`."""
        return await self._store.load(approval_id)

    async def redeem(
        self,
        auth_req_id: str,
        *,
        client_id: str,
        jti: str,
        decided_at: datetime,
        undelivered: bytes | None = None,
        lasting: Lasting | None = None,
    ) -> Approval | None:
        """Consume the yes for the token `jti`; one caller gets the approval, all others None."""
        return await self._store.redeem(
            hash_id(auth_req_id),
            client_id=client_id,
            jti=jti,
            decided_at=decided_at,
            undelivered=undelivered,
            lasting=lasting,
        )

    async def withdraw(self, auth_req_id: str, *, client_id: str) -> Status | None:
        """End a pending request for its client; return its status then, None when unknown."""
        return await self._store.withdraw(hash_id(auth_req_id), client_id=client_id)

    async def note(
        self, auth_req_id: str, *, client_id: str, state: str, at: datetime, note: str | None
    ) -> bool:
        """Keep how the call went, or who listens, for the page. False: unknown."""
        ticket = hash_id(auth_req_id)
        if state in ("listener_left", "listener_back"):
            left = at if state == "listener_left" else None
            return await self._store.note_listener(ticket, client_id=client_id, left=left)
        return await self._store.note_outcome(
            ticket, client_id=client_id, state=state, at=at, note=note
        )

    async def sweep(self) -> Sequence[str]:
        """Expire and lapse what is over, forget what is old. Call about once a second."""
        ended: list[str] = []
        while found := await self._store.sweep(limit=_SWEEP):
            ended += found
        await self._store.forget(older_than=self._limits.keep, limit=_SWEEP)
        return ended


def tool_call_of(details: Sequence[Mapping[str, Json]]) -> Mapping[str, Json] | None:
    """Return the `tool_call` member of `authorization_details`, if that is what they are."""
    if len(details) == 1 and details[0].get("type") == TYPE:
        return details[0]
    return None


def _new_id() -> str:
    """Return an id that begins with the time, in milliseconds, and ends with 80 bits of chance.

    So approvals that come together lie together in every index: scattered, each of them would
    change pages all over the store, and a commit would write all of those.
    """
    return f"apr_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def _callback(notify: Notify | None, auth_req_id: str) -> Callback | None:
    if notify is None:
        return None
    return Callback(mode=notify.mode, auth_req_id=auth_req_id, token=notify.token)


def holds(approval: Approval) -> bool:
    """Whether the stored approval still is what its digest says it is."""
    call = tool_call_of(approval.authorization_details)
    if call is not None and not (
        call["call_id"] == approval.call_id
        and call["acr"] == approval.acr
        and set(approval.eligible) <= set(cast("list[str]", call["approvers"]))
    ):
        return False
    request = Request(
        client_id=approval.client_id,
        eligible=approval.eligible,
        scope=approval.scope,
        acr=approval.acr,
        resources=approval.resources,
        expires_in=timedelta(0),
        binding_message=approval.binding_message,
        authorization_details=approval.authorization_details,
    )
    return hmac.compare_digest(_digest(request, nonce=approval.nonce), approval.digest)


def _digest(request: Request, *, nonce: str) -> str:
    call = tool_call_of(request.authorization_details)
    if call is not None:
        return details_digest(call)
    return digest({
        "nonce": nonce,
        "client_id": request.client_id,
        "eligible": cast("list[Json]", sorted(request.eligible)),
        "scope": request.scope,
        "acr": request.acr,
        "resources": cast("list[Json]", list(request.resources)),
        "binding_message": request.binding_message,
        "authorization_details": cast("list[Json]", list(request.authorization_details)),
    })
