"""Sends a frozen request and says how it ended.

Owns deadlines, the moment before the first byte, credentials made for one send, and repeating an
allowed call where that is safe. A gated call (`fresh`) goes out at most once, on a connection of
its own. `before_first_byte` runs when everything fallible is done; whatever it raises, nothing
leaves. Follows no redirect, reads no proxy setting, speaks HTTP/1.1 only.

On the wire stand `Host`, the frozen headers, on a fresh connection `Connection: close`, and
`Content-Length`. The request target is the frozen URL's, byte for byte; credentials that belong in
the query come after it.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx2
from pydantic import SecretStr

from signoff.catalog.model import Upstream
from signoff.upstream.app_upstream import served
from signoff.upstream.attempts import Attempts, BeforeFirstByte, Ready, Unwatched, is_refused
from signoff.upstream.certificates import contexts_of
from signoff.upstream.client import HttpClient
from signoff.upstream.client_credentials import TokenSource
from signoff.upstream.credentials import (
    Credentials,
    problems_of,
    with_cookies,
    with_query,
)
from signoff.upstream.exchange import Client, ExchangeError, Outgoing
from signoff.upstream.frozen_request import FrozenRequest
from signoff.upstream.guard import Resolve
from signoff.upstream.headers import CredentialError, References, parsed
from signoff.upstream.hooks import Hooks
from signoff.upstream.retries import ATTEMPTS, pause_before_next
from signoff.upstream.routes import Routes, route_to
from signoff.upstream.sent import Answered, Changed, NotSent, Sent, Unknown
from signoff.upstream.streams import Following, Tell
from signoff.upstream.target import UpstreamError

__all__ = ["Answered", "Changed", "NotSent", "Sent", "Transports", "Unknown"]

_TOKEN_BYTES: Final = 65_536
_TOKEN_TIMEOUT_S: Final = 10.0
_STREAM_PART: Final = 0.8  # of the deadline: then an endless stream has been read for long enough


class Transports:
    """The connections to every upstream of a catalogue. Use as an async context manager.

    `tls` replaces the system's trusted certificates; certificates are always verified. `resolve`
    replaces the system's resolver for servers that the operator did not write himself.
    """

    def __init__(
        self,
        upstreams: Iterable[Upstream],
        *,
        data_dir: Path,
        references: References,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._upstreams = tuple(upstreams)
        self._data_dir = data_dir
        self._references = references
        self._tls = tls
        self._resolve = resolve
        self._routes: dict[str, Routes] = {}
        self._client: Client | None = None
        self._quick: Client | None = None
        self._certified: dict[str, Client] = {}
        self._hooks = Hooks()
        self._credentials = Credentials(
            references,
            tokens=TokenSource(self._post, now_s=lambda: asyncio.get_running_loop().time()),
            hooks=self._hooks,
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Import hooks and start `app:` upstreams. Connections are made when they are needed.

        Raises:
            UpstreamError: a base URL or a hook cannot be used, or an app does not start.
        """
        contexts, problems = contexts_of(self._upstreams, self._references)
        problems += [p for one in self._upstreams for p in problems_of(one, self._references)]
        if problems:
            raise UpstreamError("\n".join(problems))
        if self._tls is not None or any(map(_is_secure, self._upstreams)):
            self._context()
        self._hooks.load(
            credential.hook
            for upstream in self._upstreams
            for credential in upstream.credentials.values()
            if credential.hook is not None
        )
        async with AsyncExitStack() as stack:
            for upstream in self._upstreams:
                path: Path | None = None
                if upstream.base_url.startswith("app:"):
                    path = await stack.enter_async_context(
                        served(upstream, data_dir=self._data_dir)
                    )
                self._routes[upstream.name] = Routes(upstream, socket=path, resolve=self._resolve)
            over_aiohttp = {one.name for one in self._upstreams if one.client == "aiohttp"}
            self._client = HttpClient(self._context)
            stack.push_async_callback(self._client.close)
            if over_aiohttp:
                self._quick = _over_aiohttp(self._context, beside=self._client)
                stack.push_async_callback(self._quick.close)
            for name, context in contexts.items():
                # Connections that show a certificate are kept apart from all others.
                client = self._certified[name] = HttpClient(lambda context=context: context)
                stack.push_async_callback(client.close)
                if name in over_aiohttp:
                    quick = _over_aiohttp(lambda context=context: context, beside=client)
                    self._certified[name] = quick
                    stack.push_async_callback(quick.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._routes.clear()
        self._certified.clear()
        await self._stack.__aexit__(kind, error, trace)

    def _context(self) -> ssl.SSLContext:
        # Loading the system's certificates costs 20 ms and is done once, if at all.
        if self._tls is None:
            self._tls = httpx2.create_ssl_context(trust_env=False)
        if self._tls.verify_mode != ssl.CERT_REQUIRED or not self._tls.check_hostname:
            raise UpstreamError("certificates of upstreams are always verified")
        self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    async def send(
        self,
        request: FrozenRequest,
        upstream: Upstream,
        *,
        fresh: bool,
        approval_token: SecretStr | None = None,
        before_first_byte: BeforeFirstByte | None = None,
        tell: Tell | None = None,
    ) -> Sent:
        """Send `request` within the upstream's `timeout_s`.

        `fresh` sends at most once, on a connection for this send alone, so that a broken one tells
        something. Otherwise a request that may be repeated is, within the deadline, when the
        upstream says "not now" or a kept connection turns out to be closed; and once with a new
        token when it refuses one that was kept since an earlier call.
        Whatever `before_first_byte` raises comes out of here as it is, and nothing was sent.
        The time it takes does not count. `tell` hears of the events of an answer that is a stream,
        as they come; unless `fresh`, one that breaks off is then an answer with what came.
        """
        routes = self._routes.get(upstream.name)
        if routes is None or self._client is None:
            return Changed(reason=f"the upstream {upstream.name} is gone since the approval")
        route = routes.find(request)
        if route is None:
            return Changed(reason=f"the address of {upstream.name} changed since the approval")
        client = self._certified.get(upstream.name) if route.own else None
        if client is None:
            client = self._quick if upstream.client == "aiohttp" and self._quick else self._client
        attempts = Attempts(client, route, upstream, before_first_byte, fresh=fresh, tell=tell)
        if fresh or not request.repeatable:
            return await self._once(request, upstream, attempts, approval_token, upstream.timeout_s)
        loop = asyncio.get_running_loop()
        until = loop.time() + upstream.timeout_s
        count = 0
        refused: Sent | None = None
        while True:
            count += 1
            left_s = max(until - loop.time(), 0.0)
            sent = await self._once(request, upstream, attempts, approval_token, left_s)
            if isinstance(sent, Unknown) and sent.stale and count == 1:
                continue  # the pool handed out a connection that the upstream had closed
            if refused is None and count < ATTEMPTS and attempts.may_renew(sent):
                refused = sent
                continue  # RFC 6750 §3.1: a token that is not taken may be exchanged for a new one
            pause_s = pause_before_next(
                sent, attempt=count, left_s=until - loop.time(), now=datetime.now(UTC)
            )
            if pause_s is None:
                is_silent = isinstance(sent, NotSent | Changed)
                return refused if refused is not None and is_silent else sent
            await asyncio.sleep(pause_s)

    async def _once(
        self,
        request: FrozenRequest,
        upstream: Upstream,
        attempts: Attempts,
        approval_token: SecretStr | None,
        timeout_s: float,
    ) -> Sent:
        try:
            # Only a credential that is fetched or made can take long.
            async with asyncio.timeout(timeout_s) if request.credentials else nullcontext():
                ready = await self._ready(request, upstream, attempts, approval_token)
        except CredentialError as error:
            return NotSent(reason=str(error))
        except TimeoutError:
            return NotSent(reason=f"{upstream.name}: no credential within {upstream.timeout_s:g} s")
        if ready is None:
            return Changed(reason="a credential changed since the approval")
        sent = await attempts.send(ready, timeout_s)
        if is_refused(sent):
            for frozen, token in attempts.tokens:
                self._credentials.forget(frozen, upstream, token)
        return sent

    async def _ready(
        self,
        request: FrozenRequest,
        upstream: Upstream,
        attempts: Attempts,
        approval_token: SecretStr | None,
    ) -> Ready | None:
        """Return what to write; None when a credential is not the one that was frozen."""
        headers: list[tuple[bytes, bytes]] = []
        secrets: list[str] = []
        cookie: str | None = None
        for header in request.headers:
            if header.value is None:
                parts = parsed(header.reference or "")
                resolved = self._references.resolve(parts, approval_token=approval_token)
                if self._references.fingerprint(header.name, parts) != header.fingerprint:
                    return None
                value = resolved.value.get_secret_value()
                secrets.extend(resolved.secrets)
            elif request.credentials and header.name == "Cookie":
                cookie = header.value
                continue
            else:
                value = header.value
            headers.append((header.name.encode(), value.encode()))
        target = request.url[attempts.route.start :]
        if request.credentials:
            placed: dict[str, dict[str, str]] = {"header": {}, "query": {}, "cookie": {}}
            for frozen in request.credentials:
                made = await self._credentials.made(
                    frozen, upstream, approval_token=approval_token, context=request.context
                )
                if made is None:
                    return None
                placed[frozen.carrier][frozen.name] = made.value
                secrets.extend(made.secrets)
                attempts.took(frozen, made.token)
            target = with_query(target, placed["query"])
            if cookies := with_cookies(cookie, placed["cookie"]):
                headers.append((b"Cookie", cookies.encode()))
            headers += ((k.encode(), v.encode()) for k, v in placed["header"].items())
        if attempts.fresh:
            headers.append((b"Connection", b"close"))
        traces = [trace for secret in secrets for trace in self._references.traces(secret)]
        return Ready(
            Outgoing(
                method=request.method,
                host=attempts.route.host,
                target=target.encode("ascii"),
                headers=headers,
                body=request.body,
                limit=upstream.max_response_bytes,
                stream_until=asyncio.get_running_loop().time() + upstream.timeout_s * _STREAM_PART,
                listener=Following(attempts.tell, traces) if attempts.tell is not None else None,
                keeps_part=not attempts.fresh,
            ),
            tuple(traces),
        )

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Send a form to a token endpoint the operator named."""
        client = self._client
        if client is None:
            raise CredentialError("signoff is stopping")
        try:
            route, target = route_to(url)
            pairs = {
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
                **headers,
                "Connection": "close",
            }
            outgoing = Outgoing(
                method="POST",
                host=route.host,
                target=target.encode("ascii"),
                headers=[(name.encode(), value.encode()) for name, value in pairs.items()],
                body=body,
                limit=_TOKEN_BYTES,
            )
            async with asyncio.timeout(_TOKEN_TIMEOUT_S):
                incoming = await client.exchange(route.origin, outgoing, Unwatched(), fresh=True)
        except (ExchangeError, TimeoutError, UpstreamError, UnicodeEncodeError):
            raise CredentialError("the token endpoint did not answer") from None
        if incoming.cut:
            raise CredentialError("the token endpoint answered with more than a token")
        return incoming.status, incoming.body


def _over_aiohttp(tls: Callable[[], ssl.SSLContext], *, beside: Client) -> Client:
    # aiohttp is an extra, and importing it costs 0.1 s: only where an upstream asks for it.
    from signoff.upstream.aiohttp_client import AiohttpClient  # noqa: PLC0415

    return AiohttpClient(tls, beside=beside)


def _is_secure(upstream: Upstream) -> bool:
    return upstream.base_url.startswith("https:")
