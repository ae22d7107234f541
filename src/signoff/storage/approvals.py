"""Approvals at rest: one method, one transaction, its audit row inside.

Implements `approvals.ports.ApprovalStore` on SQLite. The statements stand in `approval_rows`.
Details are sealed for their row; an auth_req_id is known only by its SHA-256.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from signoff.approvals.details import acting
from signoff.approvals.ports import (
    Decided,
    Decision,
    Lasting,
    Mismatch,
    NotOpened,
    NotYours,
    Opened,
    Opening,
    Ticket,
    TooLate,
    Verdict,
)
from signoff.approvals.request import Approval, Event, Status, advance
from signoff.approvals.service import holds, tool_call_of
from signoff.audit import AuditEvent
from signoff.sealed import Sealer
from signoff.storage import approval_load, callbacks, lasting_access
from signoff.storage import approval_rows as rows
from signoff.storage.clock import from_us, to_us
from signoff.storage.sqlite import Database, Row, Tx

_ALL: Final = 1_000
_STRENGTH: Final = {"session": 1, "passkey": 2}


class SqliteApprovals:
    """Implements `approvals.ports.ApprovalStore`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database, self._sealer = database, sealer

    async def open(self, opening: Opening) -> Opened | NotOpened:
        """Store the approval, or find the one its call has, and add the auth_req_id."""
        plain = json.dumps(opening.authorization_details, separators=(",", ":")).encode()
        details = self._sealer.seal(plain, table="approvals", row=opening.id, column="details")
        address = None
        if opening.callback is not None:
            address = callbacks.sealed_address(self._sealer, opening.ticket, opening.callback)
        return await self._database.write(lambda tx: self._open(tx, opening, details, address))

    async def load(self, approval_id: str) -> Approval | None:
        """Return an approval whoever asks."""
        row = self._database.look_up(rows.LOAD, {"id": approval_id})
        return None if row is None else self._read(row)

    async def view(
        self, approval_id: str, *, user_id: str, details: bool = True
    ) -> Approval | None:
        """Return an approval to somebody who may decide it, and None to everybody else."""
        params = {"id": approval_id, "user_id": user_id}
        row = await self._database.fetch_one(rows.VIEW if details else rows.VIEW_HEAD, params)
        return None if row is None else rows.read(row, self._sealer if details else None)

    async def rivals(self, approval: Approval, *, user_id: str, limit: int) -> list[Approval]:
        """Return what else waits for the user by the same tool, soonest end first."""
        call = tool_call_of(approval.authorization_details)
        if call is None:
            return []
        params = {
            "user_id": user_id,
            "tool": str(call["tool"]),
            "id": approval.id,
            "now": to_us(self._database.now()),
            "limit": limit,
        }
        return [self._read(row) for row in await self._database.fetch_all(rows.RIVALS, params)]

    async def inbox(self, user_id: str, *, limit: int, details: bool = True) -> list[Approval]:
        """Return all the user may decide, soonest end first, then what is over, up to `limit`.

        What waits is bounded by the caps on it. Cut at `limit`, one client's requests could push
        another's off the list.
        """
        params: dict[str, str | int] = {"user_id": user_id, "limit": _ALL}
        waiting, recent = rows.WAITING, rows.RECENT
        if not details:
            waiting, recent = rows.WAITING_HEADS, rows.RECENT_HEADS
        found = list(await self._database.fetch_all(waiting, params))
        if len(found) < limit:
            params["limit"] = limit - len(found)
            found += await self._database.fetch_all(recent, params)
        return [rows.read(row, self._sealer if details else None) for row in found]

    async def find(self, ticket: bytes, *, client_id: str) -> Ticket | None:
        """Return where the request stands; None when unknown or another client's."""
        row = self._database.look_up(rows.FIND, {"ticket": ticket, "client_id": client_id})
        if row is None:
            return None
        return Ticket(
            approval_id=row["id"],
            status=rows.status_at(row, to_us(self._database.now())),
            interval_s=row["interval_s"],
            expires_at=from_us(row["expires_at"]),
            decided_by=row["decided_by"],
            reason=row["reason"],
        )

    async def slow_down(self, ticket: bytes, *, by_s: int, at_most_s: int) -> None:
        """Lengthen the interval of this auth_req_id for good."""
        params = {"ticket": ticket, "by_s": by_s, "at_most_s": at_most_s}
        await self._database.write(lambda tx: tx.execute(rows.SLOW_DOWN, params))

    async def decide(
        self,
        approval_id: str,
        *,
        user_id: str,
        digest: str,
        verdict: Verdict,
        reason: str | None,
        acr: str,
    ) -> Decision:
        """Decide once; everything it rests on is checked in the swap."""

        def job(tx: Tx) -> Decision:
            row = tx.one(rows.VIEW, {"id": approval_id, "user_id": user_id})
            if row is None:
                return NotYours()
            approval = rows.end_if_due(tx, self._read(row))
            if approval.status is not Status.PENDING:
                return TooLate(approval=approval)
            if digest != approval.digest or not holds(approval):
                return Mismatch(approval=approval, member="digest")
            if verdict == "approve" and not _strong_enough(acr, approval.acr):
                return Mismatch(approval=approval, member="acr")
            event = Event.APPROVE if verdict == "approve" else Event.DENY
            after = advance(approval, event, now=tx.now, by=user_id, acr=acr, reason=reason)
            return _swap(tx, approval, after)

        return await self._database.write(job)

    async def redeem(
        self,
        ticket: bytes,
        *,
        client_id: str,
        jti: str,
        decided_at: datetime,
        undelivered: bytes | None = None,
        lasting: Lasting | None = None,
    ) -> Approval | None:
        """Consume the yes for the token `jti`; None when somebody was first or it does not hold."""
        answer = None
        if undelivered is not None:
            answer = callbacks.sealed_answer(self._sealer, ticket, undelivered)

        def job(tx: Tx) -> Approval | None:
            row = tx.one(rows.BY_TICKET, {"ticket": ticket, "client_id": client_id})
            if row is None:
                return None
            approval = rows.end_if_due(tx, self._read(row))
            if approval.status is not Status.APPROVED or not holds(approval):
                return None
            after = advance(approval, Event.REDEEM, now=tx.now)
            swapped = tx.one(
                rows.REDEEM,
                {
                    "id": approval.id,
                    "client_id": client_id,
                    "jti": jti,
                    "decided_at": to_us(decided_at),
                    "now": tx.now_us,
                },
            )
            if swapped is None:
                return None
            rows.tell(tx, after, actor=client_id, details={"jti": jti})
            if lasting is not None:
                lasting_access.keep(tx, after, lasting, sealer=self._sealer)
            if answer is not None:
                keep = callbacks.KEEP_LASTING if lasting else callbacks.KEEP_ANSWER
                until = to_us(tx.now + keep)
                tx.execute(rows.KEEP_ANSWER, {"ticket": ticket, "answer": answer, "until": until})
            return after

        try:
            return await self._database.write(job)
        except lasting_access.NotKeptError:
            return None

    async def withdraw(self, ticket: bytes, *, client_id: str) -> Status | None:
        """End a pending request of this client; return the status then, None when unknown."""

        def job(tx: Tx) -> Status | None:
            row = tx.one(rows.BY_TICKET, {"ticket": ticket, "client_id": client_id})
            if row is None:
                return None
            approval = rows.end_if_due(tx, rows.read(row, None))
            if approval.status is Status.PENDING:
                approval = rows.end(tx, approval, Event.WITHDRAW, actor=client_id)
            return approval.status

        return await self._database.write(job)

    async def note_outcome(
        self, ticket: bytes, *, client_id: str, state: str, at: datetime, note: str | None
    ) -> bool:
        """Keep how the call goes, for the page; older news never replaces newer."""

        def job(tx: Tx) -> bool:
            row = tx.one(rows.FIND, {"ticket": ticket, "client_id": client_id})
            if row is None:
                return False
            params = {"id": row["id"], "state": state, "at": to_us(at), "note": note}
            if tx.execute(rows.NOTE_OUTCOME, params):
                event = AuditEvent(
                    event="approval.outcome",
                    subject=row["id"],
                    actor=client_id,
                    details={"state": state},
                )
                tx.audit(event)
                tx.changed("approval", row["id"])
            return True

        return await self._database.write(job)

    async def note_listener(self, ticket: bytes, *, client_id: str, left: datetime | None) -> bool:
        """Keep since when nobody listens, or that somebody does again."""

        def job(tx: Tx) -> bool:
            row = tx.one(rows.FIND, {"ticket": ticket, "client_id": client_id})
            if row is None:
                return False
            tx.execute(rows.NOTE_LISTENER, {"id": row["id"], "left": left and to_us(left)})
            tx.changed("approval", row["id"])
            return True

        return await self._database.write(job)

    async def sweep(self, *, limit: int) -> Sequence[str]:
        """Expire and lapse what is over, at most `limit`; return the ids of those."""
        params = {"now": to_us(self._database.now()), "limit": limit}
        if not (due := [row["id"] for row in await self._database.fetch_all(rows.DUE, params)]):
            return ()

        def job(tx: Tx) -> list[str]:
            ended: list[str] = []
            for approval_id in due:
                row = tx.one(rows.LOAD, {"id": approval_id})
                if row is not None:
                    before = rows.read(row, None)
                    if rows.end_if_due(tx, before).status is not before.status:
                        ended.append(approval_id)
            return ended

        return await self._database.write(job)

    async def forget(self, *, older_than: timedelta, limit: int) -> int:
        """Delete ended approvals opened longer ago than that; return how many."""
        params = {"before": to_us(self._database.now() - older_than), "limit": limit}
        old = [row["id"] for row in await self._database.fetch_all(rows.OLD, params)]
        if not old:
            return 0
        return await self._database.write(
            lambda tx: sum(tx.execute(rows.FORGET, {"id": approval_id}) for approval_id in old)
        )

    def _read(self, row: Row) -> Approval:
        return rows.read(row, self._sealer)

    def _open(
        self, tx: Tx, opening: Opening, details: bytes, address: bytes | None
    ) -> Opened | NotOpened:
        by = acting(tool_call_of(opening.authorization_details))
        caller = {"acting_client": by.client_id, "acting_sub": by.sub}
        standing = None
        if opening.call_id is not None:
            if tx.one(rows.MAY_NOT_ACT, caller) is not None:
                return NotOpened(why="caller_off")
            params = {"client_id": opening.client_id, "call_id": opening.call_id}
            standing = tx.one(rows.OF_CALL, params)
        if standing is not None:
            if tx.one(rows.IS_DISABLED, {"id": opening.client_id}) is not None:
                return NotOpened(why="client_off")
            approval = rows.end_if_due(tx, self._read(standing))
            if approval.digest != opening.digest or approval.scope != opening.scope:
                return NotOpened(why="conflict")
        else:
            refused = approval_load.refusal(tx, opening)
            if refused is not None:
                return refused
            approval = self._add(tx, opening, details, caller)
        tx.execute(
            rows.ADD_TICKET,
            {
                "ticket": opening.ticket,
                "id": approval.id,
                "client_id": opening.client_id,
                "interval_s": opening.interval_s,
                "now": tx.now_us,
            },
        )
        if opening.callback is not None:
            mode = opening.callback.mode
            tx.execute(
                rows.ADD_CALLBACK, {"ticket": opening.ticket, "mode": mode, "address": address}
            )
        return Opened(approval=approval, at=tx.now, repeated=standing is not None)

    def _add(
        self, tx: Tx, opening: Opening, details: bytes, caller: Mapping[str, str | None]
    ) -> Approval:
        call = tool_call_of(opening.authorization_details)
        tx.execute(
            rows.ADD,
            {
                "id": opening.id,
                "client_id": opening.client_id,
                "call_id": opening.call_id,
                "tool": None if call is None else str(call["tool"]),
                **caller,
                "scope": opening.scope,
                "binding_message": opening.binding_message,
                "details": details,
                "digest": opening.digest,
                "nonce": opening.nonce,
                "acr": opening.acr,
                "resources": json.dumps(opening.resources),
                "now": tx.now_us,
                "expires_at": to_us(tx.now + opening.expires_in),
            },
        )
        asked = {
            "id": opening.id,
            "now": tx.now_us,
            "client_id": opening.client_id if opening.call_id is None else None,
        }
        for user_id in opening.eligible:
            tx.execute(rows.ADD_ELIGIBLE, {**asked, "user_id": user_id})
        approval = Approval(
            id=opening.id,
            client_id=opening.client_id,
            call_id=opening.call_id,
            status=Status.PENDING,
            eligible=tuple(sorted(opening.eligible)),
            scope=opening.scope,
            binding_message=opening.binding_message,
            authorization_details=opening.authorization_details,
            digest=opening.digest,
            nonce=opening.nonce,
            acr=opening.acr,
            resources=opening.resources,
            opened_at=tx.now,
            expires_at=tx.now + opening.expires_in,
        )
        rows.tell(tx, approval, actor=opening.client_id, details={"eligible": [*approval.eligible]})
        tx.enqueue(
            "approval.opened",
            approval.id,
            {
                "eligible": [*approval.eligible],
                "client_id": approval.client_id,
                "expires_at": approval.expires_at.isoformat(),
            },
        )
        return approval


def _swap(tx: Tx, approval: Approval, after: Approval) -> Decision:
    swapped = tx.one(
        rows.DECIDE,
        {
            "id": approval.id,
            "status": after.status,
            "decided_at": tx.now_us,
            "decided_by": after.decided_by,
            "decided_acr": after.decided_acr,
            "reason": after.reason,
            "redeem_by": after.redeem_by and to_us(after.redeem_by),
            "now": tx.now_us,
            "digest": approval.digest,
        },
    )
    if swapped is None:
        # Only a client that was switched off gets here: its request is over.
        return TooLate(approval=rows.end(tx, approval, Event.WITHDRAW, actor="system"))
    rows.tell(tx, after, actor=str(after.decided_by), details={"acr": after.decided_acr})
    return Decided(approval=after)


def _strong_enough(given: str, wanted: str) -> bool:
    return _STRENGTH.get(given, 0) >= _STRENGTH[wanted]
