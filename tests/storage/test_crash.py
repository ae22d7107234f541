"""A process that ends at any moment: what was acknowledged is there, and the chain holds."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from signoff.audit import Intact
from signoff.storage.audit_log import verify_log
from signoff.storage.sqlite import Database, StorageError

WRITES_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from signoff.audit import AuditEvent
from signoff.storage.sqlite import Database

def keep(key):
    def work(tx):
        tx.audit(AuditEvent(event="kept", subject=key, actor="test"))
        tx.execute("INSERT INTO meta (key, value) VALUES (:key, 1)", {"key": key})
        if key.endswith("7"):
            raise ValueError(key)
    return work

async def writer(database, number):
    for count in range(1_000_000):
        key = f"k{number}-{count}"
        try:
            await database.write(keep(key))
        except ValueError:
            continue
        sys.stdout.write(key + "\\n")
        sys.stdout.flush()

async def main():
    async with Database(Path(sys.argv[1])).running() as database:
        async with asyncio.TaskGroup() as group:
            for number in range(16):
                group.create_task(writer(database, number))

asyncio.run(main())
"""

WRITES_UNTIL_THE_LIMIT = """
import asyncio, resource, signal, sys
from pathlib import Path
from signoff.storage.sqlite import Database, StorageError

def keep(key, size):
    sql = "INSERT INTO meta (key, value) VALUES (:key, :value)"
    return lambda tx: tx.execute(sql, {"key": key, "value": b"x" * size})

async def main():
    async with Database(Path(sys.argv[1])).running() as database:
        await database.write(keep("k1", 10))
        limit = 4_000_000
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        for number in range(2, 9):
            try:
                await database.write(keep(f"k{number}", 1_000_000))
            except StorageError as error:
                print(f"refused k{number}")
                break
            print(f"kept k{number}")
        print("failure", database.failure is not None)
        try:
            await database.write(keep("k9", 1))
        except StorageError:
            print("refused k9")
        print("read", len(await database.fetch_all("SELECT 1 FROM meta WHERE key = 'k1'")))

asyncio.run(main())
"""


@pytest.mark.seed("T73")
@pytest.mark.parametrize("after", [1, 200, 1_500])
async def test_every_acknowledged_write_survives_a_kill(tmp_path: Path, after: int) -> None:
    path = tmp_path / "signoff.db"
    with subprocess.Popen(  # noqa: ASYNC220 — nothing else runs in this loop
        [sys.executable, "-c", WRITES_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(after)]
        os.kill(process.pid, signal.SIGKILL)
        told += [line.strip() for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL

    async with Database(path).running() as database:
        rows = await database.fetch_all("SELECT key FROM meta WHERE key LIKE 'k%'")
        kept = {row["key"] for row in rows}
        chain = await verify_log(database.fetch_all)
        await database.write(lambda tx: tx.now)  # and the store goes on

    assert set(told) <= kept
    assert not [key for key in kept if key.endswith("7")]
    assert isinstance(chain, Intact)
    assert chain.rows == len(kept)


@pytest.mark.seed("T73")
def test_a_write_that_the_system_refuses_ends_all_writes_but_no_reads(tmp_path: Path) -> None:
    path = tmp_path / "signoff.db"
    ended = subprocess.run(
        [sys.executable, "-c", WRITES_UNTIL_THE_LIMIT, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = ended.stdout.splitlines()

    kept = [line.split()[1] for line in said if line.startswith("kept")]
    assert said[len(kept) :] == [
        f"refused k{len(kept) + 2}",
        "failure True",
        "refused k9",
        "read 1",
    ]
    assert "a batch of 1 writes was lost" in ended.stderr


@pytest.mark.seed("T73")
async def test_what_was_acknowledged_before_a_refused_write_is_there_after_a_restart(
    tmp_path: Path,
) -> None:
    path = tmp_path / "signoff.db"
    ended = subprocess.run(  # noqa: ASYNC221 — nothing else runs in this loop
        [sys.executable, "-c", WRITES_UNTIL_THE_LIMIT, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    kept = {line.split()[1] for line in ended.stdout.splitlines() if line.startswith("kept")}

    async with Database(path).running() as database:
        rows = await database.fetch_all("SELECT key FROM meta WHERE key LIKE 'k%'")

    assert {row["key"] for row in rows} == kept | {"k1"}


@pytest.mark.parametrize("content", [b"not a database at all" * 300, b"SQLite format 3\x00" * 9])
async def test_a_file_that_is_no_database_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "signoff.db"
    path.write_bytes(content)

    with pytest.raises(StorageError, match=r"damaged|not a database"):
        async with Database(path).running():
            pass


async def test_a_directory_that_does_not_exist_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot use"):
        async with Database(tmp_path / "nowhere" / "signoff.db").running():
            pass
