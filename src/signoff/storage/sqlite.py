"""SQLite: one writer with group commit, readers apart.

Owns the connections, the batching of writes and the store's clock. A write is a plain function of
a `Tx`; it is answered after the COMMIT that holds it. Knows no table but `meta`, `audit` and
`outbox`; what a statement means stands in the module of its domain.

One process owns the file and only this writer writes and checkpoints it: SQLite before 3.51.3
can corrupt a WAL that two connections reset.

A full disk costs the batch and the writer goes on. After a failed read, write or flush, or a
corrupt page, it takes no more: what is durable then, only a restart knows.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from signoff.audit import GENESIS, AuditEvent, AuditRow, link
from signoff.canonical import Json
from signoff.storage.changes import Feed
from signoff.storage.clock import Clock, StoreClock, from_us, to_us, utc_now
from signoff.storage.health import UnusableFileError, check_file
from signoff.storage.migrate import SchemaVersionError, migrate
from signoff.storage.readers import Readers

__all__ = [
    "ADD_AUDIT", "ADD_OUTBOX", "KEEP_CLOCK", "LAST_AUDIT", "LOAD_CLOCK", "Clock", "Database",
    "Params", "Row", "StorageBusyError", "StorageError", "Tx", "from_us", "to_us", "utc_now",
]  # fmt: skip

T = TypeVar("T")

Params = Mapping[str, object]
Row = sqlite3.Row

_BATCH: Final = 256
_QUEUE: Final = 20_000
_PRIMARY: Final = 0xFF  # the low byte of an extended result code
_FATAL: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# Faults of the store, not of the statement that met them: they cost the whole batch.
_STORE: Final = _FATAL | {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
}
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # an answered decision survives a power cut
    "PRAGMA busy_timeout=5000",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA mmap_size=0",
    "PRAGMA temp_store=MEMORY",  # what a savepoint may undo; a file of it costs more than the job
    "PRAGMA journal_size_limit=67108864",
)

LAST_AUDIT = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"
ADD_AUDIT = "INSERT INTO audit (seq, body, prev, hash) VALUES (:seq, :body, :prev, :hash)"
ADD_OUTBOX = """
INSERT INTO outbox (kind, subject, payload, due_at, attempts)
VALUES (:kind, :subject, :payload, :due_at, 0)
"""
LOAD_CLOCK = "SELECT value FROM meta WHERE key = 'clock'"
KEEP_CLOCK = """
INSERT INTO meta (key, value) VALUES ('clock', :value)
ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""


class StorageError(Exception):
    """The store cannot take a write now. The message says why and is safe to log."""


class StorageBusyError(StorageError):
    """Too many writes are queued; answer 503 with Retry-After."""


class Tx:
    """One job's view of the open transaction: statements, the audit chain and what changed."""

    __slots__ = ("_audit", "_connection", "changes", "now")

    def __init__(self, connection: sqlite3.Connection, audit: "_Chain", now: datetime) -> None:
        self._connection = connection
        self._audit = audit
        self.now = now
        """The store's clock: never steps back, also over a restart."""
        self.changes: list[tuple[str, str]] = []

    @property
    def now_us(self) -> int:
        """`now` in the form of time columns."""
        return to_us(self.now)

    def execute(self, sql: str, params: Params | None = None) -> int:
        """Run a statement and return how many rows it changed."""
        return self._connection.execute(sql, dict(params or {})).rowcount

    def one(self, sql: str, params: Params | None = None) -> Row | None:
        """Return the first row, or None. Also for `... RETURNING`: None means the guard held."""
        return next(iter(self.all(sql, params)), None)

    def all(self, sql: str, params: Params | None = None) -> list[Row]:
        """Return every row."""
        return self._connection.execute(sql, dict(params or {})).fetchall()

    def audit(self, event: AuditEvent) -> None:
        """Extend the audit chain in this transaction: no row, no change."""
        row = self._audit.next(event, at=self.now)
        self.execute(
            ADD_AUDIT, {"seq": row.seq, "body": row.body, "prev": row.prev, "hash": row.hash}
        )
        # Only now: a job that survives a failed insert must not leave a gap.
        self._audit.seq, self._audit.hash = row.seq, row.hash

    def changed(self, kind: str, id: str) -> None:  # noqa: A002 — the feed's word
        """Tell watchers of `(kind, id)`, once this transaction is durable."""
        self.changes.append((kind, id))

    def enqueue(self, kind: str, subject: str, payload: Mapping[str, Json]) -> None:
        """Put a message into the outbox; it leaves after the COMMIT. Holds no secret."""
        self.execute(
            ADD_OUTBOX,
            {
                "kind": kind,
                "subject": subject,
                "payload": json.dumps(payload, separators=(",", ":")),
                "due_at": self.now_us,
            },
        )
        self.changed("outbox", kind)


