"""Brings the schema of a SQLite file to the newest revision, before the event loop needs it.

Owns when Alembic runs. Revisions are the files of `migrations/versions`, named by their revision;
the current one is read by plain SQL and Alembic is imported only when it differs.
"""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Final

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MODE: Final = 0o600
_TABLES: Final = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
_REVISION: Final = "SELECT version_num FROM alembic_version"


class SchemaVersionError(Exception):
    """The file is not one that this signoff can bring up to date. The message says why."""


def revisions() -> list[str]:
    """Return every revision this signoff knows, oldest first."""
    return sorted(
        path.name.split("_", 1)[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py")
    )


def migrate(path: Path) -> None:
    """Bring the file at `path` to the newest revision, creating it with mode 0600.

    All revisions that are missing are one transaction: a crash leaves the file as it was.

    Raises:
        SchemaVersionError: the file is of a newer signoff, or of another program.
    """
    known = revisions()
    path.touch(mode=_MODE)
    if stat.S_IMODE(path.stat().st_mode) != _MODE:
        path.chmod(_MODE)
    current = _current(path)
    if current == known[-1]:
        return
    if current is not None and current not in known:
        raise SchemaVersionError(
            f"{path} is at schema {current}, newer than this signoff ({known[-1]}): upgrade signoff"
        )
    _upgrade(path)


def _current(path: Path) -> str | None:
    """Return the file's revision, None for an empty file."""
    with closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute(_TABLES)}
        row = connection.execute(_REVISION).fetchone() if "alembic_version" in tables else None
    if row is None and tables - {"alembic_version"}:
        raise SchemaVersionError(f"{path} belongs to another program: choose another --data-dir")
    return None if row is None else str(row[0])


def _upgrade(path: Path) -> None:
    # Alembic and SQLAlchemy cost 0.3 s to import; an up-to-date file never pays it.
    from alembic import command, config  # noqa: PLC0415
    from sqlalchemy import create_engine, pool  # noqa: PLC0415

    settings = config.Config()
    settings.set_main_option("script_location", str(_MIGRATIONS))
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(path, isolation_level=None),
        poolclass=pool.NullPool,
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.exec_driver_sql("PRAGMA synchronous=FULL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        connection.exec_driver_sql("COMMIT")
