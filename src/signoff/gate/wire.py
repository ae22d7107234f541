"""Exchanges with one authorization server, in this process or far away.

Owns how a request leaves and how its answer comes back: credentials, deadlines, bounds, and why
there was no answer. Knows no endpoint and no meaning. Each exchange is a task of its own in a
fresh context, and whoever waits for it is cancelled without it: over ASGI a cancellation would
strike inside the server, between its commit and its answer, and lose a yes. Polls that are held
are let go at the stop alone, and our server keeps what one of them would have brought.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from itertools import count
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import httpx2

from signoff.canonical import Json, JsonError, parse
from signoff.gate.credentials import Credential

DEADLINE_S: Final = 15.0
_KEPT_S: Final = 120.0  # as long as a yes may be fetched and its token lives
_MAX_ANSWER: Final = 1_048_576
_FORM: Final = "application/x-www-form-urlencoded"
_IDLE_S: Final = 3.0  # less than the 5 s after which our server closes
_LATEST_S: Final = 30.0  # whatever a page in between says: a yes ends within two minutes
SKEW_S: Final = 10.0
"""By how much clocks may differ between two machines before it is said."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """No usable answer; ask again, not before `retry_after_s`."""

    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The server will not take the request, however often it is sent."""

    error: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; `members` are those of its JSON object, none for anything else."""

    status: int
    headers: Mapping[str, str]
    members: Mapping[str, Json]

    def text(self, name: str) -> str | None:
        """Return a member that is a text, cut to 500 characters."""
        value = self.members.get(name)
        return value[:500] if isinstance(value, str) and value else None


_Exchange: TypeAlias = "asyncio.Task[Reply]"


class Wire:
    """The way to one authorization server. `issuer` is the base of every path."""

    def __init__(
        self,
        *,
        issuer: str,
        credential: Credential,
        transport: httpx2.AsyncBaseTransport,
        now: Callable[[], datetime],
    ) -> None:
        """`now` is the clock that assertions and tokens go by; the server's is compared with it."""
        # The transport alone, for a client above it would follow redirects and keep cookies.
        self.issuer, self._credential, self._transport = issuer, credential, transport
        self._base, self._now = issuer.rstrip("/"), now
        self._urls: dict[str, httpx2.URL] = {}
        self._exchanges: dict[str, _Exchange] = {}
        self._held: set[str] = set()
        self._alone = count()
        self.released = False
        self.trouble: str | None = None
        """Why the last exchange had no usable answer; None when it had one."""
        self.skew_s = 0.0
        """By how much the server's clock is ahead of ours, to the second."""

    @property
    def signs(self) -> bool:
        """Whether the gate proves itself by a key that an operator registers."""
        return self._credential.signs

    def release(self) -> None:
        """End every exchange that is held, and let none be held from now on.

        Our server keeps the tokens of a poll that ends so for the next one, which is due at once.
        """
        self.released = True
        for key in tuple(self._held):
            self._exchanges[key].cancel()

    async def close(self) -> None:
        """End every exchange and the connections. Nobody may be waiting any more."""
        flying = tuple(self._exchanges.values())
        for exchange in flying:
            exchange.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
        await self._transport.aclose()

    async def post(
        self,
        path: str,
        form: Mapping[str, str],
        *,
        key: str | None,
        hold_s: int = 0,
        kept: bool = False,
    ) -> Reply | Unavailable:
        """Post a form as the gate; `hold_s` is for how many seconds its answer may be held.

        `key` names the exchange: two at once are one. None is one of its own, so that the answer is
        never older than the question. `kept` is for an answer that is given once: one that came too
        late waits two minutes for who asks again.
        """
        key = key or f"alone {next(self._alone)}"
        headers = {"prefer": f"wait={hold_s}"} if hold_s else {}
        return await self._exchange(
            key, self._posted(path, form, headers, hold_s), deadline_s=hold_s + DEADLINE_S,
            held=hold_s > 0, kept=kept,
        )  # fmt: skip

    async def get(self, path: str) -> Reply | Unavailable:
        """Read a public document."""
        request = httpx2.Request("GET", self._url(path), extensions=_timeouts(0))
        return await self._exchange(f"get {path}", self._send(request), deadline_s=DEADLINE_S)

    def unavailable(self, reply: Reply) -> Unavailable:
        """Return what an answer means that can mean nothing else."""
        retry_after = reply.headers.get("retry-after", "")
        error = reply.text("error") or "no error code"
        reason = f"{self.issuer} answered {reply.status}: {error}"
        if reply.status == HTTPStatus.UNAUTHORIZED and self.signs:
            reason = self.unknown_key()
        self.trouble = reason
        return Unavailable(
            reason=reason,
            retry_after_s=min(float(retry_after), _LATEST_S) if retry_after.isdecimal() else None,
        )

    def unknown_key(self) -> str:
        """Return the sentence for a key that the server does not accept."""
        if abs(self.skew_s) > SKEW_S:
            return f"{self.issuer} does not accept this gate's key; {self._clocks()}"
        return f"{self.issuer} does not accept this gate's key: register it there"

    async def _posted(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str], hold_s: int
    ) -> Reply:
        reply: Reply | None = None
        for proof in self._credential.proofs():
            request = httpx2.Request(
                "POST",
                self._url(path),
                headers={**proof.headers, "content-type": _FORM, **headers},
                content=urlencode({**form, **proof.fields}).encode(),
                extensions=_timeouts(hold_s),
            )
            reply = await self._send(request)
            if reply.status != HTTPStatus.UNAUTHORIZED:
                self._credential.accepted(proof)
                break
        if reply is None:
            raise httpx2.RequestError("this gate has no key")
        return reply

    async def _send(self, request: httpx2.Request) -> Reply:
        response = await self._transport.handle_async_request(request)
        try:
            body = await _body(response)
        finally:
            await response.aclose()
        self._compare_clocks(response.headers.get("date"))
        members = _members(body)
        if members is None and response.status_code == HTTPStatus.OK:
            # A page of something in between, and not yet a word about what was asked.
            raise _UnusableError("answers what none would")
        return Reply(status=response.status_code, headers=response.headers, members=members or {})

    async def _exchange(
        self,
        key: str,
        request: Coroutine[Any, Any, Reply],
        *,
        deadline_s: float,
        held: bool = False,
        kept: bool = False,
    ) -> Reply | Unavailable:
        """Run `request` to its end whatever becomes of us; whoever comes meanwhile meets it."""
        exchange = self._exchanges.get(key)
        # An answer that found nobody is of its own time: a token may have been taken back since.
        if exchange is None or (exchange.done() and not kept):
            exchange = asyncio.get_running_loop().create_task(
                request, name="ciba", context=Context()
            )
            self._exchanges[key] = exchange
            if held:
                self._held.add(key)
            if not kept:
                exchange.add_done_callback(lambda done: self._over(key, done))
        else:
            request.close()
        try:
            await asyncio.wait({exchange}, timeout=deadline_s)
        except asyncio.CancelledError:
            self._leave(key, exchange, kept=kept)
            raise
        if not exchange.done():
            self._leave(key, exchange, kept=kept)
            return self._none("does not answer")
        self._over(key, exchange)
        if exchange.cancelled():
            return Unavailable(reason="the poll was released", retry_after_s=0)
        try:
            reply = exchange.result()
        except (httpx2.HTTPError, _UnusableError) as error:
            return self._none(_why(error))
        self.trouble = None
        return reply

    def _leave(self, key: str, exchange: _Exchange, *, kept: bool) -> None:
        """Let an answer that is to be kept wait for who asks again, but not for ever."""
        if kept:
            later = asyncio.get_running_loop().call_later
            exchange.add_done_callback(lambda done: later(_KEPT_S, self._over, key, done))

    def _over(self, key: str, exchange: _Exchange) -> None:
        if self._exchanges.get(key) is exchange:
            del self._exchanges[key]
            self._held.discard(key)
        if exchange.done() and not exchange.cancelled():
            exchange.exception()  # asked for, or asyncio would log that nobody did

    def _none(self, why: str) -> Unavailable:
        self.trouble = f"the authorization server {self.issuer} {why}"
        return Unavailable(reason=self.trouble)

    def _url(self, path: str) -> httpx2.URL:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = httpx2.URL(f"{self._base}/{path}")
        return url

    def _compare_clocks(self, date: str | None) -> None:
        """Tell the operator once when the clocks differ by more than a token allows."""
        if date is None:
            return
        try:
            there = parsedate_to_datetime(date)
        except ValueError:
            return
        if there.tzinfo is None:
            return
        before, self.skew_s = self.skew_s, (there - self._now()).total_seconds()
        if abs(self.skew_s) > SKEW_S >= abs(before):
            _logger.warning("%s", self._clocks())

    def _clocks(self) -> str:
        ahead = "ahead of" if self.skew_s > 0 else "behind"
        return f"the clock of {self.issuer} is {abs(self.skew_s):.0f} s {ahead} ours: set both"


