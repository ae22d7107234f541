"""Clients at rest, and the assertion ids they have spent.

Implements `oauth.clients.ClientStore` on SQLite. Secrets stand here as SHA-256 only. A client that
is switched off stands in `disabled`, like a user.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from signoff.audit import AuditEvent
from signoff.oauth.clients import Client, JtiKind, Known, Secrets
from signoff.oauth.delivery import Delivery
from signoff.oauth.host_tokens import Revocation
from signoff.oauth.pacing import MayNot, Recorded, TokenPace, TokenRecord, TooSoon
from signoff.storage import consents, paces
from signoff.storage.clock import from_us, to_us
from signoff.storage.people import end_open
from signoff.storage.sqlite import Database, Row, StorageError, Tx

FIND: Final = """
SELECT *, EXISTS (SELECT 1 FROM disabled WHERE disabled.id = clients.id) AS disabled
FROM clients WHERE id = :id
"""
LIST: Final = """
SELECT *, EXISTS (SELECT 1 FROM disabled WHERE disabled.id = clients.id) AS disabled
FROM clients
WHERE NOT EXISTS (SELECT 1 FROM registrations WHERE registrations.client_id = clients.id)
  AND (:gates OR role <> 'gate')
ORDER BY created_at DESC, id LIMIT :limit OFFSET :offset
"""
ADD: Final = """
INSERT INTO clients (id, name, role, origin, auth_method, secret_hash, secret_start, jwks,
                     grant_types, scopes, audiences, metadata, created_at, updated_at, expires_at,
                     delivery_mode, notification_endpoint, request_signing_alg, user_code,
                     dpop_bound, details_types)
VALUES (:id, :name, :role, :origin, :auth_method, :secret_hash, :secret_start, :jwks,
        :grant_types, :scopes, :audiences, :metadata, :now, :now, :expires_at,
        :delivery_mode, :notification_endpoint, :request_signing_alg, :user_code, :dpop_bound,
        :details_types)
ON CONFLICT (id) DO NOTHING
"""
UPDATE: Final = """
UPDATE clients SET name = :name, scopes = :scopes, audiences = :audiences, metadata = :metadata,
                   expires_at = :expires_at, updated_at = :now, delivery_mode = :delivery_mode,
                   notification_endpoint = :notification_endpoint,
                   request_signing_alg = :request_signing_alg, user_code = :user_code,
                   dpop_bound = :dpop_bound, details_types = :details_types, jwks = :jwks
WHERE id = :id
"""
ROTATE: Final = """
UPDATE clients
SET previous_hash = CASE WHEN :until > :now THEN secret_hash END,
    previous_until = CASE WHEN :until > :now THEN :until END,
    secret_hash = :secret_hash, secret_start = :secret_start, updated_at = :now
WHERE id = :id AND auth_method = 'client_secret'
"""
REMOVE: Final = "DELETE FROM clients WHERE id = :id"
USED: Final = """
UPDATE clients SET last_used_at = :now
WHERE id = :id AND (expires_at IS NULL OR expires_at > :now)
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.id = :id)
"""
NOTE_USE: Final = "UPDATE clients SET last_used_at = :now WHERE id = :id"
SPEND: Final = """
INSERT INTO spent_ids (kind, issuer, value, expires_at)
VALUES (:kind, :client_id, :jti, :expires_at)
ON CONFLICT (kind, issuer, value) DO NOTHING
"""
# A few at a time, on the way: the table never holds much more than what is still alive.
FORGET_SPENT: Final = """
DELETE FROM spent_ids WHERE (kind, issuer, value) IN
  (SELECT kind, issuer, value FROM spent_ids WHERE expires_at < :now LIMIT 8)
