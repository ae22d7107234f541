"""Access tokens that were taken back before they expired.

Owns the statements on `revoked_tokens`. A token's own signature and times are checked elsewhere;
here stands only that somebody took it back.
"""

from datetime import datetime, timedelta
from typing import Final

from signoff.approvals.details import NOBODY, Acting
from signoff.audit import AuditEvent
from signoff.oauth.clients import GATE_ID
from signoff.storage import lasting_access
from signoff.storage.clock import to_us
from signoff.storage.sqlite import Database, Tx

REVOKE: Final = """
INSERT INTO revoked_tokens (jti, expires_at) VALUES (:jti, :expires_at)
ON CONFLICT (jti) DO NOTHING
"""
FORGET: Final = "DELETE FROM revoked_tokens WHERE expires_at < :before"
GIVEN_BY: Final = """
SELECT token_jti FROM approvals WHERE id = :id AND client_id = :client_id AND status = 'redeemed'
"""
STANDING: Final = """
SELECT 1
WHERE NOT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = :jti)
  AND NOT EXISTS (SELECT 1 FROM disabled
                  WHERE disabled.id IN (:sub, :client_id, :acting_client, :acting_sub))
  AND (:client_id = :gate
       OR EXISTS (SELECT 1 FROM clients
                  WHERE clients.id = :client_id
                    AND (clients.expires_at IS NULL OR clients.expires_at > :now))
       OR EXISTS (SELECT 1 FROM client_documents AS d WHERE d.client_id = :client_id))
  AND (:acting_client IS NULL
       OR EXISTS (SELECT 1 FROM clients
                  WHERE clients.id = :acting_client
                    AND (clients.expires_at IS NULL OR clients.expires_at > :now))
       OR EXISTS (SELECT 1 FROM client_documents AS d WHERE d.client_id = :acting_client))
  AND (:consent_id IS NULL
       OR EXISTS (SELECT 1 FROM consents
                  WHERE consents.id = :consent_id AND consents.revoked_at IS NULL))
"""
ENDED: Final = """
SELECT 1 FROM approvals JOIN revoked_tokens ON revoked_tokens.jti = approvals.token_jti
WHERE approvals.id = :id AND approvals.client_id = :client_id
  AND NOT EXISTS (SELECT 1 FROM consents
                  WHERE consents.approval_id = approvals.id AND consents.revoked_at IS NULL)
"""
_LONGEST_LIFE: Final = timedelta(hours=25)
_LEEWAY: Final = timedelta(minutes=5)
"""A verifier's clock may be behind: a token stays taken back for as long as it is taken."""


class SqliteRevocations:
    """Implements `oauth.revocation.Revocations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revoke(self, jti: str, *, expires_at: datetime, by: str) -> None:
        """Take a token back; doing it twice is doing it once."""
        await self._database.write(lambda tx: revoke(tx, jti, expires_at=expires_at, by=by))

    async def revoke_of(self, approval_id: str, *, client_id: str) -> None:
        """Take back what a redeemed approval of this client gave: its id was used again."""
        mine = {"id": approval_id, "client_id": client_id}
        if self._database.look_up(ENDED, mine) is not None:
            return  # a flood costs no write

        def job(tx: Tx) -> None:
            row = tx.one(GIVEN_BY, mine)
            if row is not None:
                lasting_access.end(tx, approval_id, client_id=client_id)
                until = tx.now + _LONGEST_LIFE
                revoke(tx, row["token_jti"], expires_at=until, by=client_id)

        await self._database.write(job)

    async def standing(
        self,
        jti: str,
        *,
        sub: str,
        client_id: str,
        consent_id: str | None = None,
        by: Acting = NOBODY,
    ) -> bool:
        """Tell whether nobody took the token back, and whom it names may still act."""
        params = {
            "jti": jti,
            "sub": sub,
            "client_id": client_id,
            "consent_id": consent_id,
            "acting_client": by.client_id,
            "acting_sub": by.sub,
            "gate": GATE_ID,
            "now": to_us(self._database.now()),
        }
        return self._database.look_up(STANDING, params) is not None

    async def forget(self) -> None:
        """Forget tokens that have expired anyway. Call hourly."""
        before = to_us(self._database.now() - _LEEWAY)
        await self._database.write(lambda tx: tx.execute(FORGET, {"before": before}))


def revoke(tx: Tx, jti: str, *, expires_at: datetime, by: str) -> None:
    """Take a token back inside a transaction, with its audit row."""
    if tx.execute(REVOKE, {"jti": jti, "expires_at": to_us(expires_at)}):
        tx.audit(AuditEvent(event="token.revoked", subject=jti, actor=by))
