"""`localhost` is two addresses: nobody else may answer on the one a browser tries first."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing

import httpx2
import pytest
from playwright.async_api import async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import browser
from signoff.app.errors import CannotRunError
from signoff.app.http import listening, serving

BOTH = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


def free() -> int:
    """Return a port that is free on both loopback addresses."""
    while True:
        with closing(socket.create_server(("127.0.0.1", 0))) as first:
            port = int(first.getsockname()[1])
            try:
                socket.create_server(("::1", port), family=socket.AF_INET6).close()
            except OSError:
                continue
            return port


@asynccontextmanager
async def signoff(port: int, host: str = "127.0.0.1") -> AsyncGenerator[None, None]:
    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse("signoff")

    app = Starlette(routes=[Route("/", answer)])
    with listening(host, port) as listener:
        async with serving(app, listener):  # pyright: ignore[reportArgumentType] — an ASGI app
            yield


@pytest.mark.parametrize(("family", "address"), BOTH)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_while_we_serve_nobody_can_listen_on_either_loopback_address(
    host: str, family: socket.AddressFamily, address: str
) -> None:
    port = free()
    async with signoff(port, host):
        with pytest.raises(OSError, match="in use"):
            socket.create_server((address, port), family=family)
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
            named = f"[{address}]" if ":" in address else address
            assert (await client.get(f"http://{named}:{port}/")).text == "signoff"


@pytest.mark.parametrize(("family", "address"), BOTH)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_where_somebody_listens_on_one_of_the_two_we_do_not_start(
    host: str, family: socket.AddressFamily, address: str
) -> None:
    port = free()
    with (
        closing(socket.create_server((address, port), family=family)),
        pytest.raises(CannotRunError, match=f"port {port} is taken"),
    ):
        listening(host, port)
    # What was opened before the refusal is given back.
    listening(host, port).close()


async def test_a_browser_that_is_sent_to_localhost_meets_us_and_not_a_stranger() -> None:
    """The attack, and that it is one: a stranger on ::1 gets the browser if we leave it free."""
    port = free()
    met: list[str] = []

    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nstranger")
        await writer.drain()
        writer.close()

    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=browser.find(), args=["--no-sandbox"]
        )
        page = await chromium.new_page()
        async with await asyncio.start_server(stranger, "::1", port):
            await page.goto(f"http://localhost:{port}/")
            assert await page.inner_text("body") == "stranger", "the control: the risk is real"
        met.clear()
        async with signoff(port):
            with pytest.raises(OSError, match="in use"):
                await asyncio.start_server(stranger, "::1", port)
            await page.goto(f"http://localhost:{port}/")
            assert await page.inner_text("body") == "signoff"
        assert met == []
        await chromium.close()
