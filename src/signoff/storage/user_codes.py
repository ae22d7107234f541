"""User codes at rest, and the wrong tries of each client.

Implements `oauth.user_codes.UserCodeStore` on SQLite. A try is counted in a transaction of its
own: no failure of the request undoes it.
"""

from typing import Final

from signoff.audit import AuditEvent
from signoff.storage.sqlite import Database, Tx

KEEP: Final = """
INSERT INTO user_codes (user_id, salt, hash, set_at) VALUES (:user_id, :salt, :hash, :now)
ON CONFLICT (user_id) DO UPDATE SET salt = excluded.salt, hash = excluded.hash, set_at = :now
"""
REMOVE: Final = "DELETE FROM user_codes WHERE user_id = :user_id"
LOAD: Final = "SELECT salt, hash FROM user_codes WHERE user_id = :user_id"
COUNT: Final = """
INSERT INTO user_code_tries (user_id, client_id, wrong) VALUES (:user_id, :client_id, 1)
ON CONFLICT (user_id, client_id) DO UPDATE SET wrong = wrong + 1 WHERE wrong < :most
RETURNING wrong
"""
CLEAR: Final = """
DELETE FROM user_code_tries WHERE user_id = :user_id AND client_id = :client_id
"""
CLEAR_ALL: Final = "DELETE FROM user_code_tries WHERE user_id = :user_id"


class SqliteUserCodes:
    """The store's side of `oauth.user_codes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, user_id: str, *, salt: bytes, hash: bytes, by: str) -> None:  # noqa: A002 — it is one
        """Set a code; every client may try again."""

        def job(tx: Tx) -> None:
            tx.execute(KEEP, {"user_id": user_id, "salt": salt, "hash": hash, "now": tx.now_us})
            tx.execute(CLEAR_ALL, {"user_id": user_id})
            tx.audit(AuditEvent(event="user_code.set", subject=user_id, actor=by))

        await self._database.write(job)

    async def remove(self, user_id: str, *, by: str) -> bool:
        """Remove a code; False when there was none."""

        def job(tx: Tx) -> bool:
            if not tx.execute(REMOVE, {"user_id": user_id}):
                return False
            tx.execute(CLEAR_ALL, {"user_id": user_id})
            tx.audit(AuditEvent(event="user_code.removed", subject=user_id, actor=by))
            return True

        return await self._database.write(job)

    async def load(self, user_id: str) -> tuple[bytes, bytes] | None:
        """Return salt and hash of a user's code."""
        row = await self._database.fetch_one(LOAD, {"user_id": user_id})
        return None if row is None else (row["salt"], row["hash"])

    async def count(self, user_id: str, client_id: str, *, most: int) -> bool:
        """Count a try before it is made; False when the client has none left. Durable."""
        params = {"user_id": user_id, "client_id": client_id, "most": most}
        return await self._database.write(lambda tx: tx.one(COUNT, params)) is not None

    async def clear(self, user_id: str, client_id: str) -> None:
        """Forget the tries of a client that knew the code."""
        params = {"user_id": user_id, "client_id": client_id}
        await self._database.write(lambda tx: tx.execute(CLEAR, params))
