"""Hosts in SQLite as the operator sees them: made beforehand, registered, or read from a document.

Implements `oauth.operator_hosts.OperatorHostStore`. A host that the operator made is a registration
without a token: nobody can manage it over HTTP, and it is not forgotten when nobody uses it.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from signoff.audit import AuditEvent
from signoff.oauth.clients import Client
from signoff.oauth.hosts import Host, is_document_id
from signoff.storage.clients import end_with
from signoff.storage.clock import from_us
from signoff.storage.hosts import read_host
from signoff.storage.sqlite import Database, Row, Tx

TAKEN: Final = "SELECT 1 FROM clients WHERE id = :id"
ADD_CLIENT: Final = """
INSERT INTO clients (id, name, role, origin, auth_method, secret_hash, secret_start, grant_types,
                     scopes, audiences, metadata, created_at, updated_at)
VALUES (:id, :name, 'machine', 'operator', :auth_method, :secret_hash, :secret_start, :grant_types,
        '[]', '[]', '{}', :now, :now)
"""
ADD: Final = """
INSERT INTO registrations (client_id, redirect_uris, token_hash, registered_at)
VALUES (:id, :redirect_uris, NULL, :now)
"""
LIST: Final = """
SELECT clients.*, registrations.redirect_uris, registrations.registered_at,
       (SELECT max(coalesce(used_at, decided_at)) FROM consents
        WHERE consents.client_id = clients.id) AS acted_at,
       EXISTS (SELECT 1 FROM disabled WHERE disabled.id = clients.id) AS disabled
FROM registrations JOIN clients ON clients.id = registrations.client_id
WHERE :id IS NULL OR clients.id = :id
ORDER BY registered_at DESC, clients.id LIMIT :limit
"""
LIST_DOCUMENTS: Final = """
SELECT d.client_id, d.name, d.redirect_uris, d.grant_types, d.jwks, d.first_seen_at,
       (SELECT max(coalesce(used_at, decided_at)) FROM consents
        WHERE consents.client_id = d.client_id) AS acted_at,
       EXISTS (SELECT 1 FROM disabled WHERE disabled.id = d.client_id) AS disabled
FROM client_documents AS d WHERE :id IS NULL OR d.client_id = :id
ORDER BY d.first_seen_at DESC, d.client_id LIMIT :limit
"""
REMOVE: Final = """
DELETE FROM clients
WHERE id = :id AND EXISTS (SELECT 1 FROM registrations WHERE client_id = :id)
"""


class SqliteOperatorHosts:
    """Implements `oauth.operator_hosts.OperatorHostStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, host: Host, *, secret: bytes | None, by: str) -> bool:
        """Keep a host; False when its id is taken."""
        client = host.client

        def job(tx: Tx) -> bool:
            if tx.one(TAKEN, {"id": client.id}) is not None:
                return False
            params = {
                "id": client.id,
                "name": client.name,
                "auth_method": client.auth_method,
                "secret_hash": secret,
                "secret_start": client.secret_start,
                "grant_types": " ".join(sorted(client.grant_types)),
                "redirect_uris": json.dumps(host.redirect_uris),
                "now": tx.now_us,
            }
            tx.execute(ADD_CLIENT, params)
            tx.execute(ADD, params)
            facts = AuditEvent(
                event="client.created",
                subject=client.id,
                actor=by,
                details={"redirect_uris": [*host.redirect_uris]},
            )
            tx.audit(facts)
            return True

        return await self._database.write(job)

    async def list(self, *, limit: int, offset: int) -> Sequence[Host]:
        """Return hosts of every source, the newest first."""
        params = {"id": None, "limit": offset + limit}
        hosts = [_known(row) for row in await self._database.fetch_all(LIST, params)]
        hosts += [
            _documented(row) for row in await self._database.fetch_all(LIST_DOCUMENTS, params)
        ]
        hosts.sort(key=lambda host: host.known_since, reverse=True)
        return hosts[offset : offset + limit]

    async def find(self, client_id: str) -> Host | None:
        """Return a host of any source."""
        params = {"id": client_id, "limit": 1}
        if is_document_id(client_id):
            row = await self._database.fetch_one(LIST_DOCUMENTS, params)
            return None if row is None else _documented(row)
        row = await self._database.fetch_one(LIST, params)
        return None if row is None else _known(row)

    async def remove(self, client_id: str, *, by: str) -> bool:
        """Delete a host with everything it was given; False when it is gone."""

        def job(tx: Tx) -> bool:
            if not tx.execute(REMOVE, {"id": client_id}):
                return False
            end_with(tx, client_id, why="client_deleted", by=by)
            return True

        return await self._database.write(job)


def _known(row: Row) -> Host:
    host = read_host(row)
    return replace(host, client=replace(host.client, last_used_at=_acted_at(row)))


def _acted_at(row: Row) -> datetime | None:
    """Return when it last acted for somebody; what it was given is the store's best witness."""
    return None if row["acted_at"] is None else from_us(row["acted_at"])


def _documented(row: Row) -> Host:
    client = Client(
        id=row["client_id"],
        name=row["name"],
        origin="self",
        auth_method="none" if row["jwks"] is None else "private_key_jwt",
        grant_types=frozenset(row["grant_types"].split()),
        last_used_at=_acted_at(row),
        disabled=bool(row["disabled"]),
    )
    return Host(
        client=client,
        redirect_uris=tuple(json.loads(row["redirect_uris"])),
        known_since=from_us(row["first_seen_at"]),
        source="document",
    )
