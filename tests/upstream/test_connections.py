"""Connections that end, answer or speak at the wrong moment, judged by what a send says of it."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from signoff.catalog.wire import Body
from signoff.upstream.transport import Answered, Sent, Transports, Unknown
from tls_parts import contexts
from upstream_parts import frozen, references, tool, upstream
from wire import answer

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


# Bytes that nobody asked for


@pytest.mark.parametrize(
    "more",
    [
        answer(body=b'{"evil":true}'),
        b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nX-Part: ",
        b"H",
        b"\r\n",
    ],
    ids=["an answer", "half a head", "a byte", "an empty line"],
)
@pytest.mark.parametrize("later", [False, True])
async def test_a_kept_connection_that_says_more_than_its_answer_is_not_used_again(
    more: bytes, later: bool, tmp_path: Path
) -> None:
    connections = 0
    said = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            if not later:
                writer.write(answer(body=b'{"n":1}') + more)
                continue
            writer.write(answer(body=b'{"n":1}'))
            await asyncio.sleep(0.02)  # so that it is no part of what is read with the answer
            writer.write(more)
            await writer.drain()
            said.set()

    async with behind(peer) as port:
        to = upstream(f"http://127.0.0.1:{port}")
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            for number in range(1, 4):
                sent = await transports.send(frozen(tool("/x"), to=to), to, fresh=False)
                assert isinstance(sent, Answered)
                assert sent.body == b'{"n":1}'
                assert connections == number
                if later:
                    await said.wait()
                    said.clear()


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
