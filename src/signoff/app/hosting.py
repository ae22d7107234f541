"""What lets MCP hosts sign people in, put together over an open store.

Owns which storage stands behind which port of `oauth/host_server.py` and of its pages.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from starlette.routing import BaseRoute

from signoff.approvals.sessions import SessionStore
from signoff.catalog.model import ServerConfig, ToolSpec
from signoff.catalog.offered import Offered
from signoff.oauth.authorize import Authorizations
from signoff.oauth.client_documents import ClientDocuments
from signoff.oauth.clients import Directory
from signoff.oauth.device import Devices
from signoff.oauth.host_server import HostParts
from signoff.oauth.host_tokens import CONSENT_CLAIM
from signoff.oauth.hosts import Hosts
from signoff.oauth.profile import Profile
from signoff.oauth.revocation import Revocations
from signoff.sealed import Sealer
from signoff.storage.codes import SqliteCodes
from signoff.storage.connections import SqliteConnections
from signoff.storage.devices import SqliteDevices
from signoff.storage.hosts import SqliteHosts
from signoff.storage.sqlite import Database
from signoff.tokens.verify import VerifiedClaims
from signoff.web.connecting import connecting_pages
from signoff.web.site import SiteConfig

_DOOR: Final = "mcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosting:
    """Everything that only hosts need."""

    database: Database
    parts: HostParts
    hosts: Hosts
    connections: SqliteConnections

    def pages(
        self, config: SiteConfig, profile: Profile, directory: Directory, sessions: SessionStore
    ) -> list[BaseRoute]:
        """Return the pages on which a person decides."""
        now = self.database.now
        return connecting_pages(
            config,
            profile,
            authorizations=Authorizations(profile, self.hosts, self.parts.codes, now=now),
            devices=Devices(self.parts.devices, directory, now=now),
            connections=self.connections,
            sessions=sessions,
            now=now,
        )

    def standing(self, revocations: Revocations) -> Callable[[VerifiedClaims], Awaitable[bool]]:
        """Return what tells whether nobody took a token, or its consent, back; it notes the use."""

        async def stands(claims: VerifiedClaims) -> bool:
            claimed = claims.get(CONSENT_CLAIM)
            consent_id = None if claimed is None else str(claimed)
            standing = await revocations.standing(
                str(claims["jti"]),
                sub=str(claims["sub"]),
                client_id=str(claims["client_id"]),
                consent_id=consent_id,
            )
            if standing and consent_id is not None:
                await self.connections.used(consent_id)
            return standing

        return stands


def hosting(database: Database, sealer: Sealer, config: ServerConfig) -> Hosting:
    """Build it."""
    registered, connections = SqliteHosts(database), SqliteConnections(database)
    documents = ClientDocuments(registered, now=database.now) if config.client_documents else None
    return Hosting(
        database=database,
        parts=HostParts(
            codes=SqliteCodes(database),
            devices=SqliteDevices(database, sealer),
            registrations=registered,
            changes=database.changes,
            used=connections.used,
        ),
        hosts=Hosts(registered, documents),
        connections=connections,
    )


def host_scopes(tools: Iterable[ToolSpec], elsewhere: Iterable[str] = ()) -> tuple[str, ...]:
    """Return what a host may ask for: the door, and what single tools need, here or elsewhere."""
    # The cards of a large catalogue say it; going through its tools would compile them all.
    cards = tools.cards if isinstance(tools, Offered) else tools
    needed = {scope for card in cards for scope in card.scopes}
    return (_DOOR, *sorted(needed.union(elsewhere) - {_DOOR}))
