"""Approval rows: the statements, and the changes that more than one transaction makes.

Owns the SQL on `approvals`, `approval_eligible` and `auth_req_ids`, and what every change of a
status brings along: the audit row, the inbox's mark, the change feed. Which change is legal is
`approvals.request.advance`; a swap states it again in its WHERE, so that no row back means
somebody was first.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast

from signoff.approvals.request import Approval, Event, Status, advance
from signoff.audit import AuditEvent
from signoff.canonical import Json
from signoff.sealed import Sealer
from signoff.storage.clock import from_us
from signoff.storage.sqlite import Row, Tx

CALLBACK: Final = "ciba.callback"
"""The outbox's kind of a message to a ping or push client; its subject is the ticket in hex."""

LOAD: Final = "SELECT * FROM approval_cards WHERE id = :id"
OF_CALL: Final = """
SELECT * FROM approval_cards WHERE client_id = :client_id AND call_id = :call_id
"""
VIEW: Final = """
SELECT * FROM approval_cards
WHERE id = :id
  AND EXISTS (SELECT 1 FROM approval_eligible e
              WHERE e.approval_id = approval_cards.id AND e.user_id = :user_id)
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.id = :user_id)
"""
WAITING: Final = """
SELECT c.* FROM approval_eligible e JOIN approval_cards c ON c.id = e.approval_id
WHERE e.user_id = :user_id AND e.waiting = 1
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.id = :user_id)
ORDER BY c.expires_at LIMIT :limit
"""
RECENT: Final = """
SELECT c.* FROM approval_eligible e JOIN approval_cards c ON c.id = e.approval_id
WHERE e.user_id = :user_id AND e.waiting = 0
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.id = :user_id)
ORDER BY e.opened_at DESC LIMIT :limit
"""
VIEW_HEAD: Final = VIEW.replace("approval_cards", "approval_heads")
WAITING_HEADS: Final = WAITING.replace("approval_cards", "approval_heads")
RECENT_HEADS: Final = RECENT.replace("approval_cards", "approval_heads")
RIVALS: Final = """
SELECT c.* FROM approval_eligible e JOIN approval_cards c ON c.id = e.approval_id
WHERE e.user_id = :user_id AND e.waiting = 1 AND c.tool = :tool AND c.id <> :id
  AND c.expires_at > :now
  AND NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.id = :user_id)
ORDER BY c.expires_at LIMIT :limit
"""
BY_TICKET: Final = """
SELECT c.* FROM auth_req_ids t JOIN approval_cards c ON c.id = t.approval_id
WHERE t.hash = :ticket AND t.client_id = :client_id
"""
FIND: Final = """
SELECT a.id, a.status, a.expires_at, a.redeem_by, a.decided_by, a.reason, t.interval_s
FROM auth_req_ids t JOIN approvals a ON a.id = t.approval_id
WHERE t.hash = :ticket AND t.client_id = :client_id
"""
ADD: Final = """
INSERT INTO approvals (id, client_id, call_id, tool, acting_client, acting_sub, status, scope,
                       binding_message, details, digest, nonce, acr, resources, opened_at,
                       expires_at)
VALUES (:id, :client_id, :call_id, :tool, :acting_client, :acting_sub, 'pending', :scope,
        :binding_message, :details, :digest, :nonce, :acr, :resources, :now, :expires_at)
"""
ADD_ELIGIBLE: Final = """
INSERT INTO approval_eligible (user_id, opened_at, approval_id, waiting, client_id)
VALUES (:user_id, :now, :id, 1, :client_id)
"""
ADD_TICKET: Final = """
INSERT INTO auth_req_ids (hash, approval_id, client_id, interval_s, issued_at)
VALUES (:ticket, :id, :client_id, :interval_s, :now)
"""
IS_DISABLED: Final = "SELECT 1 FROM disabled WHERE id = :id"
MAY_NOT_ACT: Final = """
SELECT 1
WHERE EXISTS (SELECT 1 FROM disabled WHERE disabled.id IN (:acting_client, :acting_sub))
   OR (:acting_client IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM clients WHERE clients.id = :acting_client)
       AND NOT EXISTS (SELECT 1 FROM client_documents AS d WHERE d.client_id = :acting_client))
"""
ADD_CALLBACK: Final = (
    "INSERT INTO callbacks (ticket, mode, address) VALUES (:ticket, :mode, :address)"
)
KEEP_ANSWER: Final = """
UPDATE callbacks SET answer = :answer, answer_until = :until WHERE ticket = :ticket
"""
CALLBACKS_OF: Final = """
SELECT c.ticket FROM auth_req_ids t JOIN callbacks c ON c.ticket = t.hash
WHERE t.approval_id = :id AND (c.mode = 'push' OR :status <> 'lapsed')
"""
# Everything a decision rests on, once more, in the statement that makes it.
DECIDE: Final = """
UPDATE approvals
SET status = :status, decided_at = :decided_at, decided_by = :decided_by,
    decided_acr = :decided_acr, reason = :reason, redeem_by = :redeem_by
WHERE id = :id AND status = 'pending' AND expires_at > :now AND digest = :digest
  AND EXISTS (SELECT 1 FROM approval_eligible e
              WHERE e.approval_id = approvals.id AND e.user_id = :decided_by)
  AND NOT EXISTS (SELECT 1 FROM disabled
                  WHERE disabled.id IN (:decided_by, client_id, acting_client, acting_sub))
RETURNING id
"""
REDEEM: Final = """
UPDATE approvals SET status = 'redeemed', token_jti = :jti
WHERE id = :id AND client_id = :client_id AND status = 'approved' AND redeem_by > :now
  AND decided_at = :decided_at
  AND EXISTS (SELECT 1 FROM approval_eligible e
              WHERE e.approval_id = approvals.id AND e.user_id = approvals.decided_by)
  AND NOT EXISTS (SELECT 1 FROM disabled
                  WHERE disabled.id IN (decided_by, client_id, acting_client, acting_sub))
RETURNING id
"""
END: Final = """
UPDATE approvals SET status = :status, reason = coalesce(:why, reason)
WHERE id = :id AND status = :from RETURNING id
"""
NO_LONGER_WAITING: Final = "UPDATE approval_eligible SET waiting = 0 WHERE approval_id = :id"
SLOW_DOWN: Final = """
UPDATE auth_req_ids SET interval_s = MIN(interval_s + :by_s, :at_most_s) WHERE hash = :ticket
"""
NOTE_OUTCOME: Final = """
UPDATE approvals SET outcome = :state, outcome_at = :at, outcome_note = :note
WHERE id = :id AND (outcome_at IS NULL OR outcome_at <= :at)
  AND (reconciled_by IS NULL OR :state <> 'outcome_unknown')
  AND (outcome IS NOT :state OR outcome_at IS NOT :at OR outcome_note IS NOT :note)
"""
NOTE_LISTENER: Final = "UPDATE approvals SET listener_left_at = :left WHERE id = :id"
DUE: Final = """
SELECT id FROM approvals WHERE status = 'pending' AND expires_at <= :now
UNION ALL
SELECT id FROM approvals WHERE status = 'approved' AND redeem_by <= :now
LIMIT :limit
"""
OLD: Final = """
SELECT id FROM approvals
WHERE opened_at < :before AND status NOT IN ('pending', 'approved')
ORDER BY opened_at LIMIT :limit
"""
FORGET: Final = """
DELETE FROM approvals WHERE id = :id AND status NOT IN ('pending', 'approved')
"""


