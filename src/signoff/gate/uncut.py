"""Work that a leaving client must not cut in half.

Owns that what was begun here goes on to its end when the request that began it is cancelled.
Knows neither calls nor stores.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Uncut:
    """Runs such work, each in a task of its own."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T], *, name: str) -> T:
        """Return what `work` returns. Who is cancelled here only leaves it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for what is under way; each piece of work has a deadline of its own."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
