"""Consents of people to applications, in SQLite: what everything that lasts hangs on.

Owns the rows of `consents`. Who or what is switched off or deleted can give or get none, by the
statement's own WHERE; a revoked consent ends its tokens at the assistants' door at once.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from signoff.audit import AuditEvent
from signoff.canonical import Json
from signoff.oauth.host_tokens import Consent, Revocation
from signoff.sealed import Sealer
from signoff.storage.clock import from_us, to_us
from signoff.storage.sqlite import Row, Tx

_KEEP: Final = timedelta(days=4)
"""Longer than any access token lives, and any call waits: a missing consent refuses its tokens, and
by it the document of a client is known to be of use."""

ADD: Final = """
INSERT INTO consents (id, client_id, user_id, scope, resource, acr, approval_id, details,
                      decided_at)
SELECT :id, :client_id, :user_id, :scope, :resource, :acr, :approval_id, :details, :decided_at
WHERE NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.id IN (:user_id, :client_id))
  AND (EXISTS (SELECT 1 FROM clients WHERE clients.id = :client_id)
       OR EXISTS (SELECT 1 FROM client_documents AS d WHERE d.client_id = :client_id))
"""
HOLDS: Final = """
EXISTS (SELECT 1 FROM consents
        WHERE consents.id = consent_id AND consents.client_id = :client_id
          AND consents.revoked_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM disabled
                          WHERE disabled.id IN (consents.user_id, consents.client_id))
          AND (EXISTS (SELECT 1 FROM clients WHERE clients.id = consents.client_id)
               OR EXISTS (SELECT 1 FROM client_documents AS d
                          WHERE d.client_id = consents.client_id)))
"""
"""Guards the use of a row with a `consent_id`."""
USED: Final = "UPDATE clients SET last_used_at = :now WHERE id = :client_id"
REVOKE: Final = """
UPDATE consents SET revoked_at = :now, revoked_for = :why WHERE id = :id AND revoked_at IS NULL
"""
OF_CLIENT: Final = "SELECT id FROM consents WHERE client_id = :client_id AND revoked_at IS NULL"
# A few at a time, on the way: the tables never hold much more than what is still alive.
FORGET: Final = """
DELETE FROM consents WHERE id IN
  (SELECT id FROM consents
   WHERE decided_at < :before
     AND NOT EXISTS (SELECT 1 FROM refresh_tokens
                     WHERE consent_id = consents.id AND expires_at > :before)
   LIMIT 8)
"""


def add(tx: Tx, consent: Consent, *, details: bytes | None = None) -> bool:
    """Keep a yes with its audit row; False when the person or the client may not act now.

    `details` are its `authorization_details`, sealed for the row.
    """
    params = {
        "id": consent.id,
        "client_id": consent.client_id,
        "user_id": consent.user_id,
        "scope": consent.scope,
        "resource": consent.resource,
        "acr": consent.acr,
        "approval_id": consent.approval_id,
        "details": details,
        "decided_at": tx.now_us if consent.approval_id is None else to_us(consent.decided_at),
    }
    tx.execute(FORGET, {"before": to_us(tx.now - _KEEP)})
    if not tx.execute(ADD, params):
        return False
    tx.execute(USED, {"client_id": consent.client_id, "now": tx.now_us})
    facts = AuditEvent(
        event="consent.given",
        subject=consent.id,
        actor=consent.user_id,
        details={
            "client_id": consent.client_id[:256],
            "scope": consent.scope,
            **({} if consent.approval_id is None else {"approval": consent.approval_id}),
        },
    )
    tx.audit(facts)
    return True


def revoke(tx: Tx, consent_id: str, *, why: Revocation, by: str) -> bool:
    """End a consent with its audit row; False when it had ended before."""
    if not tx.execute(REVOKE, {"id": consent_id, "why": why, "now": tx.now_us}):
        return False
    tx.audit(
        AuditEvent(event="consent.revoked", subject=consent_id, actor=by, details={"why": why})
    )
    return True


def revoke_all(tx: Tx, client_id: str, *, why: Revocation, by: str) -> None:
    """End every consent to a client."""
    for row in tx.all(OF_CLIENT, {"client_id": client_id}):
        revoke(tx, row["id"], why=why, by=by)


def read(row: Row, sealer: Sealer | None = None) -> Consent:
    """Read the columns of `consents`; without a sealer, without details.

    Raises:
        SealError: the sealed details were changed or moved.
    """
    plain = b"[]"
    if sealer is not None and row["details"] is not None:
        plain = sealer.open(row["details"], table="consents", row=row["id"], column="details")
    return Consent(
        id=row["id"],
        client_id=row["client_id"],
        user_id=row["user_id"],
        scope=row["scope"],
        resource=row["resource"],
        acr=row["acr"],
        decided_at=from_us(row["decided_at"]),
        approval_id=row["approval_id"],
        authorization_details=_details(plain),
    )


def _details(plain: bytes) -> tuple[Mapping[str, Json], ...]:
    return tuple(json.loads(plain))
