"""Sends a frozen request, once, and says how it ended.

Owns connections to upstreams: pooled for allowed calls, a fresh one for each gated call. The
client's trace hook runs `before_first_byte` right before the request's first byte; whatever it
raises, nothing leaves. Follows no redirect, reads no proxy setting, never retries, HTTP/1.1 only.

On the wire stand the frozen headers, `Host` before them and `Content-Length` after, and on a
fresh connection `Connection: close`. The request target is the frozen URL's, byte for byte.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx2
from pydantic import SecretStr

from signoff.catalog.model import Upstream
from signoff.upstream.app_upstream import served
from signoff.upstream.frozen import FrozenHeader
from signoff.upstream.headers import CredentialError, References, parsed
from signoff.upstream.redact import decoded, redacted, shown_headers, without_cut_trace
from signoff.upstream.request import FrozenRequest
from signoff.upstream.sent import Answered, Changed, NotSent, Sent, Unknown
from signoff.upstream.target import UpstreamError, base_of

__all__ = ["Answered", "Changed", "NotSent", "Sent", "Transports", "Unknown"]

BeforeFirstByte = Callable[[], Awaitable[None]]

_FIRST_BYTE: Final = "http11.send_request_headers.started"
_BEFORE_REQUEST: Final = "connection."
_POOL: Final = httpx2.Limits(max_connections=100, max_keepalive_connections=50, keepalive_expiry=5)
_SINGLE: Final = httpx2.Limits(max_connections=1, max_keepalive_connections=0)
_NO_TIMEOUTS: Final = {"connect": None, "read": None, "write": None, "pool": None}


class _StoppedError(Exception):
    """Raised inside the client's hook, so that its own handling of errors cannot swallow it."""


