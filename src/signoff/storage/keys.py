"""Signing keys at rest.

Owns the statements on `signing_keys`: private keys are sealed for their row. Knows no JOSE and
no rotation rule; see `tokens.keyring.Keyring`.
"""

from collections.abc import Sequence
from typing import Final, Literal

from signoff.audit import AuditEvent
from signoff.sealed import Sealer
from signoff.storage.clock import from_us, to_us
from signoff.storage.sqlite import Database, Tx
from signoff.tokens.keyring import StoredKey

LOAD: Final = """
SELECT kid, private, created_at, signs_from FROM signing_keys WHERE purpose = :purpose
ORDER BY signs_from
"""
ADD: Final = """
INSERT INTO signing_keys (kid, purpose, private, created_at, signs_from)
VALUES (:kid, :purpose, :private, :created_at, :signs_from)
"""
REMOVE: Final = "DELETE FROM signing_keys WHERE kid = :kid AND purpose = :purpose"


class SqliteKeys:
    """Implements `tokens.keyring.KeyStore` for one purpose: our tokens, or the gate's assertions.

    A key is sealed for its purpose too: in the wrong place it opens nothing.
    """

    def __init__(
        self, database: Database, sealer: Sealer, purpose: Literal["issuer", "client"] = "issuer"
    ) -> None:
        self._database, self._sealer, self._purpose = database, sealer, purpose
        self._column = "private" if purpose == "issuer" else f"private of a {purpose}"

    async def load(self) -> Sequence[StoredKey]:
        """Return every key still published, oldest first."""
        return [
            StoredKey(
                kid=row["kid"],
                private=self._sealer.open(
                    row["private"], table="signing_keys", row=row["kid"], column=self._column
                ),
                created_at=from_us(row["created_at"]),
                signs_from=from_us(row["signs_from"]),
            )
            for row in await self._database.fetch_all(LOAD, {"purpose": self._purpose})
        ]

    async def add(self, key: StoredKey) -> None:
        """Keep a new key, sealed, with an audit row."""
        private = self._sealer.seal(
            key.private, table="signing_keys", row=key.kid, column=self._column
        )

        def job(tx: Tx) -> None:
            tx.execute(
                ADD,
                {
                    "kid": key.kid,
                    "purpose": self._purpose,
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
            if tx.execute(REMOVE, {"kid": kid, "purpose": self._purpose}):
                tx.audit(AuditEvent(event="key.removed", subject=kid, actor="system"))

        await self._database.write(job)
