"""Who is switched off: users and clients alike, they share one namespace. And who is gone.

Owns `disabled` and what switching off ends at once: sessions, pending approvals that nobody else
may decide, every pending approval and unfetched yes of a client, and of the calls that it, or for
it, somebody makes by way of a gate. What is under way elsewhere
(claims, intents, redemptions) checks the same table in its own statement. Whoever the catalogue
no longer names is ended at the start, for good.
"""

import json
from collections.abc import Collection, Iterable
from typing import Final

from signoff.approvals.request import Event, Status
from signoff.audit import AuditEvent
from signoff.storage import approval_rows as rows
from signoff.storage import consents
from signoff.storage.sqlite import Database, Params, Row, Tx

_KIND: Final = "disabled"
DISABLE: Final = "INSERT INTO disabled (id, at) VALUES (:id, :now) ON CONFLICT (id) DO NOTHING"
ENABLE: Final = "DELETE FROM disabled WHERE id = :id"
DISABLED: Final = "SELECT id FROM disabled ORDER BY id"
END_SESSIONS: Final = "DELETE FROM sessions WHERE user_id = :id RETURNING id"
END_LOGIN_CODES: Final = "DELETE FROM login_codes WHERE user_id = :id"
OPEN_OF: Final = """
SELECT * FROM approval_cards
WHERE (status = 'pending' AND (client_id = :id OR acting_client = :id OR acting_sub = :id))
   OR (status = 'pending' AND id IN
         (SELECT approval_id FROM approval_eligible WHERE user_id = :id AND waiting = 1)
       AND NOT EXISTS (SELECT 1 FROM approval_eligible e
                       WHERE e.approval_id = approval_cards.id
                         AND e.user_id NOT IN (SELECT disabled.id FROM disabled)))
   OR (status = 'approved'
       AND :id IN (client_id, decided_by, acting_client, acting_sub))
"""
GONE: Final = """
SELECT user_id AS id FROM sessions WHERE user_id NOT IN (SELECT value FROM json_each(:users))
UNION SELECT user_id FROM login_codes WHERE user_id NOT IN (SELECT value FROM json_each(:users))
UNION SELECT user_id FROM user_codes WHERE user_id NOT IN (SELECT value FROM json_each(:users))
UNION SELECT user_id FROM consents
  WHERE revoked_at IS NULL AND user_id NOT IN (SELECT value FROM json_each(:users))
"""
# Whoever comes later by the same id is asked by nobody's programs that know the old code.
END_USER_CODE: Final = "DELETE FROM user_codes WHERE user_id = :id"
END_TRIES: Final = "DELETE FROM user_code_tries WHERE user_id = :id"
CONSENTS_OF: Final = "SELECT id FROM consents WHERE user_id = :id AND revoked_at IS NULL"
ORPHANED: Final = """
SELECT * FROM approval_cards
WHERE (status = 'pending'
       AND NOT EXISTS (SELECT 1 FROM approval_eligible e
                       WHERE e.approval_id = approval_cards.id
                         AND e.user_id IN (SELECT value FROM json_each(:users))))
   OR (status = 'approved' AND decided_by NOT IN (SELECT value FROM json_each(:users)))
   OR (status IN ('pending', 'approved') AND acting_client IS NOT NULL
       AND acting_sub NOT IN (SELECT value FROM json_each(:users)))
"""


class SqlitePeople:
    """Switches users and clients off and on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: tuple[int, frozenset[str]] | None = None

    async def disabled(self) -> frozenset[str]:
        """Return the ids that are switched off; read again only after a change."""
        version = self._database.changes.version(_KIND)
        if self._read is None or self._read[0] != version:
            rows_ = await self._database.fetch_all(DISABLED)
            # Overtaken by a change meanwhile, it carries the older version and is not kept.
            self._read = (version, frozenset(row["id"] for row in rows_))
        return self._read[1]

    async def disable(self, id: str, *, by: str) -> bool:  # noqa: A002 — user or client
        """Switch off; one transaction with everything that ends. False: it was off already."""

        def job(tx: Tx) -> bool:
            if not tx.execute(DISABLE, {"id": id, "now": tx.now_us}):
                return False
            tx.audit(AuditEvent(event="account.disabled", subject=id, actor=by))
            tx.changed(_KIND, id)
            for session in tx.all(END_SESSIONS, {"id": id}):
                tx.changed("session", session["id"])
            tx.execute(END_LOGIN_CODES, {"id": id})
            end_open(tx, id, actor=by)
            return True

        return await self._database.write(job)

    async def enable(self, id: str, *, by: str) -> bool:  # noqa: A002 — user or client
        """Switch on again; what ended stays ended. False: it was not off."""

        def job(tx: Tx) -> bool:
            if not tx.execute(ENABLE, {"id": id}):
                return False
            tx.audit(AuditEvent(event="account.enabled", subject=id, actor=by))
            tx.changed(_KIND, id)
            return True

        return await self._database.write(job)

    async def keep_only(self, users: Collection[str]) -> None:
        """End what people have who are not among `users` any more. For the start of a server.

        Their sign-ins and user codes, what they let act for them, and what only they could decide,
        or have decided and nobody fetched. Somebody of the same id who comes later begins anew.

        Raises:
            StorageError: the store takes no writes, and all of it still holds.
        """
        params = {"users": json.dumps(sorted(users))}
        if not await self._found(GONE, params) and not await self._found(ORPHANED, params):
            return  # the usual start writes nothing, and needs no room on the disk

        def job(tx: Tx) -> None:
            for row in tx.all(GONE, params):
                gone = {"id": row["id"]}
                tx.audit(AuditEvent(event="account.removed", subject=row["id"], actor="system"))
                tx.execute(END_SESSIONS, gone)
                tx.execute(END_LOGIN_CODES, gone)
                tx.execute(END_USER_CODE, gone)
                tx.execute(END_TRIES, gone)
                for consent in tx.all(CONSENTS_OF, gone):
                    consents.revoke(tx, consent["id"], why="user_removed", by="system")
            gone = "who decides it, or whom it is made for, is no user any more"
            _end(tx, tx.all(ORPHANED, params), actor="system", why=gone)

        await self._database.write(job)

    async def _found(self, statement: str, params: Params) -> bool:
        return await self._database.fetch_one(statement, params) is not None


def end_open(tx: Tx, id: str, *, actor: str) -> None:  # noqa: A002 — user or client
    """End what only this user could decide and what this client asked for or has not fetched.

    And, asked for by a gate, the calls that the client makes, or somebody makes for the user.
    """
    _end(tx, tx.all(OPEN_OF, {"id": id}), actor=actor, why=f"{id} may not act any more")


def _end(tx: Tx, found: Iterable[Row], *, actor: str, why: str) -> None:
    for row in found:
        approval = rows.end_if_due(tx, rows.read(row, None))
        if approval.status is Status.PENDING:
            rows.end(tx, approval, Event.WITHDRAW, actor=actor, why=why)
        elif approval.status is Status.APPROVED:
            rows.end(tx, approval, Event.LAPSE, actor=actor)
