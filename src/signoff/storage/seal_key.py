"""The master key of a data directory: made once, kept outside the database.

Owns `DATA_DIR/seal.key` and the check that a key belongs to a database. What the key is used for
stands in `sealed.py`.
"""

import base64
import binascii
import hmac
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from signoff.sealed import KEY_BYTES, Sealer, new_key
from signoff.storage.sqlite import Database, Tx

KEY_FILE: Final = "seal.key"
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]{43}=?")
_MAX_BYTES: Final = 1_024
_OTHERS: Final = 0o077

LOAD_MARK = "SELECT value FROM meta WHERE key = 'seal_key'"
KEEP_MARK = "INSERT INTO meta (key, value) VALUES ('seal_key', :value)"


class SealKeyError(Exception):
    """The key cannot be used. The message says what to do and never holds the key."""


def load_or_create(directory: Path, *, database: Path, override: str | None = None) -> bytes:
    """Return the 32-byte key: `override` if given, else the file's, made where there is none.

    `override` is base64url or hex and is not written anywhere. A new key is made only while
    `database` does not exist yet: a lost key must not be replaced quietly.

    Raises:
        SealKeyError: says what is wrong.
    """
    if override is not None:
        return _decode(override, source="SIGNOFF_SEAL_KEY")
    path = directory / KEY_FILE
    try:
        with suppress(FileNotFoundError):
            return _load(path)
        if database.exists():
            raise SealKeyError(
                f"{path} is missing, and {database} was sealed with it: restore the key, "
                "or set SIGNOFF_SEAL_KEY"
            )
        _create(path)
        return _load(path)
    except OSError as error:
        raise SealKeyError(f"cannot use {path}: {error.strerror}") from error


async def bind(database: Database, sealer: Sealer) -> None:
    """Tie a database to the key at its first use, and refuse every other key afterwards.

    Raises:
        SealKeyError: the database was sealed with another key.
    """
    mark = sealer.keyed_hash("mark", b"this database")

    def compare(tx: Tx) -> bytes:
        row = tx.one(LOAD_MARK)
        if row is None:
            tx.execute(KEEP_MARK, {"value": mark})
            return mark
        return bytes(row["value"])

    if not hmac.compare_digest(await database.write(compare), mark):
        raise SealKeyError(
            f"{database.path} was sealed with another key: restore its {KEY_FILE}, "
            "or set SIGNOFF_SEAL_KEY"
        )


def _load(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        opened = os.fstat(file.fileno())
        if not stat.S_ISREG(opened.st_mode):
            raise SealKeyError(f"{path} is not a plain file")
        if opened.st_mode & _OTHERS:
            raise SealKeyError(f"{path} can be read by others: run `chmod 600 {path}`")
        content = file.read(_MAX_BYTES)
    return _decode(content.decode("ascii", "replace"), source=str(path))


def _create(path: Path) -> None:
    """Write a new key. Whoever comes second gets the first one's key, never half of it."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.urlsafe_b64encode(new_key()) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: it fails where the file exists.
        with suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        fresh.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _decode(text: str, *, source: str) -> bytes:
    text = text.strip()
    with suppress(binascii.Error, ValueError):
        if _HEX.fullmatch(text):
            return bytes.fromhex(text)
        if _BASE64URL.fullmatch(text):
            key = base64.urlsafe_b64decode(text.rstrip("=") + "=")
            if len(key) == KEY_BYTES:
                return key
    raise SealKeyError(f"{source} must hold {KEY_BYTES} bytes as base64url or hex")
