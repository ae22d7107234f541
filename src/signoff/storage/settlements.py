"""Outcomes that nobody knew until a person looked: what they found, until the gate has heard.

Owns how an approver's mark is kept here, where the gate is elsewhere. Where it is in this process
it is told at once, and tells back.
"""

from typing import Final

from signoff.audit import AuditEvent
from signoff.sealed import hash_id
from signoff.storage.sqlite import Database, Tx

SETTLE: Final = """
UPDATE approvals SET outcome = :outcome, outcome_at = :now, outcome_note = :note,
                     reconciled_by = :by
WHERE id = :id AND outcome = 'outcome_unknown'
  AND EXISTS (SELECT 1 FROM approval_eligible AS e
              WHERE e.approval_id = approvals.id AND e.user_id = :by)
RETURNING call_id
"""
FIND: Final = """
SELECT a.outcome, a.reconciled_by FROM auth_req_ids AS t
JOIN approvals AS a ON a.id = t.approval_id
WHERE t.hash = :ticket AND t.client_id = :client_id AND a.reconciled_by IS NOT NULL
"""


class SqliteSettlements:
    """Implements `oauth.outcome.Settlements`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def settle(self, approval_id: str, *, done: bool, by: str) -> bool:
        """Keep what an eligible approver found; False when the outcome was not unknown any more."""
        found = "done" if done else "not done"

        def job(tx: Tx) -> bool:
            params = {
                "id": approval_id,
                "outcome": "succeeded" if done else "failed",
                "now": tx.now_us,
                "note": f"{by} marked it as {found}",
                "by": by,
            }
            row = tx.one(SETTLE, params)
            if row is None:
                return False
            details = {"call_id": row["call_id"], "found": found}
            tx.audit(
                AuditEvent(
                    event="approval.reconciled", subject=approval_id, actor=by, details=details
                )
            )
            tx.changed("approval", approval_id)
            return True

        return await self._database.write(job)

    async def found(self, auth_req_id: str, *, client_id: str) -> tuple[bool, str] | None:
        """Return whether it was done and who says so, to the client whose request it was."""
        params = {"ticket": hash_id(auth_req_id), "client_id": client_id}
        row = await self._database.fetch_one(FIND, params)
        return None if row is None else (row["outcome"] == "succeeded", str(row["reconciled_by"]))
