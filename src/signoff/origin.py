"""Which hosts and origins may talk to this server, decided before any route runs.

Owns the `Host` and `Origin` allow-list as plain ASGI, for every route, and what a page of another
origin may do (CORS): read what is public, send people here to sign in, and be an MCP host where the
operator names its origin.
Never a page of ours, and never with a cookie. Never reads a URL from a request: links and issuers
come from configuration alone (DNS rebinding, CVE-2026-48710).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")

_READ: Final = b"GET, HEAD"
_PUBLIC: Final = ("/.well-known/", "/oauth2/jwks")
"""What says nothing that is not everybody's: any origin may read it."""
_DOORS: Final[Mapping[str, bytes]] = {
    "/mcp": b"GET, POST, DELETE",
    "/oauth2/token": b"POST",
    "/oauth2/revoke": b"POST",
    "/oauth2/register": b"POST",
}
"""What an MCP host in a browser needs besides; its origin is one the operator named."""
_ASKING: Final = "/oauth2/authorize"
"""Where an application's page may post its request (OpenID Connect Core §3.1.2.1).

It is answered with the GET of the same, which any page may link to, and no script may read it.
"""
_MANAGED: Final = "/oauth2/register/"
_MANAGE: Final = b"GET, PUT, DELETE"
_HEADERS: Final = frozenset({
    *(b"authorization", b"content-type", b"accept", b"last-event-id", b"dpop", b"prefer"),
})
_HEADERS_OF: Final = b"mcp-"
_EXPOSED: Final = b"WWW-Authenticate, Mcp-Session-Id, DPoP-Nonce"
_REMEMBERED_S: Final = b"7200"  # the longest that Chromium keeps a preflight's answer
_MAX_ASKED: Final = 1_000


class OriginGuard:
    """Answers 421 to a foreign `Host`, and 403 to an `Origin` that may not do what it asks."""

    def __init__(
        self,
        app: App,
        *,
        public_url: str,
        port: int,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
    ) -> None:
        """`origins` are those whose pages may be MCP hosts here."""
        self._app = app
        self._invited = frozenset(origin.lower().encode() for origin in origins)
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
                await self._other(scope, receive, send, origins)
                return
        await self._app(scope, receive, send)

    async def _other(
        self, scope: Scope, receive: Receive, send: Send, origins: list[bytes]
    ) -> None:
        """Answer a page of another origin."""
        if len(origins) == 1 and (scope["method"], scope["path"]) == ("POST", _ASKING):
            await self._hand_on(scope, receive, send, told=())
            return
        methods = _methods(scope["path"], invited=origins[0] in self._invited)
        if len(origins) > 1 or methods is None:
            await _refuse(send, 403, b"that origin may not talk to this server")
            return
        public = _is_public(scope["path"])
        told = [(b"access-control-allow-origin", b"*" if public else origins[0])]
        asked = dict(cast("list[tuple[bytes, bytes]]", scope["headers"]))
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in asked:
            await _preflight(send, asked, told, methods=methods)
            return
        if scope["method"].encode() not in methods.split(b", "):
            await _refuse(send, 403, b"that origin may not do that here")
            return
        if not public:
            told += [(b"access-control-expose-headers", _EXPOSED), (b"vary", b"Origin")]
        await self._hand_on(scope, receive, send, told=told)

    async def _hand_on(
        self, scope: Scope, receive: Receive, send: Send, *, told: Sequence[tuple[bytes, bytes]]
    ) -> None:
        """Let the routes answer. No cookie comes or goes; what scripts may read is ours to say."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        # Whatever the browser thinks of our cookies, none comes along.
        kept = [(name, value) for name, value in headers if name != b"cookie"]

        async def shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [
                    (name, value)
                    for name, value in message.get("headers", ())
                    if not name.lower().startswith((b"access-control-", b"set-cookie"))
                ]
                message = {**message, "headers": [*own, *told]}
            await send(message)

        await self._app({**scope, "headers": kept}, receive, shared)


def _is_public(path: str) -> bool:
    return path.startswith(_PUBLIC[0]) or path == _PUBLIC[1]


def _methods(path: str, *, invited: bool) -> bytes | None:
    """Return what a page of another origin may do at `path`; None is nothing."""
    if _is_public(path):
        return _READ
    if not invited:
        return None
    return _MANAGE if path.startswith(_MANAGED) else _DOORS.get(path)


async def _preflight(
    send: Send,
    asked: Mapping[bytes, bytes],
    told: Sequence[tuple[bytes, bytes]],
    *,
    methods: bytes,
) -> None:
    """Say what may be sent (Fetch §3.2.2). No route hears of it."""
    wanted = asked.get(b"access-control-request-headers", b"")[:_MAX_ASKED].lower()
    names = [name.strip() for name in wanted.split(b",")]
    allowed = [name for name in names if name in _HEADERS or name.startswith(_HEADERS_OF)]
    answer = [
        *told,
        (b"access-control-allow-methods", methods),
        (b"access-control-allow-headers", b", ".join(allowed)),
        (b"access-control-max-age", _REMEMBERED_S),
        (b"vary", b"Origin, Access-Control-Request-Headers"),
    ]
    if asked.get(b"access-control-request-private-network") == b"true":
        # A page of the internet reaches this computer: the operator named it.
        answer.append((b"access-control-allow-private-network", b"true"))
    await send({"type": "http.response.start", "status": 204, "headers": answer})
    await send({"type": "http.response.body", "body": b""})


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
