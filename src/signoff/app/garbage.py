"""When a server looks for garbage: often among what is young, among everything when it has grown.

Owns the collector's schedule while a server runs. Left to itself, the collector goes by how much
comes and how much goes: where a thousand calls wait, it lets fifty thousand objects gather, walks
them in one go, every minute or so walks all there are, which takes a second, and finds next to
nothing, for what ends is freed without it. Whoever calls meanwhile waits for that.
"""

import asyncio
import gc
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

_EVERY_S: Final = 0.25
_YOUNG: Final = 1
_GROWTH: Final = 1.5
_LEAST: Final = 500_000  # blocks of memory, some 50 MB: below that a full walk is not worth it


@asynccontextmanager
async def collected(*, every_s: float = _EVERY_S) -> AsyncGenerator[None, None]:
    """Keep the collector to the schedule while the body runs.

    What was made before stays: no collection walks it again.
    """
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    task = asyncio.create_task(_collect(every_s, _most()), name="garbage")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        gc.unfreeze()
        if was_on:
            gc.enable()


async def _collect(every_s: float, most: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        gc.collect(_YOUNG)
        if sys.getallocatedblocks() > most:
            gc.collect()
            most = _most()


def _most() -> float:
    """Return up to how much memory may be in use until everything is walked again."""
    in_use = sys.getallocatedblocks()
    return max(in_use * _GROWTH, in_use + _LEAST)
