"""Access tokens by OAuth 2.0 client credentials (RFC 6749 §4.4), fetched once and kept until late.

Owns the token request, the cache and that several calls wait for one fetch. Where a token goes is
not known here; how bytes travel is a function.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import quote_plus, urlencode

from pydantic import SecretStr

from signoff.canonical import Json, JsonError, parse
from signoff.catalog.model import ClientAuthMethod
from signoff.upstream.headers import CredentialError, is_sendable

_DEFAULT_LIFE_S: Final = 300
_LONGEST_LIFE_S: Final = 86_400
_DIGITS: Final = 12
_EARLY_S: Final = 30  # a token is not used in its last half minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to ask the token endpoint for, on behalf of one upstream."""

    upstream: str
    scheme: str
    token_url: str
    client_id: str
    client_secret: SecretStr
    scopes: tuple[str, ...] = ()
    audience: str | None = None
    auth_method: ClientAuthMethod = "client_secret_basic"


Post: TypeAlias = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""Sends a form to a URL; gives status and body. Raises `CredentialError` when nothing came back."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and whether it was fetched while the caller waited."""

    text: str = field(repr=False)
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    token: SecretStr
    until_s: float
    made_of: bytes


class TokenSource:
    """Tokens by upstream and scheme. `now_s` is a steady clock."""

    def __init__(self, post: Post, *, now_s: Callable[[], float]) -> None:
        self._post = post
        self._now_s = now_s
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def token(self, wanted: Wanted) -> Token:
        """Return a token that holds for a while yet.

        Raises:
            CredentialError: the endpoint gives none.
        """
        key = (wanted.upstream, wanted.scheme)
        if (token := self._fresh(key, wanted)) is not None:
            return Token(token, is_new=False)
        # Held while the endpoint answers, which has a deadline: the others want its answer too.
        async with self._locks.setdefault(key, asyncio.Lock()):
            if (token := self._fresh(key, wanted)) is not None:
                return Token(token, is_new=True)
            kept = await self._fetch(wanted)
            self._kept[key] = kept
            return Token(kept.token.get_secret_value(), is_new=True)

    def forget(self, upstream: str, scheme: str, token: str) -> None:
        """Drop the token that the upstream did not take; one fetched since then stays."""
        kept = self._kept.get((upstream, scheme))
        if kept is not None and hmac.compare_digest(
            kept.token.get_secret_value().encode(), token.encode()
        ):
            del self._kept[upstream, scheme]

    def _fresh(self, key: tuple[str, str], wanted: Wanted) -> str | None:
        kept = self._kept.get(key)
        if kept is None or kept.until_s <= self._now_s() or kept.made_of != _made_of(wanted):
            return None
        return kept.token.get_secret_value()

    async def _fetch(self, wanted: Wanted) -> _Kept:
        form = {"grant_type": "client_credentials"}
        if wanted.scopes:
            form["scope"] = " ".join(wanted.scopes)
        if wanted.audience is not None:
            form["audience"] = wanted.audience
        secret = wanted.client_secret.get_secret_value()
        headers: dict[str, str] = {}
        match wanted.auth_method:
            case "client_secret_basic":
                # RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
                pair = f"{quote_plus(wanted.client_id)}:{quote_plus(secret)}"
                headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            case "client_secret_post":
                form |= {"client_id": wanted.client_id, "client_secret": secret}
        status, body = await self._post(wanted.token_url, headers, urlencode(form).encode())
        where = f"the token endpoint of {wanted.scheme}"
        if status != 200:  # noqa: PLR2004 — RFC 6749 §5.1
            raise CredentialError(f"{where} answered {status}")
        try:
            members = parse(body)
        except JsonError:
            raise CredentialError(f"{where} did not answer in JSON") from None
        if not isinstance(members, dict):
            raise CredentialError(f"{where} did not answer with an object")
        token, kind = members.get("access_token"), members.get("token_type", "bearer")
        if not isinstance(token, str) or not token or not is_sendable(token):
            raise CredentialError(f"{where} gave no access_token")
        if str(kind).lower() != "bearer":
            raise CredentialError(f"{where} gave a token that is no bearer token")
        usable_s = min(_life_s(members.get("expires_in")), _LONGEST_LIFE_S) - _EARLY_S
        return _Kept(SecretStr(token), self._now_s() + max(usable_s, 0), _made_of(wanted))


def _life_s(expires_in: Json) -> float:
    """Return how long a token holds; 0 where that cannot be read."""
    if expires_in is None:
        return _DEFAULT_LIFE_S
    if isinstance(expires_in, str) and expires_in.isascii() and expires_in.isdecimal():
        return int(expires_in[:_DIGITS])  # some servers write the number as text
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool):
        return expires_in
    return 0


def _made_of(wanted: Wanted) -> bytes:
    """Return what tells that credentials were rotated; a digest, to hold no second copy."""
    parts = (
        wanted.token_url,
        wanted.client_id,
        wanted.client_secret.get_secret_value(),
        wanted.audience or "",
        *wanted.scopes,
    )
    return hashlib.sha256("\x00".join(parts).encode()).digest()
