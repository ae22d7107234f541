"""How soon the next of something may be given: one instant for each who gets it, kept at rest.

Owns the table `paces`. The rule is `oauth.pacing`'s. An instant in the past says as much as none.
"""

from datetime import datetime
from typing import Final, Literal, TypeAlias

from signoff.oauth.pacing import TokenPace, TooSoon, take
from signoff.storage.clock import from_us, to_us
from signoff.storage.sqlite import Tx

Paced: TypeAlias = Literal["token", "refresh", "registering", "registration"]

DUE: Final = "SELECT due_at FROM paces WHERE kind = :kind AND id = :id"
KEEP: Final = """
INSERT INTO paces (kind, id, due_at) VALUES (:kind, :id, :due_at)
ON CONFLICT (kind, id) DO UPDATE SET due_at = excluded.due_at
"""
FORGET: Final = """
DELETE FROM paces WHERE kind = :kind AND id IN
  (SELECT id FROM paces WHERE kind = :kind AND due_at < :now LIMIT 8)
"""


def due(tx: Tx, kind: Paced, whose: str, *, pace: TokenPace) -> datetime | TooSoon:
    """Return the instant to `keep` when one is given now, or how long to wait."""
    kept = tx.one(DUE, {"kind": kind, "id": whose})
    return take(None if kept is None else from_us(kept["due_at"]), now=tx.now, pace=pace)


def keep(tx: Tx, kind: Paced, whose: str, due_at: datetime) -> None:
    """Note that one was given."""
    tx.execute(KEEP, {"kind": kind, "id": whose, "due_at": to_us(due_at)})


def forget(tx: Tx, kind: Paced) -> None:
    """Forget a few instants that are past: more than one write adds."""
    tx.execute(FORGET, {"kind": kind, "now": tx.now_us})
