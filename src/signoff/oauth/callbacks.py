"""Ping and push (CIBA Core §10.2, §10.3, §12): a client is told how its request ended.

Owns what is sent and what an answer to it means. Messages come from the store's outbox, so a
client is told after the COMMIT, at least once, and again with growing pauses while it is away. A
push that does not arrive loses nothing: from its first failure on the client may poll for it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Final, Literal, Protocol, assert_never

from signoff.approvals.ports import Callback, Ticket
from signoff.approvals.request import Status
from signoff.approvals.service import Approvals
from signoff.canonical import Json
from signoff.oauth.approval_tokens import still
from signoff.oauth.clients import Client, Directory
from signoff.oauth.errors import OAuthError
from signoff.oauth.exchange import Exchange
from signoff.oauth.outside import UnreachedError

KIND: Final = "ciba.callback"


class NotDeliveredError(Exception):
    """The client was not told; the outbox tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One auth_req_id whose client is to be told. `answer` are minted tokens that wait."""

    callback: Callback
    client_id: str
    approval_id: str
    answer: bytes | None = field(repr=False)


class CallbackStore(Protocol):
    """Callbacks at rest."""

    async def load(self, ticket: bytes) -> Due | None:
        """Return what is to be told to whom; None when it was told, or is forgotten."""
        ...

    async def failed(self, ticket: bytes) -> None:
        """Note that it did not arrive: from now on the client may fetch it."""
        ...

    async def done(self, ticket: bytes) -> None:
        """Forget what has arrived."""
        ...

    async def pushing(self, ticket: bytes, *, client_id: str) -> Literal["waits", "failed"] | None:
        """Tell how the push to this client goes; None: it has arrived, or there was none."""
        ...

    async def take(self, ticket: bytes, *, client_id: str) -> Mapping[str, Json] | None:
        """Hand the undelivered answer out, once. A crash after it: the answer is gone."""
        ...


class Post(Protocol):
    """One POST to a registered address; `outside.Outside.post`."""

    async def __call__(self, url: str, body: bytes, *, headers: Mapping[str, str]) -> int:
        """Return the status of the answer.

        Raises:
            UnreachedError: there was none.
        """
        ...


class Callbacks:
    """Tells ping and push clients. `deliver` is what the outbox calls."""

    def __init__(
        self,
        store: CallbackStore,
        approvals: Approvals,
        clients: Directory,
        exchange: Exchange,
        *,
        post: Post,
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._approvals, self._clients = store, approvals, clients
        self._exchange, self._post, self._now = exchange, post, now

    async def deliver(self, subject: str, payload: Mapping[str, Json]) -> None:
        """Tell one client.

        Raises:
            NotDeliveredError: it did not hear; try again later.
        """
        del payload
        ticket = bytes.fromhex(subject)
        due = await self._store.load(ticket)
        if due is None:
            return
        known = await self._clients.find(due.client_id)
        # Asked again right before we tell: who is switched off or expired by now hears nothing.
        if known is None or not known.client.may_act(now=self._now()):
            return
        url = known.client.delivery.notification_endpoint
        if url is None:
            await self._store.failed(ticket)  # it polls by now: so it fetches what waits
            return
        body = await self._body(known.client, due)
        if body is None:
            return
        headers = {
            "authorization": f"Bearer {due.callback.token}",
            "content-type": "application/json",
        }
        try:
            status = await self._post(url, body, headers=headers)
        except UnreachedError as error:
            await self._store.failed(ticket)
            if error.final:
                return
            raise NotDeliveredError(str(error)) from error
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            await self._store.done(ticket)
            return
        await self._store.failed(ticket)
        # CIBA Core §10.2: no redirect is followed. Who refuses us once refuses us always.
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NotDeliveredError(f"the client answered {status}")

    async def _body(self, client: Client, due: Due) -> bytes | None:
        auth_req_id = due.callback.auth_req_id
        if due.callback.mode == "ping":
            return _json({"auth_req_id": auth_req_id})  # and nothing else
        if due.answer is not None:
            answer = still(json.loads(due.answer), now=self._now())
            return _json({"auth_req_id": auth_req_id, **answer})
        ticket = await self._approvals.find(auth_req_id, client_id=client.id)
        if ticket is None:
            return None
        if ticket.status is not Status.APPROVED:
            return _error(auth_req_id, ticket)
        try:
            minted = await self._exchange.tokens(
                client, auth_req_id, ticket.approval_id, to_push=True
            )
        except OAuthError:
            return _failed(auth_req_id, "transaction_failed")
        return _json({"auth_req_id": auth_req_id, **minted.answer})


def _error(auth_req_id: str, ticket: Ticket) -> bytes | None:
    """Return the push error payload of CIBA Core §12, or None while there is nothing to tell."""
    match ticket.status:
        case Status.DENIED | Status.WITHDRAWN:
            return _failed(auth_req_id, "access_denied")
        case Status.EXPIRED:
            return _failed(auth_req_id, "expired_token")
        case Status.LAPSED:
            return _failed(auth_req_id, "transaction_failed")
        case Status.PENDING | Status.APPROVED | Status.REDEEMED:
            return None
        case _:
            assert_never(ticket.status)


def _failed(auth_req_id: str, error: str) -> bytes:
    return _json({"auth_req_id": auth_req_id, "error": error})


def _json(members: Mapping[str, Json]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()
