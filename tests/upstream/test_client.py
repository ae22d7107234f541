"""One exchange: everything that is no answer to what was asked, and requests that are none."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest

from signoff.catalog.wire import Body
from signoff.upstream.aiohttp_client import AiohttpClient
from signoff.upstream.client import HttpClient
from signoff.upstream.exchange import Client, ExchangeError, Incoming, Origin, Outgoing
from signoff.upstream.response import result_of
from signoff.upstream.transport import Answered, NotSent, Transports, Unknown
from upstream_parts import Sending, frozen, references, tool, upstream
from wire import answer, listening, plain

pytestmark = pytest.mark.usefixtures("each_client")


class Watched:
    """Notes that the first byte left."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.left = False

    async def leave(self) -> None:
        self.left = True


@asynccontextmanager
async def client_of(url: str) -> AsyncGenerator[tuple[Client, Origin]]:
    beside = HttpClient(ssl.create_default_context)
    client = (
        AiohttpClient(ssl.create_default_context, beside=beside)
        if Sending.by == "aiohttp"
        else beside
    )
    parts = urlsplit(url)
    try:
        yield client, Origin(scheme="http", host=cast("str", parts.hostname), port=parts.port or 80)
    finally:
        await client.close()
        await beside.close()


def outgoing(**over: object) -> Outgoing:
    members: dict[str, object] = {"method": "GET", "host": "h", "target": b"/", "headers": []}
    return Outgoing(**{**members, **over})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" * 5_000,
        b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%b\r\n"
        % (b"X: y\r\n" * 40_000),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%b\r\n" % ((b"X: " + b"y" * 999 + b"\r\n") * 200),
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"\x00\xff\r\n\r\n",
        b"",
    ],
)
@pytest.mark.parametrize("fresh", [True, False])
async def test_an_answer_that_breaks_the_rules_is_none(content: bytes, fresh: bool) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        writer.close()

    async with listening(say) as wire, client_of(wire.url) as (client, origin):
        watch = Watched()
        with pytest.raises(ExchangeError) as caught:
            await client.exchange(origin, outgoing(), watch, fresh=fresh)
    assert caught.value.fault in ("answer", "closed")
    assert watch.left


async def test_a_body_that_breaks_the_rules_while_it_is_read_is_none() -> None:
    """And nobody waits for the end of a connection that stays open."""
    begun = asyncio.Event()

    class Listening:
        def begin(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
            assert headers
            begun.set()

        def arrived(self, chunk: bytes) -> None:
            assert chunk == b"{}"

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
        )
        await begun.wait()
        writer.write(b"zz\r\n")

    asked = outgoing(listener=Listening())
    async with listening(say) as wire, client_of(wire.url) as (client, origin):
        with pytest.raises(ExchangeError) as caught:
            await client.exchange(origin, asked, Watched(), fresh=False)
    assert caught.value.fault in ("answer", "closed")


async def test_nobody_waits_for_another_protocol_that_was_not_asked_for() -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
    async with listening(plain(switched)) as wire, client_of(wire.url) as (client, origin):
        for fresh in (True, False):
            with pytest.raises(ExchangeError, match="answer"):
                await client.exchange(origin, outgoing(), Watched(), fresh=fresh)


