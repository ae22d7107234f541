"""Bytes on the socket: two readings of one request, paths that are others, and slow strangers."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import httpx2
import pytest
import pytest_asyncio

from ports import free_port
from signoff.app.http import listening, serving
from signoff.app.wire import MAX_HEAD_BYTES, BoundedHttp
from signoff.origin import Receive, Scope, Send
from whole import Whole, whole

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
SECOND = b"GET /healthz HTTP/1.1\r\nHost: localhost:%d\r\n\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Whole, None]:
    """One server for all of these. A task of its own enters and leaves it, as anyio wants."""
    up: asyncio.Future[Whole] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    async def run() -> None:
        async with whole(tmp_path_factory.mktemp("whole")) as running:
            up.set_result(running)
            await stop.wait()

    task = asyncio.create_task(run())
    await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    yield await up
    stop.set()
    await task


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def answers(here: Whole, sent: bytes, *, within_s: float = 5.0) -> list[int]:
    """Send bytes, close our side, and return the status of everything that came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    found = b""
    try:
        writer.write(sent)
        await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(within_s):
            found = await reader.read()
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return [int(status) for status in _STATUS.findall(found)]


def head(here: Whole, line: str, *headers: str) -> bytes:
    lines = (line, f"Host: localhost:{here.port}", *headers)
    return "\r\n".join((*lines, "", "")).encode("latin-1")


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 6", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 6"),
        ("Content-Length: 6", "Content-Length: 0"),
        ("Content-Length: 0, 6",),
        ("Content-Length: +0",),
        ("Content-Length: 0x0",),
        ("Content-Length: -1",),
        ("Content-Length : 0",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: identity, chunked", "Content-Length: 6"),
        ("Transfer-Encoding: xchunked", "Content-Length: 6"),
        ("Transfer-Encoding:\x0bchunked", "Content-Length: 6"),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow", "Content-Length: 6"),
        ("X: y\r\n Content-Length: 6", "Content-Length: 0"),
        ("X: y\rContent-Length: 6", "Content-Length: 0"),
        ("X: y\nTransfer-Encoding: chunked", "Content-Length: 6"),
        ("X: \x00", "Content-Length: 0"),
    ],
)
async def test_a_request_with_two_readings_is_refused_or_read_once_and_never_as_two(
    here: Whole, headers: tuple[str, ...]
) -> None:
    body = b"0\r\n\r\nX" + SECOND % here.port
    found = await answers(here, head(here, "POST /logout HTTP/1.1", *headers) + body)
    assert 200 not in found, "the hidden request was answered"
    assert len(found) <= 2
    assert set(found) <= {400, 401, 403}


async def test_the_control_two_honest_requests_are_two(here: Whole) -> None:
    one = SECOND % here.port
    assert await answers(here, one + one) == [200, 200]


