"""Which origin a frozen request goes to, and that it still is the one it was frozen for.

Owns the way from an upstream's settings to an `Origin`: its own `base_url`, trusted as written, or
a server of an operation, guarded. Pure.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from signoff.catalog.model import Upstream
from signoff.catalog.wire import Server
from signoff.upstream.exchange import Origin
from signoff.upstream.frozen_request import FrozenRequest
from signoff.upstream.guard import Guard, Resolve
from signoff.upstream.target import Base, UpstreamError, base_of

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where bytes go. `host` is the Host header, `start` where the target begins in a URL.

    `own`: it is the upstream's own origin, where its client certificate is shown.
    """

    origin: Origin
    host: str
    start: int
    own: bool = False


class Routes:
    """The routes of one upstream."""

    def __init__(
        self, upstream: Upstream, *, socket: Path | None, resolve: Resolve | None = None
    ) -> None:
        self._upstream = upstream
        self._base = base_of(upstream)
        self._guard = Guard(upstream.allow_private, resolve=resolve)
        self._socket = socket
        self._foreign: dict[str, tuple[Base, Route]] = {}
        self._own = self._made(self._base)

    def find(self, request: FrozenRequest) -> Route | None:
        """Return the route of `request`; None when it was frozen for another address.

        Raises:
            UpstreamError: its server cannot be used.
        """
        if request.server is None:
            return self._own if _is_below(request.url, self._base) else None
        known = self._foreign.get(request.server)
        if known is None:
            base = base_of(self._upstream, Server(url=request.server))
            known = self._foreign[request.server] = (base, self._made(base))
        base, route = known
        return route if _is_below(request.url, base) else None

    def _made(self, base: Base) -> Route:
        parts = urlsplit(base.origin)
        return Route(
            origin=Origin(
                scheme=parts.scheme,
                host=parts.hostname or "",
                port=parts.port or _PORTS[parts.scheme],
                socket=self._socket if base.own else None,
                guard=None if base.own else self._guard,
            ),
            host=_host_header(base.origin),
            start=len(base.origin),
            own=base.own,
        )


def route_to(url: str) -> tuple[Route, str]:
    """Return the route to a URL that the operator wrote, and its target.

    Raises:
        UpstreamError: it is no URL.
    """
    try:
        parts = urlsplit(url)
        origin = Origin(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or _PORTS[parts.scheme],
        )
    except (ValueError, KeyError):
        raise UpstreamError(f"{url[:100]!r} is no http or https URL") from None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Route(origin=origin, host=_host_header(url), start=0), target


def _is_below(url: str, base: Base) -> bool:
    return url.startswith(f"{base.origin}{base.prefix}/")


def _host_header(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.netloc.rpartition("@")[2]).lower()
    default = f":{_PORTS[parts.scheme]}"
    return host.removesuffix(default) if not host.endswith("]") else host
