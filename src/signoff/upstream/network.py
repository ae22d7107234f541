"""Sockets for the HTTP client, straight on asyncio: half the work a request of the portable way.

Owns connecting, TLS, and bytes in and out, in the shape that httpcore2 asks of a network backend.
Reads ahead, so that it is known whether a connection holds bytes nobody asked for, and an answer
that comes before the request has ended is seen. Deadlines are the caller's. Knows no HTTP.
"""

import asyncio
import select
import ssl
from collections.abc import Iterable
from typing import Any, Final, cast

import httpcore2

_AHEAD: Final = 262_144
"""Bytes that are read before anybody asks for them."""
NEXT_ADDRESS_S: Final = 0.25  # RFC 8305 §5
_SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


class Network(httpcore2.AsyncNetworkBackend):
    """Makes connections."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 — the backend's interface; never set
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> "NetworkStream":
        """Connect to the first address of `host` that answers.

        Raises:
            httpcore2.ConnectError: none does.
        """
        del timeout, local_address, socket_options
        loop = asyncio.get_running_loop()
        try:
            _, stream = await loop.create_connection(
                NetworkStream, host, port, happy_eyeballs_delay=NEXT_ADDRESS_S
            )
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError from error
        return stream

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 — as above
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> "NetworkStream":
        """Connect to the socket at `path`.

        Raises:
            httpcore2.ConnectError: nobody listens there.
        """
        del timeout, socket_options
        try:
            _, stream = await asyncio.get_running_loop().create_unix_connection(NetworkStream, path)
        except OSError as error:
            raise httpcore2.ConnectError from error
        return stream

    async def sleep(self, seconds: float) -> None:
        """Wait between attempts; there are none here."""
        await asyncio.sleep(seconds)


class NetworkStream(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """One connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._held = bytearray()
        self._ended = False  # the other side said so: FIN, over TLS its close_notify
        self._lost: Exception | None = None
        self._full = False  # the transport takes no more bytes for now
        self._stopped = False  # reading ahead is
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > _AHEAD and self._transport is not None and not self._stopped:
            self._stopped = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        secure = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        if secure is not None and not was_notified(secure):
            self._lost = ConnectionResetError("cut off without a close_notify")
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended:
            self._lost = exc or ConnectionResetError("closed without an end")
        self._ended = True
        self._full = False
        self._wake()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 — as above
        """Return the next bytes; none when the other side has ended.

        Raises:
            httpcore2.ReadError: the connection broke.
        """
        del timeout
        while not self._held:
            if self._lost is not None:
                raise httpcore2.ReadError(self._lost) from self._lost  # its pool cuts causes off
            if self._ended:
                return b""
            await self._something()
        taken = bytes(self._held[:max_bytes])
        del self._held[:max_bytes]
        if self._stopped and not self._held and self._transport is not None:
            self._stopped = False
            self._transport.resume_reading()
        return taken

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 — as above
        """Send bytes, and wait until there is room for more.

        Raises:
            httpcore2.WriteError: the connection broke, or its answer came before this was all.
        """
        del timeout
        transport = self._transport
        if transport is None or transport.is_closing():
            raise httpcore2.WriteError
        transport.write(buffer)
        while self._full:
            if self._held:
                # RFC 9112 §9.5: an early answer, often a refusal. What is left is not sent.
                raise httpcore2.WriteError
            await self._something()
        if self._lost is not None:
            raise httpcore2.WriteError(self._lost) from self._lost

    async def aclose(self) -> None:
        """End the connection, politely over TLS, and wait for no answer to that."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            await asyncio.sleep(0)
        finally:
            self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 — as above
    ) -> "NetworkStream":
        """Shake hands; the certificate is verified for `server_hostname`.

        Raises:
            httpcore2.ConnectError: it did not come to that.
        """
        del timeout
        if self._transport is None or self._held:
            # What was said in clear must not be taken for an answer.
            await self.aclose()
            raise httpcore2.ConnectError
        try:
            secure = await self._loop.start_tls(
                self._transport, self, ssl_context, server_hostname=server_hostname
            )
        except OSError as error:
            raise httpcore2.ConnectError from error
        if secure is None:
            raise httpcore2.ConnectError
        self._transport = secure
        return self

    def get_extra_info(self, info: str) -> Any:
        """Tell what httpcore2 asks: whether something stands unread, and the TLS object."""
        if info == "is_readable":
            return bool(self._held) or self._ended or has_something_unread(self._transport)
        if self._transport is None:
            return None
        return self._transport.get_extra_info(info)

    async def _something(self) -> None:
        """Wait until something happens. One request at a time is on a connection."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def has_something_unread(transport: asyncio.BaseTransport | None) -> bool:
    """Tell whether the socket holds bytes, or an end, that the loop has not seen yet."""
    sock = None if transport is None else transport.get_extra_info("socket")
    descriptor = -1 if sock is None else sock.fileno()
    if descriptor < 0:
        return True
    look = select.poll()
    look.register(descriptor, select.POLLIN)
    return bool(look.poll(0))


def was_notified(secure: ssl.SSLObject) -> bool:
    """Tell whether TLS ended by its own message; else anybody may have cut it (RFC 9112 §9.8).

    asyncio tells both alike. What OpenSSL reads then is an end, or nothing yet.
    """
    try:
        return not secure.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
