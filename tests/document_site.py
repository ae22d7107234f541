"""A site that publishes the document of a client: a real socket, plain or TLS, that counts."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Site:
    """A site that serves documents, raw bytes and all."""

    url: str = ""
    answer: bytes = b""
    pages: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """What stands at other paths."""
    hits: list[str] = field(default_factory=list[str])
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    silent: bool = False

    def serve(
        self, document: Any, *headers: str, status: str = "200 OK", path: str | None = None
    ) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close"]
        if not any(header.lower().startswith("content-type") for header in headers):
            head.append("content-type: application/json")
        whole = "\r\n".join([*head, *headers, "", ""]).encode() + body
        if path is None:
            self.answer = whole
        else:
            self.pages[path] = whole

    def at(self, path: str) -> str:
        """Return the address of another path of the site."""
        return self.url.removesuffix("/client.json") + path

    def document(self, **changed: Any) -> dict[str, Any]:
        members: dict[str, Any] = {
            "client_id": self.url,
            "client_name": "A web host",
            "redirect_uris": ["http://127.0.0.1/callback"],
            "token_endpoint_auth_method": "none",
        }
        return {k: v for k, v in {**members, **changed}.items() if v is not None}

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode().strip()
        self.hits.append(line)
        if self.silent:
            await self.hold.wait()
        writer.write(self.pages.get(line.split(" ")[1], self.answer))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def a_site(
    tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncGenerator[Site, None]:
    site = Site()
    server = await asyncio.start_server(site.meet, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    site.url = f"{'http' if tls is None else 'https'}://{host}:{port}/client.json"
    site.serve(site.document())
    async with server:
        yield site
        site.hold.set()
