"""One HTTP exchange as values: what goes out, what came in, what went wrong.

Owns the words between sending (`transport.py`) and whatever HTTP client does it (`client.py`).
Knows no connection, no upstream and no retry.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from signoff.upstream.guard import Guard

Fault = Literal["connect", "certificate", "request", "answer", "closed"]
CutBy = Literal["size", "time", "closed"]
"""Why an answer is not whole: it was too large, did not end in time, or the connection broke."""


class ExchangeError(Exception):
    """An exchange that did not end with a whole answer. `reused`: on a kept connection."""

    def __init__(self, fault: Fault, *, reused: bool = False) -> None:
        super().__init__(fault)
        self.fault: Fault = fault
        self.reused = reused


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where to connect. `guard` is set for an origin that the operator did not write."""

    scheme: str
    host: str
    port: int
    socket: Path | None = None
    guard: Guard | None = None

    async def addresses(self) -> list[str]:
        """Return where to connect, in turn; of a guarded origin only what its guard lets through.

        Raises:
            ExchangeError: there is none.
        """
        if self.guard is None:
            return [self.host]
        try:
            return await self.guard.addresses(self.scheme, self.host, self.port)
        except (OSError, UnicodeError) as error:
            raise ExchangeError("connect") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request, ready to be written. `headers` may hold credentials; `Host` is not among them."""

    method: str
    host: str
    target: bytes
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    limit: int = 1_048_576
    stream_until: float | None = None
    """By the loop's clock: an answer that is a stream is cut then, and what came of it returned."""
    listener: "Listener | None" = field(default=None, repr=False)
    """Follows a 2xx answer that is a stream."""
    keeps_part: bool = False
    """Such an answer that breaks off is an answer that is cut, and no failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """An answer. `cut` means that the body went on, or would have."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    cut: bool
    cut_by: CutBy = "size"


class Listener(Protocol):
    """Whoever follows an answer while it comes. Both return at once, and raise nothing."""

    def begin(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Take note that an answer begins."""
        ...

    def arrived(self, chunk: bytes) -> None:
        """Take the next bytes of its body."""
        ...


class Watch(Protocol):
    """Whoever wants to know how far an exchange is. `status` is set when an answer begins."""

    status: int | None

    async def leave(self) -> None:
        """Run right before the first byte; whatever it raises comes out, and nothing was sent."""
        ...


class Client(Protocol):
    """What sending needs of an HTTP client."""

    async def exchange(
        self, origin: Origin, outgoing: Outgoing, watch: Watch, *, fresh: bool
    ) -> Incoming:
        """Send once; `watch.leave` is awaited right before the first byte.

        Raises:
            ExchangeError: there is no whole answer.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
