"""Unix sockets of a data directory: where they are and who may open them.

Owns the path of each socket (0600, in a 0700 directory), also where the data directory's path is
too long for one, and reading lines off it within a bound. Knows no protocol above lines.
"""

import asyncio
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from signoff.desk.lock import DataDirError

MAX_LINE_BYTES: Final = 4 * 1024 * 1024 + 4096
"""One message of the assistant's edge, and a little."""

_log = logging.getLogger(__name__)
_MAX_PATH_BYTES: Final = 100  # sun_path holds 104 bytes on macOS, 108 on Linux
_CLOSING_S: Final = 5.0

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class LineTooLongError(Exception):
    """A line went over `MAX_LINE_BYTES`; it was read to its end and dropped."""


@asynccontextmanager
async def listening(data_dir: Path, name: str, connected: Connected) -> AsyncGenerator[None, None]:
    """Serve `connected` on the socket `name` of `data_dir`. The caller holds the owner's lock.

    Raises:
        DataDirError: the socket cannot be made.
    """
    path, made = _place(data_dir, name)
    tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks[task] = writer
            task.add_done_callback(tasks.pop)
        try:
            await connected(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the peer left, or this server stops
        except Exception:  # noqa: BLE001 — the outermost loop of a connection
            _log.exception("a connection of %s failed", name)
        finally:
            await close(writer)

    try:
        bound = _bind(path)
        server = await asyncio.start_unix_server(connect, sock=bound, limit=MAX_LINE_BYTES)
    except OSError as error:
        raise DataDirError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        yield
    finally:
        server.close()
        for task, writer in tuple(tasks.items()):
            # Flushes what was answered; what a cancelled handler would still say stays unsaid, so
            # that the peer asks the next owner instead of taking it for an answer.
            writer.close()
            task.cancel()
        if tasks:
            await asyncio.wait(tuple(tasks), timeout=_CLOSING_S)
        path.unlink(missing_ok=True)
        if made is not None:
            _record(data_dir, name).unlink(missing_ok=True)
            shutil.rmtree(made, ignore_errors=True)


async def connect(
    data_dir: Path, name: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """Open the socket `name` of `data_dir`; None when nobody listens there."""
    path = data_dir / name
    with suppress(OSError, ValueError):
        path = Path(_record(data_dir, name).read_text().strip() or path)
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        return None
    try:
        return await asyncio.open_unix_connection(str(path), limit=MAX_LINE_BYTES)
    except OSError:
        return None


async def read_line(reader: asyncio.StreamReader) -> bytes:
    """Return the next line with its end, or `b""` at the end of the stream.

    Raises:
        LineTooLongError: the line was longer than the bound; the next call reads the one after it.
        ConnectionError: the peer vanished.
    """
    dropped = False
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            line = error.partial
        except asyncio.LimitOverrunError as error:
            await reader.readexactly(max(error.consumed, 1))
            dropped = True
            continue
        if dropped:
            raise LineTooLongError
        return line


async def close(writer: asyncio.StreamWriter) -> None:
    """Close `writer`; a peer that no longer reads does not hold us."""
    writer.close()
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(_CLOSING_S):
            await writer.wait_closed()


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # safe: we hold the lock, so no live server is behind it
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        path.chmod(0o600)  # before listen(): until then nobody can connect
    except OSError:
        bound.close()
        raise
    return bound


def _record(data_dir: Path, name: str) -> Path:
    return data_dir / f"{name}.path"


def _place(data_dir: Path, name: str) -> tuple[Path, Path | None]:
    path = data_dir / name
    record = _record(data_dir, name)
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        record.unlink(missing_ok=True)
        return path, None
    made = Path(tempfile.mkdtemp(prefix="signoff-"))
    short = made / name
    if len(os.fsencode(short)) > _MAX_PATH_BYTES:
        made.rmdir()
        raise DataDirError(
            f"the path of {path} is too long for a Unix socket, and so is the temporary directory; "
            "choose a shorter --data-dir"
        )
    record.write_text(f"{short}\n")
    record.chmod(0o600)
    return short, made