async def test_a_refused_answer_takes_its_connection_with_it() -> None:
    """What stands behind a length said twice is nobody's answer."""
    twice = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    connections = 0

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(twice)

    async def ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await say(reader, writer)
        writer.close()

    server = await asyncio.start_server(ended, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client_of(f"http://127.0.0.1:{port}") as (client, origin):
        for _ in range(2):
            with pytest.raises(ExchangeError, match="answer"):
                await client.exchange(origin, outgoing(), Watched(), fresh=False)
    assert connections == 2


async def test_a_body_is_read_up_to_its_limit() -> None:
    async with (
        listening(plain(answer(body=b"x" * 5_000))) as wire,
        client_of(wire.url) as (client, origin),
    ):
        got = await client.exchange(origin, outgoing(limit=1_000), Watched(), fresh=False)
        assert got.cut
        assert len(got.body) > 1_000
        again = await client.exchange(origin, outgoing(limit=9_000), Watched(), fresh=False)
    assert isinstance(again, Incoming)
    assert (again.cut, len(again.body)) == (False, 5_000)


async def test_an_answer_nobody_asked_for_is_never_given_to_a_gated_call(tmp_path: Path) -> None:
    """Response queue poisoning: a connection of its own has no queue."""
    evil = answer(body=b'{"evil":true}')
    async with listening(plain(answer(body=b'{"n":1}') + evil)) as wire:
        to = upstream(wire.url)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            await transports.send(frozen(tool(), to=to), to, fresh=False)
            for _ in range(3):
                sent = await transports.send(frozen(tool(), to=to), to, fresh=True)
                assert isinstance(sent, Answered)
                assert sent.body == b'{"n":1}'


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET /x HTTP/1.1\r\nX:"},
        {"host": "a\r\nX: y"},
        {"target": b"/a b"},
        {"target": b"/a\r\nX: y"},
        {"headers": [(b"X", b"a\r\nY: z")]},
        {"headers": [(b"X\n", b"a")]},
        {"headers": [(b"X", b"\x00")]},
    ],
)
@pytest.mark.parametrize("fresh", [True, False])
async def test_a_request_that_would_end_its_own_line_is_not_written(
    change: dict[str, object], fresh: bool
) -> None:
    async with listening(plain(answer())) as wire, client_of(wire.url) as (client, origin):
        with pytest.raises(ExchangeError, match="request"):
            await client.exchange(origin, outgoing(**change), Watched(), fresh=fresh)
    assert wire.requests == []


async def test_what_the_hook_raises_comes_out_and_nothing_is_sent() -> None:
    class Refusing(Watched):
        async def leave(self) -> None:
            raise KeyError("no intent")

    async with listening(plain(answer())) as wire, client_of(wire.url) as (client, origin):
        for fresh in (True, False):
            with pytest.raises(KeyError, match="no intent"):
                await client.exchange(origin, outgoing(), Refusing(), fresh=fresh)
        assert wire.requests == []
        got = await client.exchange(origin, outgoing(), Watched(), fresh=False)
    assert got.status == 200


async def test_a_large_body_arrives_whole_and_an_early_end_is_unknown(tmp_path: Path) -> None:
    spec = tool("/x", method="POST", body=Body(kind="whole", format="text", content_type="text/x"))
    large = "x" * 3_000_000
    async with listening(plain(answer())) as wire:
        to = upstream(wire.url)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            sent = await transports.send(frozen(spec, {"body": large}, to=to), to, fresh=True)
            assert isinstance(sent, Answered)
            assert wire.body() == large.encode()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        to = upstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            sent = await transports.send(frozen(spec, {"body": large}, to=to), to, fresh=True)
    assert isinstance(sent, Unknown)


PIECES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 503 X\r\nRetry-After: 0\r\n",
    b"HTTP/1.1 100 C\r\n\r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Content-Type: text/event-stream\r\n",
    b"Connection: close\r\n",
    b"\r\n",
    b"{}",
    b"2\r\n{}\r\n",
    b"0\r\n\r\n",
    b"\x00\xff",
    b"data: 1\n\n",
]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_an_upstream_does_each_call_ends(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311 — repeatable, not secret

    async def erratic(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(chance.choices(PIECES, k=chance.randrange(1, 9))))
        if chance.random() < 0.7:
            writer.close()

    async with listening(erratic) as wire:
        to = upstream(wire.url, timeout_s=0.2)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:

            async def one() -> None:
                spec = tool(method=chance.choice(["GET", "POST", "HEAD", "PUT"]))
                fresh = chance.random() < 0.3
                sent = await transports.send(frozen(spec, to=to), to, fresh=fresh)
                assert isinstance(sent, Answered | Unknown | NotSent)
                result_of(spec, sent)

            await asyncio.gather(*(one() for _ in range(40)))
