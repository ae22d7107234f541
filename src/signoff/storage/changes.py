"""The in-process feed of committed changes.

Owns who waits for what. Publishes nothing by itself: the writer calls `publish` after COMMIT.
"""

import asyncio
from collections.abc import Generator, Iterable
from contextlib import contextmanager


class Watch:
    """One subscription; see `approvals.ports.Watch`."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        self._event.set()

    async def changed(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Feed:
    """Implements `approvals.ports.Changes` for one process and one event loop."""

    def __init__(self) -> None:
        self._watches: dict[tuple[str, str], set[Watch]] = {}
        self._versions: dict[str, int] = {}

    def version(self, kind: str) -> int:
        """Return a number that rises with every change of this kind, for who keeps what was read.

        It has risen before the writer of a change gets its answer.
        """
        return self._versions.get(kind, 0)

    @contextmanager
    def watch(self, kind: str, id: str) -> Generator[Watch, None, None]:  # noqa: A002 — the port's word
        watch, key = Watch(), (kind, id)
        self._watches.setdefault(key, set()).add(watch)
        try:
            yield watch
        finally:
            watching = self._watches[key]
            watching.discard(watch)
            if not watching:
                del self._watches[key]

    def publish(self, changes: Iterable[tuple[str, str]]) -> None:
        """Wake whoever watches one of `changes`, or every record of its kind."""
        for kind, changed in changes:
            self._versions[kind] = self._versions.get(kind, 0) + 1
            for key in ((kind, changed), (kind, "*")):
                for watch in self._watches.get(key, ()):
                    watch.wake()
