"""A sender whose body begins and never ends, at an ASGI application."""

import asyncio
from collections.abc import Mapping
from typing import Any

BEGUN = b"{"


async def trickled(
    app: Any, method: str, path: str, headers: Mapping[str, str], *, begun: bytes = BEGUN
) -> tuple[int, dict[str, str], bytes]:
    """Send what is never finished; return status, headers and body of the answer."""
    never, sent = asyncio.Event(), list[Any]()
    parts = [{"type": "http.request", "body": begun, "more_body": True}]

    async def receive() -> Any:
        if not parts:
            await never.wait()
        return parts.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, sent[1]["body"]
