"""What a post to a registered address does on the wire: one connection, to what was checked."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from signoff.oauth.outside import Outside


@dataclass(slots=True)
class Counted:
    """A listener that keeps the first line of whatever it is asked, with a body or without."""

    port: int = 0
    lines: list[str] = field(default_factory=list[str])


@asynccontextmanager
async def counting(answer: str) -> AsyncGenerator[Counted, None]:
    counted = Counted()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counted.lines.append((await reader.readuntil(b"\r\n")).decode().strip())
        writer.write(
            f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        counted.port = server.sockets[0].getsockname()[1]
        yield counted


async def here(host: str, port: int) -> Sequence[str]:
    del host, port
    return ["127.0.0.1"]


@pytest.mark.seed("CIBA-49")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["/elsewhere", "http://localhost:{port}/elsewhere"])
async def test_a_redirect_is_told_and_not_followed(status: int, to: str) -> None:
    async with counting("204 No Content") as other:
        async with counting(f"{status} Moved\r\nlocation: {to.format(port=other.port)}") as first:
            url = f"http://localhost:{first.port}/ciba"
            told = await Outside(loopback=True, resolve=here).post(url, b"{}", headers={})
        assert told == status
        assert first.lines == ["POST /ciba HTTP/1.1"]
        assert other.lines == []


@pytest.mark.seed("CIBA-49")
async def test_no_name_is_asked_for_again_after_its_addresses_were_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked again, it could lead inside: the connection is made to the address itself."""
    asked: list[Any] = []
    real = socket.getaddrinfo

    def watched(host: Any, *arguments: Any, **named: Any) -> Any:
        asked.append(host)
        return real(host, *arguments, **named)

    async with counting("204 No Content") as listener:
        monkeypatch.setattr(socket, "getaddrinfo", watched)
        url = f"http://localhost:{listener.port}/ciba"
        assert await Outside(loopback=True, resolve=here).post(url, b"{}", headers={}) == 204
    assert listener.lines == ["POST /ciba HTTP/1.1"]
    for host in asked:
        ipaddress.ip_address(host)  # an address, and no name
