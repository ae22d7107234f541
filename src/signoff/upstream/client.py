"""The HTTP client: exchanges over httpcore2, the transport under httpx2. HTTP/1.1, exact bytes.

Owns one exchange: over a Unix socket, or TCP with TLS whose certificate is always verified for the
name that was asked for, wherever it resolved to. On a fresh connection the client's trace hook runs
`watch.leave` right before the first byte; on a kept one (`kept.py`) it runs once there is one.
Reads no proxy setting, follows no redirect, never repeats a request.
"""

import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, cast

import httpcore2

from signoff.upstream.collecting import collected, is_ambiguous
from signoff.upstream.exchange import ExchangeError, Fault, Incoming, Origin, Outgoing, Watch
from signoff.upstream.failures import is_about_certificate
from signoff.upstream.kept import IDLE_S, KeptConnections
from signoff.upstream.network import Network
from signoff.upstream.target import UpstreamError

_FIRST_BYTE: Final = "http11.send_request_headers.started"
_BEFORE_REQUEST: Final = "connection."
_CONNECTED: Final = ("connection.connect_tcp.started", "connection.connect_unix_socket.started")
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0")
_NO_BODY_LENGTH: Final = frozenset({"POST", "PUT", "PATCH"})
_FAULTS: Final[Mapping[type[Exception], Fault]] = {
    httpcore2.ConnectError: "connect",
    httpcore2.UnsupportedProtocol: "connect",
    httpcore2.LocalProtocolError: "request",
    httpcore2.RemoteProtocolError: "answer",  # also: closed without any answer
    httpcore2.ReadError: "closed",
    httpcore2.WriteError: "closed",
}
_FAILURES: Final = tuple(_FAULTS)
_NOTHING_MORE: Final = (b"", False)


class _StoppedError(Exception):
    """Raised inside the client's hook, so that its own handling of errors cannot swallow it."""


class _UnreachableError(ExchangeError):
    """No connection was made to this address; the next one may do."""


@dataclass(slots=True)
class _Trace:
    """The client's hook for one exchange."""

    watch: Watch
    connected: bool = False
    left: bool = False
    stopped: BaseException | None = None

    async def __call__(self, event: str, _: object) -> None:
        if self.left or self.stopped is not None:
            return
        if event.startswith(_BEFORE_REQUEST):
            self.connected = self.connected or event in _CONNECTED
            return
        if event != _FIRST_BYTE:
            # Not the protocol we know: stop before the first byte rather than miss it.
            self.stopped = UpstreamError(f"unexpected event {event} before the request")
            raise _StoppedError
        try:
            await self.watch.leave()
        except BaseException as error:
            self.stopped = error
            if not isinstance(error, Exception):
                raise
            raise _StoppedError from error
        self.left = True


class _Carrier(Protocol):
    """A connection, or a pool of one."""

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response: ...


class _Connection(httpcore2.AsyncHTTP11Connection):
    """A connection that is kept."""

    def is_fit(self) -> bool:
        # httpcore2 does not tell whether more was read than the answer. Should its attribute ever
        # be gone, no connection is used twice.
        parser: object = getattr(self, "_h11_state", None)
        return self.is_idle() and getattr(parser, "trailing_data", None) == _NOTHING_MORE

    async def end(self) -> None:
        with suppress(OSError, httpcore2.NetworkError):
            await self.aclose()


class HttpClient:
    """Exchanges with kept or fresh connections. `tls` gives what verifies certificates."""

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._network = Network()
        self._kept = KeptConnections(self._made)

    async def exchange(
        self, origin: Origin, outgoing: Outgoing, watch: Watch, *, fresh: bool
    ) -> Incoming:
        """Send once; `fresh` makes a connection for this exchange alone.

        Raises:
            ExchangeError: there is no whole answer.
        """
        once = self._alone if fresh else self._shared
        last: ExchangeError | None = None
        for address in await origin.addresses():
            try:
                return await once(address, origin, outgoing, watch)
            except _UnreachableError as error:
                last = error
        raise last or ExchangeError("connect")

    async def close(self) -> None:
        """Close every connection."""
        await self._kept.close()

    async def _alone(
        self, address: str, origin: Origin, outgoing: Outgoing, watch: Watch
    ) -> Incoming:
        trace = _Trace(watch)
        # Without TLS an empty context does: loading the system's certificates costs 20 ms.
        secure = origin.scheme == "https"
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._tls() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            max_connections=1,
            max_keepalive_connections=0,
            http1=True,
            http2=False,
            retries=0,
            uds=None if origin.socket is None else str(origin.socket),
            network_backend=self._network,
        )
        message = _message(address, origin, outgoing, trace)
        async with pool:
            try:
                return await _exchanged(pool, message, outgoing, watch)
            except (*_FAILURES, _StoppedError) as error:
                if trace.stopped is not None:
                    raise trace.stopped from None
                fault = _fault_of(error)
                if fault == "connect" and not trace.left:
                    raise _UnreachableError(fault) from error
                raise ExchangeError(fault, reused=not trace.connected) from error

    async def _made(self, origin: Origin, address: str) -> _Connection:
        if origin.socket is not None:
            stream = await self._network.connect_unix_socket(str(origin.socket))
        else:
            stream = await self._network.connect_tcp(address, origin.port)
        if origin.scheme == "https":
            stream = await stream.start_tls(self._tls(), server_hostname=origin.host)
        target = httpcore2.Origin(origin.scheme.encode(), address.encode(), origin.port)
        return _Connection(target, stream, keepalive_expiry=IDLE_S)

    async def _shared(
        self, address: str, origin: Origin, outgoing: Outgoing, watch: Watch
    ) -> Incoming:
        try:
            connection, reused = await self._kept.take(origin, address)
        except httpcore2.ConnectError as error:
            raise _UnreachableError("connect") from error
        message = _message(address, origin, outgoing, None)
        try:
            await watch.leave()
            return await _exchanged(connection, message, outgoing, watch)
        except _FAILURES as error:
            raise ExchangeError(_fault_of(error), reused=reused) from error
        finally:
            await self._kept.give_back(origin, address, connection)


def _fault_of(error: Exception) -> Fault:
    if is_about_certificate(error):
        return "certificate"
    for kind, fault in _FAULTS.items():
        if isinstance(error, kind):
            return fault
    return "closed"


def _message(
    address: str, origin: Origin, outgoing: Outgoing, trace: _Trace | None
) -> httpcore2.Request:
    headers = [(b"Host", outgoing.host.encode()), *outgoing.headers]
    if outgoing.body is not None:
        headers.append((b"Content-Length", b"%d" % len(outgoing.body)))
    elif outgoing.method in _NO_BODY_LENGTH:
        headers.append((b"Content-Length", b"0"))
    return httpcore2.Request(
        outgoing.method,
        httpcore2.URL(scheme=origin.scheme, host=address, port=origin.port, target=outgoing.target),
        headers=headers,
        content=outgoing.body or b"",
        extensions={} if trace is None else {"trace": trace, "sni_hostname": origin.host},
    )


async def _exchanged(
    carrier: _Carrier, message: httpcore2.Request, outgoing: Outgoing, watch: Watch
) -> Incoming:
    response = await carrier.handle_async_request(message)
    watch.status = response.status
    headers = list(response.headers)
    extensions = cast("Mapping[str, object]", response.extensions)
    try:
        if extensions.get("http_version") not in _VERSIONS or is_ambiguous(headers):
            raise ExchangeError("answer")
        chunks = response.aiter_stream()
        return await collected(chunks, response.status, headers, outgoing, _FAILURES)
    finally:
        await response.aclose()
