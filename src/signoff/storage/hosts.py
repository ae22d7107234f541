"""Hosts in SQLite: those that registered themselves, and the documents of the others.

Owns the statements on `registrations` and `client_documents`, and the rows of `clients` that
belong to a registration. Registration tokens and secrets stand here as SHA-256 only.
"""

import hmac
import json
from datetime import timedelta
from typing import Final, cast

from signoff.audit import AuditEvent
from signoff.oauth.client_documents import Document, KeptDocument
from signoff.oauth.clients import Client
from signoff.oauth.hosts import Host
from signoff.oauth.pacing import MayNot, Recorded, TokenPace, TokenRecord, TooSoon
from signoff.oauth.register import AuthMethod, Claims, Registration
from signoff.storage import paces
from signoff.storage.clients import end_with
from signoff.storage.clock import from_us, to_us
from signoff.storage.sqlite import Database, Row, Tx

_A_MINUTE: Final = timedelta(minutes=1)
_UNUSED_FOR: Final = timedelta(days=1)
_NETWORKS: Final = 6
"""So many together use up what there is for all."""

FIND: Final = """
SELECT clients.*, registrations.redirect_uris, registrations.registered_at,
       registrations.token_hash,
       EXISTS (SELECT 1 FROM disabled WHERE disabled.id = clients.id) AS disabled
FROM registrations JOIN clients ON clients.id = registrations.client_id
WHERE clients.id = :id AND (expires_at IS NULL OR expires_at > :now)
"""
LATELY: Final = """
SELECT count(*) AS n FROM registrations WHERE registered_at > :since AND token_hash IS NOT NULL
"""
# Nobody said yes to it within a day: whoever registered it has gone.
FORGET: Final = """
DELETE FROM clients WHERE id IN
  (SELECT client_id FROM registrations JOIN clients ON clients.id = client_id
   WHERE registered_at < :before AND clients.last_used_at IS NULL AND token_hash IS NOT NULL
   ORDER BY registered_at LIMIT 8)
"""
ADD_CLIENT: Final = """
INSERT INTO clients (id, name, role, origin, auth_method, secret_hash, grant_types, scopes,
                     audiences, metadata, dpop_bound, created_at, updated_at)
VALUES (:id, :name, 'machine', 'self', :auth_method, :secret_hash, :grant_types, :scopes,
        '[]', :metadata, :dpop_bound, :now, :now)
"""
ADD: Final = """
INSERT INTO registrations (client_id, redirect_uris, token_hash, registered_at)
VALUES (:id, :redirect_uris, :token_hash, :now)
"""
SAME: Final = """
SELECT 1 FROM registrations JOIN clients ON clients.id = client_id
WHERE client_id = :id AND name = :name AND registrations.redirect_uris = :redirect_uris
"""
REPLACE: Final = """
UPDATE registrations SET redirect_uris = :redirect_uris
WHERE client_id = :id AND token_hash = :token_hash
"""
REPLACE_CLIENT: Final = """
UPDATE clients
SET name = :name, auth_method = :auth_method, grant_types = :grant_types, scopes = :scopes,
    metadata = :metadata, dpop_bound = :dpop_bound,
    updated_at = CASE WHEN :renewed THEN :now ELSE updated_at END,
    secret_hash = CASE WHEN :auth_method = 'client_secret'
                       THEN coalesce(:secret_hash, secret_hash) END
WHERE id = :id
"""
IS_HELD: Final = """
SELECT 1 FROM registrations WHERE client_id = :id AND token_hash = :token_hash
"""
REMOVE: Final = """
DELETE FROM clients
WHERE id = :id AND EXISTS (SELECT 1 FROM registrations
                           WHERE client_id = :id AND token_hash = :token_hash)
"""
FIND_DOCUMENT: Final = """
SELECT *, EXISTS (SELECT 1 FROM disabled WHERE disabled.id = client_id) AS disabled
FROM client_documents WHERE client_id = :id
"""
NEW_DOCUMENTS: Final = "SELECT count(*) AS n FROM client_documents WHERE first_seen_at > :since"
# As with registrations: nobody said yes to it within a day.
FORGET_DOCUMENTS: Final = """
DELETE FROM client_documents WHERE client_id IN
  (SELECT client_id FROM client_documents AS d
   WHERE fetched_at <= :before
     AND NOT EXISTS (SELECT 1 FROM consents WHERE consents.client_id = d.client_id)
   LIMIT 8)
"""
KEEP_DOCUMENT: Final = """
INSERT INTO client_documents (client_id, name, redirect_uris, grant_types, jwks, dpop_bound,
                              first_seen_at, fetched_at, fresh_until)
VALUES (:id, :name, :redirect_uris, :grant_types, :jwks, :dpop_bound, :now, :now, :fresh_until)
ON CONFLICT (client_id) DO UPDATE
SET first_seen_at = CASE WHEN name = excluded.name AND redirect_uris = excluded.redirect_uris
                         THEN first_seen_at ELSE excluded.first_seen_at END,
    name = excluded.name, redirect_uris = excluded.redirect_uris,
    grant_types = excluded.grant_types, jwks = excluded.jwks,
    dpop_bound = excluded.dpop_bound, fetched_at = excluded.fetched_at,
    fresh_until = excluded.fresh_until
"""


