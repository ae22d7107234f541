"""How many tokens a machine client or a consent may get, at rest: a restart fills nothing up.

Owns the rule (GCRA: one instant for each, no counters to reset). Pure; the store keeps the instant.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPace:
    """`per_hour` on average, `burst` at once."""

    per_hour: int = 1200
    burst: int = 120

    @property
    def every(self) -> timedelta:
        """What one token costs."""
        return timedelta(hours=1) / self.per_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The token may leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooSoon:
    """The share is used up; there is more after `retry_after_s`."""

    retry_after_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MayNot:
    """The client was switched off, deleted or expired meanwhile, or what it holds has ended."""


TokenRecord: TypeAlias = Recorded | TooSoon | MayNot


def take(due_at: datetime | None, *, now: datetime, pace: TokenPace) -> datetime | TooSoon:
    """Return the instant to keep, or how long to wait. `due_at` is the instant kept before."""
    due = now if due_at is None else max(due_at, now)
    ahead = due - now - pace.every * (pace.burst - 1)
    if ahead > timedelta(0):
        return TooSoon(retry_after_s=max(1, -(-int(ahead.total_seconds() * 1000) // 1000)))
    return due + pace.every
