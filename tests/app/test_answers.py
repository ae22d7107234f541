"""How an answer leaves: whole where it is whole, and its head at once where it is a stream."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from ports import free_port
from signoff.app.http import listening, serving
from signoff.app.wire import BoundedHttp
from signoff.origin import App, Receive, Scope, Send

HEADERS = [(b"content-length", b"2")]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Noted:
    """A real transport, and what was given to it."""

    def __init__(self, transport: asyncio.Transport, writes: list[bytes]) -> None:
        self._transport, self._writes = transport, writes

    def write(self, part: bytes) -> None:
        self._writes.append(part)
        self._transport.write(part)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@asynccontextmanager
async def connected(app: App) -> AsyncGenerator[tuple[Streams, list[bytes]], None]:
    """A connection to `app`, and what is written to it."""
    writes: list[bytes] = []

    class Watched(BoundedHttp):
        def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            super().connection_made(cast("asyncio.Transport", Noted(transport, writes)))

    port = free_port()
    with listening("127.0.0.1", port) as listener:
        async with serving(app, listener, protocol=Watched), asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                yield (reader, writer), writes
            finally:
                writer.close()


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    del receive
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": scope["path"].encode()[-2:]})


async def test_the_head_and_the_body_of_an_answer_leave_as_one() -> None:
    async with connected(hello) as ((reader, writer), writes):
        for name in (b"a", b"b"):
            writer.write(b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % name)
            assert (await reader.readuntil(b"/" + name)).startswith(b"HTTP/1.1 200")
    assert len(writes) == 2
    assert [part[-6:] for part in writes] == [b"\r\n\r\n/a", b"\r\n\r\n/b"]


async def test_answers_to_requests_sent_at_once_leave_in_their_order() -> None:
    async with connected(hello) as ((reader, writer), _):
        names = [b"%c" % letter for letter in b"abcdefghi"]
        writer.write(b"".join(b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % name for name in names))
        for name in names:
            assert (await reader.readuntil(b"/" + name)).count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize("body", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/", b"x" * 1_000_000])
async def test_a_body_arrives_whatever_it_looks_like(body: bytes) -> None:
    async def answer(_: Scope, receive: Receive, send: Send) -> None:
        del receive
        length = str(2 * len(body)).encode()
        headers = [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": body})

    async with connected(answer) as ((reader, writer), _):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, arrived = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert arrived == body * 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_last_answer_of_a_connection_leaves_before_its_end(method: str) -> None:
    async with connected(hello) as ((reader, writer), _):
        writer.write(f"{method} /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        arrived = await reader.read()
    assert arrived.startswith(b"HTTP/1.1 200")
    assert arrived.endswith(b"\r\n\r\n/a" if method == "GET" else b"\r\n\r\n")


async def test_the_head_of_a_stream_does_not_wait_for_its_first_event() -> None:
    heard = asyncio.Event()

    async def stream(_: Scope, receive: Receive, send: Send) -> None:
        del receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await heard.wait()
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await heard.wait()
        await send({"type": "http.response.body", "body": b""})

    async with connected(stream) as ((reader, writer), _):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        heard.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"5\r\nfirst\r\n0\r\n\r\n"


async def test_a_client_that_left_before_the_head_could_be_sent_harms_nobody() -> None:
    left, done = asyncio.Event(), asyncio.Event()

    async def late(_: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            left.set()
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": b"ab"})
        done.set()

    async with connected(late) as ((_, writer), writes):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await left.wait()
        writer.close()
        await done.wait()
        await asyncio.sleep(0)
    assert writes == []
