"""Connections that end, answer or speak at the wrong moment, judged by what a send says of it."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from signoff.catalog.wire import Body
from signoff.upstream.transport import Answered, NotSent, Sent, Transports, Unknown
from tls_parts import contexts
from upstream_parts import frozen, references, tool, upstream
from wire import answer, listening, plain

pytestmark = pytest.mark.usefixtures("each_client")

UPLOAD = tool("/x", method="POST", body=Body(kind="whole", format="text", content_type="text/x"))
REFUSED = answer("413 Content Too Large", b'{"detail":"at most 1 MB"}')
LARGE = "x" * 8_000_000

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


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


async def turns() -> None:
    """Let the loop go round."""
    for _ in range(5):
        await asyncio.sleep(0)


# An answer before the request has ended (RFC 9112 §9.5)


async def refusing_and_waiting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(REFUSED)
    await writer.drain()  # and reads no more


async def refusing_and_closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await refusing_and_waiting(reader, writer)
    writer.write_eof()
    while await reader.read(65_536):
        pass
    writer.close()


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("peer", [refusing_and_waiting, refusing_and_closing])
async def test_an_upstream_that_refuses_while_the_body_is_sent_is_told_by_its_status(
    peer: Peer, tmp_path: Path, fresh: bool
) -> None:
    async with behind(peer, limit=65_536) as port:
        to = upstream(f"http://127.0.0.1:{port}", timeout_s=10)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            request = frozen(UPLOAD, {"body": LARGE}, to=to)
            sent = await transports.send(request, to, fresh=fresh)
    assert isinstance(sent, Answered)
    assert (sent.status, sent.body) == (413, b'{"detail":"at most 1 MB"}')


async def test_a_connection_whose_request_was_cut_short_is_not_used_again(tmp_path: Path) -> None:
    connections = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await refusing_and_waiting(reader, writer)

    async with behind(peer, limit=65_536) as port:
        to = upstream(f"http://127.0.0.1:{port}", timeout_s=10)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            for _ in range(2):
                request = frozen(UPLOAD, {"body": LARGE}, to=to)
                sent = await transports.send(request, to, fresh=False)
                assert isinstance(sent, Answered)
    assert connections == 2


# TLS that is cut off (RFC 9112 §9.8)


def cut_after(content: bytes, *, notify: bool) -> Peer:
    """Return a peer that answers and ends the connection, with or without a close_notify."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(content)
        await writer.drain()
        if notify:
            writer.close()
            return
        raw: socket.socket = writer.get_extra_info("socket")
        raw.shutdown(socket.SHUT_WR)

    return peer


UNENDED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
COUNTED = UNENDED.replace(b"\r\n\r\n", b"\r\nContent-Length: 100\r\n\r\n")
CHUNKED = UNENDED.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")


async def over_tls(peer: Peer, folder: Path, *, fresh: bool) -> Sent:
    server, trusting = contexts(folder)
    async with behind(peer, ssl=server) as port:
        to = upstream(f"https://127.0.0.1:{port}", timeout_s=10)
        async with Transports(
            [to], data_dir=folder, references=references(), tls=trusting
        ) as transports:
            return await transports.send(frozen(tool("/x"), to=to), to, fresh=fresh)


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(
    ("content", "notify"),
    [
        (UNENDED + b'{"ok":true}', False),
        (COUNTED + b'{"ok":true}', False),
        (COUNTED + b'{"ok":true}', True),
        (CHUNKED + b"3\r\n{}\n\r\n", False),
        (CHUNKED + b"3\r\n{}\n\r\n", True),
    ],
    ids=["no length", "length", "length, notified", "chunks", "chunks, notified"],
)
async def test_an_answer_that_tls_did_not_end_is_no_whole_answer(
    content: bytes, notify: bool, tmp_path: Path, fresh: bool
) -> None:
    sent = await over_tls(cut_after(content, notify=notify), tmp_path, fresh=fresh)
    assert isinstance(sent, Unknown)
    assert sent.reason.endswith(", after status 200")


@pytest.mark.parametrize("fresh", [True, False])
async def test_an_answer_without_a_length_that_tls_ended_is_whole(
    tmp_path: Path, fresh: bool
) -> None:
    sent = await over_tls(cut_after(UNENDED + b"{}", notify=True), tmp_path, fresh=fresh)
    assert isinstance(sent, Answered)
    assert (sent.body, sent.truncated) == (b"{}", False)


async def test_an_answer_without_a_length_that_a_reset_ended_is_no_whole_answer(
    tmp_path: Path,
) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(UNENDED + b'{"ok":true}')
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with behind(peer) as port:
        to = upstream(f"http://127.0.0.1:{port}", timeout_s=10)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            sent = await transports.send(frozen(UPLOAD, {"body": "x"}, to=to), to, fresh=False)
    assert isinstance(sent, Unknown)


# Which connections are used again