class SqliteHosts:
    """Implements `hosts.HostStore`, `register.RegistrationStore`, `client_documents`' store.

    `registrations_a_minute` is what one network may register, and how many documents are new.
    """

    def __init__(self, database: Database, *, registrations_a_minute: int = 10) -> None:
        self._database, self._a_minute = database, registrations_a_minute

    async def host(self, client_id: str) -> Host | None:
        """Return the registered host with this id."""
        row = await self._database.fetch_one(FIND, self._at(client_id))
        return None if row is None else read_host(row)

    async def register(
        self,
        client_id: str,
        claims: Claims,
        *,
        secret: bytes | None,
        token: bytes,
        network: str,
    ) -> Recorded | TooSoon:
        """Keep a new host, unless too many of its network, or of all, registered just now."""
        pace = TokenPace(per_hour=60 * self._a_minute, burst=self._a_minute)

        def job(tx: Tx) -> Recorded | TooSoon:
            paces.forget(tx, "registering")
            due = paces.due(tx, "registering", network, pace=pace)
            if isinstance(due, TooSoon):
                return due  # first of all: a flood costs one look
            tx.execute(FORGET, {"before": to_us(tx.now - _UNUSED_FOR)})
            lately = tx.one(LATELY, {"since": to_us(tx.now - _A_MINUTE)})
            if lately is None or lately["n"] >= self._a_minute * _NETWORKS:
                return TooSoon(retry_after_s=60)
            paces.keep(tx, "registering", network, due)
            params = _params(client_id, claims, secret=secret, token=token) | {"now": tx.now_us}
            tx.execute(ADD_CLIENT, params)
            tx.execute(ADD, params)
            facts = AuditEvent(
                event="client.registered",
                subject=client_id,
                actor="stranger",
                details={"redirect_uris": [*claims.redirect_uris]},
            )
            tx.audit(facts)
            return Recorded()

        return await self._database.write(job)

    async def registration(self, client_id: str, *, token: bytes) -> Registration | None:
        """Return a registration to who holds its token."""
        row = await self._database.fetch_one(FIND, self._at(client_id))
        # A host that the operator made has no token: nobody manages it here.
        if row is None or not hmac.compare_digest(row["token_hash"] or b"", token):
            return None
        host = read_host(row)
        claims = Claims(
            name=host.client.name,
            redirect_uris=host.redirect_uris,
            grant_types=host.client.grant_types,
            auth_method=cast("AuthMethod", json.loads(row["metadata"])["auth_method"]),
            scopes=host.client.scopes,
            dpop_bound=host.client.dpop_bound,
        )
        return Registration(host=host, claims=claims)

    async def replace(
        self,
        client_id: str,
        claims: Claims,
        *,
        secret: bytes | None,
        token: bytes,
        pace: TokenPace,
    ) -> TokenRecord:
        """Replace what a host says of itself, if it is there and so soon."""

        def job(tx: Tx) -> TokenRecord:
            paces.forget(tx, "registration")
            params = _params(client_id, claims, secret=secret, token=token) | {"now": tx.now_us}
            if tx.one(IS_HELD, {"id": client_id, "token_hash": token}) is None:
                return MayNot()
            due = paces.due(tx, "registration", client_id, pace=pace)
            if isinstance(due, TooSoon):
                return due
            same = tx.one(SAME, params) is not None
            params |= {"renewed": int(not same)}
            if not tx.execute(REPLACE, params):
                return MayNot()
            paces.keep(tx, "registration", client_id, due)
            tx.execute(REPLACE_CLIENT, params)
            facts = AuditEvent(
                event="client.registration_replaced",
                subject=client_id,
                actor=client_id,
                details={"redirect_uris": [*claims.redirect_uris]},
            )
            tx.audit(facts)
            return Recorded()

        return await self._database.write(job)

    async def unregister(self, client_id: str, *, token: bytes) -> bool:
        """Delete a host with everything it was given; False when it is gone."""

        def job(tx: Tx) -> bool:
            if not tx.execute(REMOVE, {"id": client_id, "token_hash": token}):
                return False
            end_with(tx, client_id, why="registration_deleted", by=client_id)
            return True

        return await self._database.write(job)

    async def document(self, client_id: str) -> KeptDocument | None:
        """Return a document as it was last read."""
        row = await self._database.fetch_one(FIND_DOCUMENT, {"id": client_id})
        return None if row is None else _kept(row)

    async def keep(self, document: Document, *, fresh_for: timedelta) -> bool:
        """Keep a document that was just read; False when too many were new in the last minute."""

        def job(tx: Tx) -> bool:
            tx.execute(FORGET_DOCUMENTS, {"before": to_us(tx.now - _UNUSED_FOR)})
            row = tx.one(FIND_DOCUMENT, {"id": document.client_id})
            before = None if row is None else _kept(row).document
            if before is None:
                lately = tx.one(NEW_DOCUMENTS, {"since": to_us(tx.now - _A_MINUTE)})
                if lately is None or lately["n"] >= self._a_minute:
                    return False
            params = {
                "id": document.client_id,
                "name": document.name,
                "redirect_uris": json.dumps(document.redirect_uris),
                "grant_types": " ".join(sorted(document.grant_types)),
                "jwks": document.jwks,
                "dpop_bound": int(document.dpop_bound),
                "now": tx.now_us,
                "fresh_until": to_us(tx.now + fresh_for),
            }
            tx.execute(KEEP_DOCUMENT, params)
            if before != document:
                facts = AuditEvent(
                    event="client.document_read",
                    subject=document.client_id,
                    actor="system",
                    details={"redirect_uris": [*document.redirect_uris]},
                )
                tx.audit(facts)
            return True

        return await self._database.write(job)

    def _at(self, client_id: str) -> dict[str, object]:
        return {"id": client_id, "now": to_us(self._database.now())}


