"""What happened, in an order nobody can quietly change.

Owns the audit event, the hash chain over its rows and the verification of a chain. Does no I/O:
storage appends rows inside the transaction of the change they describe.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from signoff.canonical import Json, canonical_bytes

GENESIS: Final = b"\x00" * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One thing that happened.

    `event` uses dotted names (`approval.approved`, `capability.executed`). `subject` is the id it
    happened to, `actor` who did it (a user id, a client id, or `system`). `details` holds no
    secret and no free text of an assistant longer than 500 characters.
    """

    event: str
    subject: str
    actor: str
    details: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """An event as it stands in the chain: `hash` = SHA-256(prev || body)."""

    seq: int
    body: bytes
    prev: bytes
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The first row at which a chain does not hold, and why."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intact:
    """A chain that holds: how many rows and the hash of the last one."""

    rows: int
    head: bytes


def link(event: AuditEvent, *, seq: int, at: datetime, prev: bytes) -> AuditRow:
    """Return the row that extends a chain whose last hash is `prev`."""
    body = canonical_bytes({
        "seq": seq,
        "at": at.isoformat(),
        "event": event.event,
        "subject": event.subject,
        "actor": event.actor,
        "details": dict(event.details),
    })
    return AuditRow(seq=seq, body=body, prev=prev, hash=hashlib.sha256(prev + body).digest())


def verify(rows: Iterable[AuditRow], *, after: Intact | None = None) -> Intact | Broken:
    """Check a whole chain, oldest row first; a long one in parts, each `after` the one before.

    An edited, removed, added or reordered row is named. A cut tail is found only against a signed
    head kept elsewhere (`audit.head`), which the caller compares.
    """
    prev, count = (GENESIS, 0) if after is None else (after.head, after.rows)
    for expected, row in enumerate(rows, start=count + 1):
        if row.seq != expected:
            return Broken(seq=expected, reason=f"row {expected} is missing")
        if row.prev != prev:
            return Broken(seq=row.seq, reason="does not follow the row before it")
        if hashlib.sha256(prev + row.body).digest() != row.hash:
            return Broken(seq=row.seq, reason="was changed after it was written")
        prev, count = row.hash, expected
    return Intact(rows=count, head=prev)
