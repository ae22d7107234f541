"""The store's clock: the wall clock, but it never steps back.

Owns the form of time columns and the high-water mark. Reads no storage: whoever opens the store
raises the clock to the time it kept.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

Clock = Callable[[], datetime]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Return `moment` as microseconds since 1970 UTC, the form of every time column."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return the aware UTC time of a time column."""
    return _EPOCH + timedelta(microseconds=microseconds)


def utc_now() -> datetime:
    """Return the wall clock's time, aware UTC."""
    return datetime.now(UTC)


class StoreClock:
    """Never earlier than any time it told before, or was raised to. Safe to ask in any thread."""

    def __init__(self, wall: Clock) -> None:
        self._wall = wall
        self._high = _EPOCH
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time."""
        with self._lock:
            self._high = max(self._wall(), self._high)
            return self._high

    def raise_to(self, moment: datetime) -> None:
        """Never tell a time before `moment` again."""
        with self._lock:
            self._high = max(moment, self._high)
