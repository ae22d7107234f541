"""The record of tokens that were used: each is taken once.

Owns the port that a resource server needs, one store on disk and one in memory. Knows no token,
only its issuer, its `jti` and when it is over.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Protocol


class SingleUse(Protocol):
    """The record of tokens already used.

    A crash before `spend` answers may leave the token spent and the work undone, never the work
    done twice. To have both or neither, implement it inside the transaction that does the work.
    """

    async def spend(self, *, issuer: str, jti: str, expires_at: datetime) -> bool:
        """Return True for the first caller with this token, False for every other."""
        ...


class SqliteSingleUse:
    """Spent tokens in a SQLite file of their own; survives a restart, shared by processes."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock
        with closing(self._connect()) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS spent (issuer TEXT NOT NULL, jti TEXT NOT NULL,"
                " expires_at REAL NOT NULL, PRIMARY KEY (issuer, jti)) STRICT, WITHOUT ROWID"
            )

    async def spend(self, *, issuer: str, jti: str, expires_at: datetime) -> bool:
        """Record the token durably; False when it is there already."""
        return await asyncio.to_thread(self._spend, issuer, jti, expires_at.timestamp())

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=5)
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _spend(self, issuer: str, jti: str, expires_at: float) -> bool:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            # Kept an hour past expiry: a verifier's clock may be behind this one.
            connection.execute("DELETE FROM spent WHERE expires_at < ?", (self._clock() - 3600,))
            added = connection.execute(
                "INSERT OR IGNORE INTO spent VALUES (?, ?, ?)", (issuer, jti, expires_at)
            ).rowcount
            connection.execute("COMMIT")
        return added == 1


class MemorySingleUse:
    """Spent tokens in memory, bounded; for one process that may forget at a restart."""

    def __init__(self, *, limit: int = 100_000, clock: Callable[[], float] = time.time) -> None:
        self._limit, self._clock = limit, clock
        self._spent: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    async def spend(self, *, issuer: str, jti: str, expires_at: datetime) -> bool:
        """Record the token. When the record is full of live tokens, refuse: never forget one."""
        with self._lock:
            if len(self._spent) >= self._limit:
                horizon = self._clock() - 3600
                self._spent = {key: at for key, at in self._spent.items() if at >= horizon}
            if (issuer, jti) in self._spent or len(self._spent) >= self._limit:
                return False
            self._spent[issuer, jti] = expires_at.timestamp()
            return True
