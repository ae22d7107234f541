"""Writes a second: our group commit against one COMMIT a write, on the same disk in one run.

Both flush every commit (WAL, synchronous=FULL). A write is one row and one row of the audit chain.
Absolute numbers are the disk's; the ratio is ours.
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite

from signoff.audit import GENESIS, AuditEvent, link
from signoff.storage.clock import utc_now
from signoff.storage.migrate import migrate
from signoff.storage.sqlite import ADD_AUDIT, LAST_AUDIT, Database, Tx

WRITES = 2_000
WRITERS = (1, 8, 64)
KEEP = "INSERT INTO meta (key, value) VALUES (:key, 1)"


def _event(key: str) -> AuditEvent:
    return AuditEvent(event="kept", subject=key, actor="bench")


async def grouped(path: Path, writers: int) -> float:
    """Return writes a second through `Database`."""
    async with Database(path).running() as database:

        async def writer(number: int) -> None:
            for count in range(WRITES // writers):
                key = f"k{number}-{count}"

                def work(tx: Tx, key: str = key) -> None:
                    tx.audit(_event(key))
                    tx.execute(KEEP, {"key": key})

                await database.write(work)

        return await _rate(writer, writers)


async def one_by_one(path: Path, writers: int) -> float:
    """Return writes a second through aiosqlite, each its own transaction behind a lock."""
    await asyncio.to_thread(migrate, path)
    lock = asyncio.Lock()
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            await connection.execute(f"PRAGMA {pragma}")

        async def writer(number: int) -> None:
            for count in range(WRITES // writers):
                key = f"k{number}-{count}"
                async with lock:
                    await connection.execute("BEGIN IMMEDIATE")
                    rows = list(await connection.execute_fetchall(LAST_AUDIT))
                    seq, prev = (rows[0]["seq"], rows[0]["hash"]) if rows else (0, GENESIS)
                    row = link(_event(key), seq=seq + 1, at=utc_now(), prev=prev)
                    members = {
                        "seq": row.seq,
                        "body": row.body,
                        "prev": row.prev,
                        "hash": row.hash,
                    }
                    await connection.execute(ADD_AUDIT, members)
                    await connection.execute(KEEP, {"key": key})
                    await connection.execute("COMMIT")

        return await _rate(writer, writers)


async def _rate(writer: Callable[[int], Coroutine[Any, Any, None]], writers: int) -> float:
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(writers):
            group.create_task(writer(number))
    return (WRITES // writers) * writers / (time.perf_counter() - started)


def kept(path: Path) -> int:
    """Return how many writes are there, so that no rate is one of losing them."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM audit").fetchone()[0])


async def measure(directory: Path) -> list[tuple[int, float, float]]:
    """Return (writers, grouped, one by one) in writes a second."""
    results: list[tuple[int, float, float]] = []
    for writers in WRITERS:
        ours, theirs = directory / f"ours-{writers}.db", directory / f"theirs-{writers}.db"
        figures = (await grouped(ours, writers), await one_by_one(theirs, writers))
        if not kept(ours) == kept(theirs) == WRITES // writers * writers:
            sys.exit("writes were lost")
        results.append((writers, *figures))
    return results


async def run() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as directory:
        results = await measure(Path(directory))
    print("writers  group commit  one by one  ratio")
    for writers, ours, theirs in results:
        print(f"{writers:7}  {ours:10.0f}/s  {theirs:8.0f}/s  {ours / theirs:5.1f}")
