"""An MCP host that signs its person in by itself: the SDK's client, code and PKCE, a browser.

Owns the hands of the person in that browser and the loopback address where the answer comes back.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from assistants import Era
from harness import Person, Server
from ports import free_port
from visits import read_to_the_end


@dataclass
class Memory:
    """What a host keeps on disk."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Host:
    """A program that opens the person's browser and listens on loopback for the answer."""

    server: Server
    person: Person
    yes: bool = True
    memory: Memory = field(default_factory=Memory)
    asked: list[str] = field(default_factory=list[str])
    auth: OAuthClientProvider | None = None
    port: int = field(default_factory=free_port)
    answer: "asyncio.Future[str]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def redirect_uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/callback"

    async def open_browser(self, url: str) -> None:
        self.asked.append(url)
        self.answer = asyncio.get_running_loop().create_future()
        page = self.person.page
        await page.goto(url)
        button = "Let it act for me" if self.yes else "No"
        await read_to_the_end(page)
        await page.get_by_role("button", name=button, exact=True).click()

    async def come_back(self) -> AuthorizationCodeResult:
        async with asyncio.timeout(20):
            target = await self.answer
        back = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        return AuthorizationCodeResult(
            code=back.get("code", ""), state=back.get("state"), iss=back.get("iss")
        )

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode()
        while (await reader.readline()).strip():
            pass
        body = b"<!doctype html><title>Back</title>You can close this page."
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()
        target = line.split(" ")[1]
        if target.startswith("/callback") and not self.answer.done():
            self.answer.set_result(target)

    @asynccontextmanager
    async def connected(self, *, era: Era = "2026-07-28") -> AsyncGenerator[Client, None]:
        """Connect as this host; the SDK does all of the signing in."""
        metadata = OAuthClientMetadata(
            client_name="A desk host",
            redirect_uris=[AnyUrl(self.redirect_uri)],
            token_endpoint_auth_method="none",
        )
        url = f"{self.server.url}/mcp"
        self.auth = OAuthClientProvider(
            url,
            metadata,
            self.memory,
            redirect_handler=self.open_browser,
            callback_handler=self.come_back,
        )
        http = httpx2.AsyncClient(auth=self.auth, timeout=60, trust_env=False)
        info = types.Implementation(name="desk", version="1")
        listener = await asyncio.start_server(self.receive, "127.0.0.1", self.port)
        async with (
            listener,
            http,
            Client(streamable_http_client(url, http_client=http), mode=era, client_info=info) as it,
        ):
            yield it


async def status(server: Server, token: str) -> int:
    """Return what the assistants' door answers to this bearer."""
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "desk", "version": "1"},
        },
    }
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
    }
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.post(f"{server.url}/mcp", json=message, headers=headers)
    return answer.status_code
