"""Which connections are used again, and which never: by whole answers, their ends, and silence."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from signoff.catalog.wire import Body
from signoff.upstream.transport import Answered, NotSent, Transports, Unknown
from upstream_parts import frozen, references, tool, upstream
from wire import answer, behind, listening, plain

pytestmark = pytest.mark.usefixtures("each_client")

UPLOAD = tool("/x", method="POST", body=Body(kind="whole", format="text", content_type="text/x"))
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
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


async def turns() -> None:
    """Let the loop go round."""
    for _ in range(5):
        await asyncio.sleep(0)


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


@pytest.mark.parametrize("framed", ["counted", "chunked", "until the end"])
@pytest.mark.parametrize("pages", [50, 1_024])  # less than is read at once, and much more
async def test_a_large_answer_arrives_whole_however_its_end_is_told(
    pages: int, framed: str, tmp_path: Path
) -> None:
    page = bytes(range(256)) * 16
    body = page * pages
    content = {
        "counted": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),
        "chunked": CHUNKED + (b"1000\r\n%b\r\n" % page) * pages + b"0\r\n\r\n",
        "until the end": b"HTTP/1.1 200 OK\r\n\r\n" + body,
    }[framed]
    connections = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(content)
            await writer.drain()
            if framed == "until the end":
                writer.close()
                return

    async with behind(peer) as port:
        to = upstream(f"http://127.0.0.1:{port}", timeout_s=60, max_response_bytes=8_388_608)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            for _ in range(2):
                sent = await transports.send(frozen(tool("/x"), to=to), to, fresh=False)
                assert isinstance(sent, Answered)
                assert sent.body == body
    assert connections == (2 if framed == "until the end" else 1)


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
