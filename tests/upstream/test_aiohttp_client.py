"""What is aiohttp's alone: the same bytes as httpcore2's, which calls it has, when it is there."""

import asyncio
import os
import random
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest

from signoff.upstream.aiohttp_client import AiohttpClient
from signoff.upstream.client import HttpClient
from signoff.upstream.exchange import Client, ExchangeError, Incoming, Origin, Outgoing, Watch
from wire import Wire, answer, behind, listening, plain


class Unwatched:
    """Nobody has to know."""

    status: int | None = None

    async def leave(self) -> None:
        pass


class Beside:
    """The client beside it, which notes what it was given."""

    def __init__(self) -> None:
        self.client = HttpClient(ssl.create_default_context)
        self.given: list[bool] = []

    async def exchange(
        self, origin: Origin, outgoing: Outgoing, watch: Watch, *, fresh: bool
    ) -> Incoming:
        self.given.append(fresh)
        return await self.client.exchange(origin, outgoing, watch, fresh=fresh)

    async def close(self) -> None:
        await self.client.close()


@asynccontextmanager
async def both() -> AsyncGenerator[tuple[AiohttpClient, Beside]]:
    beside = Beside()
    client = AiohttpClient(ssl.create_default_context, beside=beside)
    yield client, beside
    await client.close()
    await beside.close()


def origin_at(port: int) -> Origin:
    return Origin(scheme="http", host="127.0.0.1", port=port)


GET = Outgoing(method="GET", host="h", target=b"/", headers=[])


async def test_a_gated_call_goes_over_httpcore2_and_an_allowed_one_does_not() -> None:
    async with listening(plain(answer())) as wire, both() as (client, beside):
        for fresh in (False, True, False, True):
            await client.exchange(origin_at(wire.port), GET, Unwatched(), fresh=fresh)
    assert beside.given == [True, True]
    assert wire.connections == 3


# The bytes of a request

ODD = '\x00\x01\t\n\x0b\r !"(),/:@[]{|}~\x7f'
METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
BEYOND = "\x80\x85\xa0\xff"


def drawn(chance: random.Random) -> Outgoing:
    """Return a request, most of whose parts are good."""

    def text(usual: str, least: int, most: int, odd: str = ODD + BEYOND) -> str:
        letters = usual if chance.random() < 0.93 else usual[:3] + odd
        return "".join(chance.choices(letters, k=chance.randint(least, most)))

    headers = [
        ("X-" + text("aZ-_9", 0, 6), text("aZ,;=\xe9", 0, 9)) for _ in range(chance.randint(0, 4))
    ]
    return Outgoing(
        method=chance.choice([*METHODS, text("GET", 3, 4, ODD)]),
        host=text("abc.:0123", 1, 9),
        target=("/" + text("ab/?&=%.~#[]{}|\\^;,", 0, 20)).encode("latin-1"),
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        body=chance.choice([None, b"", b"{}", bytes(range(256)) * 300]),
    )


async def written(client: Client, wire: Wire, outgoing: Outgoing) -> list[bytes]:
    """Return what arrives: nothing when it is refused unsent."""
    before = len(wire.requests)
    with suppress(ExchangeError):
        await client.exchange(origin_at(wire.port), outgoing, Unwatched(), fresh=False)
    return wire.requests[before:]


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_written_is_what_httpcore2_writes_to_the_byte(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 — repeatable, not secret
    async with listening(plain(answer())) as wire, both() as (client, beside):
        refused = 0
        for _ in range(150):
            outgoing = drawn(chance)
            found = await written(client, wire, outgoing)
            assert found == await written(beside.client, wire, outgoing), outgoing
            refused += not found
    assert 0 < refused < 75


# The bytes of an answer

LINES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 204 No\r\n",
    b"HTTP/1.1 100 C\r\n\r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length : 2\r\n",
    b"content-length: 02 \r\n",
    b"Content-Length: 2,2\r\n",
    b"Content-Length:\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: Chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Connection: close\r\n",
    b"X: a\r\n b\r\n",
    b"X:a\xff\r\n",
    b"X: a\n",
    b"X\r\n",
    b": x\r\n",
    b"X y: z\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b"{}",
    b"{}{}x",
    b"2\r\n{}\r\n",
    b"2;a=b\r\n{}\r\n",
    b"2 \r\n{}\r\n",
    b"02\r\n{}\r\n",
    b"2\n{}\n",
    b"-1\r\n",
    b"0x2\r\n{}\r\n",
    b"0\r\n\r\n",
    b"0\r\nT: x\r\n\r\n",
]
USUAL = [
    [LINES[0], LINES[5], b"\r\n", b"{}"],
    [LINES[0], LINES[11], b"\r\n", b"2\r\n{}\r\n", b"0\r\n\r\n"],
    [LINES[0], b"\r\n", b"{}"],
]


