"""Opens what a data directory holds: its lock, its key and its database.

Owns the order in which they are opened, and the one sentence for each way that can fail. Serves
the server and the commands alike.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from signoff.app.errors import CannotRunError
from signoff.desk.lock import DataDirError, OwnerLock, acquire, owner_pid, private_dir
from signoff.sealed import Sealer, SealError
from signoff.settings import Settings
from signoff.storage import seal_key
from signoff.storage.health import UnusableFileError, check_file, prepare_directory
from signoff.storage.migrate import SchemaVersionError
from signoff.storage.seal_key import SealKeyError
from signoff.storage.sqlite import Database, StorageError

_DATABASE = "signoff.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """An open data directory."""

    data_dir: Path
    database: Database
    sealer: Sealer


def prepared(data_dir: Path) -> Path:
    """Make the data directory fit for use, and return it absolute.

    Raises:
        CannotRunError: it cannot be used.
    """
    try:
        directory = private_dir(data_dir)
        prepare_directory(directory)
    except (DataDirError, UnusableFileError) as error:
        hint = "" if "--data-dir" in str(error) else "; choose another --data-dir"
        raise CannotRunError(f"{error}{hint}") from error
    return directory


def owned(data_dir: Path) -> OwnerLock:
    """Take the ownership of a prepared directory.

    Raises:
        CannotRunError: another process has it.
    """
    try:
        lock = acquire(data_dir)
    except DataDirError as error:
        raise CannotRunError(str(error)) from error
    if lock is None:
        raise CannotRunError(
            f"another signoff (process {owner_pid(data_dir) or 'unknown'}) uses {data_dir}; "
            "stop it, or choose another --data-dir"
        )
    return lock


@asynccontextmanager
async def opened(data_dir: Path, settings: Settings) -> AsyncGenerator[Store, None]:
    """Open the store of a directory whose lock is held.

    Raises:
        CannotRunError: the key or the file cannot be used.
    """
    path = data_dir / _DATABASE
    override = settings.seal_key.get_secret_value() if settings.seal_key else None
    try:
        check_file(path)
        sealer = Sealer(seal_key.load_or_create(data_dir, database=path, override=override))
        database = Database(path)
        running = database.running()
        await running.__aenter__()
    except (
        UnusableFileError, SealKeyError, SealError, SchemaVersionError, StorageError
    ) as error:  # fmt: skip
        raise CannotRunError(str(error)) from error
    try:
        try:
            await seal_key.bind(database, sealer)
        except SealKeyError as error:
            raise CannotRunError(str(error)) from error
        yield Store(data_dir=data_dir, database=database, sealer=sealer)
    finally:
        await running.__aexit__(None, None, None)
