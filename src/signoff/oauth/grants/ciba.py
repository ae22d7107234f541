"""The CIBA grant (CIBA Core §10, §11): a poll, and the one token a yes is worth.

Owns what each state of an approval answers, the pace of polls, and the exchange. A poll is held
only if it asked (`Prefer: wait=N`), and a held poll never counts against the pace. Documented
choices: a denied request answers `access_denied` and an expired one `expired_token` for as long
as it is remembered; unknown, another client's, used and lapsed are one answer.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, assert_never

from signoff.approvals.ports import Ticket
from signoff.approvals.request import Status
from signoff.approvals.service import Approvals
from signoff.canonical import Json
from signoff.oauth.approval_tokens import Minted, still
from signoff.oauth.callbacks import CallbackStore
from signoff.oauth.clients import Client
from signoff.oauth.draining import Draining
from signoff.oauth.errors import OAuthError, busy, slow_down
from signoff.oauth.exchange import Exchange, no_such_grant
from signoff.oauth.forms import Form
from signoff.oauth.grants.handing_out import HandingOut
from signoff.oauth.grants.pace import Pace
from signoff.oauth.profile import Profile
from signoff.oauth.revocation import Revocations
from signoff.sealed import hash_id

_MAX_ID: Final = 256
_SHORTEST_WAIT_S: Final = 0.001
_STRIKES: Final = 5


class CibaGrant:
    """Implements `token.Grant`."""

    def __init__(
        self,
        profile: Profile,
        approvals: Approvals,
        exchange: Exchange,
        *,
        callbacks: CallbackStore,
        revocations: Revocations,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        draining: Draining | None = None,
    ) -> None:
        self._approvals, self._exchange = approvals, exchange
        self._callbacks, self._revocations = callbacks, revocations
        self._now, self._monotonic = now, monotonic
        self._draining = draining or Draining()
        self._pace = Pace(monotonic, held_at_most=profile.held_at_most)
        self._handing_out = HandingOut[Minted](monotonic)

    async def issue(
        self, client: Client, form: Form, *, hold_s: int, jkt: str | None = None
    ) -> Mapping[str, Json]:
        """Return the tokens of an approved request, or say where it stands."""
        auth_req_id = form.require("auth_req_id")
        if len(auth_req_id) > _MAX_ID:
            raise no_such_grant("too long")
        if client.delivery.mode == "push" and not await self._is_polled(client, auth_req_id):
            return await self._fallen_back(client, auth_req_id)
        raced = await self._handing_out.settled(client, auth_req_id)
        if (kept := self._handing_out.kept(client, auth_req_id)) is not None:
            return kept.answer
        ticket = await self._approvals.find(auth_req_id, client_id=client.id)
        if ticket is not None and ticket.status is Status.REDEEMED and not raced:
            return await self._again(client, auth_req_id, ticket)
        if ticket is not None and ticket.status is Status.PENDING:
            ticket = await self._pending(client, auth_req_id, ticket, hold_s=hold_s)
        if ticket is None:
            raise no_such_grant("unknown")
        if ticket.status is not Status.PENDING:
            self._pace.forget(auth_req_id)
        if ticket.status is Status.APPROVED:
            exchange = self._exchange.tokens(
                client, auth_req_id, ticket.approval_id, form=form, jkt=jkt
            )
            return (await self._handing_out.once(client, auth_req_id, exchange)).answer
        if (kept := self._handing_out.kept(client, auth_req_id)) is not None:
            return kept.answer  # another poll of the same gate was faster by a moment
        raise _without_token(client, ticket)

    async def _pending(
        self, client: Client, auth_req_id: str, ticket: Ticket, *, hold_s: int
    ) -> Ticket | None:
        """Hold the poll if it asked, else check its pace; return the latest state."""
        if hold_s > 0:
            with self._pace.holding(auth_req_id) as held:
                if held:
                    return await self._held(client, auth_req_id, ticket, hold_s=hold_s)
        strikes = self._pace.strikes(auth_req_id, interval_s=ticket.interval_s)
        if strikes > _STRIKES:
            # A flood: no more writes for it. CIBA Core §11 lets the server end its patience.
            raise busy(retry_after_s=ticket.interval_s)
        if strikes:
            # CIBA Core §11: at least 5 s more, for this and every later poll.
            await self._approvals.slow_down(auth_req_id)
            raise slow_down(ticket.interval_s)
        return ticket

    async def _held(
        self, client: Client, auth_req_id: str, ticket: Ticket, *, hold_s: int
    ) -> Ticket | None:
        until = self._monotonic() + hold_s
        latest: Ticket | None = ticket
        with self._approvals.changes.watch("approval", ticket.approval_id) as watch:
            while True:
                latest = await self._approvals.find(auth_req_id, client_id=client.id)
                if latest is None or latest.status is not Status.PENDING:
                    return latest
                left = (latest.expires_at - self._now()).total_seconds()
                remaining = min(until - self._monotonic(), left)
                if until - self._monotonic() <= 0 or self._draining.begun:
                    return latest
                await self._draining.wait(watch.changed(max(remaining, _SHORTEST_WAIT_S)))

    async def _again(self, client: Client, auth_req_id: str, ticket: Ticket) -> Mapping[str, Json]:
        """Take the tokens back that an id gave which comes again; polls that race are none."""
        if (waiting := await self._undelivered(client, auth_req_id)) is not None:
            return waiting  # it was to be pushed, to a client that polls by now
        # RFC 6749 §4.1.2, of codes: the id was stolen, or its tokens were.
        await self._revocations.revoke_of(ticket.approval_id, client_id=client.id)
        raise no_such_grant("used before; what it gave is revoked")

    async def _fallen_back(self, client: Client, auth_req_id: str) -> Mapping[str, Json]:
        """Answer a push client: only what a push could not deliver."""
        if await self._callbacks.pushing(hash_id(auth_req_id), client_id=client.id) != "failed":
            # CIBA Core §11: a push client has no business here.
            raise OAuthError("unauthorized_client", "the tokens are pushed to this client")
        if (waiting := await self._undelivered(client, auth_req_id)) is not None:
            return waiting
        found = await self._approvals.find(auth_req_id, client_id=client.id)
        if found is None:
            raise no_such_grant("unknown")
        raise _without_token(client, found)

    async def _undelivered(self, client: Client, auth_req_id: str) -> Mapping[str, Json] | None:
        """Hand out, once, what a push could not deliver. A look first: floods cost no write."""
        ticket = hash_id(auth_req_id)
        if client.dpop_bound:
            return None  # what waits is a bearer's, and this client takes no such token by now
        if await self._callbacks.pushing(ticket, client_id=client.id) != "failed":
            return None
        answer = await self._callbacks.take(ticket, client_id=client.id)
        return None if answer is None else still(answer, now=self._now())

    async def _is_polled(self, client: Client, auth_req_id: str) -> bool:
        """Tell whether a push client asked for this when it was none yet: nothing is pushed."""
        ticket = await self._approvals.find(auth_req_id, client_id=client.id)
        if ticket is None or ticket.status not in (Status.PENDING, Status.APPROVED):
            return False
        return await self._callbacks.pushing(hash_id(auth_req_id), client_id=client.id) is None


def _without_token(client: Client, ticket: Ticket) -> OAuthError:
    match ticket.status:
        case Status.PENDING:
            return OAuthError("authorization_pending", "the request waits for a decision")
        case Status.EXPIRED:
            return OAuthError("expired_token", "nobody decided in time")
        case Status.DENIED:
            return _refused(client, ticket, "the request was denied")
        case Status.WITHDRAWN:
            return _refused(client, ticket, "the request was withdrawn")
        case Status.APPROVED | Status.REDEEMED | Status.LAPSED:
            return no_such_grant(str(ticket.status))
        case _:
            assert_never(ticket.status)


def _refused(client: Client, ticket: Ticket, description: str) -> OAuthError:
    members: dict[str, Json] = {}
    if client.role == "gate":
        # The gate tells its caller who said no and why; any other client is told the code alone.
        members = {"reason": ticket.reason, "denied_by": ticket.decided_by}
    return OAuthError("access_denied", description, members=members)