def read(row: Row, sealer: Sealer | None) -> Approval:
    """Return the approval that a row of `approval_cards` holds; without a sealer, without details.

    Raises:
        SealError: the sealed details were changed or moved.
    """
    plain = b"[]"
    if sealer is not None:
        plain = sealer.open(row["details"], table="approvals", row=row["id"], column="details")
    return Approval(
        id=row["id"],
        client_id=row["client_id"],
        call_id=row["call_id"],
        status=Status(row["status"]),
        eligible=tuple(sorted(json.loads(row["eligible"]))),
        scope=row["scope"],
        binding_message=row["binding_message"],
        authorization_details=tuple(cast("list[Mapping[str, Json]]", json.loads(plain))),
        digest=row["digest"],
        nonce=row["nonce"],
        acr=row["acr"],
        resources=tuple(json.loads(row["resources"])),
        opened_at=from_us(row["opened_at"]),
        expires_at=from_us(row["expires_at"]),
        decided_at=time(row["decided_at"]),
        decided_by=row["decided_by"],
        decided_acr=row["decided_acr"],
        reason=row["reason"],
        redeem_by=time(row["redeem_by"]),
        listener_left_at=time(row["listener_left_at"]),
        outcome=row["outcome"],
        outcome_at=time(row["outcome_at"]),
        outcome_note=row["outcome_note"],
    )


