"""The admin API of machine clients: /m2m/clients, for a machine with the scope or for an admin.

Owns who may come in and the JSON of a client. An admin's session reads anywhere; it changes
something only over https, because on plain http a cookie alone decides nothing. How members become
the settings of a client stands in `oauth.client_settings`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signoff.canonical import Json, parse
from signoff.catalog.model import User
from signoff.oauth.client_settings import (
    CHANGED,
    CHOSEN,
    DELIVERY_MODE,
    DETAILS_TYPES,
    DPOP_BOUND,
    NOTIFICATION_ENDPOINT,
    SIGNING_ALG,
    USER_CODE,
    change,
    create,
)
from signoff.oauth.clients import AUTHORIZATION_CODE, Client, ClientError, Issued
from signoff.oauth.machine_clients import MachineClients
from signoff.oauth.methods import refusing_other_methods
from signoff.oauth.revocation import Revocations
from signoff.resource import ResourceError, ResourceVerifier, Sent
from signoff.tokens.keys import KeySource
from signoff.web.json_api import ApiError, count, endpoint, read_members
from signoff.web.session import PageError, SignIn

SCOPE: Final = "signoff:clients"
"""What a machine needs to manage clients, in a token for the audience `ISSUER/m2m`."""
_UPDATE: Final = CHANGED | {"disabled"}
_ROTATE: Final = frozenset({"overlapHours"})


class People(Protocol):
    """Switches clients off and on."""

    async def disable(self, id: str, *, by: str) -> bool:  # noqa: A002 — user or client
        """Switch off, with everything that ends by it."""
        ...

    async def enable(self, id: str, *, by: str) -> bool:  # noqa: A002 — user or client
        """Switch on again."""
        ...


def admin_door(issuer: str, *, keys: KeySource, now: Callable[[], datetime]) -> ResourceVerifier:
    """Return what checks the tokens of machines that manage; bound ones with their proof."""
    return ResourceVerifier(
        issuer=issuer, audience=f"{issuer}/m2m", keys=keys, scope=SCOPE, now=now
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminApi:
    """What the admin API works on. `issuer` is ours; its `/m2m` is the audience of admin tokens."""

    issuer: str
    clients: MachineClients
    people: People
    users: Mapping[str, User]
    sign_in: SignIn
    door: ResourceVerifier
    """`admin_door`."""
    revocations: Revocations
    end_calls_of: Callable[[str], Awaitable[object]] | None = None
    """Ends at once what a client has not sent, where the gate is in this process."""

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/m2m/clients/{id}"
        return refusing_other_methods([
            Route("/m2m/clients", self.guarded(self._create, status=201), methods=["POST"]),
            Route("/m2m/clients", self.guarded(self._list), methods=["GET"]),
            Route(one, self.guarded(self._show), methods=["GET"]),
            Route(one, self.guarded(self._update), methods=["PUT", "PATCH"]),
            Route(one, self.guarded(self._delete), methods=["DELETE"]),
            Route(f"{one}/rotate", self.guarded(self._rotate), methods=["POST"]),
        ])

    def guarded(
        self, handler: Callable[[Request, str], Awaitable[Json]], *, status: int = 200
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that only an admin reaches; the handler is told who it is."""

        async def answer(request: Request) -> tuple[Json, int]:
            by = await self._admin(request)
            try:
                return await handler(request, by), status
            except ClientError as error:
                raise ApiError(400, "invalid_request", str(error)) from error

        return endpoint(answer)

    async def _admin(self, request: Request) -> str:
        """Return who manages: a machine by its token, or an admin by the session."""
        if "authorization" in request.headers:
            return await self._machine(request)
        viewer = await self.sign_in.viewer(request)
        if viewer is None:
            raise ApiError(401, "invalid_token", "sign in, or send an access token")
        user = self.users.get(viewer.user_id)
        if user is None or not user.admin:
            raise ApiError(403, "access_denied", "only an admin manages clients")
        if request.method != "GET":
            try:
                self.sign_in.check_origin(request)
            except PageError as error:
                raise ApiError(403, "access_denied", error.text) from error
            if not self.sign_in.https:
                raise ApiError(
                    403, "access_denied", "a session changes clients only over https; use a token"
                )
        return user.id

    async def _machine(self, request: Request) -> str:
        sent = Sent(
            method=request.method,
            # What the client called: the path is the request's, the rest is ours to say.
            url=self.issuer + request.url.path,
            proof=",".join(request.headers.getlist("dpop")),
        )
        try:
            # Two headers joined are no token.
            token = await self.door.identify(
                ",".join(request.headers.getlist("authorization")), sent=sent
            )
        except ResourceError as error:
            raise _refused(error) from error
        standing = await self.revocations.standing(
            token.jti, sub=token.sub, client_id=token.client_id
        )
        if token.sub != token.client_id or not standing:
            raise _refused(
                ResourceError("invalid_token", detail="taken back", scheme=token.scheme, dpop=True)
            )
        return token.client_id

    async def _create(self, request: Request, by: str) -> Json:
        return _issued(await create(self.clients, await read_members(request, CHOSEN), by=by))

    async def _list(self, request: Request, by: str) -> Json:
        del by
        limit, offset = count(request, "limit", 50), count(request, "offset", 0)
        found = await self.clients.list(limit=limit, offset=offset, gates=False)
        return [_client(client) for client in found]

    async def _show(self, request: Request, by: str) -> Json:
        del by
        return _client(await self._client(request))

    async def _update(self, request: Request, by: str) -> Json:
        given = await read_members(request, _UPDATE)
        client = await self._client(request)
        changes = {name: value for name, value in given.items() if name != "disabled"}
        disabled = given.get("disabled")
        if "disabled" in given and not isinstance(disabled, bool):
            raise ApiError(400, "invalid_request", "disabled is true or false")
        if changes:
            if AUTHORIZATION_CODE in client.grant_types:
                raise ApiError(
                    400,
                    "invalid_request",
                    "a host is not changed: delete it at /m2m/hosts, and make it anew",
                )
            await change(self.clients, client, changes, by=by)
        if disabled is True:
            await self.people.disable(client.id, by=by)
            await self.end(client.id)
        elif disabled is False:
            await self.people.enable(client.id, by=by)
        return _client(await self.clients.show(client.id))

    async def _rotate(self, request: Request, by: str) -> Json:
        given = await read_members(request, _ROTATE)
        client = await self._client(request)
        hours = given.get("overlapHours", 0)
        if isinstance(hours, bool) or not isinstance(hours, int):
            raise ApiError(400, "invalid_request", "overlapHours is a whole number")
        overlap = timedelta(hours=max(-1, min(hours, 1000)))
        return _issued(await self.clients.rotate(client.id, by=by, overlap=overlap))

    async def _delete(self, request: Request, by: str) -> Json:
        client = await self._client(request)
        await self.clients.delete(client.id, by=by)
        await self.end(client.id)
        return {"success": True}

    async def end(self, client_id: str) -> None:
        """End what somebody who is switched off or gone has not sent."""
        if self.end_calls_of is not None:
            await self.end_calls_of(client_id)

    async def _client(self, request: Request) -> Client:
        """Return the client of the path: a machine, never a gate or one that registered itself."""
        try:
            client = await self.clients.show(request.path_params["id"])
        except ClientError:
            client = None
        if client is None or client.role != "machine" or client.origin != "operator":
            raise ApiError(404, "not_found", "there is no such client")
        return client


