"""Reading apart from the writer: what is committed, at once, by a key, and nothing else."""

import ast
import asyncio
import importlib
import inspect
import logging
import pkgutil
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from signoff import storage
from signoff.storage.sqlite import Database, StorageError, Tx

KEEP = "INSERT INTO meta (key, value) VALUES (:key, :value)"
FIND = "SELECT value FROM meta WHERE key = :key"
# A search by a primary or a unique key, or the few entries of one approval by its id.
BY_KEY = re.compile(
    r"SEARCH \w+ USING ((INTEGER )?PRIMARY KEY|(COVERING )?INDEX sqlite_autoindex_\w+) \(.+=\?\)"
    r"|SEARCH approval_eligible USING COVERING INDEX approval_eligible_of \(approval_id=\?\)"
    r"|SEARCH consents USING INDEX consents_approval \(approval_id=\?\)"
    r"|SCAN CONSTANT ROW|(CORRELATED )?SCALAR SUBQUERY \d+"
)


def looked_up() -> Iterator[tuple[str, str]]:
    """Every statement that the storage hands to `look_up`, with where it stands."""
    for found in pkgutil.iter_modules(storage.__path__, f"{storage.__name__}."):
        module = importlib.import_module(found.name)
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("look_up", "_look_up")
                and not (isinstance(node.args[0], ast.Name) and node.args[0].id.islower())
            ):
                given = node.args[0]
                named = given.value if isinstance(given, ast.Subscript) else given
                value: Any = eval(ast.unparse(named), vars(module))  # noqa: S307 — a constant of ours
                statements = value.values() if isinstance(given, ast.Subscript) else (value,)
                for statement in statements:
                    yield found.name, str(statement)


async def test_all_that_is_looked_up_on_the_event_loop_is_found_by_a_key(
    database: Database,
) -> None:
    found = list(looked_up())
    assert {name.rpartition(".")[2] for name, _ in found} >= {"approvals", "calls", "clients"}
    with closing(sqlite3.connect(database.path)) as connection:
        for name, statement in found:
            names = dict.fromkeys(re.findall(r":(\w+)", statement))
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", names).fetchall()
            walks = [step[3] for step in plan if not BY_KEY.fullmatch(step[3])]
            assert not walks, (name, statement)


async def test_a_look_up_sees_what_was_answered_and_never_what_was_not(
    database: Database,
) -> None:
    entered, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(tx: Tx) -> None:
        tx.execute(KEEP, {"key": "k", "value": 1})
        loop.call_soon_threadsafe(entered.set)
        assert go.wait(30)

    write = asyncio.create_task(database.write(work))
    await entered.wait()
    before = database.look_up(FIND, {"key": "k"})
    go.set()
    await write
    after = database.look_up(FIND, {"key": "k"})

    assert before is None
    assert after is not None
    assert after["value"] == 1


async def test_what_is_not_there_is_none(database: Database) -> None:
    assert database.look_up(FIND, {"key": "nothing"}) is None


async def test_a_look_up_cannot_write(database: Database) -> None:
    with pytest.raises(StorageError, match="readonly"):
        database.look_up(KEEP, {"key": "k", "value": 1})
    assert database.look_up(FIND, {"key": "k"}) is None


async def test_a_look_up_holds_no_snapshot_that_would_stop_a_checkpoint(
    database: Database,
) -> None:
    await database.write(lambda tx: tx.execute(KEEP, {"key": "k", "value": 1}))
    database.look_up(FIND, {"key": "k"})
    await database.write(lambda tx: tx.execute(KEEP, {"key": "k2", "value": 2}))
    with closing(sqlite3.connect(database.path)) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0


async def test_nothing_is_looked_up_in_a_store_that_is_not_open(tmp_path: Path) -> None:
    database = Database(tmp_path / "signoff.db")
    with pytest.raises(StorageError, match="closed"):
        database.look_up(FIND, {"key": "k"})
    async with database.running():
        assert database.look_up(FIND, {"key": "k"}) is None
    with pytest.raises(StorageError, match="closed"):
        database.look_up(FIND, {"key": "k"})


async def test_a_mistake_in_a_statement_is_no_fault_of_the_store(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        database.look_up("SELECT * FROM nowhere WHERE id = :id", {"id": 1})


async def test_a_damaged_page_is_told_as_a_store_that_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    path = tmp_path / "signoff.db"
    async with Database(path).running() as database:
        root = database.look_up("SELECT rootpage FROM sqlite_master WHERE name = :n", {"n": "meta"})
        assert root is not None
    async with Database(path).running() as database:
        with path.open("r+b") as file:
            file.seek((root[0] - 1) * 4096)
            file.write(b"\xff" * 4096)
        with pytest.raises(StorageError, match="cannot be read"):
            database.look_up(FIND, {"key": "k"})
