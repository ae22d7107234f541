"""Held answers at a stop: every one of them is given at once.

Owns the order to stop and who waits under it. Knows nothing of what they wait for.
"""

import asyncio
from collections.abc import Awaitable


class Draining:
    """One process's order to stop. `begin` is safe to call more than once."""

    def __init__(self) -> None:
        self.begun = False
        self._waits: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """Let nobody wait from now on."""
        self.begun = True
        at_once = asyncio.get_running_loop().time()
        for wait in tuple(self._waits):
            wait.reschedule(at_once)

    async def wait(self, event: Awaitable[object]) -> None:
        """Wait for `event`, or for the order to stop: `begun` says which."""
        try:
            # Not a task beside the event: ten thousand held polls would be twenty thousand.
            async with asyncio.timeout(0 if self.begun else None) as wait:
                self._waits.add(wait)
                try:
                    await event
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            if not self.begun:
                raise
