"""Allowed calls over aiohttp, for an upstream that asks for it: less than half the work a call.

Owns one exchange on a kept connection that aiohttp's parser reads; what goes out is composed here,
so that there is nothing to be kept from adding headers, following, repeating or decompressing.
A call on a connection of its own goes to the client beside it. The only module that knows aiohttp,
which is an extra: whoever chooses it imports this module then, and not before.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final, Literal

from aiohttp import ClientError, HttpVersion10, HttpVersion11, StreamReader, http_parser
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.http_parser import RawResponseMessage

from signoff.upstream.collecting import collected, is_ambiguous
from signoff.upstream.exchange import (
    Client,
    ExchangeError,
    Fault,
    Incoming,
    Origin,
    Outgoing,
    Watch,
)
from signoff.upstream.failures import is_about_certificate
from signoff.upstream.kept import IDLE_S, KeptConnections
from signoff.upstream.network import NEXT_ADDRESS_S, has_something_unread, was_notified
from signoff.upstream.target import UpstreamError

_AHEAD: Final = 131_072
"""Bytes of a body that are read before anybody asks for them."""
_HEAD_BYTES: Final = 102_400  # what httpcore2 takes
_FIELD_BYTES: Final = 32_768
_FIELDS: Final = 256
_HEAD_END: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_LENGTH: Final = b"content-length"
_FIRST_FINAL: Final = 200
_SWITCHED: Final = 101
_BODILESS: Final = frozenset({204, 304})  # RFC 9112 §6.3
_VERSIONS: Final = (HttpVersion11, HttpVersion10)
_NO_BODY_LENGTH: Final = frozenset({"POST", "PUT", "PATCH"})
_FAILURES: Final = (ClientError, HttpProcessingError)
# What httpcore2 lets through: RFC 9110 §5.1, §5.5 and §9.1, and control characters in values, as
# people send them. No part can end its own line.
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
_VALUE: Final = re.compile(rb"(?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?")

_Frame = Literal["head", "length", "chunks", "until end"]
"""What is read now, and after a head what tells where its body ends."""


class _CutOffError(ClientError):
    """The connection broke, and the answer would have ended with it."""


class _Connection(ResponseHandler):
    """One connection. Gives aiohttp an answer up to its end, and sees a byte that goes beyond."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self._is_idle = True
        self._idle_until = 0.0
        self._is_ended = False  # the other side said so: FIN, over TLS its close_notify
        self._is_cut_off = False
        self._asks_head = False
        self._answer: StreamReader | None = None
        self._frame: _Frame = "head"
        self._head = bytearray()
        self._left = 0
        self._last = b""
        self._has_more = False

    def send(self, content: bytes, *, asks_head: bool) -> None:
        """Write a request. What the socket does not take yet leaves while its answer is read.

        Raises:
            ClientError: the connection has ended.
        """
        self._is_idle, self._asks_head, self._answer = False, asks_head, None
        self._frame, self._left, self._last, self._has_more = "head", 0, b"", False
        self.set_response_params(
            skip_payload=asks_head,
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=_AHEAD // 2,
            max_line_size=_FIELD_BYTES,
            max_field_size=_FIELD_BYTES,
            max_headers=_FIELDS,
        )
        if self.transport is None:
            raise _CutOffError
        self.transport.write(content)

    async def body(self, answer: StreamReader) -> AsyncIterator[bytes]:
        """Yield the parts of an answer's body.

        Raises:
            ClientError, HttpProcessingError: it is not whole.
        """
        self._answer = answer
        error = self.exception()
        if error is not None:
            self._tell_reader(error)
        async for part in answer.iter_any():
            yield part
        if self._frame == "until end" and self._is_cut_off:
            raise _CutOffError

    def finished(self) -> None:
        """Note that an answer was read whole."""
        # What follows the last chunk and yet ends like it is an answer of its own, or an error:
        # aiohttp tells of both.
        is_all = self._last == _LAST_CHUNK if self._frame == "chunks" else self._left == 0
        self._is_idle = is_all and not self._has_more
        self._idle_until = asyncio.get_running_loop().time() + IDLE_S

    def is_fit(self) -> bool:
        transport = self.transport
        return (
            self._is_idle
            and not self.should_close
            and transport is not None
            and not transport.is_closing()
            and transport.get_write_buffer_size() == 0  # else it answered before it had read all
        )

    def has_expired(self) -> bool:
        is_late = asyncio.get_running_loop().time() > self._idle_until
        return is_late or not self.is_fit() or has_something_unread(self.transport)

    async def end(self) -> None:
        transport = self.transport
        if transport is not None:
            self.close()  # politely over TLS, and waits for no answer to that
            try:
                await asyncio.sleep(0)
            finally:
                transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_idle:
            self.abort()  # nobody asked for this
            return
        if not data:
            super().data_received(data)  # aiohttp goes on after a pause
        while data:
            if self._frame == "head":
                data = self._after_head(data)
            elif self._frame == "length":
                part, data = data[: self._left], data[self._left :]
                self._left -= len(part)
                if not part:
                    self._has_more = True
                    return
                super().data_received(part)
            else:
                self._last = (self._last + data[-len(_LAST_CHUNK) :])[-len(_LAST_CHUNK) :]
                super().data_received(data)
                return

    def _after_head(self, data: bytes) -> bytes:
        """Take what belongs to a head, and return the rest."""
        known = len(self._head)
        self._head += data
        at = self._head.find(_HEAD_END, max(0, known - len(_HEAD_END)))
        if self._head[:1].isspace() or (at if at >= 0 else len(self._head)) > _HEAD_BYTES:
            self.set_exception(BadHttpMessage("no head, or one too long"))
            return b""
        size = len(data) if at < 0 else at + len(_HEAD_END) - known
        if at >= 0:
            self._head.clear()
        super().data_received(data[:size])
        if at < 0 and self._frame != "head":
            self._has_more = True  # it ended loosely, and nobody knows where
        return data[size:]

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        message, _ = data
        if not _is_interim(message):
            lengths = [value for name, value in message.raw_headers if name.lower() == _LENGTH]
            if self._asks_head or message.code in _BODILESS:
                self._frame = "length"
            elif message.chunked:
                self._frame = "chunks"
            elif lengths:
                self._frame, self._left = "length", int(lengths[0])
            else:
                self._frame = "until end"
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        if exc_cause is None:
            super().set_exception(exc)
        else:
            super().set_exception(exc, exc_cause)
        self._tell_reader(exc)

    def _tell_reader(self, error: BaseException) -> None:
        """Tell whoever reads a body, for aiohttp tells only whoever waits for an answer."""
        if self._answer is not None and not self._answer.is_eof():
            self._answer.set_exception(error)

    def eof_received(self) -> None:
        secure = None if self.transport is None else self.transport.get_extra_info("ssl_object")
        self._is_ended = secure is None or was_notified(secure)
        super().eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._is_cut_off = not self._is_ended  # aiohttp would take it for the answer's end
        super().connection_lost(exc)


