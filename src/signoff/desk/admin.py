"""The owner's back door for commands on the same machine: `admin.sock`, JSON lines.

Owns the tiny protocol: one request line `{"method", "params"}`, one answer line `{"result"}` or
`{"error"}`. What the methods do is given by the composition root. Nobody approves here: the socket
lists, signs in and denies, and its file mode is its only credential.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias, cast

from signoff.canonical import Json, JsonError, parse
from signoff.desk import sockets

_NAME: Final = "admin.sock"
_ANSWER_S: Final = 30.0
_log = logging.getLogger(__name__)

AdminHandler: TypeAlias = Callable[[Mapping[str, Json]], Awaitable[Json]]


class AdminError(Exception):
    """A request the owner refuses. The message is for the person at the terminal."""


class NoOwnerError(Exception):
    """No server owns this data directory; the command opens the store itself."""


class AdminServer:
    """Answers commands. Runs in the process that holds the owner's lock."""

    def __init__(self, data_dir: Path, handlers: Mapping[str, AdminHandler]) -> None:
        self._data_dir = data_dir
        self._handlers = dict(handlers)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        async with sockets.listening(self._data_dir, _NAME, self._connected):
            yield

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await self._next(reader, writer):
            writer.write(_line(await self._answer(line)))
            await writer.drain()

    async def _next(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        try:
            return await sockets.read_line(reader)
        except sockets.LineTooLongError:
            writer.write(_line({"error": "the request is too long"}))
            await writer.drain()
            return b""

    async def _answer(self, line: bytes) -> dict[str, Json]:
        try:
            asked = parse(line)
        except JsonError as error:
            return {"error": f"the request is not JSON: {error}"}
        if not isinstance(asked, dict):
            return {"error": "the request is not an object"}
        method, params = asked.get("method"), asked.get("params", {})
        handler = self._handlers.get(method) if isinstance(method, str) else None
        if handler is None or not isinstance(params, dict):
            return {"error": "the server does not know that request; is it an older signoff?"}
        try:
            return {"result": await handler(params)}
        except AdminError as error:
            return {"error": str(error)}
        except Exception:  # noqa: BLE001 — the outermost loop of this edge
            reference = secrets.token_hex(4)
            _log.exception("admin request %s failed, reference %s", method, reference)
            return {"error": f"the server failed, reference {reference}; see its log"}


class AdminClient:
    """Asks the owner of `data_dir`."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    async def call(self, method: str, params: Mapping[str, Json] | None = None) -> Json:
        """Ask, and return the result.

        Raises:
            NoOwnerError: no server runs on this data directory.
            AdminError: the server refused, or went while answering.
        """
        opened = await sockets.connect(self._data_dir, _NAME)
        if opened is None:
            raise NoOwnerError
        reader, writer = opened
        try:
            async with asyncio.timeout(_ANSWER_S):
                writer.write(_line({"method": method, "params": dict(params or {})}))
                await writer.drain()
                line = await sockets.read_line(reader)
            answer = parse(line)
        except TimeoutError:
            raise AdminError("the server does not answer; stop it and try again") from None
        except (ConnectionError, JsonError, sockets.LineTooLongError):
            raise AdminError("the server went away while answering; try again") from None
        finally:
            await sockets.close(writer)
        members = cast("dict[str, Json]", answer) if isinstance(answer, dict) else {}
        if "result" in members:
            return members["result"]
        raise AdminError(str(members.get("error", "the server's answer cannot be read")))


def _line(message: Mapping[str, Json]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
