"""The one writer: group commit, what a failing job costs, and what happens at the end."""

import asyncio
import logging
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest

from signoff.audit import AuditEvent, Broken, Intact
from signoff.storage import sqlite as module
from signoff.storage.audit_log import verify_log
from signoff.storage.sqlite import Database, StorageBusyError, StorageError, Tx

KEEP = "INSERT INTO meta (key, value) VALUES (:key, :value)"
KEPT = "SELECT key FROM meta WHERE key LIKE 'k%' ORDER BY key"

ROOT = "SELECT rootpage FROM sqlite_master WHERE name = 'outbox'"
SLOW = """
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 300000)
SELECT count(*) FROM n
"""


def keep(key: str, *, audited: bool = True) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        if audited:
            tx.audit(AuditEvent(event="kept", subject=key, actor="test"))
        tx.execute(KEEP, {"key": key, "value": 1})
        tx.changed("key", key)
        return key

    return work


def fail(error: BaseException, key: str) -> Callable[[Tx], NoReturn]:
    def work(tx: Tx) -> NoReturn:
        keep(key)(tx)
        raise error

    return work


async def kept(database: Database) -> list[str]:
    return [row["key"] for row in await database.fetch_all(KEPT)]


async def intact(database: Database) -> int:
    match await verify_log(database.fetch_all):
        case Intact(rows=rows):
            return rows
        case Broken() as broken:
            pytest.fail(f"the audit chain broke: {broken}")


def modes_in(directory: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()}


def overwrite(path: Path, *, at: int, with_: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(with_)


class Held:
    """Holds the writer inside a job, so that what follows queues up behind it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entered = asyncio.Event()
        self._go = threading.Event()

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()

        def wait(_tx: Tx) -> None:
            loop.call_soon_threadsafe(self._entered.set)
            assert self._go.wait(30)

        self._job = asyncio.create_task(self._database.write(wait))
        await self._entered.wait()

    async def __aexit__(self, *_: object) -> None:
        self._go.set()
        await self._job


async def queued(writes: list[Any]) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.ensure_future(write) for write in writes]
    await asyncio.sleep(0)  # one turn of the loop: every task has put its job into the queue
    return tasks


@pytest.mark.seed("T73")
async def test_a_job_that_raises_loses_only_itself(database: Database) -> None:
    async with Held(database):
        tasks = await queued([
            database.write(keep("k1")),
            database.write(fail(ValueError("no"), "k2")),
            database.write(keep("k3")),
            database.write(keep("k1")),  # breaks the primary key
            database.write(keep("k4")),
        ])
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [str(result) for result in results[:3]] == ["k1", "no", "k3"]
    assert isinstance(results[3], sqlite3.IntegrityError)
    assert results[4] == "k4"
    assert await kept(database) == ["k1", "k3", "k4"]
    assert await intact(database) == 3


async def test_a_job_that_survives_a_failed_audit_insert_leaves_no_gap(database: Database) -> None:
    def work(tx: Tx) -> None:
        tx.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT raise(FAIL, 'no'); END")
        with pytest.raises(sqlite3.IntegrityError):
            tx.audit(AuditEvent(event="lost", subject="s", actor="test"))
        tx.execute("DROP TRIGGER full")
        tx.audit(AuditEvent(event="kept", subject="s", actor="test"))

    await database.write(work)

    assert await intact(database) == 1


@pytest.mark.parametrize(
    "error", [StopIteration(), RuntimeError("odd"), KeyError("k"), RecursionError()]
)
async def test_whatever_a_job_raises_the_writer_goes_on(
    database: Database, error: Exception
) -> None:
    with pytest.raises(RuntimeError if isinstance(error, StopIteration) else type(error)):
        await database.write(fail(error, "k1"))

    assert await database.write(keep("k2")) == "k2"
    assert await kept(database) == ["k2"]
    assert await intact(database) == 1


@pytest.mark.seed("T72")
async def test_a_change_whose_audit_row_cannot_be_written_does_not_happen(
    database: Database,
) -> None:
    def work(tx: Tx) -> None:
        tx.execute(KEEP, {"key": "k1", "value": 1})
        tx.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT raise(FAIL, 'no'); END")
        tx.audit(AuditEvent(event="kept", subject="k1", actor="test"))

    with pytest.raises(sqlite3.IntegrityError):
        await database.write(work)

    assert await kept(database) == []
    assert await database.write(keep("k2")) == "k2"


async def test_a_cancelled_caller_does_not_undo_its_write(database: Database) -> None:
    async with Held(database):
        tasks = await queued([database.write(keep("k1")), database.write(keep("k2"))])
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]

    assert await tasks[1] == "k2"
    assert await kept(database) == ["k1", "k2"]


async def test_a_full_queue_refuses_and_loses_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUEUE", 3)
    async with Held(database):
        tasks = await queued([database.write(keep(f"k{number}")) for number in range(3)])
        with pytest.raises(StorageBusyError):
            await database.write(keep("k9"))
    await asyncio.gather(*tasks)

    assert await kept(database) == ["k0", "k1", "k2"]
    assert await database.write(keep("k4")) == "k4"


async def test_more_writes_than_one_batch_are_all_answered(database: Database) -> None:
    keys = [f"k{number:04}" for number in range(700)]

    assert await asyncio.gather(*(database.write(keep(key)) for key in keys)) == keys
    assert await kept(database) == keys
    assert await intact(database) == 700


@pytest.mark.seed("T73")
async def test_a_write_does_not_wait_for_a_trickle_of_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more in each turn of the loop would fill a batch, and each turn may take long."""
    batches: list[int] = []
    commit = database._commit  # pyright: ignore[reportPrivateUsage]

    def counted(jobs: Any) -> Any:
        batches.append(len(jobs))
        return commit(jobs)

    monkeypatch.setattr(database, "_commit", counted)
    writes: list[asyncio.Task[None]] = []
    while not batches:
        writes.append(asyncio.create_task(database.write(lambda _: None)))
        await asyncio.sleep(0)
    await asyncio.gather(*writes)
    assert batches[0] < 20


async def test_a_stop_does_what_is_queued_and_refuses_what_comes_later(tmp_path: Path) -> None:
    database = Database(tmp_path / "signoff.db")
    async with database.running():
        held = Held(database)
        await held.__aenter__()
        tasks = await queued([database.write(keep(f"k{number}")) for number in range(600)])
        release = asyncio.create_task(held.__aexit__())
    await release

    assert [task.done() for task in tasks] == [True] * 600
    with pytest.raises(StorageError, match="closed"):
        await database.write(keep("k999"))
    with pytest.raises(StorageError, match="closed"):
        await database.fetch_all(KEPT)
    with closing(sqlite3.connect(database.path)) as connection:
        assert connection.execute("SELECT count(*) FROM meta WHERE key LIKE 'k%'").fetchone() == (
            600,
        )


async def test_a_write_before_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="closed"):
        await Database(tmp_path / "signoff.db").write(keep("k1"))


async def test_a_stop_that_is_interrupted_still_does_what_is_queued(tmp_path: Path) -> None:
    database = Database(tmp_path / "signoff.db")
    held, stopping = Held(database), asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []

    async def serve() -> None:
        async with database.running():
            await held.__aenter__()
            tasks.extend(await queued([database.write(keep("k1"))]))
            stopping.set()

    server = asyncio.create_task(serve())
    await stopping.wait()
    server.cancel()
    await held.__aexit__()
    with pytest.raises(asyncio.CancelledError):
        await server

    assert await tasks[0] == "k1"
    async with Database(tmp_path / "signoff.db").running() as again:
        assert await kept(again) == ["k1"]


async def test_readers_never_see_what_is_not_committed(database: Database) -> None:
    entered, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(tx: Tx) -> None:
        keep("k1")(tx)
        loop.call_soon_threadsafe(entered.set)
        assert go.wait(30)

    write = asyncio.create_task(database.write(work))
    await entered.wait()
    before = await kept(database)
    go.set()
    await write

    assert (before, await kept(database)) == ([], ["k1"])


async def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(StorageError, match="readonly"):
        await database.fetch_all(KEEP, {"key": "k1", "value": 1})


async def test_a_cancelled_read_leaves_its_connection_to_others(database: Database) -> None:
    reads = [asyncio.create_task(database.fetch_all(SLOW)) for _ in range(8)]
    await asyncio.sleep(0)
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)

    assert await kept(database) == []


async def test_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "signoff.db"
    path.touch(mode=0o644)
    path.chmod(0o644)
    async with Database(path).running() as database:
        await database.write(keep("k1"))
        modes = modes_in(tmp_path)

    assert modes == {"signoff.db": 0o600, "signoff.db-wal": 0o600, "signoff.db-shm": 0o600}


async def test_the_writer_flushes_every_commit(database: Database) -> None:
    wanted = {
        "synchronous": 2,
        "foreign_keys": 1,
        "journal_mode": "wal",
        "trusted_schema": 0,
        "temp_store": 2,
    }
    found = await database.write(
        lambda tx: {name: tx.all(f"PRAGMA {name}")[0][0] for name in wanted}
    )
    assert found == wanted


async def test_a_full_store_costs_the_batch_and_the_writer_goes_on(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await database.write(keep("k1"))
    pages = await database.write(lambda tx: tx.all("PRAGMA page_count")[0][0])
    await database.write(lambda tx: tx.all(f"PRAGMA max_page_count={pages}")[0][0])

    def large(tx: Tx) -> None:
        tx.execute(KEEP, {"key": "k2", "value": b"\x00" * 1_000_000})

    with caplog.at_level(logging.CRITICAL), pytest.raises(StorageError, match="full"):
        await database.write(large)

    assert database.failure is None
    await database.write(lambda tx: tx.all("PRAGMA max_page_count=100000")[0][0])
    await database.write(keep("k3"))
    assert await kept(database) == ["k1", "k3"]
    assert await intact(database) == 2


async def test_a_damaged_page_ends_all_writes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    path = tmp_path / "signoff.db"
    async with Database(path).running() as database:
        root = (await database.fetch_all(ROOT))[0][0]
    async with Database(path).running() as database:
        # Damaged while it is open, so that no check at the start sees it.
        overwrite(path, at=(root - 1) * 4096, with_=b"\xff" * 4096)
        with pytest.raises(StorageError, match="restart"):
            await database.write(lambda tx: tx.enqueue("kind", "subject", {}))
        with pytest.raises(StorageError, match="restart"):
            await database.write(lambda tx: tx.now)
        assert database.failure is not None
        with pytest.raises(StorageError, match="cannot be read"):
            await database.fetch_all("SELECT * FROM outbox")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await database.fetch_all("SELECT * FROM nowhere")

    with pytest.raises(StorageError, match="damaged"):
        async with Database(path).running():
            pass


async def test_each_caller_of_a_lost_batch_gets_an_error_of_its_own(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    await database.write(lambda tx: tx.all("PRAGMA max_page_count=1")[0][0])

    def large(tx: Tx) -> None:
        tx.execute(KEEP, {"key": "k2", "value": b"\x00" * 1_000_000})

    async with Held(database):
        tasks = await queued([database.write(keep("k1")), database.write(large)])
    errors = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(error) for error in errors] == [StorageError, StorageError]
    assert errors[0] is not errors[1]
    assert await kept(database) == []
