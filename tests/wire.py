"""A plain socket server that keeps every byte it received, and answers as a test scripts it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(
    status: str = "200 OK", body: bytes = b"{}", media_type: str = "application/json", *more: str
) -> bytes:
    """Return a whole HTTP/1.1 answer."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {media_type}",
        f"Content-Length: {len(body)}",
        *more,
    ]
    return "\r\n".join((*lines, "", "")).encode() + body


def plain(content: bytes) -> Script:
    """Return a script that writes `content` for each request."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return script


def then_closed(content: bytes) -> Script:
    """Return a script that writes `content` and closes the connection."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        writer.close()

    return script


@dataclass
class Wire:
    """What a server saw: whole requests, and every connection's raw bytes."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def drop(self) -> None:
        """Close every connection from this side, and let the other side's loop see it."""
        for writer in tuple(self.writers):
            writer.close()
            await writer.wait_closed()
        for _ in range(5):  # loopback has delivered it already; these are turns, not time
            await asyncio.sleep(0)

    def head(self, position: int = -1) -> tuple[str, list[tuple[str, str]]]:
        """Return the request line and the headers of a request, as they came."""
        first, *lines = (
            self.requests[position].split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        )
        pairs = [line.split(": ", 1) for line in lines]
        return first, [(name, value) for name, value in pairs]

    def body(self, position: int = -1) -> bytes:
        return self.requests[position].split(b"\r\n\r\n", 1)[1]


@asynccontextmanager
async def listening(
    script: Script, *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Wire, None]:
    """Serve `script` on a free port of loopback."""
    wire = Wire()
    writers = wire.writers

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.connections += 1
        writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                wire.requests.append(await _request(reader))
                await script(writer)
        writers.discard(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        wire.over.set()
        server.close()
        for writer in tuple(writers):
            writer.close()
        await server.wait_closed()


@asynccontextmanager
async def behind(peer: Peer, **more: object) -> AsyncGenerator[int]:
    """Serve `peer` on a free port; every connection is cut at the end."""
    open_: set[asyncio.StreamWriter] = set()

    async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        try:
            await peer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(kept, "127.0.0.1", 0, **more)  # pyright: ignore[reportArgumentType]
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in open_:
            writer.transport.abort()
        await server.wait_closed()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + await reader.readexactly(length)
