"""The commands about MCP hosts, and the JSON of a host.

Owns how an operator's words become a host. What a host may be stands in `oauth.operator_hosts`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from signoff.app.client_operations import Parameters, refusing
from signoff.canonical import Json
from signoff.desk.admin import AdminHandler
from signoff.oauth.hosts import Host
from signoff.oauth.operator_hosts import LISTED, OperatorHosts
from signoff.storage.operator import OPERATOR


class HostOperations:
    """The operations on hosts."""

    def __init__(
        self, hosts: OperatorHosts, *, end_calls_of: Callable[[str], Awaitable[object]] | None
    ) -> None:
        self._hosts, self._end_calls_of = hosts, end_calls_of

    def handlers(self) -> Mapping[str, AdminHandler]:
        """Return the operations by name."""
        return {
            "hosts.create": refusing(self.create),
            "hosts.list": refusing(self.list),
            "hosts.show": refusing(self.show),
            "hosts.delete": refusing(self.delete),
        }

    async def create(self, parameters: Parameters) -> Json:
        uris = parameters.get("redirect_uris")
        host, issued = await self._hosts.create(
            name=str(parameters.get("name", "")),
            redirect_uris=cast("list[str]", uris if isinstance(uris, list) else []),
            by=OPERATOR,
            confidential=parameters.get("confidential") is True,
            device=parameters.get("device") is True,
        )
        secret = {} if issued.secret is None else {"client_secret": issued.secret}
        return {"client_id": host.client.id, **secret, **describe_host(host)}

    async def list(self, parameters: Parameters) -> Json:
        del parameters
        found: list[Json] = []
        while page := await self._hosts.list(limit=LISTED, offset=len(found)):
            found += [describe_host(host) for host in page]
        return found

    async def show(self, parameters: Parameters) -> Json:
        return describe_host(await self._hosts.show(str(parameters.get("client_id"))))

    async def delete(self, parameters: Parameters) -> Json:
        client_id = str(parameters.get("client_id"))
        await self._hosts.delete(client_id, by=OPERATOR)
        if self._end_calls_of is not None:
            await self._end_calls_of(client_id)
        return {}


def describe_host(host: Host) -> dict[str, Json]:
    """Return what the operator sees of a host."""
    client, used = host.client, host.client.last_used_at
    return {
        "client_id": client.id,
        "name": client.name,
        "source": host.source,
        "confidential": client.auth_method != "none",
        "redirect_uris": " ".join(host.redirect_uris),
        "disabled": client.disabled,
        "known_since": host.known_since.isoformat(timespec="seconds"),
        "last_used_at": None if used is None else used.isoformat(timespec="seconds"),
    }