"""

_UNDERSTOOD: Final = 1_024
_NOTE_EVERY: Final = timedelta(minutes=5)
_NOTED_AT_MOST: Final = 10_000
# A verifier's clock may be a little behind: a token is remembered for as long as it is taken.
_LEEWAY: Final = timedelta(seconds=30)


class SqliteClients:
    """The store's side of `oauth.clients`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Read each time, understood once: what a row says depends on nothing but the row.
        self._known = lru_cache(_UNDERSTOOD)(_known)
        self._noted: dict[str, datetime] = {}

    async def find(self, client_id: str) -> Known | None:
        """Return a client and the hashes of its secrets."""
        row = self._database.look_up(FIND, {"id": client_id})
        return None if row is None else self._known(row)

    async def list(self, *, limit: int, offset: int, gates: bool) -> Sequence[Client]:
        """Return clients that are no hosts, newest first."""
        params = {"limit": limit, "offset": offset, "gates": int(gates)}
        return [_read(row) for row in await self._database.fetch_all(LIST, params)]

    async def add(self, client: Client, secret: Secrets, *, by: str) -> bool:
        """Store a new client; False when the id is taken."""

        def job(tx: Tx) -> bool:
            params = _params(client) | {
                "now": tx.now_us,
                "role": client.role,
                "origin": client.origin,
                "auth_method": client.auth_method,
                "secret_hash": secret.current,
                "secret_start": client.secret_start,
                "jwks": client.jwks,
                "grant_types": " ".join(sorted(client.grant_types)),
            }
            if not tx.execute(ADD, params):
                return False
            facts = AuditEvent(
                event="client.created",
                subject=client.id,
                actor=by,
                details={"role": client.role, "scopes": [*client.scopes]},
            )
            tx.audit(facts)
            return True

        return await self._database.write(job)

    async def update(self, client: Client, *, by: str) -> bool:
        """Replace all that may change of a client; False when it is gone."""

        def job(tx: Tx) -> bool:
            if not tx.execute(UPDATE, _params(client) | {"now": tx.now_us}):
                return False
            facts = AuditEvent(
                event="client.updated",
                subject=client.id,
                actor=by,
                details={"scopes": [*client.scopes]},
            )
            tx.audit(facts)
            return True

        return await self._database.write(job)

    async def rotate(
        self, client_id: str, *, secret: bytes, start: str, overlap: timedelta, by: str
    ) -> bool:
        """Put a new secret in place; the old one opens for `overlap` more. False when gone."""

        def job(tx: Tx) -> bool:
            params = {
                "id": client_id,
                "secret_hash": secret,
                "secret_start": start,
                "now": tx.now_us,
                "until": to_us(tx.now + overlap),
            }
            if not tx.execute(ROTATE, params):
                return False
            tx.audit(AuditEvent(event="client.secret_rotated", subject=client_id, actor=by))
            return True

        return await self._database.write(job)

    async def remove(self, client_id: str, *, by: str) -> bool:
        """Delete a client and end what it has open; False when it is gone."""

        def job(tx: Tx) -> bool:
            if not tx.execute(REMOVE, {"id": client_id}):
                return False
            end_with(tx, client_id, why="client_deleted", by=by)
            return True

        return await self._database.write(job)

    async def used(self, client_id: str) -> None:
        """Note that a client proved who it is. Exact to a few minutes, and refuses nobody."""
        now = self._database.now()
        noted = self._noted.get(client_id)
        if noted is not None and now - noted < _NOTE_EVERY:
            return
        if len(self._noted) >= _NOTED_AT_MOST:
            self._noted.clear()
        self._noted[client_id] = now
        # A store that takes no writes still answers reads: this note is not worth refusing them.
        with suppress(StorageError):
            await self._database.write(
                lambda tx: tx.execute(NOTE_USE, {"id": client_id, "now": tx.now_us})
            )

    async def spend_jti(
        self,
        client_id: str,
        jti: str,
        *,
        expires_at: datetime,
        kind: JtiKind = "client_assertion",
    ) -> bool:
        """Record a `jti` of a client's own token; False when it was used before."""
        until = to_us(expires_at + _LEEWAY)
        params = {"kind": kind, "client_id": client_id, "jti": jti, "expires_at": until}

        def job(tx: Tx) -> bool:
            tx.execute(FORGET_SPENT, {"now": tx.now_us})
            return tx.execute(SPEND, params) == 1

        return await self._database.write(job)

    async def record_token(
        self, client_id: str, *, jti: str, scope: str, pace: TokenPace
    ) -> TokenRecord:
        """Record a token issued to the client itself, if it may have one now and so soon."""

        def job(tx: Tx) -> TokenRecord:
            due = paces.due(tx, "token", client_id, pace=pace)
            if isinstance(due, TooSoon):
                return due
            if not tx.execute(USED, {"id": client_id, "now": tx.now_us}):
                return MayNot()
            paces.keep(tx, "token", client_id, due)
            facts = AuditEvent(
                event="client.token_issued",
                subject=client_id,
                actor=client_id,
                details={"jti": jti, "scope": scope},
            )
            tx.audit(facts)
            return Recorded()

        return await self._database.write(job)


def end_with(tx: Tx, client_id: str, *, why: Revocation, by: str) -> None:
    """End what a client that was deleted just now has open, and what people let it do."""
    tx.audit(AuditEvent(event="client.deleted", subject=client_id, actor=by))
    end_open(tx, client_id, actor=by)
    # Another client may get the id one day.
    consents.revoke_all(tx, client_id, why=why, by=by)


def _known(row: Row) -> Known:
    until = row["previous_until"]
    secrets = Secrets(
        current=row["secret_hash"],
        previous=row["previous_hash"],
        previous_until=None if until is None else from_us(until),
    )
    return Known(client=_read(row), secrets=secrets)


def _params(client: Client) -> dict[str, object]:
    return {
        "id": client.id,
        "name": client.name,
        "scopes": json.dumps(client.scopes),
        "audiences": json.dumps(client.audiences),
        "metadata": json.dumps(client.metadata),
        "expires_at": client.expires_at and to_us(client.expires_at),
        "delivery_mode": client.delivery.mode,
        "notification_endpoint": client.delivery.notification_endpoint,
        "request_signing_alg": client.delivery.request_signing_alg,
        "user_code": int(client.delivery.user_code),
        "dpop_bound": int(client.dpop_bound),
        "details_types": json.dumps(client.details_types),
        "jwks": client.jwks,
    }


def _read(row: Row) -> Client:
    times = {
        name: None if row[name] is None else from_us(row[name])
        for name in ("created_at", "updated_at", "expires_at", "last_used_at")
    }
    return Client(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        origin=row["origin"],
        auth_method=row["auth_method"],
        grant_types=frozenset(row["grant_types"].split()),
        scopes=tuple(json.loads(row["scopes"])),
        audiences=tuple(json.loads(row["audiences"])),
        metadata=json.loads(row["metadata"]),
        jwks=row["jwks"],
        secret_start=row["secret_start"],
        disabled=bool(row["disabled"]),
        delivery=Delivery(
            mode=row["delivery_mode"],
            notification_endpoint=row["notification_endpoint"],
            request_signing_alg=row["request_signing_alg"],
            user_code=bool(row["user_code"]),
        ),
        dpop_bound=bool(row["dpop_bound"]),
        details_types=tuple(json.loads(row["details_types"])),
        **times,
    )