class _Chain:
    """The head of the audit chain inside one batch."""

    __slots__ = ("hash", "seq")

    def __init__(self, seq: int, head: bytes) -> None:
        self.seq, self.hash = seq, head

    def next(self, event: AuditEvent, *, at: datetime) -> AuditRow:
        return link(event, seq=self.seq + 1, at=at, prev=self.hash)


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Callable[[Tx], T]
    done: "asyncio.Future[T]"


class Database:
    """The one SQLite file of a data directory."""

    def __init__(self, path: Path, *, clock: Clock = utc_now) -> None:
        self.path = path
        self.changes = Feed()
        self._clock = StoreClock(clock)
        self._queue: deque[_Job[Any]] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._open = False
        self._fatal: str | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Database", None]:
        """Check the file, migrate, open the connections and write until the block ends.

        At the end the writes that are already queued are still done; later ones are refused.

        Raises:
            StorageError: the file cannot be opened, is damaged, or is of a newer signoff.
        """
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            stack.callback(self._thread.shutdown)
            try:
                self._connection = await loop.run_in_executor(self._thread, self._open_writer)
                stack.push_async_callback(
                    loop.run_in_executor, self._thread, self._connection.close
                )
                self._readers = await stack.enter_async_context(Readers.running(self.path))
            except (OSError, sqlite3.Error, UnusableFileError, SchemaVersionError) as error:
                raise StorageError(f"cannot use {self.path}: {error}") from error
            self._open = True
            writer = asyncio.create_task(self._write_batches(), name="sqlite-writer")
            try:
                yield self
            finally:
                self._open = False
                self._wake.set()
                await _end(writer)

    @property
    def failure(self) -> str | None:
        """Why no write is taken until a restart, or None while all is well."""
        return self._fatal

    def now(self) -> datetime:
        """Return the store's time: the wall clock, but never earlier than it was before."""
        return self._clock.now()

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a transaction and return its result once it is durable.

        What `work` raises comes back here, and its statements are undone. A caller that is
        cancelled while it waits does not undo the write.

        Raises:
            StorageBusyError: the queue is full.
            StorageError: the batch was not committed. Nothing of it happened, unless `failure`
                is set: then only a restart knows.
        """
        if self._fatal is not None:
            raise StorageError(self._fatal)
        if not self._open:
            raise StorageError("the store is closed")
        if len(self._queue) >= _QUEUE:
            raise StorageBusyError("too many writes are waiting")
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._queue.append(job)
        self._wake.set()
        return await job.done

    def look_up(self, sql: str, params: Params) -> Row | None:
        """Return the row with a key from a committed state, or None, without a wait.

        Only for statements that find every row they touch by a key; others use `fetch_one`.

        Raises:
            StorageError: the store cannot be read now.
        """
        if not self._open:
            raise StorageError("the store is closed")
        try:
            return self._readers.look_up(sql, params)
        except sqlite3.Error as error:
            _tell_unreadable(error)
            raise

    async def fetch_one(self, sql: str, params: Params | None = None) -> Row | None:
        """Return the first row of a committed state, or None."""
        rows = await self.fetch_all(sql, params)
        return rows[0] if rows else None

    async def fetch_all(self, sql: str, params: Params | None = None) -> Sequence[Row]:
        """Return every row of a committed state.

        Raises:
            StorageError: the store cannot be read now.
        """
        if not self._open:
            raise StorageError("the store is closed")
        try:
            return await self._readers.fetch_all(sql, params or {})
        except sqlite3.Error as error:
            _tell_unreadable(error)
            raise

    def _open_writer(self) -> sqlite3.Connection:
        check_file(self.path)
        migrate(self.path)
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        connection.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        if (row := connection.execute(LOAD_CLOCK).fetchone()) is not None:
            self._clock.raise_to(from_us(int(row["value"])))
        return connection

    async def _write_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                before = 0
                # While what is ready adds an eighth: two threads at work slow each other down.
                while before + before // 8 < len(self._queue) < _BATCH:
                    before = len(self._queue)
                    await asyncio.sleep(0)
                jobs = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
                outcomes, changes = await loop.run_in_executor(self._thread, self._commit, jobs)
                for job, outcome in zip(jobs, outcomes, strict=True):
                    _answer(job, outcome)
                self.changes.publish(changes)
            if not self._open:
                return

    def _commit(
        self, jobs: Sequence[_Job[Any]]
    ) -> tuple[list["_Returned | _Raised"], list[tuple[str, str]]]:
        """Run a batch in one transaction; a job that raises loses only its own savepoint."""
        if self._fatal is not None:
            return [_Raised(StorageError(self._fatal)) for _ in jobs], []
        outcomes: list[_Returned | _Raised] = []
        changes: list[tuple[str, str]] = []
        try:
            now = self.now()
            self._connection.execute("BEGIN IMMEDIATE")
            last = self._connection.execute(LAST_AUDIT).fetchone()
            chain = _Chain(last["seq"], last["hash"]) if last else _Chain(0, GENESIS)
            for job in jobs:
                tx = Tx(self._connection, chain, now)
                outcome = self._run(job, tx, chain)
                outcomes.append(outcome)
                if isinstance(outcome, _Returned):
                    changes += tx.changes
            self._connection.execute(KEEP_CLOCK, {"value": to_us(now)})
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 — the writer outlives whatever a batch meets
            reason = self._undo(error, len(jobs))
            return [_Raised(StorageError(reason)) for _ in jobs], []
        return outcomes, changes

    def _run(self, job: _Job[Any], tx: Tx, chain: _Chain) -> "_Returned | _Raised":
        before = (chain.seq, chain.hash)
        self._connection.execute("SAVEPOINT job")
        try:
            outcome = _Returned(job.work(tx))
        except Exception as error:
            if isinstance(error, sqlite3.Error) and _code(error) in _STORE:
                raise
            self._connection.execute("ROLLBACK TO job")
            chain.seq, chain.hash = before
            outcome = _Raised(error)
        self._connection.execute("RELEASE job")
        return outcome

    def _undo(self, error: Exception, jobs: int) -> str:
        """Roll the batch back and return why it was lost."""
        logging.getLogger(__name__).error("a batch of %d writes was lost", jobs, exc_info=error)
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")
        reason = f"the store did not commit: {error}"
        broken = isinstance(error, sqlite3.Error) and _code(error) in _FATAL
        if broken or self._connection.in_transaction:
            # After a failed flush the kernel may have dropped the pages: only a restart knows.
            self._fatal = f"{reason}; restart signoff when the disk is well"
        return self._fatal or reason


@dataclass(frozen=True, slots=True)
class _Returned:
    result: Any


@dataclass(frozen=True, slots=True)
class _Raised:
    error: Exception


def _answer(job: _Job[Any], outcome: _Returned | _Raised) -> None:
    if job.done.done():  # its caller was cancelled; the write stands
        return
    match outcome:
        case _Returned(result):
            job.done.set_result(result)
        case _Raised(StopIteration() as error):
            # A future takes no StopIteration; left alone it would end the writer.
            job.done.set_exception(RuntimeError(f"the write raised {error!r}"))
        case _Raised(error):
            job.done.set_exception(error)


async def _end(writer: "asyncio.Task[None]") -> None:
    """Wait for the writer. A cancellation meanwhile counts afterwards: it costs no queued write."""
    cancelled: asyncio.CancelledError | None = None
    while not writer.done():
        try:
            await asyncio.shield(writer)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _tell_unreadable(error: sqlite3.Error) -> None:
    """Raise what is a fault of the store, and leave what is one of the statement."""
    if _code(error) in _STORE:
        raise StorageError(f"the store cannot be read: {error}") from error


def _code(error: sqlite3.Error) -> int:
    """Return the primary result code, 0 where the error has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY
