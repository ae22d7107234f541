"""Signing keys at rest.

Owns the statements on `signing_keys`: private keys are sealed for their row. Knows no JOSE and
no rotation rule; see `tokens.keyring.Keyring`.
"""

from collections.abc import Sequence
from typing import Final

from signoff.audit import AuditEvent
from signoff.sealed import Sealer
from signoff.storage.clock import from_us, to_us
from signoff.storage.sqlite import Database, Tx
from signoff.tokens.keyring import StoredKey

LOAD: Final = "SELECT kid, private, created_at, signs_from FROM signing_keys ORDER BY signs_from"
ADD: Final = """
INSERT INTO signing_keys (kid, private, created_at, signs_from)
VALUES (:kid, :private, :created_at, :signs_from)
"""
REMOVE: Final = "DELETE FROM signing_keys WHERE kid = :kid"


class SqliteKeys:
    """Implements `tokens.keyring.KeyStore`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database, self._sealer = database, sealer

    async def load(self) -> Sequence[StoredKey]:
        """Return every key still published, oldest first."""
        return [
            StoredKey(
                kid=row["kid"],
                private=self._sealer.open(
                    row["private"], table="signing_keys", row=row["kid"], column="private"
                ),
                created_at=from_us(row["created_at"]),
                signs_from=from_us(row["signs_from"]),
            )
            for row in await self._database.fetch_all(LOAD)
        ]

    async def add(self, key: StoredKey) -> None:
        """Keep a new key, sealed, with an audit row."""
        private = self._sealer.seal(
            key.private, table="signing_keys", row=key.kid, column="private"
        )

        def job(tx: Tx) -> None:
            tx.execute(
                ADD,
                {
                    "kid": key.kid,
                    "private": private,
                    "created_at": to_us(key.created_at),
                    "signs_from": to_us(key.signs_from),
                },
            )
            tx.audit(AuditEvent(event="key.created", subject=key.kid, actor="system"))

        await self._database.write(job)

    async def remove(self, kid: str) -> None:
        """Forget a key whose last token has expired, with an audit row."""

        def job(tx: Tx) -> None:
            if tx.execute(REMOVE, {"kid": kid}):
                tx.audit(AuditEvent(event="key.removed", subject=kid, actor="system"))

        await self._database.write(job)
