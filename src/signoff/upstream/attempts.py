"""One request under way: its deadline, the moment before its first byte, and what became of it.

Owns that a commit is never cut in half, and when a refusal may be due to the age of a token. Makes
no credential and chooses no client: both are given.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from signoff.catalog.model import Upstream
from signoff.upstream.client_credentials import Token
from signoff.upstream.credentials import FrozenCredential
from signoff.upstream.exchange import Client, ExchangeError, Outgoing
from signoff.upstream.failures import after, failed
from signoff.upstream.reading import answered_of
from signoff.upstream.routes import Route
from signoff.upstream.sent import Answered, NotSent, Sent, Unknown
from signoff.upstream.streams import Tell

BeforeFirstByte = Callable[[], Awaitable[None]]

_UNAUTHORIZED: Final = 401


@dataclass(slots=True)
class _Flight:
    """One attempt: whether its first byte may have left, and why it was stopped before."""

    before_first_byte: BeforeFirstByte | None
    deadline: asyncio.Timeout
    left: bool = False
    status: int | None = None
    stopped: BaseException | None = None

    async def leave(self) -> None:
        """Let the first byte leave, if whoever must know of it does."""
        if self.before_first_byte is not None:
            # Never cut a commit in half: the deadline stands still while it runs.
            loop = asyncio.get_running_loop()
            left_s = (self.deadline.when() or loop.time()) - loop.time()
            self.deadline.reschedule(None)
            try:
                await self.before_first_byte()
            except BaseException as error:
                self.stopped = error
                raise
            self.deadline.reschedule(loop.time() + left_s)
        self.left = True


@dataclass(frozen=True, slots=True)
class Ready:
    """A request with credentials in it, about to be sent."""

    outgoing: Outgoing = field(repr=False)
    traces: tuple[bytes, ...] = field(repr=False)


@dataclass(slots=True)
class Attempts:
    """How one call's requests go out, and which fetched tokens were in them."""

    client: Client
    route: Route
    upstream: Upstream
    before_first_byte: BeforeFirstByte | None
    fresh: bool
    tell: Tell | None = None
    tokens: list[tuple[FrozenCredential, Token]] = field(
        default_factory=list[tuple[FrozenCredential, Token]]
    )

    def took(self, frozen: FrozenCredential, token: Token | None) -> None:
        """Know which token goes out with this call, if one does."""
        if token is not None:
            self.tokens.append((frozen, token))

    def may_renew(self, sent: Sent) -> bool:
        """Say whether a new token may help: all in it were kept since an earlier call.

        Where one was fetched for this call already, the next would be no better.
        """
        was_new = [token.is_new for _, token in self.tokens]
        return is_refused(sent) and bool(was_new) and not any(was_new)

    async def send(self, ready: Ready, timeout_s: float) -> Sent:
        name = self.upstream.name
        deadline = asyncio.timeout(timeout_s)
        flight = _Flight(self.before_first_byte, deadline)
        try:
            async with deadline:
                incoming = await self.client.exchange(
                    self.route.origin, ready.outgoing, flight, fresh=self.fresh
                )
        except ExchangeError as error:
            return failed(error, left=flight.left, status=flight.status, name=name)
        except TimeoutError:
            if flight.stopped is not None or not deadline.expired():
                raise
            limit = f"within {self.upstream.timeout_s:g} s"
            if not flight.left:
                return NotSent(reason=f"{name}: no connection {limit}")
            return Unknown(reason=f"{name}: no full answer {limit}{after(flight.status)}")
        if not flight.left:
            return Unknown(reason=f"{name} answered before the request was recorded as sent")
        return answered_of(incoming, ready.traces, limit=self.upstream.max_response_bytes)


def is_refused(sent: Sent) -> bool:
    """Say whether the upstream did not take the credentials (RFC 9110 §15.5.2)."""
    return isinstance(sent, Answered) and sent.status == _UNAUTHORIZED


@dataclass(slots=True)
class Unwatched:
    """A request that nobody has to hear of before it leaves."""

    status: int | None = None

    async def leave(self) -> None:
        """Let the first byte leave."""