def disturbed(chance: random.Random) -> bytes:
    """Return an answer of which a few lines were added, taken away or exchanged."""
    lines = list(chance.choice(USUAL))
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(lines))
        lines[at : at + chance.randint(0, 1)] = chance.choices(LINES, k=chance.randint(0, 1))
    return b"".join(lines)


async def read(client: Client, wire: Wire, method: str) -> object:
    outgoing = Outgoing(method=method, host="h", target=b"/", headers=[])
    try:
        got = await client.exchange(origin_at(wire.port), outgoing, Unwatched(), fresh=False)
    except ExchangeError:
        return None
    names = {name.lower(): value for name, value in got.headers}
    names.pop(b"transfer-encoding", None)  # its letters are small then in one, and not in the other
    return got.status, got.body, names, got.cut


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_read_is_what_httpcore2_reads_or_nothing(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 — repeatable, not secret
    said = [b""]

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(said[0])
        writer.close()

    taken = refused = 0
    async with listening(say) as wire, both() as (client, beside):
        for _ in range(200):
            said[0], method = disturbed(chance), chance.choice(["GET", "GET", "HEAD"])
            theirs = await read(beside.client, wire, method)
            ours = await read(client, wire, method)
            assert ours in (theirs, None), said[0]
            taken += ours is not None
            refused += ours is None and theirs is not None
    assert taken > 50
    assert refused < 20


# Bytes that nobody asked for


async def test_what_an_upstream_says_before_it_is_asked_is_no_answer() -> None:
    async def peer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body=b'{"evil":true}'))
        await writer.drain()
        spoken.set()
        await over.wait()

    class Waiting(Unwatched):
        async def leave(self) -> None:
            await spoken.wait()
            for _ in range(5):  # loopback has delivered it already; these are turns, not time
                await asyncio.sleep(0)

    spoken, over = asyncio.Event(), asyncio.Event()
    async with behind(peer) as port, both() as (client, _):
        with pytest.raises(ExchangeError, match="closed"):
            await client.exchange(origin_at(port), GET, Waiting(), fresh=False)
        over.set()


async def test_an_idle_connection_that_speaks_is_closed_at_once() -> None:
    """Else it could fill the memory while nobody looks at it."""
    closed = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer())
        await idle.wait()
        writer.write(answer() * 1_000)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        closed.set()

    idle = asyncio.Event()
    async with behind(peer) as port, both() as (client, _):
        await client.exchange(origin_at(port), GET, Unwatched(), fresh=False)
        idle.set()
        await closed.wait()


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", b"{}"),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b""),
        (b"HTTP/1.1 200 OK\nContent-Length: 4\n\n\r\n\r\n", b"\r\n\r\n"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}HTTP/1.1 200 OK\r\n\r\n", b"{}"),
    ],
)
async def test_where_an_answer_of_loose_lines_ends_nobody_knows(
    content: bytes, body: bytes
) -> None:
    async with listening(plain(content)) as wire, both() as (client, _):
        for connections in (1, 2):
            got = await client.exchange(origin_at(wire.port), GET, Unwatched(), fresh=False)
            assert (got.status, got.body) == (200, body)
            assert wire.connections == connections


async def test_a_connection_that_was_idle_for_too_long_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time
    async with listening(plain(answer())) as wire, both() as (client, _):
        for ahead_s, connections in ((0, 1), (3, 1), (8, 2), (11, 2), (16, 3)):
            monkeypatch.setattr(loop, "time", lambda ahead_s=ahead_s: now() + ahead_s)
            await client.exchange(origin_at(wire.port), GET, Unwatched(), fresh=False)
            assert wire.connections == connections


# The extra


CHOSEN = """
import asyncio, pathlib, sys
from signoff.catalog.model import Upstream
from signoff.sealed import Sealer
from signoff.upstream.headers import References
from signoff.upstream.target import UpstreamError
from signoff.upstream.transport import Transports

async def run(client):
    upstream = Upstream(name="shop", base_url="http://127.0.0.1:9", client=client)
    known = References(Sealer(bytes(32)), environment={}, root=pathlib.Path())
    async with Transports([upstream], data_dir=pathlib.Path(), references=known):
        print("aiohttp" in sys.modules)

try:
    asyncio.run(run(sys.argv[1]))
except UpstreamError as error:
    print(error)
"""


UNBUILT = (
    "client: aiohttp runs without its compiled parser, for AIOHTTP_NO_EXTENSIONS is set or there "
    "was nothing built for this Python; leave `client` out"
)


@pytest.mark.parametrize(
    ("client", "environment", "said"),
    [
        ("httpcore2", {}, "False"),
        ("aiohttp", {}, "True"),
        (
            "aiohttp",
            {"AIOHTTP_NO_EXTENSIONS": "1"},
            UNBUILT,
        ),
    ],
)
def test_aiohttp_is_there_where_it_is_chosen_and_only_with_its_compiled_parser(
    client: str, environment: dict[str, str], said: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CHOSEN, client],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == said
