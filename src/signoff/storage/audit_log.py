"""The audit chain as it stands in the store, and its signed head beside it.

Owns reading the chain in parts, checking it whole, and `DATA_DIR/audit.head`. What a row says is
written by whoever changes something (`Tx.audit`); the rule of the chain stands in `audit.py`.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn, Protocol

from signoff.audit import GENESIS, AuditRow, Broken, Intact, verify
from signoff.storage.sqlite import Database, Row, StorageError
from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import AuditHead, verify_head

HEAD_FILE: Final = "audit.head"
_EVERY_S: Final = 60.0
_CHUNK: Final = 1_000
_MAX_HEAD_BYTES: Final = 8_192

ROWS = "SELECT seq, body, prev, hash FROM audit WHERE seq > :after ORDER BY seq LIMIT :limit"
FIRST_ROWS = "SELECT seq, body, prev, hash FROM audit ORDER BY seq LIMIT :limit"
TAIL = """
SELECT seq, body, prev, hash FROM (SELECT * FROM audit ORDER BY seq DESC LIMIT :limit) ORDER BY seq
"""
ONE = "SELECT hash FROM audit WHERE seq = :seq"

Fetch = Callable[[str, Mapping[str, object]], Awaitable[Sequence[Row]]]


class HeadSigner(Protocol):
    """What signs a head: `tokens.keyring.Keyring`."""

    @property
    def public(self) -> KeySet:
        """The keys a head is verified with."""
        ...

    def sign_head(self, *, seq: int, head: bytes, at: datetime) -> str:
        """Return a signed statement that the chain reached `seq` with hash `head`."""
        ...


async def parts(fetch: Fetch, *, size: int = _CHUNK) -> AsyncGenerator[list[AuditRow], None]:
    """Yield the whole chain, oldest first, `size` rows at a time."""
    rows = [_row(row) for row in await fetch(FIRST_ROWS, {"limit": size})]
    while rows:
        yield rows
        rows = [_row(row) for row in await fetch(ROWS, {"after": rows[-1].seq, "limit": size})]


async def tail(fetch: Fetch, limit: int) -> list[AuditRow]:
    """Return the last `limit` rows, oldest first."""
    return [_row(row) for row in await fetch(TAIL, {"limit": limit})]


async def verify_log(
    fetch: Fetch, *, head: AuditHead | None = None, size: int = _CHUNK
) -> Intact | Broken:
    """Check every row, and that the chain still holds what `head` vouches for.

    Without a head, a tail that was cut off, or a chain that was written anew, is not found.
    """
    reached = Intact(rows=0, head=GENESIS)
    vouched = head is None or (head.seq == 0 and head.head == GENESIS)
    async for rows in parts(fetch, size=size):
        match verify(rows, after=reached):
            case Broken() as broken:
                return broken
            case Intact() as reached:
                pass
        if head is not None and not vouched and head.seq <= reached.rows:
            # An intact part holds every number in order, so this index is that row.
            vouched = rows[head.seq - rows[0].seq].hash == head.head
            if not vouched:
                return Broken(seq=head.seq, reason="is not the row whose hash was signed")
    if head is not None and not vouched:
        reason = (
            f"is missing: the log ends at row {reached.rows}, its signed head is row {head.seq}"
        )
        return Broken(seq=reached.rows + 1, reason=reason)
    return reached


class HeadFile:
    """`audit.head`: a signed statement of how far the chain has come, kept outside the database."""

    def __init__(self, directory: Path, database: Database, signer: HeadSigner) -> None:
        self.path = directory / HEAD_FILE
        self._database = database
        self._signer = signer

    def load(self) -> AuditHead | None:
        """Return the head as it was last signed, None where there is none yet.

        Raises:
            TokenError: the file holds something else.
        """
        return read_head(self.path, keys=self._signer.public)

    async def keep(self, *, every_s: float = _EVERY_S) -> NoReturn:
        """Write the head every `every_s` and, when this is cancelled, once more."""
        try:
            while True:
                await self._try()
                await asyncio.sleep(every_s)
        finally:
            await asyncio.shield(self._try())

    async def write(self) -> bool:
        """Sign the chain's last row; False when the chain is not what the last head vouches for.

        A head that the chain contradicts stays as it is: it is the evidence.
        """
        kept = await asyncio.to_thread(self.load)
        if kept is not None and not await self._holds(kept):
            return False
        last = await tail(self._database.fetch_all, 1)
        seq, head = (last[0].seq, last[0].hash) if last else (0, GENESIS)
        signed = self._signer.sign_head(seq=seq, head=head, at=self._database.now())
        await asyncio.to_thread(_replace, self.path, signed)
        return True

    async def _holds(self, kept: AuditHead) -> bool:
        if kept.seq == 0:
            return kept.head == GENESIS
        row = await self._database.fetch_one(ONE, {"seq": kept.seq})
        return row is not None and row["hash"] == kept.head

    async def _try(self) -> None:
        try:
            if not await self.write():
                logging.getLogger(__name__).error(
                    "the audit log is not the one that %s vouches for: run `signoff audit verify`",
                    self.path,
                )
        except (OSError, StorageError, TokenError):
            logging.getLogger(__name__).exception("the audit head was not written")


def read_head(path: Path, *, keys: KeySet) -> AuditHead | None:
    """Return the head signed in the file at `path`, None where there is no file.

    Raises:
        TokenError: the file holds something else, or another key signed it.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_HEAD_BYTES)
    except FileNotFoundError:
        return None
    try:
        return verify_head(text.decode("ascii").strip(), keys=keys)
    except ValueError as error:
        raise TokenError(f"{path} holds no audit head") from error


def _replace(path: Path, text: str) -> None:
    """Write `text` so that a crash leaves the old file or the new one, never half of one."""
    fresh = path.with_name(path.name + ".new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _row(row: Row) -> AuditRow:
    return AuditRow(seq=row["seq"], body=row["body"], prev=row["prev"], hash=row["hash"])
