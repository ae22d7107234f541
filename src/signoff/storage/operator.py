"""What the operator at the terminal may see and do across callers: list calls, deny one.

Owns the statements behind `signoff calls`. Nothing here approves.
"""

from collections.abc import Sequence
from typing import Final

from signoff.approvals.request import Approval, Event, Status, advance
from signoff.gate.call import Call
from signoff.sealed import Sealer
from signoff.storage import approval_rows as rows
from signoff.storage.calls import SqliteCalls
from signoff.storage.sqlite import Database, Tx

OPERATOR: Final = "operator"
"""Who denies from the terminal, in the audit chain and in the answer to the assistant."""

RECENT: Final = """
SELECT id FROM calls WHERE :every OR state IN
  ('opening', 'waiting', 'authorized', 'claimed', 'dispatching', 'outcome_unknown')
ORDER BY opened_at DESC LIMIT :limit
"""
PENDING_OF_CALL: Final = """
SELECT c.* FROM approval_cards c WHERE c.call_id = :call_id AND c.status = 'pending'
"""
DENY: Final = """
UPDATE approvals SET status = 'denied', decided_at = :now, decided_by = :by, reason = :reason
WHERE id = :id AND status = 'pending' AND expires_at > :now
RETURNING id
"""


class OperatorCalls:
    """Calls of every caller, for the person who runs signoff."""

    def __init__(self, database: Database, sealer: Sealer, calls: SqliteCalls) -> None:
        self._database, self._sealer, self._calls = database, sealer, calls

    async def recent(self, *, every: bool, limit: int = 100) -> Sequence[Call]:
        """Return calls that are open or of unknown outcome, or all, the newest first."""
        found = await self._database.fetch_all(RECENT, {"every": every, "limit": limit})
        loaded = [await self._calls.load(row["id"]) for row in found]
        return [call for call in loaded if call is not None]

    async def find(self, call_id: str) -> Call | None:
        """Return one call."""
        return await self._calls.load(call_id)

    async def deny(self, call_id: str, *, reason: str | None) -> Approval | None:
        """Deny what still waits for a person; None when nothing does. Audited as the operator."""

        def job(tx: Tx) -> Approval | None:
            row = tx.one(PENDING_OF_CALL, {"call_id": call_id})
            if row is None:
                return None
            approval = rows.end_if_due(tx, rows.read(row, self._sealer))
            if approval.status is not Status.PENDING:
                return None
            after = advance(approval, Event.DENY, now=tx.now, by=OPERATOR, reason=reason)
            swapped = tx.one(
                DENY, {"id": approval.id, "now": tx.now_us, "by": OPERATOR, "reason": reason}
            )
            if swapped is None:
                return None
            rows.tell(tx, after, actor=OPERATOR)
            return after

        return await self._database.write(job)
