"""`--stdio`: every process is a relay between its host and the one owner of the data directory.

Owns the pipe to the host and the way to the owner: connecting, taking over when the owner goes,
refusing another catalogue. Knows nothing of tools: lines are passed on as they came, and what the
owner serves is given as a callable.
"""

import asyncio
import json
import logging
import os
import random
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from signoff.canonical import Json, JsonError, parse
from signoff.desk import sockets
from signoff.desk.frames import Conversation, failure
from signoff.desk.lock import OwnerLock, acquire, owner_pid

Served: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Own: TypeAlias = Callable[[OwnerLock], AbstractAsyncContextManager[None]]
_Opened: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_NAME: Final = "owner.sock"
_REACH_S: Final = 30.0
"""How long another process may take to start serving before a relay gives up."""
_HELLO_S: Final = 10.0
_FIRST_REQUEST_S: Final = 2.0
_log = logging.getLogger(__name__)


class RelayError(Exception):
    """The relay cannot go on. The message says what to do."""


class _HostLeftError(Exception):
    pass


@asynccontextmanager
async def owner_socket(data_dir: Path, digest: str, served: Served) -> AsyncGenerator[None, None]:
    """Take relays in while the body runs. The caller holds the owner's lock.

    `digest` is the catalogue's: a relay that was started with another one is refused, since its
    host would see tools that its operator did not name.
    """

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HELLO_S):
                hello = _members(await sockets.read_line(reader))
        except (TimeoutError, sockets.LineTooLongError):
            return
        same = hello.get("digest") == digest
        writer.write(_line({"welcome": True} if same else {"refused": "catalogue"}))
        await writer.drain()
        if same:
            await served(reader, writer)

    async with sockets.listening(data_dir, _NAME, connected):
        yield


async def open_stdio() -> _Opened:
    """Take this process's stdin and stdout for the host, and keep everybody else off them.

    From then on file descriptor 1 is stderr and 0 reads nothing, so a stray print cannot break the
    stream.

    Raises:
        RelayError: stdin or stdout is no pipe.
    """
    host_in = os.fdopen(os.dup(0), "rb", buffering=0)
    host_out = os.fdopen(os.dup(1), "wb", buffering=0)
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=sockets.MAX_LINE_BYTES)
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), host_in)
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), host_out
        )
    except ValueError:
        raise RelayError("--stdio talks to an MCP host through pipes; start it from one") from None
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)


async def relay(
    data_dir: Path,
    digest: str,
    stdin: asyncio.StreamReader,
    stdout: asyncio.StreamWriter,
    *,
    own: Own,
) -> None:
    """Serve the host until it closes `stdin`.

    `own(lock)` starts the server, `owner_socket` included, and stops it when left. It is entered
    when this process gets the lock: at once, or after another owner has gone.

    Raises:
        RelayError: the owner serves another catalogue, or does not answer.
    """
    host = _Host(stdin, stdout)
    async with host.reading(), AsyncExitStack() as stack:
        way = _Way(data_dir, digest, own, stack)
        try:
            while True:
                await host.converse(await way.reach())
                _log.info("the process that served this data directory has gone; going on")
        except _HostLeftError:
            return
        except RelayError as error:
            await host.excuse(str(error))
            raise


