"""The commands about machine clients and gates, and the JSON of a client.

Owns what the words of the terminal are called where the settings of a client are read, in
`oauth.client_settings`.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from signoff.canonical import Json, JsonError, parse
from signoff.desk.admin import AdminError, AdminHandler
from signoff.oauth.client_settings import (
    DELIVERY_MODE,
    DETAILS_TYPES,
    DPOP_BOUND,
    GRANTS,
    NOTIFICATION_ENDPOINT,
    SIGNING_ALG,
    USER_CODE,
    change,
    create,
)
from signoff.oauth.clients import AUTHORIZATION_CODE, Client, ClientError, Issued
from signoff.oauth.hosts import is_document_id
from signoff.oauth.machine_clients import LISTED, MachineClients
from signoff.storage.operator import OPERATOR
from signoff.storage.people import SqlitePeople

_MEMBERS: Final[Mapping[str, str]] = {
    "name": "name",
    "role": "role",
    "grants": "grantTypes",
    "scopes": "scopes",
    "audiences": "audiences",
    "metadata": "metadata",
    "days": "expiresIn",
    "delivery": DELIVERY_MODE,
    "notify": NOTIFICATION_ENDPOINT,
    "request_signing_alg": SIGNING_ALG,
    "user_code": USER_CODE,
    "dpop": DPOP_BOUND,
    "details_types": DETAILS_TYPES,
}
_GRANT_NAMES: Final = {grant: name for name, grant in GRANTS.items()}

Parameters = Mapping[str, Json]


class ClientOperations:
    """The operations on clients."""

    def __init__(
        self,
        clients: MachineClients,
        people: SqlitePeople,
        *,
        end_calls_of: Callable[[str], Awaitable[object]] | None,
    ) -> None:
        self._clients, self._people, self._end_calls_of = clients, people, end_calls_of

    def handlers(self) -> Mapping[str, AdminHandler]:
        """Return the operations by name."""
        return {
            "clients.create": refusing(self.create),
            "clients.list": refusing(self.list),
            "clients.show": refusing(self.show),
            "clients.update": refusing(self.update),
            "clients.rotate": refusing(self.rotate),
            "clients.disable": refusing(self.disable),
            "clients.enable": refusing(self.enable),
            "clients.delete": refusing(self.delete),
        }

    async def create(self, parameters: Parameters) -> Json:
        members = _members(parameters)
        return _issued(await create(self._clients, members, by=OPERATOR, gates=True))

    async def list(self, parameters: Parameters) -> Json:
        del parameters
        found: list[Json] = []
        while page := await self._clients.list(limit=LISTED, offset=len(found)):
            found += [describe(client) for client in page]
        return found

    async def show(self, parameters: Parameters) -> Json:
        return describe(await self._clients.show(_text(parameters, "client_id")))

    async def update(self, parameters: Parameters) -> Json:
        before = await self._clients.show(_text(parameters, "client_id"))
        if AUTHORIZATION_CODE in before.grant_types:
            raise ClientError(f"{before.id} is a host: signoff hosts delete, and create it anew")
        members = _members(parameters)
        return describe(await change(self._clients, before, members, by=OPERATOR))

    async def rotate(self, parameters: Parameters) -> Json:
        hours = parameters.get("overlap_hours")
        overlap = timedelta(hours=hours if isinstance(hours, int) else 0)
        client_id = _text(parameters, "client_id")
        return _issued(await self._clients.rotate(client_id, by=OPERATOR, overlap=overlap))

    async def disable(self, parameters: Parameters) -> Json:
        client_id = await self._named(parameters)
        if not await self._people.disable(client_id, by=OPERATOR):
            raise ClientError(f"{client_id} is disabled already")
        await self._end(client_id)
        return {}

    async def enable(self, parameters: Parameters) -> Json:
        client_id = await self._named(parameters)
        if not await self._people.enable(client_id, by=OPERATOR):
            raise ClientError(f"{client_id} is not disabled")
        return {}

    async def _named(self, parameters: Parameters) -> str:
        """Return the id; a host that is known by its document's address has no record to find."""
        client_id = _text(parameters, "client_id")
        return client_id if is_document_id(client_id) else (await self._clients.show(client_id)).id

    async def delete(self, parameters: Parameters) -> Json:
        client_id = _text(parameters, "client_id")
        await self._clients.delete(client_id, by=OPERATOR)
        await self._end(client_id)
        return {}

    async def _end(self, client_id: str) -> None:
        if self._end_calls_of is not None:
            await self._end_calls_of(client_id)


def describe(client: Client) -> dict[str, Json]:
    """Return what the operator sees of a client."""
    delivery = client.delivery
    return {
        "client_id": client.id,
        "name": client.name,
        "role": client.role,
        "grants": " ".join(sorted(_GRANT_NAMES.get(one, one) for one in client.grant_types)),
        "scopes": " ".join(client.scopes),
        "audiences": " ".join(client.audiences),
        "metadata": dict(client.metadata),
        "disabled": client.disabled,
        "secret_starts": client.secret_start,
        "delivery": delivery.mode,
        "notification_endpoint": delivery.notification_endpoint,
        "request_signing_alg": delivery.request_signing_alg,
        "user_code": delivery.user_code,
        "dpop": client.dpop_bound,
        "details_types": " ".join(client.details_types),
        "jwks": None if client.jwks is None else parse(client.jwks),
        "created_at": _at(client.created_at),
        "expires_at": _at(client.expires_at),
        "last_used_at": _at(client.last_used_at),
    }


def _issued(issued: Issued) -> dict[str, Json]:
    told = describe(issued.client)
    return {"client_id": issued.client.id, "client_secret": issued.secret, **told}


def refusing(operation: Callable[[Parameters], Awaitable[Json]]) -> AdminHandler:
    """Return an operation whose refusals a person at the terminal reads."""

    async def handler(parameters: Parameters) -> Json:
        try:
            return await operation(parameters)
        except ClientError as error:
            raise AdminError(str(error)) from error

    return handler


def _members(parameters: Parameters) -> dict[str, Json]:
    """Return what was said, in the names that the settings of a client have; None says nothing."""
    members = {
        member: parameters[name]
        for name, member in _MEMBERS.items()
        if parameters.get(name) is not None
    }
    if parameters.get("no_expiry") is True:
        members["expiresIn"] = None
    if parameters.get("no_signing") is True:
        members[SIGNING_ALG] = None
    if (jwks := _maybe(parameters, "jwks")) is not None:
        try:
            members["jwks"] = parse(jwks)
        except JsonError as error:
            raise ClientError(f"the key set is not JSON: {error}") from error
    return members


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _maybe(parameters: Parameters, name: str) -> str | None:
    value = parameters.get(name)
    return value if isinstance(value, str) else None


def _text(parameters: Parameters, name: str) -> str:
    value = _maybe(parameters, name)
    if value is None:
        raise ClientError(f"{name} is missing")
    return value
