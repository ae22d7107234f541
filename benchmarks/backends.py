"""Calls to an upstream a second and in CPU: our clients, and the libraries they stand on alone.

The upstream is a process of its own (`upstream.py`). The clients take turns in one process; each
round is timed by itself, so that what the machine does meanwhile hits all of them. Reported are
medians of the rounds; a ratio is the median of each round's, that of CPU being the calmer one.
`whole` is everything an allowed call costs on this side: freeze, send, shape.
"""

import asyncio
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import aiohttp
import httpx2

from signoff.catalog.model import HeaderTemplate, HttpClientName, ToolSpec, Upstream
from signoff.catalog.wire import Parameter
from signoff.identity import Caller
from signoff.sealed import Sealer
from signoff.upstream.aiohttp_client import AiohttpClient
from signoff.upstream.client import HttpClient
from signoff.upstream.exchange import Origin, Outgoing
from signoff.upstream.headers import References, parsed
from signoff.upstream.request import freeze
from signoff.upstream.response import result_of
from signoff.upstream.transport import Transports

CALLS = 1_024
ROUNDS = 9
CALLERS = (1, 32)
TARGET = "/accounts/42?limit=5"

BESIDE = {
    "ours over httpcore2": "httpx2",
    "ours over aiohttp": "ours over httpcore2",
    "whole over aiohttp": "whole over httpcore2",
}
"""What each is compared with."""
Call: TypeAlias = Callable[[], Awaitable[None]]


class _Watch:
    status: int | None = None

    async def leave(self) -> None:
        """Nobody has to know."""


@asynccontextmanager
async def _ours(port: int, name: HttpClientName) -> AsyncGenerator[Call]:
    beside = HttpClient(ssl.create_default_context)
    pool = AiohttpClient(ssl.create_default_context, beside=beside) if name == "aiohttp" else beside
    origin = Origin(scheme="http", host="127.0.0.1", port=port)
    outgoing = Outgoing(
        method="GET",
        host=f"127.0.0.1:{port}",
        target=TARGET.encode(),
        headers=[(b"Accept", b"application/json"), (b"Authorization", b"Bearer x")],
    )

    async def call() -> None:
        incoming = await pool.exchange(origin, outgoing, _Watch(), fresh=False)
        assert incoming.status == 200

    yield call
    await pool.close()
    await beside.close()


@asynccontextmanager
async def _httpx2(port: int) -> AsyncGenerator[Call]:
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=50)
    async with httpx2.AsyncHTTPTransport(trust_env=False, limits=limits) as transport:
        url = httpx2.URL(f"http://127.0.0.1:{port}{TARGET}")

        async def call() -> None:
            headers = {"Accept": "application/json", "Authorization": "Bearer x"}
            response = await transport.handle_async_request(
                httpx2.Request("GET", url, headers=headers)
            )
            await response.aread()
            await response.aclose()
            assert response.status_code == 200

        yield call


@asynccontextmanager
async def _aiohttp(port: int) -> AsyncGenerator[Call]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:
        url = f"http://127.0.0.1:{port}{TARGET}"

        async def call() -> None:
            headers = {"Accept": "application/json", "Authorization": "Bearer x"}
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                await response.read()
                assert response.status == 200

        yield call


@asynccontextmanager
async def _whole(port: int, name: HttpClientName) -> AsyncGenerator[Call]:
    to = Upstream(
        name="bench",
        base_url=f"http://127.0.0.1:{port}",
        client=name,
        headers=(HeaderTemplate(name="Authorization", parts=parsed("Bearer ${env:TOKEN}")),),
    )
    tool = ToolSpec(
        name="account",
        title="Account",
        description="",
        upstream="bench",
        method="GET",
        path="/accounts/{id}",
        input_schema={"type": "object"},
        parameters=(
            Parameter(argument="id", name="id", place="path", style="simple", explode=False),
            Parameter(argument="limit", name="limit", place="query", style="form", explode=True),
        ),
    )
    sealer = Sealer(b"k" * 32)
    references = References(sealer, environment={"TOKEN": "secret-token"}, root=Path())
    caller = Caller(kind="local", issuer="local", client_id="bench", sub="alice")
    with tempfile.TemporaryDirectory() as directory:
        async with Transports([to], data_dir=Path(directory), references=references) as transports:

            async def call() -> None:
                request = freeze(
                    tool,
                    to,
                    {"id": 42, "limit": 5},
                    caller=caller,
                    call_id=None,
                    sealer=sealer,
                    references=references,
                )
                result = result_of(tool, await transports.send(request, to, fresh=False))
                assert result.structured is not None

            yield call


async def _round(call: Call, callers: int) -> tuple[float, float]:
    """Return seconds by the clock and of CPU for `CALLS` calls."""

    async def caller() -> None:
        for _ in range(CALLS // callers):
            await call()

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - began, time.process_time() - used


async def run() -> None:
    """Measure and print."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.upstream", str(port)
    )
    try:
        async with AsyncExitStack() as stack:
            clients: dict[str, Call] = {}
            for name, client in (
                ("httpx2", _httpx2(port)),
                ("aiohttp", _aiohttp(port)),
                ("ours over httpcore2", _ours(port, "httpcore2")),
                ("ours over aiohttp", _ours(port, "aiohttp")),
                ("whole over httpcore2", _whole(port, "httpcore2")),
                ("whole over aiohttp", _whole(port, "aiohttp")),
            ):
                clients[name] = await stack.enter_async_context(client)
            await _answering(port)
            for callers in CALLERS:
                await _compare(clients, callers)
    finally:
        api.terminate()
        await api.wait()


async def _compare(clients: dict[str, Call], callers: int) -> None:
    for call in clients.values():
        await _round(call, callers)  # connections are made, code is warm
    rounds = {name: list[tuple[float, float]]() for name in clients}
    for _ in range(ROUNDS):
        for name, call in clients.items():
            rounds[name].append(await _round(call, callers))
    for name, its in rounds.items():
        took, used = (statistics.median(column) for column in zip(*its, strict=True))
        print(
            f"  {callers:>3} callers  {name:20} {CALLS / took:8,.0f}/s   "
            f"{used / CALLS * 1e6:5.0f} µs CPU{_against(its, rounds.get(BESIDE.get(name, '')))}"
        )


def _against(
    its: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]] | None
) -> str:
    if others is None:
        return ""
    faster, cheaper = (
        statistics.median(theirs / mine for mine, theirs in zip(column, other, strict=True))
        for column, other in zip(zip(*its, strict=True), zip(*others, strict=True), strict=True)
    )
    return f"   {faster:4.2f} times the rate, {cheaper:4.2f} times as cheap"


async def _answering(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
