"""The code a person sets so that nobody else can have them prompted (CIBA Core §7.1 `user_code`).

Owns what a code may be, how it is hashed, and how often a client may guess. A code is short, so its
hash is slow and every try is counted before it is compared, in a transaction of its own.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from typing import Final, Protocol

from signoff.oauth.errors import OAuthError

MAX_TRIES: Final = 5
_CODE: Final = re.compile(r"[\x21-\x7e]{4,64}")
_SALT_BYTES: Final = 16


class UserCodeError(ValueError):
    """The code cannot be one. The message is for who sets it."""


class UserCodeStore(Protocol):
    """User codes at rest."""

    async def keep(self, user_id: str, *, salt: bytes, hash: bytes, by: str) -> None:  # noqa: A002 — it is one
        """Set a code; every client may try again."""
        ...

    async def remove(self, user_id: str, *, by: str) -> bool:
        """Remove a code; False when there was none."""
        ...

    async def load(self, user_id: str) -> tuple[bytes, bytes] | None:
        """Return salt and hash of a user's code."""
        ...

    async def count(self, user_id: str, client_id: str, *, most: int) -> bool:
        """Count a try before it is made; False when the client has none left. Durable."""
        ...

    async def clear(self, user_id: str, client_id: str) -> None:
        """Forget the tries of a client that knew the code."""
        ...


class UserCodes:
    """Sets and checks codes."""

    def __init__(self, store: UserCodeStore) -> None:
        self._store = store

    async def choose(self, user_id: str, code: str, *, by: str) -> None:
        """Set a user's code.

        Raises:
            UserCodeError: it is too short, too long, or not plain.
        """
        if not _CODE.fullmatch(code):
            raise UserCodeError("a user code is 4 to 64 plain characters without blanks")
        salt = secrets.token_bytes(_SALT_BYTES)
        digest = await asyncio.to_thread(_slow, code, salt)
        await self._store.keep(user_id, salt=salt, hash=digest, by=by)

    async def remove(self, user_id: str, *, by: str) -> bool:
        """Remove a user's code; False when there was none."""
        return await self._store.remove(user_id, by=by)

    async def check(self, user_id: str, client_id: str, code: str | None) -> None:
        """Let a client pass that knows the code, or whose user has none.

        Raises:
            OAuthError: `missing_user_code` or `invalid_user_code`; the latter also when the
                client has guessed wrong five times, whatever it sends now.
        """
        kept = await self._store.load(user_id)
        if kept is None:
            return
        if code is None:
            raise OAuthError("missing_user_code", "this user is asked with a user_code only")
        salt, expected = kept
        counted = await self._store.count(user_id, client_id, most=MAX_TRIES)
        digest = await asyncio.to_thread(_slow, code, salt)
        if not counted or not hmac.compare_digest(digest, expected):
            raise OAuthError("invalid_user_code", "the user_code is not valid")
        await self._store.clear(user_id, client_id)


def _slow(code: str, salt: bytes) -> bytes:
    return hashlib.scrypt(code.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
