"""Access that goes on after a yes on the page: the consent of a backchannel request (CIBA).

Owns how an approval becomes a consent with its first refresh token, in the transaction that redeems
it, and the end of both when its auth_req_id comes again. The approved details are sealed.
"""

import json
from typing import Final

from signoff.approvals.ports import Lasting
from signoff.approvals.request import Approval
from signoff.oauth.host_tokens import Consent
from signoff.sealed import Sealer
from signoff.storage import consents, refresh_tokens
from signoff.storage.sqlite import Tx

OF_APPROVAL: Final = """
SELECT id FROM consents WHERE approval_id = :id AND client_id = :client_id
"""


class NotKeptError(Exception):
    """The person or the client may not act any more: undoes the redemption it was a part of."""


def keep(tx: Tx, approval: Approval, lasting: Lasting, *, sealer: Sealer) -> None:
    """Keep the consent and the refresh token of a redeemed approval."""
    if approval.decided_by is None or approval.decided_at is None:
        raise NotKeptError(approval.id)
    consent = Consent(
        id=lasting.consent_id,
        client_id=approval.client_id,
        user_id=approval.decided_by,
        scope=approval.scope,
        resource=approval.resources[0],
        acr=approval.decided_acr or approval.acr,
        decided_at=approval.decided_at,
        approval_id=approval.id,
        authorization_details=approval.authorization_details,
    )
    details = None
    if consent.authorization_details:
        plain = json.dumps(consent.authorization_details, separators=(",", ":")).encode()
        details = sealer.seal(plain, table="consents", row=consent.id, column="details")
    if not consents.add(tx, consent, details=details):
        raise NotKeptError(approval.id)
    refresh_tokens.add_hash(tx, lasting.refresh_token, consent_id=consent.id, jkt=None)


def end(tx: Tx, approval_id: str, *, client_id: str) -> None:
    """End what came of an approval whose auth_req_id was used again."""
    for row in tx.all(OF_APPROVAL, {"id": approval_id, "client_id": client_id}):
        consents.revoke(tx, row["id"], why="auth_req_id_replayed", by=client_id)
