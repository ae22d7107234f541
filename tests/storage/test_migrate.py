"""Schema changes: whole or not at all, and never on a file that is not ours."""

import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from signoff.storage import migrate as module
from signoff.storage.migrate import SchemaVersionError, migrate, revisions
from signoff.storage.sqlite import Database

NEXT = """
from alembic import op
revision = "9001"
down_revision = "{last}"
def upgrade():
    op.execute("CREATE TABLE first_half (id INTEGER PRIMARY KEY) STRICT")
    op.execute("UPDATE meta SET value = 'changed' WHERE key = 'k1'")
    {then}
    op.execute("CREATE TABLE second_half (id INTEGER PRIMARY KEY) STRICT")
"""
KILLED = """
import sys
from pathlib import Path
from signoff.storage import migrate
migrate._MIGRATIONS = Path(sys.argv[2])
migrate.migrate(Path(sys.argv[1]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signoff.db"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The migrations, to add to."""
    copy = tmp_path / "migrations"
    shutil.copytree(module._MIGRATIONS, copy, ignore=shutil.ignore_patterns("__pycache__"))  # pyright: ignore[reportPrivateUsage] — tests add a revision
    return copy


@pytest.fixture
def populated(path: Path) -> Path:
    migrate(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO meta (key, value) VALUES ('k1', 'kept')")
    return path


def add_revision(migrations: Path, then: str) -> None:
    text = NEXT.format(last=revisions()[-1], then=then)
    (migrations / "versions" / "9001_next.py").write_text(text)


def state(path: Path) -> tuple[str, str, set[str]]:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        (value,) = connection.execute("SELECT value FROM meta WHERE key = 'k1'").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    return version, value, tables & {"first_half", "second_half"}


def test_an_empty_place_gets_the_newest_schema_and_is_private(path: Path) -> None:
    migrate(path)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (revisions()[-1],)
        ]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_revisions_form_one_line(path: Path) -> None:
    known = revisions()
    assert known == sorted(set(known))
    migrate(path)
    migrate(path)


def test_every_table_is_strict(path: Path) -> None:
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        loose = [
            name
            for _, name, kind, _, _, strict in connection.execute("PRAGMA table_list")
            if kind == "table" and not strict and not name.startswith(("sqlite_", "alembic_"))
        ]
    assert loose == []


def test_a_populated_file_is_brought_up_and_keeps_its_rows(
    populated: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_revision(copied, "pass")
    monkeypatch.setattr(module, "_MIGRATIONS", copied)

    migrate(populated)

    assert state(populated) == ("9001", "changed", {"first_half", "second_half"})


def test_a_revision_that_fails_leaves_the_file_as_it_was(
    populated: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_revision(copied, "raise RuntimeError('half way')")
    monkeypatch.setattr(module, "_MIGRATIONS", copied)

    with pytest.raises(RuntimeError, match="half way"):
        migrate(populated)

    assert state(populated) == (revisions_without_next(), "kept", set())


def revisions_without_next() -> str:
    return [revision for revision in revisions() if revision != "9001"][-1]


@pytest.mark.seed("T73")
def test_a_kill_in_the_middle_of_a_migration_leaves_the_file_as_it_was(
    populated: Path, copied: Path
) -> None:
    add_revision(copied, "import os; os.kill(os.getpid(), 9)")

    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(populated), str(copied)], check=False, timeout=60
    )

    assert ended.returncode == -signal.SIGKILL
    assert state(populated) == (revisions()[-1], "kept", set())


@pytest.mark.seed("T73")
def test_a_kill_in_the_first_migration_leaves_a_file_that_migrates(
    path: Path, copied: Path
) -> None:
    add_revision(copied, "import os; os.kill(os.getpid(), 9)")
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(copied)], check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL

    migrate(path)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM audit").fetchone() == (0,)


def test_a_file_of_a_newer_signoff_is_refused_untouched(populated: Path) -> None:
    with closing(sqlite3.connect(populated)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaVersionError, match="9999, newer than this signoff"):
        migrate(populated)

    assert state(populated) == ("9999", "kept", set())


def test_a_file_of_another_program_is_refused_untouched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")

    with pytest.raises(SchemaVersionError, match="another program"):
        migrate(path)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_file_that_is_up_to_date_never_imports_alembic(populated: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from signoff.storage.migrate import migrate\n"
        "migrate(Path(sys.argv[1])); print('alembic' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(populated)], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "False\n"


def test_processes_that_start_at_once_agree(path: Path) -> None:
    program = "import sys; from pathlib import Path\nfrom signoff.storage.migrate import migrate\n"
    program += "migrate(Path(sys.argv[1]))"
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(path)], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=60)[1] for process in started]

    assert [process.returncode for process in started] == [0, 0, 0], errors
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


async def test_an_open_store_can_be_read_by_an_auditor(path: Path) -> None:
    async with Database(path).running() as database:
        await database.write(lambda tx: tx.now)
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            assert connection.execute("SELECT count(*) FROM audit").fetchone() == (0,)
        await database.write(lambda tx: tx.now)