def _refused(error: ResourceError) -> ApiError:
    code = "invalid_token" if error.code == "missing_token" else error.code
    words = "the access token is not valid here"
    if error.code == "insufficient_scope":
        words = f"the token needs scope {SCOPE}"
    return ApiError(error.status, code, words, headers=error.headers)


def _issued(issued: Issued) -> Json:
    return {**_client(issued.client), "clientSecret": issued.secret}


def _client(client: Client) -> dict[str, Json]:
    return {
        "id": client.id,
        "clientId": client.id,
        "name": client.name,
        "scopes": [*client.scopes],
        "audiences": [*client.audiences],
        "grantTypes": cast("list[Json]", sorted(client.grant_types)),
        DETAILS_TYPES: [*client.details_types],
        DPOP_BOUND: client.dpop_bound,
        DELIVERY_MODE: client.delivery.mode,
        NOTIFICATION_ENDPOINT: client.delivery.notification_endpoint,
        SIGNING_ALG: client.delivery.request_signing_alg,
        USER_CODE: client.delivery.user_code,
        "jwks": None if client.jwks is None else parse(client.jwks),
        "metadata": dict(client.metadata),
        "disabled": client.disabled,
        "startingCharacters": client.secret_start,
        "createdAt": _at(client.created_at),
        "updatedAt": _at(client.updated_at),
        "expiresAt": _at(client.expires_at),
        "lastUsedAt": _at(client.last_used_at),
    }


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
