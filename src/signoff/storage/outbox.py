"""Messages that leave after the COMMIT of what they tell about, at least once.

Owns which message is due, in which order they leave, and when a failed one is tried again. Knows
no channel: a delivery is a callable. A crash after a delivery and before `done` delivers again.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NoReturn, cast

from signoff.audit import AuditEvent
from signoff.canonical import Json
from signoff.storage.sqlite import Database, Row, StorageError, Tx, from_us, to_us

Deliver = Callable[[str, Mapping[str, Json]], Awaitable[None]]
"""Takes a message's subject and payload; raises when it did not get through."""

MAX_ATTEMPTS: Final = 8
_DELIVERY_S: Final = 30.0
_LONGEST_WAIT_S: Final = 300.0
_STORE_PAUSE_S: Final = 5.0

# A message waits for an earlier one about the same subject: "opened" never arrives after "decided".
DUE = """
SELECT id, kind, subject, payload, attempts FROM outbox AS message
WHERE kind = :kind AND due_at <= :now AND NOT EXISTS (
  SELECT 1 FROM outbox AS earlier
  WHERE earlier.kind = message.kind AND earlier.subject = message.subject
    AND earlier.id < message.id
)
ORDER BY id LIMIT :limit
"""
NEXT_DUE = "SELECT min(due_at) AS due_at FROM outbox WHERE kind = :kind"
DONE = "DELETE FROM outbox WHERE id = :id"
LATER = """
UPDATE outbox SET attempts = attempts + 1, due_at = :due_at
WHERE id = :id AND attempts = :attempts AND attempts + 1 < :most
"""
GIVE_UP = "DELETE FROM outbox WHERE id = :id AND attempts = :attempts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `attempts` counts the deliveries that failed so far."""

    id: int
    kind: str
    subject: str
    payload: Mapping[str, Json]
    attempts: int


def backoff_s(attempts: int) -> float:
    """Return how long to wait after that many failed deliveries: 1 s, doubled, at most 5 min."""
    return min(2.0 ** max(attempts - 1, 0), _LONGEST_WAIT_S)


class Outbox:
    """The table `outbox`, filled by `Tx.enqueue`."""

    def __init__(
        self, database: Database, *, backoff_s: Callable[[int], float] = backoff_s
    ) -> None:
        self._database = database
        self._backoff_s = backoff_s

    async def due(self, kind: str, *, limit: int = 100) -> list[Message]:
        """Return messages of `kind` to deliver now, oldest first, one for each subject."""
        now = to_us(self._database.now())
        rows = await self._database.fetch_all(DUE, {"kind": kind, "now": now, "limit": limit})
        return [_message(row) for row in rows]

    async def done(self, message: Message) -> None:
        """Forget a message that was delivered."""
        await self._database.write(lambda tx: tx.execute(DONE, {"id": message.id}))

    async def later(self, message: Message) -> bool:
        """Put a message off after a failed delivery; False when it was given up instead."""
        attempts = message.attempts + 1
        wait = timedelta(seconds=self._backoff_s(attempts))

        def put_off(tx: Tx) -> bool:
            mine = {"id": message.id, "attempts": message.attempts}
            again = {**mine, "due_at": to_us(tx.now + wait), "most": MAX_ATTEMPTS}
            if tx.execute(LATER, again):
                return True
            if tx.execute(GIVE_UP, mine):
                tx.audit(
                    AuditEvent(
                        event="message.given_up",
                        subject=message.subject,
                        actor="system",
                        details={"kind": message.kind, "attempts": attempts},
                    )
                )
            return False

        return await self._database.write(put_off)

    async def drain(self, kind: str, deliver: Deliver) -> NoReturn:
        """Deliver every message of `kind`, those to come too, until this is cancelled."""
        with self._database.changes.watch("outbox", kind) as watch:
            while True:
                try:
                    wait_s = await self._pass(kind, deliver)
                except StorageError:
                    logging.getLogger(__name__).exception("the outbox waits for the store")
                    wait_s = _STORE_PAUSE_S
                await watch.changed(wait_s)

    async def _pass(self, kind: str, deliver: Deliver) -> float:
        """Deliver what is due and return how long nothing else will be."""
        while messages := await self.due(kind):
            for message in messages:
                await self._deliver(message, deliver)
        row = await self._database.fetch_one(NEXT_DUE, {"kind": kind})
        if row is None or row["due_at"] is None:
            return _LONGEST_WAIT_S
        until = (from_us(row["due_at"]) - self._database.now()).total_seconds()
        return min(max(until, 0.0), _LONGEST_WAIT_S)

    async def _deliver(self, message: Message, deliver: Deliver) -> None:
        try:
            async with asyncio.timeout(_DELIVERY_S):
                await deliver(message.subject, message.payload)
        except Exception:
            # Whatever a channel meets, the messages behind this one still leave.
            log = logging.getLogger(__name__)
            log.warning("%s of %s was not delivered", message.kind, message.subject, exc_info=True)
            if not await self.later(message):
                log.exception("%s of %s is given up", message.kind, message.subject)
            return
        await self.done(message)


def _message(row: Row) -> Message:
    return Message(
        id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        payload=cast("dict[str, Json]", json.loads(row["payload"])),
        attempts=row["attempts"],
    )
