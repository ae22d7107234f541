"""Readers of the SQLite file: they see what is committed and change nothing.

Owns their connections, and where a statement runs. A look-up by key runs where it is asked for,
on the event loop: it takes some ten microseconds, a thread and back takes ten times that, and
more while the writer is at work. Whatever may walk over many rows runs in aiosqlite's threads.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Final

import aiosqlite

_THREADS: Final = 4
_STATEMENTS: Final = 128
_PRAGMAS: Final = (
    *("PRAGMA query_only=ON", "PRAGMA trusted_schema=OFF"),
    "PRAGMA wal_autocheckpoint=0",  # only the writer checkpoints
)
_PATIENT: Final = "PRAGMA busy_timeout=5000"
# In WAL mode no writer holds up a reader; what could is over at once, or lasts.
_PROMPT: Final = "PRAGMA busy_timeout=20"


class Readers:
    """The reading connections of one file; see `running`."""

    def __init__(self, near: sqlite3.Connection) -> None:
        self._near = near
        self._far: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def running(cls, path: Path) -> AsyncGenerator["Readers", None]:
        """Open the connections for the length of the block, on this event loop.

        Raises:
            sqlite3.Error: the file cannot be opened.
        """
        async with AsyncExitStack() as stack:
            near = sqlite3.connect(path, isolation_level=None, cached_statements=_STATEMENTS)
            stack.enter_context(closing(near))
            near.row_factory = sqlite3.Row
            for pragma in (*_PRAGMAS, _PROMPT):
                near.execute(pragma)
            readers = cls(near)
            for _ in range(_THREADS):
                far = await aiosqlite.connect(path, isolation_level=None)
                stack.push_async_callback(far.close)
                far.row_factory = sqlite3.Row
                for pragma in (*_PRAGMAS, _PATIENT):
                    await far.execute(pragma)
                readers._far.put_nowait(far)
            yield readers

    def look_up(self, sql: str, params: Mapping[str, object]) -> sqlite3.Row | None:
        """Return the row with a key, or None. Every table in `sql` is searched by a key."""
        # All of them, though it is one: a statement not run to its end would hold its snapshot.
        rows = self._near.execute(sql, params).fetchall()
        return rows[0] if rows else None

    async def fetch_all(self, sql: str, params: Mapping[str, object]) -> Sequence[sqlite3.Row]:
        """Return every row."""
        far = await self._far.get()
        try:
            return list(await far.execute_fetchall(sql, dict(params)))
        finally:
            self._far.put_nowait(far)