def _kept(row: Row) -> KeptDocument:
    return KeptDocument(
        document=Document(
            client_id=row["client_id"],
            name=row["name"],
            redirect_uris=tuple(json.loads(row["redirect_uris"])),
            grant_types=frozenset(row["grant_types"].split()),
            jwks=row["jwks"],
            dpop_bound=bool(row["dpop_bound"]),
        ),
        first_seen_at=from_us(row["first_seen_at"]),
        fresh_until=from_us(row["fresh_until"]),
        disabled=bool(row["disabled"]),
    )


def _params(
    client_id: str, claims: Claims, *, secret: bytes | None, token: bytes
) -> dict[str, object]:
    return {
        "id": client_id,
        "name": claims.name,
        "auth_method": "none" if claims.auth_method == "none" else "client_secret",
        "secret_hash": secret,
        "grant_types": " ".join(sorted(claims.grant_types)),
        "scopes": json.dumps(claims.scopes),
        "metadata": json.dumps({"auth_method": claims.auth_method}),
        "dpop_bound": int(claims.dpop_bound),
        "redirect_uris": json.dumps(claims.redirect_uris),
        "token_hash": token,
    }


def read_host(row: Row) -> Host:
    """Read a row of `clients` with its registration."""
    since = registered = from_us(row["registered_at"])
    if row["origin"] == "self":
        # Who calls itself something else from now on is as new as its name.
        since = from_us(row["updated_at"])
    client = Client(
        id=row["id"],
        name=row["name"],
        origin=row["origin"],
        auth_method=row["auth_method"],
        grant_types=frozenset(row["grant_types"].split()),
        scopes=tuple(json.loads(row["scopes"])),
        created_at=registered,
        updated_at=from_us(row["updated_at"]),
        secret_start=row["secret_start"],
        last_used_at=None if row["last_used_at"] is None else from_us(row["last_used_at"]),
        disabled=bool(row["disabled"]),
        dpop_bound=bool(row["dpop_bound"]),
    )
    return Host(
        client=client,
        redirect_uris=tuple(json.loads(row["redirect_uris"])),
        known_since=since,
        source="operator" if row["origin"] == "operator" else "registered",
    )