@dataclass(slots=True)
class _Flight:
    """One send: whether its first byte may have left, and why it was stopped before."""

    before_first_byte: BeforeFirstByte | None
    deadline: asyncio.Timeout
    left: bool = False
    stopped: BaseException | None = None
    status: int | None = None

    async def trace(self, event: str, _: object) -> None:
        if self.left or event.startswith(_BEFORE_REQUEST):
            return
        if self.stopped is not None:
            return  # the client is closing the connection
        if event != _FIRST_BYTE:
            # Not the protocol we know: stop before the first byte rather than miss it.
            self.stopped = UpstreamError(f"unexpected event {event} before the request")
            raise _StoppedError
        if self.before_first_byte is not None:
            # Never cut a commit in half: the deadline stands still while it runs.
            left_s = self._pause()
            try:
                await self.before_first_byte()
            except BaseException as error:
                self.stopped = error
                if not isinstance(error, Exception):
                    raise
                raise _StoppedError from error
            self._resume(left_s)
        self.left = True

    def _pause(self) -> float:
        now = asyncio.get_running_loop().time()
        left_s = (self.deadline.when() or now) - now
        self.deadline.reschedule(None)
        return left_s

    def _resume(self, left_s: float) -> None:
        self.deadline.reschedule(asyncio.get_running_loop().time() + left_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """How one upstream is reached."""

    origin: str
    prefix: str
    socket: Path | None
    url: httpx2.URL
    pool: httpx2.AsyncHTTPTransport


@dataclass(frozen=True, slots=True)
class _Ready:
    """Headers with credentials in them, about to be sent."""

    headers: list[tuple[bytes, bytes]] = field(repr=False)
    traces: tuple[bytes, ...] = field(repr=False)


class Transports:
    """The connections to every upstream of a catalogue. Use as an async context manager.

    `tls` replaces the system's trusted certificates; certificates are always verified.
    """

    def __init__(
        self,
        upstreams: Iterable[Upstream],
        *,
        data_dir: Path,
        references: References,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._upstreams = tuple(upstreams)
        self._data_dir = data_dir
        self._references = references
        self._tls = tls
        self._routes: dict[str, _Route] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open pools and start `app:` upstreams.

        Raises:
            UpstreamError: a base URL cannot be used, or an app does not start.
        """
        if self._tls is None:
            # Loading the system's certificates costs 20 ms and is done once, if at all.
            secure = any(upstream.base_url.startswith("https:") for upstream in self._upstreams)
            self._tls = (
                httpx2.create_ssl_context(trust_env=False)
                if secure
                else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            )
        if self._tls.verify_mode != ssl.CERT_REQUIRED or not self._tls.check_hostname:
            raise UpstreamError("certificates of upstreams are always verified")
        async with AsyncExitStack() as stack:
            for upstream in self._upstreams:
                origin, prefix = base_of(upstream)
                path: Path | None = None
                if upstream.base_url.startswith("app:"):
                    path = await stack.enter_async_context(
                        served(upstream, data_dir=self._data_dir)
                    )
                pool = await stack.enter_async_context(self._transport(path, _POOL))
                self._routes[upstream.name] = _Route(
                    origin=origin, prefix=prefix, socket=path, url=httpx2.URL(origin), pool=pool
                )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._routes.clear()
        await self._stack.__aexit__(kind, error, trace)

    async def send(
        self,
        request: FrozenRequest,
        upstream: Upstream,
        *,
        fresh: bool,
        approval_token: SecretStr | None = None,
        before_first_byte: BeforeFirstByte | None = None,
    ) -> Sent:
        """Send `request`, at most once, within the upstream's `timeout_s`.

        `fresh` opens a connection for this send alone, so that a broken one tells something.
        Whatever `before_first_byte` raises comes out of here as it is, and nothing was sent.
        The time it takes does not count.
        """
        route = self._routes.get(upstream.name)
        if route is None:
            return Changed(reason=f"the upstream {upstream.name} is gone since the approval")
        if not request.url.startswith(f"{route.origin}{route.prefix}/"):
            return Changed(reason=f"the address of {upstream.name} changed since the approval")
        try:
            ready = self._resolved(request, approval_token, fresh=fresh)
        except CredentialError as error:
            return NotSent(reason=str(error))
        if ready is None:
            return Changed(reason="a credential changed since the approval")
        if not fresh:
            return await self._exchange(
                route.pool, route, request, upstream, ready=ready, hook=before_first_byte
            )
        async with self._transport(route.socket, _SINGLE) as single:
            return await self._exchange(
                single, route, request, upstream, ready=ready, hook=before_first_byte
            )

    def _transport(self, path: Path | None, limits: httpx2.Limits) -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(
            verify=self._tls or True,
            trust_env=False,
            http1=True,
            http2=False,
            limits=limits,
            uds=None if path is None else str(path),
            retries=0,
        )

    def _resolved(
        self, request: FrozenRequest, approval_token: SecretStr | None, *, fresh: bool
    ) -> _Ready | None:
        """Return the headers to send; None when a credential is not the one that was frozen."""
        headers: list[tuple[bytes, bytes]] = []
        secrets: list[str] = []
        for header in request.headers:
            if header.value is not None:
                headers.append((header.name.encode(), header.value.encode()))
                continue
            value, found = self._credential(header, approval_token)
            if value is None:
                return None
            headers.append((header.name.encode(), value.get_secret_value().encode()))
            secrets.extend(found)
        if fresh:
            headers.append((b"Connection", b"close"))
        traces = tuple(trace for secret in secrets for trace in self._references.traces(secret))
        return _Ready(headers, traces)

    def _credential(
        self, header: FrozenHeader, approval_token: SecretStr | None
    ) -> tuple[SecretStr | None, tuple[str, ...]]:
        parts = parsed(header.reference or "")
        resolved = self._references.resolve(parts, approval_token=approval_token)
        if self._references.fingerprint(header.name, parts) != header.fingerprint:
            return None, ()
        return resolved.value, resolved.secrets

    async def _exchange(
        self,
        transport: httpx2.AsyncHTTPTransport,
        route: _Route,
        request: FrozenRequest,
        upstream: Upstream,
        *,
        ready: _Ready,
        hook: BeforeFirstByte | None,
    ) -> Sent:
        name = upstream.name
        deadline = asyncio.timeout(upstream.timeout_s)
        flight = _Flight(hook, deadline)
        message = httpx2.Request(
            request.method,
            route.url,
            headers=ready.headers,
            content=request.body,
            extensions={
                "trace": flight.trace,
                "timeout": _NO_TIMEOUTS,
                "target": request.url[len(route.origin) :].encode("ascii"),
            },
        )
        try:
            async with deadline:
                answered = await _read(transport, message, flight, upstream, ready.traces)
        except (httpx2.HTTPError, _StoppedError, TimeoutError) as error:
            if flight.stopped is not None:
                raise flight.stopped from None
            if isinstance(error, TimeoutError) and not deadline.expired():
                raise
            return _failure(error, flight, name, upstream.timeout_s)
        if not flight.left:
            return Unknown(reason=f"{name} answered before the request was recorded as sent")
        return answered


async def _read(
    transport: httpx2.AsyncHTTPTransport,
    message: httpx2.Request,
    flight: _Flight,
    upstream: Upstream,
    traces: tuple[bytes, ...],
) -> Answered:
    limit = upstream.max_response_bytes
    response = await transport.handle_async_request(message)
    flight.status = response.status_code
    chunks: list[bytes] = []
    size = 0
    cut = False
    try:
        async for chunk in response.aiter_raw():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                cut = True
                break
    finally:
        await response.aclose()
    body = b"".join(chunks)
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    unread: str | None = None
    if encoding not in ("identity", "") and body:
        plain = decoded(body[:limit], encoding, limit=limit)
        if plain is None:
            body, unread = b"", "it is compressed in a way that was not asked for"
        else:
            body, cut = plain[0], plain[1] or cut
    body = redacted(body, traces)[:limit]
    return Answered(
        status=response.status_code,
        headers=shown_headers(response.headers.raw, traces),
        body=without_cut_trace(body, traces) if cut else body,
        truncated=cut,
        unread=unread,
    )


_FAULTS: Final[Mapping[type[Exception], str]] = {
    httpx2.ConnectError: "the connection was not made",
    httpx2.UnsupportedProtocol: "the address is not one for HTTP",
    httpx2.LocalProtocolError: "the request breaks HTTP's rules",
    httpx2.RemoteProtocolError: "the connection was closed, or the answer breaks HTTP's rules",
    httpx2.ReadError: "the connection broke while the answer was read",
    httpx2.WriteError: "the connection broke while the request was written",
}


def _failure(error: Exception, flight: _Flight, name: str, timeout_s: float) -> NotSent | Unknown:
    """Say what a failure means. The client's own words may hold addresses, so none is passed on."""
    if isinstance(error, TimeoutError):
        fault = f"no full answer within {timeout_s:g} s"
        if not flight.left:
            return NotSent(reason=f"{name}: no connection within {timeout_s:g} s")
    else:
        fault = next(
            (text for kind, text in _FAULTS.items() if isinstance(error, kind)), "it failed"
        )
    if not flight.left:
        return NotSent(reason=f"{name}: {fault}{_cause(error)}")
    after = "" if flight.status is None else f", after status {flight.status}"
    return Unknown(reason=f"{name}: {fault}{after}")


def _cause(error: Exception) -> str:
    """Return the operating system's or TLS's words for a connection that was not made."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f" (certificate: {seen.verify_message})"
        if isinstance(seen, OSError) and seen.strerror:
            return f" ({seen.strerror.lower()})"
        seen = seen.__cause__ or seen.__context__
    return ""
