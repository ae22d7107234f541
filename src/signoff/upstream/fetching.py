"""Documents that the operator listed, fetched while a catalogue loads.

Owns how that is done without being led astray: public addresses only, unless listed; each name
resolved once and connected to where it was checked; certificates verified; no redirect, no
credential, no proxy, no compression; little is read, and not for long. Knows no OpenAPI.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

import httpx2

from signoff.catalog.openapi.remote import FetchError
from signoff.upstream.client import HttpClient
from signoff.upstream.exchange import ExchangeError, Incoming, Outgoing
from signoff.upstream.failures import failed
from signoff.upstream.guard import Guard, RefusedAddressError, Resolve
from signoff.upstream.routes import route_to
from signoff.upstream.target import UpstreamError

MAX_BYTES: Final = 8_388_608
_ONE_S: Final = 10.0
_ALL_S: Final = 30.0
_OK: Final = 200
_HEADERS: Final = (
    (b"Accept", b"application/json, application/yaml;q=0.9, */*;q=0.1"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
)


@dataclass(slots=True)
class _Watch:
    """Who hears how far a fetch is. A byte that left changes nothing."""

    status: int | None = None
    left: bool = False

    async def leave(self) -> None:
        self.left = True


class Fetcher:
    """Fetches for one load of a catalogue; each document is asked for once.

    `tls` replaces the system's trusted certificates, `resolve` its resolver.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
        one_s: float = _ONE_S,
        all_s: float = _ALL_S,
        clock_s: Callable[[], float] = monotonic,
    ) -> None:
        self._tls, self._resolve, self._one_s = tls, resolve, one_s
        self._clock_s, self._left_s = clock_s, all_s
        self._known: dict[tuple[str, tuple[str, ...]], bytes | FetchError] = {}

    def __call__(self, url: str, allow_private: Sequence[str]) -> bytes:
        """Return the document at `url`.

        Raises:
            FetchError: it cannot be had.
        """
        key = url, tuple(allow_private)
        if key not in self._known:
            self._known[key] = self._fetched(url, allow_private)
        found = self._known[key]
        if isinstance(found, FetchError):
            raise found
        return found

    def _fetched(self, url: str, allow_private: Sequence[str]) -> bytes | FetchError:
        if self._left_s <= 0:
            return FetchError("the time for fetching documents is over")
        began_s = self._clock_s()
        try:
            # A catalogue loads outside of any loop or inside one: this needs its own.
            with ThreadPoolExecutor(1, thread_name_prefix="fetch") as own:
                fetch = own.submit(lambda: asyncio.run(self._get(url, allow_private)))
                return _checked(fetch.result())
        except FetchError as error:
            return error
        finally:
            self._left_s -= self._clock_s() - began_s

    async def _get(self, url: str, allow_private: Sequence[str]) -> Incoming:
        limit_s = min(self._one_s, self._left_s)
        client, watch = HttpClient(self._context), _Watch()
        try:
            route, target = route_to(url)
            guard = Guard(allow_private, resolve=self._resolve)
            outgoing = Outgoing(
                method="GET",
                host=route.host,
                target=target.encode("ascii"),
                headers=_HEADERS,
                limit=MAX_BYTES,
            )
            async with asyncio.timeout(limit_s):
                return await client.exchange(
                    replace(route.origin, guard=guard), outgoing, watch, fresh=True
                )
        except TimeoutError:
            raise FetchError(f"it did not come within {limit_s:g} s") from None
        except ExchangeError as error:
            if isinstance(error.__cause__, RefusedAddressError):
                words = "its host is private or local; list it in allow_private if that is meant"
                raise FetchError(words) from None
            host = route_to(url)[0].host
            found = failed(error, left=watch.left, status=watch.status, name=host)
            raise FetchError(found.reason) from None
        except (UpstreamError, UnicodeError):
            raise FetchError("it has no usable address") from None
        finally:
            await client.close()

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx2.create_ssl_context(trust_env=False)
        return self._tls


def _checked(incoming: Incoming) -> bytes:
    """Return the body of a whole, plain 200.

    Raises:
        FetchError: it is anything else.
    """
    if incoming.status != _OK:
        moved = "; redirects are not followed" if incoming.status // 100 == 3 else ""  # noqa: PLR2004 — RFC 9110 §15.4
        raise FetchError(f"the answer is HTTP {incoming.status}{moved}")
    encodings = [value for name, value in incoming.headers if name.lower() == b"content-encoding"]
    if any(value.strip().lower() != b"identity" for value in encodings):
        raise FetchError("the answer is compressed, which was not asked for")
    if incoming.cut:
        raise FetchError(f"it is larger than {MAX_BYTES} bytes")
    return incoming.body
