"""Messages that leave after the COMMIT of what they tell about, at least once.

Owns which message is due, in which order they leave, and when a failed one is tried again. Knows
no channel: a delivery is a callable. A crash after a delivery and before `done` delivers again.

Messages of one lane (their payload's `lane`, else all of a kind) leave one after the other; lanes
leave beside each other, so that whoever does not answer delays nobody else.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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
_AT_ONCE: Final = 16
_EACH: Final = 20
"""So many messages of a lane are read at once."""
_STOP_S: Final = 6.0
"""So long a stop waits for what is on its way; a little more than a post may take."""

# A message waits for an earlier one about the same subject: "opened" never arrives after "decided".
DUE = """
SELECT id, kind, subject, payload, attempts, lane FROM (
  SELECT message.*, coalesce(json_extract(payload, '$.lane'), kind) AS lane,
         row_number() OVER (
           PARTITION BY coalesce(json_extract(payload, '$.lane'), kind)
           ORDER BY due_at, attempts, id
         ) AS place
  FROM outbox AS message
  WHERE kind = :kind AND due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM outbox AS earlier
    WHERE earlier.kind = message.kind AND earlier.subject = message.subject
      AND earlier.id < message.id
  )
)
WHERE place <= :each ORDER BY due_at, attempts, id
"""
NEXT_DUE = "SELECT min(due_at) AS due_at FROM outbox WHERE kind = :kind AND due_at > :now"
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
    lane: str
    payload: Mapping[str, Json]
    attempts: int


@dataclass(slots=True)
class _Lanes:
    """What is on its way. `failing`: lanes whose last delivery did not get through."""

    running: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    failing: set[str] = field(default_factory=set[str])
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self) -> None:
        """Let what is being delivered arrive, begin nothing more."""
        self.stopping.set()
        if tasks := [*self.running.values()]:
            await asyncio.wait(tasks, timeout=_STOP_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def backoff_s(attempts: int) -> float:
    """Return how long to wait after that many failed deliveries: 1 s, doubled, at most 5 min."""
    return min(2.0 ** max(attempts - 1, 0), _LONGEST_WAIT_S)


class Outbox:
    """The table `outbox`, filled by `Tx.enqueue`."""

    def __init__(
        self,
        database: Database,
        *,
        backoff_s: Callable[[int], float] = backoff_s,
        at_once: int = _AT_ONCE,
    ) -> None:
        """`at_once` lanes deliver beside each other; half of that are for those that fail."""
        self._database = database
        self._backoff_s, self._at_once = backoff_s, at_once

    async def due(self, kind: str) -> list[Message]:
        """Return messages of `kind` to deliver now, oldest first, one for each subject."""
        params = {"kind": kind, "now": to_us(self._database.now()), "each": _EACH}
        return [_message(row) for row in await self._database.fetch_all(DUE, params)]

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
        """Deliver every message of `kind`, those to come too, until this is cancelled.

        What is on its way at that moment may still arrive.
        """
        lanes = _Lanes()
        try:
            with self._database.changes.watch("outbox", kind) as watch:
                while True:
                    try:
                        wait_s = await self._begin(kind, deliver, lanes)
                    except StorageError:
                        logging.getLogger(__name__).exception("the outbox waits for the store")
                        wait_s = _STORE_PAUSE_S
                    await watch.changed(wait_s)
        finally:
            await lanes.stop()

    async def _begin(self, kind: str, deliver: Deliver, lanes: _Lanes) -> float:
        """Let free lanes begin on what is due; return how long nothing else will be."""
        now = self._database.now()
        waiting: dict[str, list[Message]] = {}
        for message in await self.due(kind):
            waiting.setdefault(message.lane, []).append(message)
        # Who answered last time goes first, and finds a place whoever does not answer.
        for lane in sorted(waiting.keys() - lanes.running.keys(), key=lanes.failing.__contains__):
            held = len(lanes.running.keys() & lanes.failing)
            full = lane in lanes.failing and held >= max(1, self._at_once // 2)
            if len(lanes.running) < self._at_once and not full:
                lanes.running[lane] = asyncio.create_task(
                    self._run(lane, waiting[lane], deliver, lanes), name=f"outbox {kind}"
                )
        row = await self._database.fetch_one(NEXT_DUE, {"kind": kind, "now": to_us(now)})
        if row is None or row["due_at"] is None:
            return _LONGEST_WAIT_S
        until = (from_us(row["due_at"]) - self._database.now()).total_seconds()
        return min(max(until, 0.0), _LONGEST_WAIT_S)

    async def _run(
        self, lane: str, messages: Sequence[Message], deliver: Deliver, lanes: _Lanes
    ) -> None:
        """Deliver messages of a lane up to the first that fails: then it is others' turn."""
        try:
            for message in messages:
                if lanes.stopping.is_set():
                    return
                if not await self._deliver(message, deliver):
                    lanes.failing.add(lane)
                    return
                lanes.failing.discard(lane)
        except Exception:
            # The store cannot note how it went: delivered again and again would be worse.
            logging.getLogger(__name__).exception("the outbox waits for the store")
            with suppress(TimeoutError):
                async with asyncio.timeout(_STORE_PAUSE_S):
                    await lanes.stopping.wait()
        finally:
            del lanes.running[lane]
            self._database.changes.publish([("outbox", messages[0].kind)])

    async def _deliver(self, message: Message, deliver: Deliver) -> bool:
        try:
            async with asyncio.timeout(_DELIVERY_S):
                await deliver(message.subject, message.payload)
        except Exception:
            # Whatever a channel meets, the messages behind this one still leave.
            log = logging.getLogger(__name__)
            log.warning("%s of %s was not delivered", message.kind, message.subject, exc_info=True)
            if not await self.later(message):
                log.exception("%s of %s is given up", message.kind, message.subject)
            return False
        await self.done(message)
        return True


def _message(row: Row) -> Message:
    return Message(
        id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        lane=str(row["lane"]),
        payload=cast("dict[str, Json]", json.loads(row["payload"])),
        attempts=row["attempts"],
    )
