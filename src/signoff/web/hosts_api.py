"""The admin API of MCP hosts: /m2m/hosts, for whoever may manage machine clients.

Owns the JSON of a host. Who comes in is `machine_clients.py`'s; what a host may be stands in
`oauth.operator_hosts`.
"""

from dataclasses import dataclass
from typing import Final, cast

from starlette.requests import Request
from starlette.routing import Route

from signoff.canonical import Json
from signoff.oauth.clients import ClientError
from signoff.oauth.hosts import Host
from signoff.oauth.methods import refusing_other_methods
from signoff.oauth.operator_hosts import OperatorHosts
from signoff.web.json_api import ApiError, count, read_members, text
from signoff.web.machine_clients import AdminApi

_CREATE: Final = frozenset({"name", "redirectUris", "confidential", "device"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsApi:
    """What the admin API of hosts works on."""

    admin: AdminApi
    hosts: OperatorHosts

    def routes(self) -> list[Route]:
        """Return the routes."""
        guarded = self.admin.guarded
        one = "/m2m/hosts/{id}"
        return refusing_other_methods([
            Route("/m2m/hosts", guarded(self._create, status=201), methods=["POST"]),
            Route("/m2m/hosts", guarded(self._list), methods=["GET"]),
            Route(one, guarded(self._show), methods=["GET"]),
            Route(one, guarded(self._delete), methods=["DELETE"]),
        ])

    async def _create(self, request: Request, by: str) -> Json:
        given = await read_members(request, _CREATE)
        uris = given.get("redirectUris")
        if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
            raise ApiError(400, "invalid_request", "redirectUris is a list of texts")
        flags = {name: given.get(name, False) for name in ("confidential", "device")}
        if not all(isinstance(flag, bool) for flag in flags.values()):
            raise ApiError(400, "invalid_request", "confidential and device are true or false")
        host, issued = await self.hosts.create(
            name=text(given, "name"),
            redirect_uris=cast("list[str]", uris),
            by=by,
            confidential=flags["confidential"] is True,
            device=flags["device"] is True,
        )
        secret = {} if issued.secret is None else {"clientSecret": issued.secret}
        return {**_host(host), **secret}

    async def _list(self, request: Request, by: str) -> Json:
        del by
        limit, offset = count(request, "limit", 100), count(request, "offset", 0)
        return [_host(host) for host in await self.hosts.list(limit=limit, offset=offset)]

    async def _show(self, request: Request, by: str) -> Json:
        del by
        return _host(await self._find(request))

    async def _delete(self, request: Request, by: str) -> Json:
        host = await self._find(request)
        await self.hosts.delete(host.client.id, by=by)
        await self.admin.end(host.client.id)
        return {"success": True}

    async def _find(self, request: Request) -> Host:
        try:
            return await self.hosts.show(request.path_params["id"])
        except ClientError:
            raise ApiError(404, "not_found", "there is no such host") from None


def _host(host: Host) -> dict[str, Json]:
    client, used = host.client, host.client.last_used_at
    return {
        "id": client.id,
        "clientId": client.id,
        "name": client.name,
        "source": host.source,
        "confidential": client.auth_method != "none",
        "redirectUris": [*host.redirect_uris],
        "disabled": client.disabled,
        "knownSince": host.known_since.isoformat(timespec="seconds"),
        "lastUsedAt": None if used is None else used.isoformat(timespec="seconds"),
    }
