"""Authorization codes in SQLite, each made from a consent.

Owns their statements. Codes stand here as SHA-256 only. Who or what is switched off or deleted is
refused by each statement's own WHERE, at the yes and again when the code is used.
"""

from typing import Final

from signoff.audit import AuditEvent
from signoff.oauth.host_tokens import Consent, HeldCode, NewCode, Revocation
from signoff.sealed import hash_id
from signoff.storage import consents, refresh_tokens
from signoff.storage.clock import from_us, to_us
from signoff.storage.sqlite import Database, Tx

ANSWERED: Final = "SELECT 1 FROM authorization_codes WHERE request_id = :request_id"
ADD_CODE: Final = """
INSERT INTO authorization_codes
  (hash, consent_id, request_id, redirect_uri, code_challenge, nonce, dpop_jkt, expires_at)
VALUES (:hash, :consent_id, :request_id, :redirect_uri, :code_challenge, :nonce, :dpop_jkt,
        :expires_at)
"""
FIND: Final = """
SELECT consents.*, code.redirect_uri, code.code_challenge, code.nonce, code.dpop_jkt,
       code.expires_at, code.used_at IS NOT NULL AS used
FROM authorization_codes AS code JOIN consents ON consents.id = code.consent_id
WHERE code.hash = :hash AND consents.client_id = :client_id
"""
USE: Final = f"""
UPDATE authorization_codes SET used_at = :now
WHERE hash = :hash AND used_at IS NULL AND expires_at > :now AND {consents.HOLDS}
RETURNING consent_id
"""  # noqa: S608 — two constants


class SqliteCodes:
    """Implements `oauth.host_tokens.CodeStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def consent(self, consent: Consent, code: NewCode) -> bool:
        """Keep a yes and its code, with an audit row; False when it may not be."""

        def job(tx: Tx) -> bool:
            if tx.one(ANSWERED, {"request_id": code.request_id}) is not None:
                return False
            if not consents.add(tx, consent):
                return False
            tx.execute(
                ADD_CODE,
                {
                    "hash": hash_id(code.code),
                    "consent_id": consent.id,
                    "request_id": code.request_id,
                    "redirect_uri": code.redirect_uri,
                    "code_challenge": code.code_challenge,
                    "nonce": code.nonce,
                    "dpop_jkt": code.dpop_jkt,
                    "expires_at": to_us(tx.now + code.expires_in),
                },
            )
            return True

        return await self._database.write(job)

    async def find(self, code: str, *, client_id: str) -> HeldCode | None:
        """Return a code of this client, used ones too."""
        params = {"hash": hash_id(code), "client_id": client_id}
        row = await self._database.fetch_one(FIND, params)
        if row is None:
            return None
        return HeldCode(
            consent=consents.read(row),
            redirect_uri=row["redirect_uri"],
            code_challenge=row["code_challenge"],
            nonce=row["nonce"],
            dpop_jkt=row["dpop_jkt"],
            expires_at=from_us(row["expires_at"]),
            used=bool(row["used"]),
        )

    async def redeem(
        self,
        code: str,
        *,
        client_id: str,
        refresh_token: str | None,
        bound_to: str | None = None,
    ) -> bool:
        """Use a code up and keep its refresh token."""

        def job(tx: Tx) -> bool:
            params = {"hash": hash_id(code), "client_id": client_id, "now": tx.now_us}
            used = tx.one(USE, params)
            if used is None:
                return False
            if refresh_token is not None:
                consent_id = used["consent_id"]
                refresh_tokens.add(tx, refresh_token, consent_id=consent_id, jkt=bound_to)
            facts = AuditEvent(
                event="consent.code_redeemed", subject=used["consent_id"], actor=client_id
            )
            tx.audit(facts)
            return True

        return await self._database.write(job)

    async def revoke(self, consent_id: str, *, why: Revocation, by: str) -> bool:
        """End everything that came from a consent; False when it had ended before."""
        return await self._database.write(
            lambda tx: consents.revoke(tx, consent_id, why=why, by=by)
        )
