"""The commands about machine clients and gates, and the JSON of a client.

Owns how an operator's words become the settings of a client. What a client may be stands in
`oauth.clients`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, cast

from signoff.canonical import Json
from signoff.desk.admin import AdminError, AdminHandler
from signoff.oauth.clients import (
    AUTHORIZATION_CODE,
    CIBA,
    CLIENT_CREDENTIALS,
    REFRESH_TOKEN,
    Client,
    ClientError,
    Issued,
    Role,
)
from signoff.oauth.delivery import Delivery, DeliveryMode
from signoff.oauth.hosts import is_document_id
from signoff.oauth.machine_clients import LISTED, MachineClients
from signoff.storage.operator import OPERATOR
from signoff.storage.people import SqlitePeople

_GRANTS: Final[Mapping[str, str]] = {
    "client_credentials": CLIENT_CREDENTIALS,
    "ciba": CIBA,
    "refresh_token": REFRESH_TOKEN,
}
_GRANT_NAMES: Final = {grant: name for name, grant in _GRANTS.items()}

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
        role = cast("Role", parameters.get("role") or "machine")
        jwks = _maybe(parameters, "jwks")
        grants = _texts(parameters, "grants") or ["client_credentials"]
        if role == "gate":
            if jwks is None:
                raise ClientError("a gate signs with its own key: --jwks FILE")
            grants = ["ciba"]
        issued = await self._clients.create(
            name=str(parameters.get("name", "")),
            by=OPERATOR,
            role=role,
            grant_types=[_GRANTS.get(grant, grant) for grant in grants],
            scopes=_texts(parameters, "scopes") or (),
            audiences=_texts(parameters, "audiences") or (),
            metadata=_object(parameters, "metadata"),
            expires_in=_days(parameters),
            jwks=jwks,
            delivery=_delivery(Delivery(), parameters),
            dpop_bound=parameters.get("dpop") is True,
            details_types=_texts(parameters, "details_types") or (),
        )
        return _issued(issued)

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
        dpop, jwks = parameters.get("dpop"), _maybe(parameters, "jwks")
        if jwks is not None and before.auth_method != "private_key_jwt":
            raise ClientError(f"{before.id} has a secret, and brings no keys: create another")
        after = await self._clients.update(
            before.id,
            by=OPERATOR,
            name=_maybe(parameters, "name"),
            scopes=_texts(parameters, "scopes"),
            audiences=_texts(parameters, "audiences"),
            metadata=_object(parameters, "metadata"),
            expires_in="never" if parameters.get("no_expiry") is True else _days(parameters),
            delivery=_delivery(before.delivery, parameters),
            dpop_bound=dpop if isinstance(dpop, bool) else None,
            jwks=jwks,
            details_types=_texts(parameters, "details_types"),
        )
        return describe(after)

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


def _delivery(before: Delivery, parameters: Parameters) -> Delivery:
    mode, endpoint = _maybe(parameters, "delivery"), _maybe(parameters, "notify")
    algorithm, user_code = _maybe(parameters, "request_signing_alg"), parameters.get("user_code")
    after = before
    if mode is not None:
        kept = None if mode == "poll" else before.notification_endpoint
        after = replace(after, mode=cast("DeliveryMode", mode), notification_endpoint=kept)
    if endpoint is not None:
        after = replace(after, notification_endpoint=endpoint)
    if algorithm is not None:
        after = replace(after, request_signing_alg=algorithm)
    if isinstance(user_code, bool):
        after = replace(after, user_code=user_code)
    return after


def _days(parameters: Parameters) -> timedelta | None:
    days = parameters.get("days")
    return timedelta(days=days) if isinstance(days, int) else None


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _maybe(parameters: Parameters, name: str) -> str | None:
    value = parameters.get(name)
    return value if isinstance(value, str) else None


def _object(parameters: Parameters, name: str) -> Mapping[str, Json] | None:
    value = parameters.get(name)
    return value if isinstance(value, dict) else None


def _text(parameters: Parameters, name: str) -> str:
    value = _maybe(parameters, name)
    if value is None:
        raise ClientError(f"{name} is missing")
    return value


def _texts(parameters: Parameters, name: str) -> list[str] | None:
    """Return a list of texts; an empty list is one, no list means nothing was said."""
    values = parameters.get(name)
    if not isinstance(values, list):
        return None
    return [value for value in values if isinstance(value, str)]
