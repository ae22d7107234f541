"""Connections in SQLite: the consents that still give access, and when each was last used.

Implements `oauth.connections.ConnectionStore`. What a consent gave ends in `consents.revoke`; who
may end it stands in the statement's own WHERE.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from signoff.oauth.connections import Connection, TakenBack
from signoff.storage import consents
from signoff.storage.clock import from_us, to_us
from signoff.storage.sqlite import Database, Row, StorageError, Tx

_TOKEN_LIFE: Final = timedelta(minutes=75)
"""A little longer than an access token and the code before it live."""
_NOTE_EVERY: Final = timedelta(minutes=5)
_NOTED_AT_MOST: Final = 10_000
_LISTED: Final = 1_000

LIST: Final = """
SELECT c.id, c.client_id, c.user_id, c.scope, c.resource, c.decided_at, c.used_at, c.approval_id,
       coalesce(client.name, document.name) AS name, client.origin, code.redirect_uri
FROM consents AS c
LEFT JOIN clients AS client ON client.id = c.client_id
LEFT JOIN client_documents AS document ON document.client_id = c.client_id
LEFT JOIN authorization_codes AS code ON code.consent_id = c.id
WHERE c.revoked_at IS NULL AND (:user_id IS NULL OR c.user_id = :user_id)
  AND (client.id IS NOT NULL OR document.client_id IS NOT NULL)
  AND (c.decided_at > :since
       OR EXISTS (SELECT 1 FROM refresh_tokens AS r
                  WHERE r.consent_id = c.id AND r.used_at IS NULL AND r.expires_at > :now))
ORDER BY c.decided_at DESC, c.id LIMIT :most
"""
FIND: Final = """
SELECT id FROM consents WHERE id = :id AND (:user_id IS NULL OR user_id = :user_id)
"""
USED: Final = """
UPDATE consents SET used_at = :now WHERE id = :id AND revoked_at IS NULL
"""


class SqliteConnections:
    """Implements `oauth.connections.ConnectionStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[str, datetime] = {}

    async def of(self, user_id: str | None) -> Sequence[Connection]:
        """Return what still has access, the newest first; None: of everybody."""
        now = self._database.now()
        params = {
            "user_id": user_id,
            "now": to_us(now),
            "since": to_us(now - _TOKEN_LIFE),
            "most": _LISTED,
        }
        return [_connection(row) for row in await self._database.fetch_all(LIST, params)]

    async def take_back(self, connection_id: str, *, user_id: str | None, by: str) -> TakenBack:
        """End it with all it gave, with an audit row; `user_id` None: whosever it is."""

        def job(tx: Tx) -> TakenBack:
            if tx.one(FIND, {"id": connection_id, "user_id": user_id}) is None:
                return "unknown"
            return (
                "now" if consents.revoke(tx, connection_id, why="taken_back", by=by) else "before"
            )

        return await self._database.write(job)

    async def used(self, connection_id: str) -> None:
        """Note that it acts now. Exact to a few minutes, and never a reason to refuse it."""
        now = self._database.now()
        noted = self._noted.get(connection_id)
        if noted is not None and now - noted < _NOTE_EVERY:
            return
        if len(self._noted) >= _NOTED_AT_MOST:
            self._noted.clear()
        self._noted[connection_id] = now
        # A store that takes no writes still answers reads: this note is not worth refusing them.
        with suppress(StorageError):
            await self._database.write(
                lambda tx: tx.execute(USED, {"id": connection_id, "now": tx.now_us})
            )


def _connection(row: Row) -> Connection:
    return Connection(
        id=row["id"],
        client_id=row["client_id"],
        user_id=row["user_id"],
        name=row["name"],
        vouched=row["origin"] == "operator",
        redirect_uri=row["redirect_uri"],
        scope=row["scope"],
        resource=row["resource"],
        since=from_us(row["decided_at"]),
        last_used_at=None if row["used_at"] is None else from_us(row["used_at"]),
        approval_id=row["approval_id"],
    )
