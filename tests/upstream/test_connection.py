"""One connection: answers in any pieces, and everything that is no answer to what was asked."""

import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.catalog.wire import Body
from signoff.upstream.client import Pool
from signoff.upstream.connection import (
    HEAD_BYTES,
    Connection,
    ExchangeError,
    Incoming,
    Outgoing,
)
from signoff.upstream.response import result_of
from signoff.upstream.transport import Answered, NotSent, Transports, Unknown
from upstream_parts import frozen, references, tool, upstream
from wire import answer, listening, plain


class Watched:
    """Notes that the first byte left."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.left = False

    async def leave(self) -> None:
        self.left = True


class Line(asyncio.Transport):
    """The other end, in memory: keeps what was written."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)


def outgoing(method: str = "GET", **more: object) -> Outgoing:
    return Outgoing(method=method, host="h", target=b"/", headers=[], **more)  # pyright: ignore[reportArgumentType]


async def exchanged(
    pieces: Sequence[bytes], *, method: str = "GET", eof: bool = False, limit: int = 1_000
) -> tuple[Incoming | ExchangeError, Line]:
    """Feed an answer piece by piece; return what came of it, and the line."""
    connection = Connection()
    line = Line(connection)
    connection.connection_made(line)
    exchange = asyncio.ensure_future(connection.exchange(outgoing(method, limit=limit), Watched()))
    await asyncio.sleep(0)
    for piece in pieces:
        connection.data_received(piece)
    if eof:
        connection.eof_received()
    if not exchange.done():
        await asyncio.sleep(0)
        connection.connection_lost(None)
    try:
        return await exchange, line
    except ExchangeError as error:
        return error, line


WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX-T: z\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
}


@given(st.sampled_from(sorted(WHOLE)), st.lists(st.integers(1, 120), max_size=12))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(kind: str, cuts: list[int]) -> None:
    content = WHOLE[kind]
    places = [0, *sorted(cut for cut in set(cuts) if cut < len(content)), len(content)]
    pieces = [content[start:end] for start, end in pairwise(places)]
    got, line = asyncio.run(exchanged(pieces))
    assert isinstance(got, Incoming)
    assert (got.status, got.body, got.cut) == (200, b"hello", False)
    assert (b"X-A", b"b") in got.headers
    assert (b"X-T", b"z") not in got.headers
    assert not line.closed


@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 140))
def test_half_an_answer_is_none(kind: str, length: int) -> None:
    content = WHOLE[kind]
    got, line = asyncio.run(exchanged([content[: min(length, len(content) - 1)]], eof=True))
    assert isinstance(got, ExchangeError)
    assert got.fault in ("closed", "answer")
    assert line.closed


@given(st.binary(max_size=300))
def test_noise_is_no_answer(noise: bytes) -> None:
    got, line = asyncio.run(exchanged([noise], eof=True))
    assert isinstance(got, ExchangeError) or noise.startswith(b"HTTP/1.")
    assert line.closed or isinstance(got, Incoming)


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    got, line = await exchanged([b"HTTP/1.1 200 OK\r\n\r\nab", b"c"], eof=True)
    assert isinstance(got, Incoming)
    assert got.body == b"abc"
    assert line.closed


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000,
        b"HTTP/1.1 103 Early\r\n\r\n" * (HEAD_BYTES // 20),
    ],
)
async def test_an_answer_that_breaks_the_rules_is_none(content: bytes) -> None:
    got, line = await exchanged([content], eof=True)
    assert isinstance(got, ExchangeError)
    assert line.closed


async def test_a_body_is_read_up_to_its_limit_and_the_connection_given_up() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    got, line = await exchanged([head, b"x" * 1_500], limit=1_000)
    assert isinstance(got, Incoming)
    assert got.cut
    assert line.closed


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize(
    "evil", [b"Content-Length: 6\r\n\r\n{evil}", b"Content-Length: 0\r\n\r\n", b""]
)
async def test_more_than_was_asked_for_changes_nothing_and_ends_the_connection(
    method: str, evil: bytes, *, split: bool
) -> None:
    body = b"" if method == "HEAD" else b"{}"
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body
    second = b"HTTP/1.1 500 Evil\r\nX-Evil: 1\r\n" + evil
    connection = Connection()
    line = Line(connection)
    connection.connection_made(line)
    exchange = asyncio.ensure_future(connection.exchange(outgoing(method), Watched()))
    await asyncio.sleep(0)
    if split:
        connection.data_received(first)
        got = await exchange
        connection.data_received(second)
    else:
        connection.data_received(first + second)
        got = await exchange
    assert (got.status, got.body) == (200, body)
    assert got.headers == [(b"Content-Length", b"2")]
    assert line.closed


async def test_an_answer_nobody_asked_for_is_never_given_to_the_next_call(tmp_path: Path) -> None:
    """Response queue poisoning: two answers to one request."""
    evil = answer(body=b'{"evil":true}')
    async with listening(plain(answer(body=b'{"n":1}') + evil)) as wire:
        to = upstream(wire.url)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            for _ in range(3):
                sent = await transports.send(frozen(tool(), to=to), to, fresh=False)
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
async def test_a_request_that_would_end_its_own_line_is_not_written(
    change: dict[str, object],
) -> None:
    members: dict[str, object] = {"method": "GET", "host": "h", "target": b"/", "headers": []}
    connection = Connection()
    line = Line(connection)
    connection.connection_made(line)
    watch = Watched()
    with pytest.raises(ExchangeError, match="request"):
        await connection.exchange(Outgoing(**{**members, **change}), watch)  # pyright: ignore[reportArgumentType]
    assert line.written == b""
    assert not watch.left


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
async def test_whatever_an_upstream_does_each_call_ends_and_no_connection_is_left(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)  # noqa: S311 — repeatable, not secret

    async def erratic(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(chance.choices(PIECES, k=chance.randrange(1, 9))))
        if chance.random() < 0.7:
            writer.close()

    async with listening(erratic) as wire:
        to = upstream(wire.url, timeout_s=0.2)
        pool: list[Connection] = []
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:

            async def one() -> None:
                spec = tool(method=chance.choice(["GET", "POST", "HEAD", "PUT"]))
                fresh = chance.random() < 0.3
                sent = await transports.send(frozen(spec, to=to), to, fresh=fresh)
                assert isinstance(sent, Answered | Unknown | NotSent)
                result_of(spec, sent)

            await asyncio.gather(*(one() for _ in range(40)))
            client = transports._client  # pyright: ignore[reportPrivateUsage]
            assert isinstance(client, Pool)
            pool.extend(client._open)  # pyright: ignore[reportPrivateUsage]
        assert all(connection.gone.done() for connection in pool)