def time(microseconds: int | None) -> datetime | None:
    """Return the time of a nullable column."""
    return None if microseconds is None else from_us(microseconds)


def status_at(row: Row, now_us: int) -> Status:
    """Return the status as of now: what is over reads so before the sweep wrote it."""
    status = Status(row["status"])
    if status is Status.PENDING and now_us >= row["expires_at"]:
        return Status.EXPIRED
    if status is Status.APPROVED and now_us >= row["redeem_by"]:
        return Status.LAPSED
    return status


def end_if_due(tx: Tx, approval: Approval) -> Approval:
    """Write down that a pending approval expired or an unfetched yes lapsed, if it did."""
    if approval.status is Status.PENDING and tx.now >= approval.expires_at:
        return end(tx, approval, Event.EXPIRE, actor="system")
    lapsed = approval.redeem_by is not None and tx.now >= approval.redeem_by
    if approval.status is Status.APPROVED and lapsed:
        return end(tx, approval, Event.LAPSE, actor="system")
    return approval


def end(
    tx: Tx, approval: Approval, event: Event, *, actor: str, why: str | None = None
) -> Approval:
    """Expire, withdraw or lapse: one guarded statement, its audit row, the inbox, the feed.

    `why` is for the client that asked.
    """
    after = advance(approval, event, now=tx.now)
    params = {"id": approval.id, "status": after.status, "from": approval.status, "why": why}
    if tx.one(END, params) is None:
        raise LostSwapError(approval.id)
    tell(tx, after, actor=actor)
    return after


def tell(tx: Tx, after: Approval, *, actor: str, details: Mapping[str, Json] | None = None) -> None:
    """Write the audit row of a change of status, and wake whoever watches."""
    name = "created" if after.status is Status.PENDING else str(after.status)
    if after.status is not Status.PENDING:
        tx.execute(NO_LONGER_WAITING, {"id": after.id})
    facts: dict[str, Json] = {"client_id": after.client_id, "digest": after.digest}
    if after.call_id is not None:
        facts["call_id"] = after.call_id
    facts.update(details or {})
    tx.audit(AuditEvent(event=f"approval.{name}", subject=after.id, actor=actor, details=facts))
    tx.changed("approval", after.id)
    if after.status not in (Status.PENDING, Status.REDEEMED):
        for row in tx.all(CALLBACKS_OF, {"id": after.id, "status": after.status}):
            # CIBA Core §10.2: the client is told after the COMMIT, when its poll would succeed.
            # One client at a time, and none waits for another that does not answer.
            tx.enqueue(CALLBACK, row["ticket"].hex(), {"lane": after.client_id})


class LostSwapError(Exception):
    """A row changed inside the one writer's transaction: the store is not what we think."""
