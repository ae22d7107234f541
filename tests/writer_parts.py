"""The one writer of a store, kept busy: what happens while a write waits."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from signoff.storage.sqlite import Database, Tx


@asynccontextmanager
async def busy_writer(database: Database) -> AsyncGenerator[None, None]:
    """Keep the one writer busy: what is written meanwhile waits for the end of the block."""
    entered, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(_: Tx) -> None:
        loop.call_soon_threadsafe(entered.set)
        assert go.wait(30)

    write = asyncio.create_task(database.write(work))
    await entered.wait()
    try:
        yield
    finally:
        go.set()
    await write


async def queued(database: Database, *, writes: int = 1) -> None:
    """Wait until so many writes wait for the busy writer."""
    async with asyncio.timeout(30):
        while len(database._queue) < writes:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]
            await asyncio.sleep(0)
