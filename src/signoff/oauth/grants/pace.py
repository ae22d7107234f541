"""How often a client polls, remembered in memory.

Owns when each auth_req_id was last polled and how many polls are held. Only a lengthened interval
is worth a write, and the store keeps that: a poll that comes in time costs no write. After a
restart the first poll is in time (CIBA Core §11 asks for nothing more).
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

_GRACE_S: Final = 0.25  # a client that waits exactly the interval may arrive a little early
_HELD_PER_ID: Final = 4
_REMEMBERED: Final = 100_000


class Pace:
    """The pace of polls of one process."""

    def __init__(self, monotonic: Callable[[], float], *, held_at_most: int) -> None:
        self._monotonic, self._held_at_most = monotonic, held_at_most
        self._polled: dict[str, tuple[float | None, int]] = {}
        self._held: dict[str, int] = {}
        self._holding = 0

    def strikes(self, auth_req_id: str, *, interval_s: int) -> int:
        """Note a poll; return how many in a row came before the interval was over, 0 in time."""
        now = self._monotonic()
        last, strikes = self._polled.pop(auth_req_id, (None, 0))
        early = last is not None and now - last < interval_s - _GRACE_S
        strikes = strikes + 1 if early else 0
        self._polled[auth_req_id] = (now, strikes)
        if len(self._polled) > _REMEMBERED:
            # The longest silent one: it is the least likely to poll again.
            del self._polled[next(iter(self._polled))]
        return strikes

    @contextmanager
    def holding(self, auth_req_id: str) -> Generator[bool, None, None]:
        """Count a held poll. False: too many are held, answer this one at once."""
        held = self._held.get(auth_req_id, 0)
        if held >= _HELD_PER_ID or self._holding >= self._held_at_most:
            yield False
            return
        self._held[auth_req_id] = held + 1
        self._holding += 1
        # The next poll may come right after the answer (CIBA Core §10).
        self.forget(auth_req_id)
        try:
            yield True
        finally:
            self._holding -= 1
            self._held[auth_req_id] -= 1
            if not self._held[auth_req_id]:
                del self._held[auth_req_id]

    def forget(self, auth_req_id: str) -> None:
        """Let the next poll of this id come at any time."""
        self._polled.pop(auth_req_id, None)