COUNTED_2 = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
WHOLE: list[tuple[str, list[bytes]]] = [
    ("GET", [COUNTED_2 + b"{}"]),
    ("GET", [COUNTED_2, b"{}"]),
    ("GET", [COUNTED_2 + b"{", b"}"]),
    ("GET", [COUNTED_2[:1], COUNTED_2[1:9], COUNTED_2[9:-3], COUNTED_2[-3:-1], b"\n{}"]),
    ("GET", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]),
    ("GET", [b"HTTP/1.1 204 No Content\r\n\r\n"]),
    ("GET", [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"]),
    ("HEAD", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]),
    ("HEAD", [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]),
    ("GET", [CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"]),
    ("GET", [CHUNKED, b"1;x=y\r\n{\r\n01\r\n}", b"\r\n0", b"\r\n\r", b"\n"]),
]


@pytest.mark.parametrize(("method", "parts"), WHOLE)
async def test_a_whole_answer_leaves_its_connection_to_the_next_call(
    method: str, parts: list[bytes], tmp_path: Path
) -> None:
    connections = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            for part in parts:
                writer.write(part)
                await turns()  # loopback has delivered it then, and the other side has read it

    async with behind(peer) as port:
        to = upstream(f"http://127.0.0.1:{port}", timeout_s=10)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            for _ in range(3):
                request = frozen(tool("/x", method=method), to=to)
                assert isinstance(await transports.send(request, to, fresh=False), Answered)
    assert connections == 1


NO_MORE: list[tuple[str, bytes]] = [
    ("GET", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"),
    ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\nH"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n{}"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{}"),
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\r\n\r\n"),
]


@pytest.mark.parametrize(("method", "content"), NO_MORE)
async def test_an_answer_after_which_nothing_is_sure_takes_its_connection_with_it(
    method: str, content: bytes, tmp_path: Path
) -> None:
    connections = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(content)  # and stays open

    async with behind(peer) as port:
        to = upstream(f"http://127.0.0.1:{port}", timeout_s=10)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            for number in range(1, 4):
                request = frozen(tool("/x", method=method), to=to)
                sent = await transports.send(request, to, fresh=False)
                assert isinstance(sent, Answered)
                assert len(sent.body) in (0, 2)
                assert connections == number


@pytest.mark.parametrize("by", ["cancelled", "too late"])
async def test_a_call_that_nobody_waits_for_takes_its_connection_with_it(
    by: str, tmp_path: Path
) -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert writer
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        with suppress(ConnectionError):
            assert await reader.read() == b""
        closed.set()

    async with behind(peer) as port:
        to = upstream(f"http://127.0.0.1:{port}", timeout_s=60 if by == "cancelled" else 0.1)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            call = asyncio.create_task(
                transports.send(frozen(UPLOAD, {"body": ""}, to=to), to, fresh=False)
            )
            if by == "cancelled":
                await asked.wait()
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            else:
                assert isinstance(await call, NotSent | Unknown)
            if asked.is_set():
                await closed.wait()


async def test_no_more_than_a_hundred_connections_are_made_to_one_place(tmp_path: Path) -> None:
    connections = 0
    full = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 100:
            full.set()
        while await reader.readuntil(b"\r\n\r\n"):
            await full.wait()
            writer.write(answer())

    async with behind(peer) as port:
        to = upstream(f"http://127.0.0.1:{port}", timeout_s=60)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            request = frozen(tool("/x"), to=to)
            calls = [transports.send(request, to, fresh=False) for _ in range(130)]
            sent = await asyncio.gather(*calls)
    assert all(isinstance(one, Answered) for one in sent)
    assert connections == 100


async def test_nothing_an_answer_says_changes_the_next_request(tmp_path: Path) -> None:
    said = answer(
        "307 Temporary Redirect",
        b"{}",
        "application/json",
        "Location: /elsewhere",
        "Set-Cookie: a=b; Path=/",
        'Alt-Svc: h2=":1"',
        "WWW-Authenticate: Basic realm=x",
        "Accept-CH: Sec-CH-UA",
    )
    async with listening(plain(said)) as wire:
        to = upstream(wire.url, timeout_s=10)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            for _ in range(3):
                await transports.send(frozen(tool("/x"), to=to), to, fresh=False)
    first, *others = wire.requests
    assert others == [first, first]
    assert wire.connections == 1


# Bytes that nobody asked for


@pytest.mark.parametrize(
    "more",
    [
        answer(body=b'{"evil":true}'),
        b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nX-Part: ",
        b"H",
        b"\r\n",
        b"0\r\n\r\n",
    ],
    ids=["an answer", "half a head", "a byte", "an empty line", "another end"],
)
@pytest.mark.parametrize(
    "said",
    [answer(body=b'{"n":1}'), CHUNKED + b'7\r\n{"n":1}\r\n0\r\n\r\n'],
    ids=["counted", "chunked"],
)
@pytest.mark.parametrize("later", [False, True])
async def test_a_kept_connection_that_says_more_than_its_answer_is_not_used_again(
    said: bytes, more: bytes, later: bool, tmp_path: Path
) -> None:
    connections = 0
    all_said = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            if not later:
                writer.write(said + more)
                continue
            writer.write(said)
            await asyncio.sleep(0.02)  # so that it is no part of what is read with the answer
            writer.write(more)
            await writer.drain()
            all_said.set()

    async with behind(peer) as port:
        to = upstream(f"http://127.0.0.1:{port}")
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            for number in range(1, 4):
                sent = await transports.send(frozen(tool("/x"), to=to), to, fresh=False)
                assert isinstance(sent, Answered)
                assert sent.body == b'{"n":1}'
                assert connections == number
                if later:
                    await all_said.wait()
                    all_said.clear()


async def test_a_kept_connection_that_ended_while_the_loop_slept_is_not_used(
    tmp_path: Path,
) -> None:
    """The end is in the socket, and nobody has read it yet."""
    ends: list[asyncio.StreamWriter] = []

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer())

    async with behind(peer) as port:
        to = upstream(f"http://127.0.0.1:{port}")
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            request = frozen(UPLOAD, {"body": "once"}, to=to)  # a POST is not sent twice
            for number in range(1, 4):
                sent = await transports.send(request, to, fresh=False)
                assert isinstance(sent, Answered)
                assert len(ends) == number
                raw: socket.socket = ends[-1].get_extra_info("socket")
                raw.shutdown(socket.SHUT_RDWR)  # at once, with no turn of the loop in between