class Lent(httpx2.AsyncBaseTransport):
    """A transport for somebody who would close it; closing is left to its owner."""

    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._transport.handle_async_request(request)


def over_network(verify: ssl.SSLContext | None) -> httpx2.AsyncBaseTransport:
    """Return a transport over real connections; without `verify` the usual authorities count."""
    return httpx2.AsyncHTTPTransport(
        verify=True if verify is None else verify,
        trust_env=False,
        limits=httpx2.Limits(
            max_connections=None, max_keepalive_connections=20, keepalive_expiry=_IDLE_S
        ),
    )


class _UnusableError(Exception):
    """The answer is none of an authorization server; the text says why."""


async def _body(response: httpx2.Response) -> bytes:
    try:
        body = response.content  # of an application in this process, it is there whole
    except httpx2.ResponseNotRead:
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MAX_ANSWER:
                break
    if len(body) > _MAX_ANSWER:
        raise _UnusableError("answers more than an authorization server would")
    return body


def _members(body: bytes) -> Mapping[str, Json] | None:
    try:
        value = parse(body)
    except JsonError:
        return None
    return value if isinstance(value, dict) else None


@cache
def _timeouts(hold_s: int) -> dict[str, Any]:
    timeout = httpx2.Timeout(DEADLINE_S, read=hold_s + DEADLINE_S, pool=None)
    return {"timeout": timeout.as_dict()}


def _why(error: Exception) -> str:
    """Return, for a person, why there was no answer; nothing that was sent stands in it."""
    if isinstance(error, _UnusableError):
        return str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"shows a certificate that does not hold ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return "does not speak TLS as it should"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return "cannot be reached"
    if isinstance(error, httpx2.TimeoutException):
        return "does not answer"
    return f"broke the exchange off ({type(error).__name__})"
