"""HTTP to an application in this process, without a socket.

Owns turning one request into ASGI and its answer back; whoever is cancelled here cancels the
application. Knows no OAuth. An exception of the application is a 500, as over a network.

`httpx2.ASGITransport` does the same for tests; it looks for other event loops with every request,
which costs more than the rest of it together.
"""

import asyncio
import logging
from typing import Final

import httpx2

from signoff.origin import App, Message, Scope

_PEER: Final = ("gate", 0)
_logger = logging.getLogger(__name__)


class InProcess(httpx2.AsyncBaseTransport):
    """Sends every request to one application. Timeouts are the caller's to keep."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Run the application to its end and return its whole answer."""
        exchange = _Exchange(await request.aread())
        url = request.url
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": _PEER,
            "root_path": "",
        }
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            _logger.exception("the application failed at %s", url.path)
            return httpx2.Response(500, request=request)
        return httpx2.Response(
            exchange.status,
            headers=exchange.headers,
            content=b"".join(exchange.parts),
            request=request,
        )


class _Exchange:
    """One request and what was answered so far."""

    def __init__(self, body: bytes) -> None:
        self._unread: bytes | None = body
        self._answered = asyncio.Event()
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []

    async def receive(self) -> Message:
        if self._unread is not None:
            body, self._unread = self._unread, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._answered.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                self._answered.set()
