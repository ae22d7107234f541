"""Whether a token still stands at the authorization server elsewhere (RFC 7662).

Owns for how long an answer counts. A token is never said to stand because nobody could be asked.
"""

import hashlib
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from signoff.gate.ciba import INTROSPECT_PATH, Closed
from signoff.gate.wire import Unavailable, Wire

COUNTS_S: Final = 60.0
"""For how long a token that was taken back may still be let in."""
_REMEMBERED: Final = 4_096


class UnknownStandingError(Exception):
    """The authorization server cannot be asked now."""


class Introspection:
    """Asks whether tokens stand, and remembers each answer for a minute."""

    def __init__(
        self, wire: Wire, *, closed: Closed, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wire, self._closed, self._monotonic = wire, closed, monotonic
        self._known: dict[bytes, tuple[float, bool]] = {}

    async def stands(self, token: str) -> bool:
        """Tell whether nobody took the token back.

        Raises:
            UnknownStandingError: nobody could be asked.
        """
        name = hashlib.sha256(token.encode()).digest()
        known = self._known.get(name)
        if known is None or self._monotonic() >= known[0]:
            known = self._remember(name, stands=await self._ask(token, name))
        return known[1]

    def _remember(self, name: bytes, *, stands: bool) -> tuple[float, bool]:
        self._known.pop(name, None)
        while len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[name] = answer = (self._monotonic() + COUNTS_S, stands)
        return answer

    async def _ask(self, token: str, name: bytes) -> bool:
        if self._closed() is not None:
            raise UnknownStandingError
        key = f"introspect {name.hex()}"  # whoever asks meanwhile meets the same exchange
        reply = await self._wire.post(INTROSPECT_PATH, {"token": token}, key=key)
        if isinstance(reply, Unavailable) or reply.status != HTTPStatus.OK:
            raise UnknownStandingError
        return reply.members.get("active") is True
