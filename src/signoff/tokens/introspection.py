"""Whether a token still stands at an issuer elsewhere, asked over HTTP (RFC 7662).

Owns for how long an answer counts. A token is never said to stand because nobody could be asked.
"""

import asyncio
import hashlib
import logging
import ssl
import time
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import quote_plus

import httpx2
from pydantic import SecretStr

from signoff.canonical import JsonError, parse

COUNTS_S: Final = 60.0
"""For how long a token that was taken back may still be let in."""
_TIMEOUT_S: Final = 5.0
_MAX_BYTES: Final = 65_536
_REMEMBERED: Final = 4_096


class StandingUnknownError(Exception):
    """The issuer cannot be asked now. The message is for the log."""


class Standing(Protocol):
    """Tells whether nobody took a token back."""

    async def stands(self, token: str) -> bool:
        """Tell whether a token that is valid by itself still counts.

        Raises:
            StandingUnknownError: nobody could be asked.
        """
        ...


class Introspection:
    """Asks the issuer about each token, and counts on an answer for `counts_s` seconds.

    `client_id` is a machine client of the issuer's with the scope `signoff:introspect` and the
    resource among its audiences. Implements `Standing`.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        client_secret: str,
        counts_s: float = COUNTS_S,
        transport: httpx2.AsyncBaseTransport | None = None,
        tls: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`url` is the issuer's `introspection_endpoint`."""
        self._url, self._client_id, self._secret = url, client_id, SecretStr(client_secret)
        self._counts_s, self._monotonic, self._transport = counts_s, monotonic, transport
        self._tls = tls
        self._known: dict[bytes, tuple[float, bool]] = {}
        self._asking: dict[bytes, asyncio.Task[bool]] = {}

    async def stands(self, token: str) -> bool:
        """Tell whether nobody took the token back.

        Raises:
            StandingUnknownError: nobody could be asked.
        """
        name = hashlib.sha256(token.encode()).digest()  # the credential itself is not kept
        known = self._known.get(name)
        if known is not None and self._monotonic() < known[0]:
            return known[1]
        asking = self._asking.get(name)
        if asking is None:
            # Whoever comes meanwhile waits for the same answer, whatever becomes of the first.
            asking = asyncio.create_task(self._ask(token, name), name="introspect")
            self._asking[name] = asking
            asking.add_done_callback(lambda done: self._asked(name, done))
        return await asyncio.shield(asking)

    def _asked(self, name: bytes, done: asyncio.Task[bool]) -> None:
        del self._asking[name]
        if not done.cancelled():
            done.exception()  # it is for who waits, if anybody still does

    async def _ask(self, token: str, name: bytes) -> bool:
        asked_at = self._monotonic()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status, body = await self._post(token)
        except (httpx2.HTTPError, OSError, TimeoutError) as error:
            raise StandingUnknownError(f"no answer from {self._url}") from error
        if status != 200:  # noqa: PLR2004 — says itself
            # 401 would be our own credentials: nobody's token is refused for that.
            logging.getLogger(__name__).warning("%s answered %d", self._url, status)
            raise StandingUnknownError(f"{self._url} answered {status}")
        try:
            answer = parse(body)
        except JsonError as error:
            raise StandingUnknownError(f"{self._url} answered no JSON") from error
        active = answer.get("active") if isinstance(answer, dict) else None
        if not isinstance(active, bool):
            raise StandingUnknownError(f"{self._url} did not say whether the token is active")
        self._known.pop(name, None)
        while len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[name] = (asked_at + self._counts_s, active)
        return active

    async def _post(self, token: str) -> tuple[int, bytes]:
        # RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
        proof = httpx2.BasicAuth(
            quote_plus(self._client_id), quote_plus(self._secret.get_secret_value())
        )
        async with (
            httpx2.AsyncClient(
                transport=self._transport,
                verify=self._tls or True,
                follow_redirects=False,
                trust_env=False,
            ) as client,
            client.stream("POST", self._url, data={"token": token}, auth=proof) as response,
        ):
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise StandingUnknownError(f"{self._url} answered too much")
            return response.status_code, bytes(body)
