"""Which hosts and origins may talk to this server, decided before any route runs.

Owns the `Host` and `Origin` allow-list as plain ASGI, for every route. Never reads a URL from a
request: links and issuers come from configuration alone (DNS rebinding, CVE-2026-48710).
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


class OriginGuard:
    """Answers 421 to a foreign `Host` and 403 to a foreign `Origin`."""

    def __init__(self, app: App, *, public_url: str, port: int, hosts: Iterable[str] = ()) -> None:
        self._app = app
        public = urlsplit(public_url)
        names = {*(host.lower() for host in hosts), *(f"{host}:{port}" for host in LOOPBACK)}
        self._hosts = frozenset(name.encode() for name in (*names, public.netloc.lower()))
        origins = {f"{scheme}://{name}" for scheme in ("http", "https") for name in names}
        # Of the public name only its own scheme: who can answer for plain http is somebody else.
        origins.discard(f"{'http' if public.scheme == 'https' else 'https'}://{public.netloc}")
        origins.add(f"{public.scheme}://{public.netloc}".lower())
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "lifespan"}:
            raise RuntimeError("only HTTP is served")  # a socket would pass unchecked
        if scope["type"] == "http":
            headers: list[tuple[bytes, bytes]] = scope["headers"]
            hosts = [value.lower() for name, value in headers if name == b"host"]
            origins = [value.lower() for name, value in headers if name == b"origin"]
            if len(hosts) != 1 or hosts[0] not in self._hosts:
                await _refuse(send, 421, b"this server does not answer for that host")
                return
            if len(origins) > 1 or any(origin not in self._origins for origin in origins):
                await _refuse(send, 403, b"that origin may not talk to this server")
                return
        await self._app(scope, receive, send)


async def _refuse(send: Send, status: int, reason: bytes) -> None:
    await send({
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(reason)).encode()),
            (b"cache-control", b"no-store"),
        ],
    })
    await send({"type": "http.response.body", "body": reason})