class AiohttpClient:
    """Exchanges over aiohttp; those that want a fresh connection go over `beside`.

    `tls` gives what verifies certificates. Closing it leaves `beside` open.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext], *, beside: Client) -> None:
        """Connections are made when they are needed.

        Raises:
            UpstreamError: aiohttp runs without its parser in C; its other one reads more loosely.
        """
        if http_parser.HttpResponseParser is http_parser.HttpResponseParserPy:
            raise UpstreamError(
                "client: aiohttp runs without its compiled parser, for AIOHTTP_NO_EXTENSIONS is "
                "set or there was nothing built for this Python; leave `client` out"
            )
        self._tls = tls
        self._beside = beside
        self._kept = KeptConnections(self._made)

    async def exchange(
        self, origin: Origin, outgoing: Outgoing, watch: Watch, *, fresh: bool
    ) -> Incoming:
        """Send once.

        Raises:
            ExchangeError: there is no whole answer.
        """
        if fresh:
            return await self._beside.exchange(origin, outgoing, watch, fresh=fresh)
        content = _written(outgoing)
        last = ExchangeError("connect")
        for address in await origin.addresses():
            try:
                connection, reused = await self._kept.take(origin, address)
            except (OSError, UnicodeError) as error:
                last = ExchangeError("connect")
                last.__cause__ = error
                continue
            try:
                await watch.leave()
                try:
                    return await _exchanged(connection, content, outgoing, watch)
                except _FAILURES as error:
                    raise ExchangeError(_fault_of(error), reused=reused) from error
            finally:
                await self._kept.give_back(origin, address, connection)
        raise last

    async def close(self) -> None:
        """Close every connection of its own."""
        await self._kept.close()

    async def _made(self, origin: Origin, address: str) -> _Connection:
        loop = asyncio.get_running_loop()
        secure = origin.scheme == "https"
        if origin.socket is not None:
            _, made = await loop.create_unix_connection(_Connection, str(origin.socket))
            return made
        _, made = await loop.create_connection(
            _Connection,
            address,
            origin.port,
            ssl=self._tls() if secure else None,
            server_hostname=origin.host if secure else None,
            happy_eyeballs_delay=NEXT_ADDRESS_S,
        )
        return made


def _written(outgoing: Outgoing) -> bytes:
    """Return the bytes of a request.

    Raises:
        ExchangeError: a part of it would end its own line.
    """
    method = outgoing.method.encode()
    headers = [(b"Host", outgoing.host.encode()), *outgoing.headers]
    if outgoing.body is not None:
        headers.append((b"Content-Length", b"%d" % len(outgoing.body)))
    elif outgoing.method in _NO_BODY_LENGTH:
        headers.append((b"Content-Length", b"0"))
    if not (
        _TOKEN.fullmatch(method)
        and _TARGET.fullmatch(outgoing.target)
        and all(_TOKEN.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers)
    ):
        raise ExchangeError("request")
    lines = [b"%b %b HTTP/1.1" % (method, outgoing.target)]
    lines += [b"%b: %b" % pair for pair in headers]
    return b"\r\n".join((*lines, b"", outgoing.body or b""))


async def _exchanged(
    connection: _Connection, content: bytes, outgoing: Outgoing, watch: Watch
) -> Incoming:
    connection.send(content, asks_head=outgoing.method == "HEAD")
    message, answer = await connection.read()
    while _is_interim(message):
        message, answer = await connection.read()
    watch.status = message.code
    headers = list(message.raw_headers)
    if message.code < _FIRST_FINAL or message.version not in _VERSIONS or is_ambiguous(headers):
        raise ExchangeError("answer")
    incoming = await collected(connection.body(answer), message.code, headers, outgoing, _FAILURES)
    if not incoming.cut:
        connection.finished()
    return incoming


def _is_interim(message: RawResponseMessage) -> bool:
    # RFC 9110 §15.2. Nobody asked for another protocol, so 101 is a final answer, and a bad one.
    return message.code < _FIRST_FINAL and message.code != _SWITCHED


def _fault_of(error: Exception) -> Fault:
    if is_about_certificate(error):
        return "certificate"
    return "answer" if isinstance(error, HttpProcessingError) else "closed"