class _Way:
    """How this process gets to an owner, if need be by becoming it."""

    def __init__(self, data_dir: Path, digest: str, own: Own, stack: AsyncExitStack) -> None:
        self._data_dir = data_dir
        self._digest = digest
        self._own = own
        self._stack = stack
        self._owning = False

    async def reach(self) -> _Opened:
        try:
            async with asyncio.timeout(_REACH_S) as patience:
                return await self._reach(patience)
        except TimeoutError:
            pid = owner_pid(self._data_dir)
            raise RelayError(
                f"process {pid or '?'} owns {self._data_dir} but does not answer; stop it, or "
                "choose another --data-dir"
            ) from None

    async def _reach(self, patience: asyncio.Timeout) -> _Opened:
        pause_s = 0.02
        while True:
            opened = await sockets.connect(self._data_dir, _NAME)
            if opened is not None and await self._welcomed(*opened):
                return opened
            if not self._owning and (lock := acquire(self._data_dir)) is not None:
                patience.reschedule(None)  # our own start has no deadline but its own
                self._stack.callback(lock.release)
                await self._stack.enter_async_context(self._own(lock))
                patience.reschedule(asyncio.get_running_loop().time() + _REACH_S)
                self._owning = True
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(0.25, pause_s * (1.5 + random.random()))  # noqa: S311 — spreads relays

    async def _welcomed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        answer: dict[str, Json] = {}
        with suppress(ConnectionError, TimeoutError, sockets.LineTooLongError):
            async with asyncio.timeout(_HELLO_S):
                writer.write(_line({"signoff": 1, "digest": self._digest}))
                await writer.drain()
                answer = _members(await sockets.read_line(reader))
        if answer.get("welcome") is True:
            return True
        await sockets.close(writer)
        if "refused" in answer:
            raise RelayError(
                "another signoff serves this data directory with a different catalogue; stop it, "
                "start this one with the same --config, or give it a --data-dir of its own"
            )
        return False


class _Host:
    """The pipe to the MCP host, and what was said through it."""

    def __init__(self, stdin: asyncio.StreamReader, stdout: asyncio.StreamWriter) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._talk = Conversation()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(maxsize=64)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[None, None]:
        """Read ahead by one task, so that no line is lost between two owners."""
        task = asyncio.create_task(self._read(), name="relay-stdin")
        try:
            yield
        finally:
            await _stopped(task)

    async def converse(self, opened: _Opened) -> None:
        """Carry lines both ways until the owner goes.

        Raises:
            _HostLeftError: the host closed its side.
        """
        reader, writer = opened
        tasks = (
            asyncio.create_task(self._upward(writer), name="relay-up"),
            asyncio.create_task(self._downward(reader), name="relay-down"),
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                await _stopped(task)
            await sockets.close(writer)

    async def excuse(self, reason: str) -> None:
        """Answer what the host has asked, so that its user sees why nothing works."""
        with suppress(TimeoutError, _HostLeftError):
            async with asyncio.timeout(_FIRST_REQUEST_S):
                while not self._talk.unanswered():
                    self._talk.heard(await self._next())
        with suppress(_HostLeftError):
            for request_id in self._talk.unanswered():
                await self._tell(failure(request_id, reason))

    async def _upward(self, writer: asyncio.StreamWriter) -> None:
        try:
            for line in self._talk.replayed():
                writer.write(line)
            while True:
                await writer.drain()
                line = await self._next()
                self._talk.heard(line)  # before any await: what was taken is never forgotten
                writer.write(line)
        except ConnectionError:
            return

    async def _downward(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await sockets.read_line(reader)
            except ConnectionError:
                return
            if not line.endswith(b"\n"):
                return  # the owner died in the middle of a line; the request will be sent again
            passed_on = self._talk.answered(line)
            if passed_on is not None:
                await self._tell(passed_on)

    async def _next(self) -> bytes:
        line = await self._lines.get()
        if not line:
            raise _HostLeftError
        return line

    async def _tell(self, line: bytes) -> None:
        try:
            self._stdout.write(line)
            await self._stdout.drain()
        except ConnectionError:
            raise _HostLeftError from None

    async def _read(self) -> None:
        while True:
            try:
                line = await sockets.read_line(self._stdin)
            except sockets.LineTooLongError:
                with suppress(_HostLeftError):
                    await self._tell(failure(None, "a message may hold 4 MiB"))
                continue
            except ConnectionError:
                line = b""
            if line and not line.endswith(b"\n"):
                line += b"\n"
            if line != b"\n":
                await self._lines.put(line)
            if not line:
                return


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, _HostLeftError):
        await task


def _members(line: bytes) -> dict[str, Json]:
    try:
        value = parse(line)
    except JsonError:
        return {}
    return value if isinstance(value, dict) else {}


def _line(message: dict[str, Json]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
