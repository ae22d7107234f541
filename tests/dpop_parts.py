"""The hands of a client that holds a key and proves it (RFC 9449)."""

import base64
import hashlib
import itertools
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey

from signoff.tokens.dpop import Sent

TOKEN_PATH = "/oauth2/token"


def ath(access_token: str) -> str:
    digest = hashlib.sha256(access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class KeyHolder:
    """A key, and proofs by it: each with a `jti` of its own unless a test says another."""

    def __init__(self, clock: Callable[[], datetime], *, issuer: str) -> None:
        self.key = ECKey.generate_key("P-256")
        self._clock, self._issuer = clock, issuer
        self._count = itertools.count(1)

    @property
    def jkt(self) -> str:
        return str(self.key.thumbprint())

    def proof(self, method: str, url: str, *, token: str | None = None, **changed: Any) -> str:
        """Return a proof for a request; a claim that is None is left out."""
        claims: dict[str, Any] = {
            "htm": method,
            "htu": url,
            "iat": int(self._clock().timestamp()),
            "jti": f"{self.jkt[:8]}-{next(self._count)}",
            "ath": None if token is None else ath(token),
            **changed,
        }
        header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": self.key.as_dict(private=False)}
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(header, kept, self.key, algorithms=["ES256"])

    def sent(self, method: str, url: str, token: str, **changed: Any) -> Sent:
        """Return a request as a resource sees it."""
        return Sent(method=method, url=url, proof=self.proof(method, url, token=token, **changed))

    async def token(
        self,
        http: httpx2.AsyncClient,
        form: dict[str, Any],
        *,
        auth: httpx2.BasicAuth | None = None,
        **changed: Any,
    ) -> httpx2.Response:
        """Ask for tokens, and again with the nonce the server wants."""
        url = self._issuer + TOKEN_PATH
        asked: dict[str, Any] = {} if auth is None else {"auth": auth}
        first = await http.post(
            TOKEN_PATH, data=form, headers={"dpop": self.proof("POST", url, **changed)}, **asked
        )
        if first.headers.get("dpop-nonce") is None:
            return first
        signed = self.proof("POST", url, nonce=first.headers["dpop-nonce"], **changed)
        return await http.post(TOKEN_PATH, data=form, headers={"dpop": signed}, **asked)
