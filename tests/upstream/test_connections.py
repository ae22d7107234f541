"""Connections that end or answer at the wrong moment, judged by what a send says of it."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from signoff.catalog.wire import Body
from signoff.upstream.transport import Answered, Sent, Transports, Unknown
from tls_parts import contexts
from upstream_parts import frozen, references, tool, upstream
from wire import Peer, answer, behind

pytestmark = pytest.mark.usefixtures("each_client")

UPLOAD = tool("/x", method="POST", body=Body(kind="whole", format="text", content_type="text/x"))
REFUSED = answer("413 Content Too Large", b'{"detail":"at most 1 MB"}')
LARGE = "x" * 8_000_000


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
