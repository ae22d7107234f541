"""One HTTP/1.1 connection: exact bytes out, one answer in.

Owns the moment the first byte leaves, and reading an answer within limits. The bytes of a request
are written as they were frozen; answers are parsed by llhttp. Knows no pool, no upstream and no
retry. A connection that saw anything unexpected is closed, never used again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, cast

import httptools

from signoff.upstream.streams import is_stream

HEAD_BYTES: Final = 102_400
_NO_BODY_LENGTH: Final = frozenset({"POST", "PUT", "PATCH"})
_FORBIDDEN: Final = (b"\r", b"\n", b"\x00")

Fault = Literal["connect", "request", "unsent", "answer", "closed"]


class ExchangeError(Exception):
    """An exchange that did not end with a whole answer. `reused`: on a kept connection."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Fault = fault
        self.reused = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request, ready to be written. `headers` may hold credentials."""

    method: str
    host: str
    target: bytes
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    limit: int = 1_048_576
    stream_until: float | None = None
    """By the loop's clock: an answer that is a stream is cut then, and what came of it returned."""

    def written(self) -> bytes:
        """Return the request's bytes.

        Raises:
            ExchangeError: a part of it would end its own line.
        """
        method = self.method.encode()
        pieces = [method, b" ", self.target, b" HTTP/1.1\r\nHost: ", self.host.encode(), b"\r\n"]
        checked = [method, self.target, self.host.encode()]
        for name, value in self.headers:
            pieces += (name, b": ", value, b"\r\n")
            checked += (name, value)
        joined = b"".join(checked)
        if any(mark in joined for mark in _FORBIDDEN) or b" " in self.target:
            raise ExchangeError("request")
        if self.body is not None:
            pieces.append(b"Content-Length: %d\r\n" % len(self.body))
        elif self.method in _NO_BODY_LENGTH:
            pieces.append(b"Content-Length: 0\r\n")
        pieces += (b"\r\n", self.body or b"")
        return b"".join(pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """An answer. `cut` means the body went on beyond the limit."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    cut: bool


class Watch(Protocol):
    """Whoever wants to know how far an exchange is. `status` is set when an answer begins."""

    status: int | None

    async def leave(self) -> None:
        """Run right before the first byte; whatever it raises comes out, and nothing was sent."""
        ...


class _Reading:
    """Collects one answer from the parser's callbacks."""

    def __init__(self, outgoing: Outgoing, watch: Watch, done: asyncio.Future[None]) -> None:
        self.done = done
        self.status: int | None = None
        self._watch = watch
        self.headers: list[tuple[bytes, bytes]] = []
        self.reusable = False
        self.cut = False
        self.chunks: list[bytes] = []
        self._bodiless = outgoing.method == "HEAD"
        self._limit = outgoing.limit
        self._stream_until = outgoing.stream_until
        self._end: asyncio.TimerHandle | None = None
        self._size = 0
        self._head_size = 0
        self._in_head = True
        self._interim = False
        self._until_close = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, content: bytes) -> None:
        if self._in_head:
            self._head_size += len(content)
        try:
            self._parser.feed_data(content)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.fail("answer")
        if self._in_head and self._head_size > HEAD_BYTES:
            self.fail("answer")

    def lost(self) -> None:
        """Take the end of the connection: the end of the answer, if it has no other."""
        if self._until_close and not self._in_head:
            self._finish(reusable=False)
        self.fail("closed")

    def fail(self, fault: Fault) -> None:
        self.reusable = False
        if not self.done.done():
            self.done.set_exception(ExchangeError(fault))

    def on_message_begin(self) -> None:
        if self.done.done():
            self.reusable = False  # more than was asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what follows a chunked body is not looked at
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.done.done():
            return  # of an answer nobody asked for
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200  # noqa: PLR2004 — RFC 9110 §15.2
        if self._interim:
            self.headers.clear()
            return
        self.status = self._watch.status = status
        self._in_head = False
        lengths = {name.lower() for name, _ in self.headers}
        coding = [v for n, v in self.headers if n.lower() == b"transfer-encoding"]
        if coding and [one.strip().lower() for one in coding] != [b"chunked"]:
            self.fail("answer")  # compressed in transfer, or a length two servers read differently
            return
        if self._stream_until is not None and is_stream(self._media_type()):
            self._end = self.done.get_loop().call_at(self._stream_until, self._cut_off)
        self._until_close = not lengths & {b"content-length", b"transfer-encoding"}
        if self._bodiless:
            self._finish(reusable=bool(self._parser.should_keep_alive()))

    def on_body(self, content: bytes) -> None:
        if self.done.done():
            self.reusable = False
            return
        self.chunks.append(content)
        self._size += len(content)
        if self._size > self._limit:
            self.cut = True
            self._finish(reusable=False)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            return
        self._finish(reusable=bool(self._parser.should_keep_alive()))

    def _media_type(self) -> str:
        for name, value in self.headers:
            if name.lower() == b"content-type":
                return value.decode("latin-1")
        return ""

    def _cut_off(self) -> None:
        if not self.done.done():
            self.cut = True
            self._finish(reusable=False)

    def over(self) -> None:
        """Forget what was waited for."""
        if self._end is not None:
            self._end.cancel()
        if not self.done.done():
            self.done.cancel()

    def _finish(self, *, reusable: bool) -> None:
        if not self.done.done():
            self.reusable = reusable
            self.done.set_result(None)


class Connection(asyncio.Protocol):
    """One connection. `since` is when it became idle, by the loop's clock."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reading: _Reading | None = None
        self.gone: asyncio.Future[None] = loop.create_future()
        self.used = False
        self.since = 0.0

    @property
    def is_open(self) -> bool:
        """Say whether an exchange can begin."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._reading is None:
            self.close()  # an answer to no question
            return
        self._reading.feed(data)

    def eof_received(self) -> None:
        if self._reading is not None:
            self._reading.lost()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 — asyncio's signature
        if self._reading is not None:
            self._reading.lost()
        if not self.gone.done():
            self.gone.set_result(None)

    def _refuse_closed(self) -> None:
        if not self.is_open:
            raise ExchangeError("unsent")

    def close(self) -> None:
        """Close at once; what was answered was read."""
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, outgoing: Outgoing, watch: Watch) -> Incoming:
        """Send one request and return its answer. The first byte leaves right after `leave`.

        Raises:
            ExchangeError: there is no whole answer.
        """
        written = outgoing.written()
        reused, self.used = self.used, True
        reading = _Reading(outgoing, watch, asyncio.get_running_loop().create_future())
        self._reading = reading
        try:
            self._refuse_closed()
            await watch.leave()
            self._refuse_closed()
            cast("asyncio.Transport", self._transport).write(written)
            await reading.done
        except ExchangeError as error:
            error.reused = reused
            raise
        finally:
            self._reading = None
            if not reading.reusable:
                self.close()
            reading.over()
        return Incoming(
            status=cast("int", reading.status),
            headers=reading.headers,
            body=b"".join(reading.chunks),
            cut=reading.cut,
        )
