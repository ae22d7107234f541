"""HTTP/1.1 and MCP over plain asyncio streams: a client light enough not to be what is measured.

Owns the bytes of requests and the reading of answers, whole or streamed. Verifies nothing it does
not need: it talks only to the servers these benchmarks start. Not a client for anything else.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final, Literal, Self

Era = Literal["modern", "legacy"]
ERAS: Final[tuple[Era, ...]] = ("modern", "legacy")

_MODERN: Final = "2026-07-28"
_LEGACY: Final = "2025-11-25"
_CLIENT: Final = {"name": "bench", "version": "1"}
_LIMIT: Final = 1 << 20


class WireError(Exception):
    """The server answered something else than what is measured."""


class Connection:
    """One keep-alive connection to 127.0.0.1; one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and the whole body."""
        status, found, reader = await self._ask(method, path, headers, body)
        return status, found, b"".join([part async for part in self._parts(found, reader)])

    async def events(
        self, path: str, headers: Mapping[str, str], body: bytes
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Post, and yield each JSON-RPC message of the answer as it comes."""
        status, found, reader = await self._ask("POST", path, headers, body)
        buffer = b""
        async for part in self._parts(found, reader):
            buffer += part
            if status != 200 or not found["content-type"].startswith("text/event-stream"):
                continue
            *whole, buffer = buffer.replace(b"\r\n", b"\n").split(b"\n\n")
            for event in whole:
                for line in event.split(b"\n"):
                    if line.startswith(b"data: {"):
                        yield json.loads(line[6:])
        if status != 200:
            raise WireError(f"{path}: {status} {buffer[:300]!r}")
        if found["content-type"].startswith("application/json"):
            yield json.loads(buffer)

    def close(self) -> None:
        """Cut the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], asyncio.StreamReader]:
        if self._reader is not None and self._reader.at_eof():
            self.close()  # the server ends connections that are idle for some seconds
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._port, limit=_LIMIT
            )
        lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self._writer.write("\r\n".join(lines).encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        return int(head[0].split(" ", 2)[1]), {n.lower(): v for n, v in pairs}, self._reader

    async def _parts(
        self, headers: Mapping[str, str], reader: asyncio.StreamReader
    ) -> AsyncGenerator[bytes, None]:
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                yield (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        elif length := int(headers.get("content-length", "0")):
            yield await reader.readexactly(length)


class Caller:
    """An MCP client: one connection, one protocol era, one call at a time."""

    def __init__(self, port: int, era: Era, *, token: str = "") -> None:
        self.era = era
        self._connection = Connection(port)
        self._count = 0
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": _MODERN if era == "modern" else _LEGACY,
        }
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    async def open(self) -> Self:
        """Shake hands, where the era does."""
        if self.era == "legacy":
            hello = {
                "jsonrpc": "2.0",
                "id": 0,
                "method": "initialize",
                "params": {
                    "protocolVersion": _LEGACY,
                    "capabilities": {},
                    "clientInfo": _CLIENT,
                },
            }
            status, found, body = await self._connection.request(
                "POST", "/mcp", self._headers, json.dumps(hello).encode()
            )
            if status != 200:
                raise WireError(f"initialize: {status} {body[:300]!r}")
            self._headers["Mcp-Session-Id"] = found["mcp-session-id"]
            ready = b'{"jsonrpc": "2.0", "method": "notifications/initialized"}'
            await self._connection.request("POST", "/mcp", self._headers, ready)
        return self

    async def stream(
        self, tool: str, arguments: Mapping[str, Any], *, progress: bool = True
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Call a tool and yield every message, the result last."""
        self._count += 1
        params: dict[str, Any] = {"name": tool, "arguments": dict(arguments)}
        meta: dict[str, Any] = {"progressToken": self._count} if progress else {}
        headers = self._headers
        if self.era == "modern":
            headers = {**headers, "Mcp-Method": "tools/call", "Mcp-Name": tool}
            meta["io.modelcontextprotocol/protocolVersion"] = _MODERN
            meta["io.modelcontextprotocol/clientCapabilities"] = {}
            meta["io.modelcontextprotocol/clientInfo"] = _CLIENT
        if meta:
            params["_meta"] = meta
        message = {"jsonrpc": "2.0", "id": self._count, "method": "tools/call", "params": params}
        body = json.dumps(message).encode()
        async with aclosing(self._connection.events("/mcp", headers, body)) as events:
            async for event in events:
                yield event

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool and return its result.

        Raises:
            WireError: it is an error.
        """
        last: dict[str, Any] = {}
        async for event in self.stream(tool, arguments, progress=False):
            last = event
        return result_of(last)

    def close(self) -> None:
        """Leave."""
        self._connection.close()


def result_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result in a message.

    Raises:
        WireError: it holds none, or an error.
    """
    result: dict[str, Any] = message.get("result") or {"isError": True}
    if result.get("isError"):
        raise WireError(f"no result: {message}")
    return result