@pytest.mark.parametrize(
    "target",
    [
        "//approvals", "/approvals//", "/./approvals", "/x/../approvals", "/%61pprovals/../mcp",
        "/approvals%2fevents", "/approvals/apr_x%2f..%2f..%2fmcp", "/static/..%2f..%2fseal.key",
        "/static/%2e%2e/site.py", "/static/signoff.js%00.css", "/approvals;a=b", "*", "/mcp/",
        "/mcp%2f", "//mcp", "/MCP", "http://evil.example/approvals", "http://localhost/mcp",
        "/approvals?x=/healthz", "/oauth2//token", "/ciba/outcome/", "/login/", "/login/%2e%2e",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND"])
async def test_no_spelling_of_a_path_lets_a_stranger_in(
    here: Whole, method: str, target: str
) -> None:
    found = await answers(here, head(here, f"{method} {target} HTTP/1.1", "Connection: close"))
    assert not {status for status in found if status < 300 or status >= 500}, found


@pytest.mark.parametrize(
    "headers",
    [
        ("Host: evil.example",),
        ("Host: localhost:{port}", "Host: evil.example"),
        ("Host: localhost:{port}.evil.example",),
        ("Host: localhost:{port}/evil?",),
        ("Host: user@localhost:{port}",),
        ("Host: localhost",),
        ("Host: LOCALHOST.:{port}",),
        ("Host:",),
        (),
        ("Host: localhost:{port}", "Origin: http://evil.example"),
        ("Host: localhost:{port}", "Origin: null"),
        ("Host: localhost:{port}", "Origin: http://localhost:1"),
        ("X-Forwarded-Host: localhost:{port}", "Host: evil.example"),
    ],
)
async def test_a_foreign_host_or_origin_reaches_no_route(
    here: Whole, headers: tuple[str, ...]
) -> None:
    lines = [line.replace("{port}", str(here.port)) for line in headers]
    sent = "\r\n".join(("GET /healthz HTTP/1.1", *lines, "Connection: close", "", "")).encode()
    found = await answers(here, sent)
    assert found
    assert set(found) <= {400, 403, 421}


@pytest.mark.parametrize(
    "override",
    [
        "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL",
        "X-Rewrite-URL",
    ],
)  # fmt: skip
async def test_no_header_turns_a_read_into_a_decision(here: Whole, override: str) -> None:
    alice = await here.person()
    value = "POST" if "Method" in override else "/healthz"
    answer = await alice.http.get("/approvals/apr_x/decision", headers={override: value})
    assert answer.status_code == 405
    answer = await alice.http.get(
        "/approvals/apr_x/decision?_method=POST&decision=approve", headers={override: value}
    )
    assert answer.status_code == 405
    await alice.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost:%d\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost:%d\r\nX: " + b"a" * 2_000_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost:%d\r\n" + b"X: a\r\n" * 200_000 + b"\r\n",
        b"POST /login/x HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 99999999999\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: localhost:%d\r\n\r\n",
    ],
)
async def test_what_is_too_large_or_no_http_ends_without_harm(here: Whole, sent: bytes) -> None:
    found = await answers(here, sent % here.port if b"%d" in sent else sent, within_s=2.0)
    assert not {status for status in found if status >= 500}
    assert await answers(here, SECOND % here.port) == [200]


@pytest.mark.parametrize(
    "begun",
    [
        "",
        "GET /healthz HT",
        "GET /healthz HTTP/1.1\r\nHost: localhost:1\r\nX:",
        "POST /healthz HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 9\r\n\r\nabc",
        "GET /healthz HTTP/1.1\r\nHost: localhost:1\r\n\r\nGET /healthz HT",
    ],
)
async def test_a_request_that_does_not_arrive_is_cut_off(begun: str) -> None:
    class Hasty(BoundedHttp):
        patience_s = 0.2

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    port = free_port()
    with listening("127.0.0.1", port) as listener:
        async with serving(answer, listener, protocol=Hasty):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun.encode())
            async with asyncio.timeout(30):
                with contextlib.suppress(ConnectionError):
                    await reader.read()
            writer.close()


async def test_a_head_without_end_is_cut_off(here: Whole) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    sent, most = 0, 64 * MAX_HEAD_BYTES
    writer.write(head(here, "GET /healthz HTTP/1.1")[:-2] + b"X: ")
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(20):
            while sent < most:
                writer.write(b"a" * 65_536)
                sent += 65_536
                await writer.drain()
    assert sent < most  # the kernel takes some more than we do
    writer.close()
    with contextlib.suppress(ConnectionError):
        await reader.read()


async def test_a_large_body_in_one_piece_is_no_large_head(here: Whole) -> None:
    length = 2 * MAX_HEAD_BYTES
    begun = head(here, "POST /mcp HTTP/1.1", f"Content-Length: {length}", "Connection: close",
                 f"Authorization: Bearer {here.server.token}")  # fmt: skip
    assert await answers(here, begun + b" " * length, within_s=10) == [400]


@pytest.mark.parametrize("path", ["/login/x", "/oauth2/token", "/mcp"])
async def test_two_hundred_half_sent_requests_keep_nobody_out(here: Whole, path: str) -> None:
    begun = head(
        here, f"POST {path} HTTP/1.1", "Content-Length: 1000", f"Origin: {here.server.url}",
        f"Authorization: Bearer {here.server.token}",
        "Content-Type: application/x-www-form-urlencoded",
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        for number in range(200):
            _, writer = await asyncio.open_connection("127.0.0.1", here.port)
            stack.callback(writer.close)
            writer.write(begun if number % 2 else begun[:40])
        async with asyncio.timeout(30), httpx2.AsyncClient(trust_env=False, timeout=60) as client:
            assert (await client.get(f"{here.server.url}/healthz")).text == "ok"
            alice = await here.person()
            assert (await alice.http.get("/approvals")).status_code == 200
            await alice.close()
