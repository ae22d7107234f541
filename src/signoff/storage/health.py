"""Whether a data directory and its database can be trusted with decisions, before they are used.

Owns what is refused: a directory on a network file system, one that cannot be written, a damaged
file. Each refusal is one sentence for the operator. Knows no table.
"""

import os
import re
import sqlite3
import stat
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

# Locks and shared memory, which WAL needs, do not hold over these (sqlite.org/wal.html).
_REMOTE: Final = frozenset({
    "9p", "afs", "afpfs", "ceph", "cifs", "davfs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs",
    "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb2", "smb3", "smbfs",
})  # fmt: skip
_MOUNTS: Final = Path("/proc/self/mounts")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_OWNER_ONLY: Final = 0o700


class UnusableFileError(Exception):
    """The place or the file cannot be used. The message is one sentence that says what to do."""


def prepare_directory(directory: Path, *, mounts: Path = _MOUNTS) -> None:
    """Make `directory` with mode 0700, and make sure that it may hold a database.

    A directory that others may enter is closed to them.

    Raises:
        UnusableFileError: says what to change.
    """
    try:
        directory.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        entered = directory.stat()
        if entered.st_uid != os.geteuid():
            raise UnusableFileError(
                f"{directory} belongs to another user; choose a --data-dir of your own"
            )
        if stat.S_IMODE(entered.st_mode) != _OWNER_ONLY:
            directory.chmod(_OWNER_ONLY)
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"\x00")
    except OSError as error:
        raise UnusableFileError(
            f"cannot write to {directory} ({error.strerror}); choose another --data-dir"
        ) from error
    kind = file_system(directory, mounts=mounts)
    if kind in _REMOTE:
        raise UnusableFileError(
            f"{directory} is on a network file system ({kind}), where SQLite can lose decisions; "
            "choose a local --data-dir"
        )


def check_file(path: Path) -> None:
    """Check the pages of the database at `path`; a file that does not exist is fine.

    Raises:
        UnusableFileError: the file is damaged or is no database.
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        reason = found.splitlines()[-1]
        raise UnusableFileError(f"{path} is damaged ({reason}); restore it from a backup")


def file_system(directory: Path, *, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the file system `directory` is on, None where the system does not say."""
    try:
        listed = mounts.read_text(errors="surrogateescape")
    except OSError:
        return None
    place, longest, kind = directory.resolve(), -1, None
    for line in listed.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:  # noqa: PLR2004 — device, mount point, type
            continue
        point = Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[1]))
        # `>=`: a later mount on the same point hides the earlier one.
        if place.is_relative_to(point) and len(point.parts) >= longest:
            longest, kind = len(point.parts), fields[2]
    return kind
