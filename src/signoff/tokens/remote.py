"""Keys of an issuer elsewhere, fetched over HTTP and kept.

Owns when they are fetched again: strangers cannot make it happen more than once a minute.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import httpx2

from signoff.tokens.keys import KeySet, KeysUnavailableError, TokenError

_REFETCH_S: Final = 60.0
_FRESH_S: Final = 600.0
_FETCH_TIMEOUT_S: Final = 5.0
_MAX_JWKS_BYTES: Final = 131_072


class RemoteKeys:
    """A JWKS fetched over HTTP and kept. Implements `tokens.keys.KeySource`.

    Fetched again every ten minutes, or for an unknown `kid`, at most once a minute, whatever
    strangers send. A failed fetch keeps the keys there are.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._transport, self._monotonic = url, transport, monotonic
        self._keys: KeySet | None = None
        self._tried_at = float("-inf")
        self._fetched_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def keys_for(self, kid: str | None) -> KeySet:
        """Return the keys, fetched again when that is due."""
        now, known = self._monotonic(), self._keys
        missing = known is None or (kid is not None and kid not in known)
        stale = missing or now - self._fetched_at >= _FRESH_S
        if self._fetching is not None or (stale and now - self._tried_at >= _REFETCH_S):
            await self._fetch_once(now)
        if self._keys is None:
            raise KeysUnavailableError(f"no keys from {self._url}")
        return self._keys

    async def _fetch_once(self, now: float) -> None:
        """Share one fetch among all who wait; a waiter that is cancelled leaves it running."""
        if self._fetching is None:
            self._tried_at = now
            self._fetching = asyncio.create_task(self._fetch(), name="jwks")
            self._fetching.add_done_callback(self._fetch_ended)
        await asyncio.shield(self._fetching)

    def _fetch_ended(self, _: asyncio.Task[None]) -> None:
        self._fetching = None
        if self._keys is None:
            # An issuer that starts after us must not be away for a whole minute.
            self._tried_at = self._monotonic() - _REFETCH_S + 1

    async def _fetch(self) -> None:
        try:
            document = await self._download()
            if document is not None:
                self._keys, self._fetched_at = KeySet.parse(document), self._monotonic()
        except (httpx2.HTTPError, TimeoutError, TokenError) as error:
            logging.getLogger(__name__).warning("the keys at %s: %s", self._url, error)

    async def _download(self) -> bytes | None:
        async with (
            asyncio.timeout(_FETCH_TIMEOUT_S),
            httpx2.AsyncClient(
                transport=self._transport, follow_redirects=False, trust_env=False
            ) as client,
            client.stream("GET", self._url) as response,
        ):
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_JWKS_BYTES:
                    return None
            return body if response.status_code == 200 else None  # noqa: PLR2004 — HTTP OK
