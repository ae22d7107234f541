"""Refresh tokens in SQLite, as SHA-256 only.

Owns their statements. A used token stays until it would have expired, so that its reuse is seen.
"""

from typing import Final

from signoff.audit import AuditEvent
from signoff.oauth.host_tokens import REFRESH_LIFE, HeldRefresh, Revocation
from signoff.oauth.pacing import MayNot, Recorded, TokenPace, TokenRecord, TooSoon
from signoff.sealed import Sealer, hash_id
from signoff.storage import consents, paces
from signoff.storage.clock import to_us
from signoff.storage.sqlite import Database, Tx

ADD: Final = """
INSERT INTO refresh_tokens (hash, consent_id, jkt, issued_at, expires_at)
VALUES (:hash, :consent_id, :jkt, :now, :expires_at)
"""
FIND: Final = """
SELECT consents.*, token.jkt, token.used_at IS NOT NULL AS used
FROM refresh_tokens AS token JOIN consents ON consents.id = token.consent_id
WHERE token.hash = :hash AND token.expires_at > :now
  AND consents.client_id = :client_id AND consents.revoked_at IS NULL
"""
USE: Final = f"""
UPDATE refresh_tokens SET used_at = :now
WHERE hash = :hash AND used_at IS NULL AND expires_at > :now AND {consents.HOLDS}
RETURNING consent_id
"""  # noqa: S608 — two constants
FORGET: Final = """
DELETE FROM refresh_tokens WHERE hash IN
  (SELECT hash FROM refresh_tokens WHERE expires_at < :now LIMIT 8)
"""
# Of an unused token: a used one is for its replay to be seen, however soon.
CONSENT_OF: Final = """
SELECT consent_id FROM refresh_tokens WHERE hash = :hash AND used_at IS NULL
"""


class SqliteRefreshTokens:
    """Implements `oauth.host_tokens.RefreshStore`, and takes tokens back (RFC 7009)."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database, self._sealer = database, sealer

    async def find(self, token: str, *, client_id: str) -> HeldRefresh | None:
        """Return a live or used token of this client."""
        params = {
            "hash": hash_id(token),
            "client_id": client_id,
            "now": to_us(self._database.now()),
        }
        row = await self._database.fetch_one(FIND, params)
        if row is None:
            return None
        return HeldRefresh(
            consent=consents.read(row, self._sealer), jkt=row["jkt"], used=bool(row["used"])
        )

    async def rotate(
        self,
        token: str,
        *,
        client_id: str,
        successor: str,
        bound_to: str | None = None,
        pace: TokenPace,
    ) -> TokenRecord:
        """Use a token up and keep its successor, if it may be and so soon."""

        def job(tx: Tx) -> TokenRecord:
            tx.execute(FORGET, {"now": tx.now_us})
            paces.forget(tx, "refresh")
            params = {"hash": hash_id(token), "client_id": client_id, "now": tx.now_us}
            unused = tx.one(CONSENT_OF, params)
            if unused is None:
                return MayNot()
            consent_id: str = unused["consent_id"]
            due = paces.due(tx, "refresh", consent_id, pace=pace)
            if isinstance(due, TooSoon):
                return due
            if tx.one(USE, params) is None:
                return MayNot()
            paces.keep(tx, "refresh", consent_id, due)
            add(tx, successor, consent_id=consent_id, jkt=bound_to)
            tx.audit(AuditEvent(event="consent.refreshed", subject=consent_id, actor=client_id))
            return Recorded()

        return await self._database.write(job)

    async def revoke(self, token: str, *, client_id: str) -> bool:
        """End the consent behind a token of this client; False when there is none."""
        found = await self.find(token, client_id=client_id)
        if found is None:
            return False
        return await self._database.write(
            lambda tx: consents.revoke(tx, found.consent.id, why="revoked", by=client_id)
        )

    async def end(self, consent_id: str, *, why: Revocation, by: str) -> bool:
        """End everything that came from a consent; False when it had ended before."""
        return await self._database.write(
            lambda tx: consents.revoke(tx, consent_id, why=why, by=by)
        )


def add(tx: Tx, token: str, *, consent_id: str, jkt: str | None) -> None:
    """Keep a fresh token, of use with this key only if there is one."""
    add_hash(tx, hash_id(token), consent_id=consent_id, jkt=jkt)


def add_hash(tx: Tx, token_hash: bytes, *, consent_id: str, jkt: str | None) -> None:
    """Keep a fresh token by its hash."""
    tx.execute(
        ADD,
        {
            "hash": token_hash,
            "consent_id": consent_id,
            "jkt": jkt,
            "now": tx.now_us,
            "expires_at": to_us(tx.now + REFRESH_LIFE),
        },
    )
