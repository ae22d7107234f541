"""One token request over HTTP, by somebody who may leave before the answer."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute

PATH = "/oauth2/token"


class LeavingClient:
    """The request, and what was answered to it."""

    def __init__(
        self,
        routes: Sequence[BaseRoute],
        body: bytes,
        *,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self._body = body
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "headers": [*headers, (b"content-type", b"application/x-www-form-urlencoded")],
            "scheme": "http",
            "http_version": "1.1",
            "server": ("localhost", 8420),
            "client": ("127.0.0.1", 1),
            "root_path": "",
        }
        self._app = Starlette(routes=routes)
        self._left = asyncio.Event()
        self._read = False
        self.sent: list[Any] = []

    async def _receive(self) -> Any:
        if not self._read:
            self._read = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        self._left.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["LeavingClient", None]:
        """Wait for the answer while the body runs; it is over at the end."""
        running = asyncio.create_task(self._app(self._scope, self._receive, self._send))
        try:
            yield self
            async with asyncio.timeout(20):
                await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
