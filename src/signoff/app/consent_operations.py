"""The commands about what people have let act for them: list it, take it back.

Owns their JSON. Nothing here lets anybody in.
"""

from collections.abc import Mapping
from typing import Final

from signoff.canonical import Json
from signoff.desk.admin import AdminError, AdminHandler
from signoff.oauth.connections import Connection, ConnectionStore
from signoff.storage.operator import OPERATOR

Parameters = Mapping[str, Json]

_HOW_TO_LIST: Final = "signoff consents list"


class ConsentOperations:
    """The operations on connections."""

    def __init__(self, connections: ConnectionStore) -> None:
        self._connections = connections

    def handlers(self) -> Mapping[str, AdminHandler]:
        """Return the operations by name."""
        return {"consents.list": self.list, "consents.revoke": self.revoke}

    async def list(self, parameters: Parameters) -> Json:
        user = parameters.get("user")
        found = await self._connections.of(user if isinstance(user, str) else None)
        return [_connection(one) for one in found]

    async def revoke(self, parameters: Parameters) -> Json:
        connection_id = str(parameters.get("consent_id"))
        ended = await self._connections.take_back(connection_id, user_id=None, by=OPERATOR)
        if ended != "now":
            over = "has ended already" if ended == "before" else "is no consent"
            raise AdminError(f"{connection_id[:64]} {over}: {_HOW_TO_LIST}")
        return {}


def _connection(one: Connection) -> dict[str, Json]:
    used = one.last_used_at
    return {
        "consent_id": one.id,
        "user": one.user_id,
        "name": one.name,
        "client_id": one.client_id,
        "redirect_uri": one.redirect_uri,
        "scopes": one.scope,
        "resource": one.resource,
        "since": one.since.isoformat(timespec="seconds"),
        "last_used_at": None if used is None else used.isoformat(timespec="seconds"),
    }
