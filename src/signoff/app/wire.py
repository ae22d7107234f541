"""What a connection may cost: bytes of a request's head, time, and packets for an answer.

Owns the bounds that uvicorn's HTTP/1.1 protocol lacks: it reads a head of any size and waits for
the rest of a request for ever, it sends the head of an answer on its own, and dates it by its
request. Knows no route; whoever is over a bound is cut off.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

MAX_HEAD_BYTES: Final = 524_288
"""Counted in what is read at once (256 KiB), so that a body that came along counts for nothing."""
PATIENCE_S: Final = 60.0


class _Joined:
    """A transport that sends the head of an answer together with the body that follows it.

    Apart, they are two packets, two calls of the kernel, and the client wakes up for each.
    """

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head: bytes | None = None

    def write(self, part: bytes) -> None:
        if self._head is not None:
            part, self._head = self._head + part, None
        elif part.startswith(b"HTTP/"):
            self._head = part
            # A stream's first event may be long in coming.
            self._loop.call_soon(self._send_head)
            return
        self._transport.write(part)

    def close(self) -> None:
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        if self._head is not None and not self._transport.is_closing():
            self._transport.write(self._head)
        self._head = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _AsTheyAre:
    """The headers of every answer, `Date` among them, as they are when an answer begins.

    uvicorn takes those of when the request came: a poll that was held for minutes would say that
    our clock is minutes behind (RFC 9110 §6.6.1).
    """

    __slots__ = ("_state",)

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def __add__(self, more: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        return self._state.default_headers + more


class BoundedHttp(HttpToolsProtocol):
    """One connection. A request must be here, body and all, `patience_s` after it began."""

    patience_s = PATIENCE_S
    _head_bytes = 0
    _in_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] — as uvicorn's own
        super().connection_made(cast("asyncio.Transport", _Joined(transport, self.loop)))
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()
        headers = _AsTheyAre(self.server_state)
        self.cycle.default_headers = cast("list[tuple[bytes, bytes]]", headers)

    def on_message_complete(self) -> None:
        self._arrived()
        super().on_message_complete()

    def _wait(self) -> None:
        self._arrived()
        self._deadline = self.loop.call_later(self.patience_s, self._give_up)

    def _arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self.transport.abort()
