"""Who owns a data directory: one process, by an advisory lock that dies with it.

Owns `owner.lock` and the privacy of the directory. Knows no server, no socket and no storage. The
kernel drops the lock when the process goes, however it goes, so nothing here is ever stale.
"""

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

_NAME: Final = "owner.lock"


class DataDirError(Exception):
    """The data directory cannot be used. The message says what to do."""


def private_dir(path: Path) -> Path:
    """Make `path` a directory only this user can enter, and return it absolute.

    Raises:
        DataDirError: it cannot be made, or belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise DataDirError(f"{path} belongs to another user; choose another --data-dir")
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
    except OSError as error:
        reason = error.strerror or "it cannot be made"
        raise DataDirError(f"{path} cannot be used as data directory: {reason}") from error
    return path.resolve()


class OwnerLock:
    """Held for as long as this object is open. Made by `acquire`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def acquire(data_dir: Path) -> OwnerLock | None:
    """Take the ownership of `data_dir`, or return None when another process has it.

    Raises:
        DataDirError: the lock file cannot be opened.
    """
    path = data_dir / _NAME
    try:
        # O_CLOEXEC (Python's default): a child must not keep the lock of a dead owner alive.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DataDirError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise DataDirError(f"{path} cannot be locked: {error.strerror}") from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return OwnerLock(descriptor)


def owner_pid(data_dir: Path) -> int | None:
    """Return the process that last took the lock, for a message to a person; never a rule."""
    try:
        return int((data_dir / _NAME).read_text())
    except (OSError, ValueError):
        return None
