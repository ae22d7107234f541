"""Proofs of possession (RFC 9449): a small JWT by the key that a token is, or will be, bound to.

Owns what a proof must say. It brings its own key, and proves only that its sender holds it: which
key that should be, whether its `jti` was seen and which nonce is due is the caller's to check.
Does no I/O.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import ASSERTION_ALGORITHMS, read_header, verify_proof_claims

MAX_AGE: Final = timedelta(seconds=300)
_MAX_BYTES: Final = 8192
_MAX_JTI: Final = 256
_MAX_PROOFS: Final = 200_000
_SHARE: Final = 3  # one alone has a quarter: of ten minutes, some eighty requests a second
_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof that holds. `jkt` is the RFC 7638 thumbprint of its key."""

    jkt: str
    jti: str
    nonce: str | None
    expires_at: datetime


def verify_proof(
    unverified_jwt: str,
    *,
    method: str,
    urls: Collection[str],
    now: datetime,
    access_token: str | None = None,
) -> Proof:
    """Verify a proof for a request of `method` to one of `urls` (RFC 9449 §4.3).

    With `access_token`, `ath` must be its hash.

    Raises:
        TokenError: anything does not hold.
    """
    if len(unverified_jwt) > _MAX_BYTES:
        raise TokenError("too large for a proof")
    header = read_header(unverified_jwt)
    jwk = header.get("jwk")
    if not isinstance(jwk, dict):
        raise TokenError("a proof brings its public key")
    # `kid` means nothing here: there is one key, and it is in the header.
    keys = KeySet([{**jwk, "kid": header.get("kid", "proof"), "use": "sig"}])
    claims = verify_proof_claims(
        unverified_jwt, keys=keys, algorithms=ASSERTION_ALGORITHMS, now=now
    )
    if claims.get("htm") != method:
        raise TokenError("htm is another method")
    htu = claims.get("htu")
    if not isinstance(htu, str) or _same_place(htu) not in {_same_place(url) for url in urls}:
        raise TokenError("htu is another address")
    if access_token is not None and claims.get("ath") != _ath(access_token):
        raise TokenError("ath is not of this token")
    jti, nonce = claims.get("jti"), claims.get("nonce")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
        raise TokenError("jti is missing")
    if nonce is not None and not isinstance(nonce, str):
        raise TokenError("nonce is no text")
    found = keys.find(None)
    if found is None:
        raise TokenError("the key cannot be used")
    issued = datetime.fromtimestamp(float(str(claims["iat"])), UTC)
    return Proof(jkt=found.key.thumbprint(), jti=jti, nonce=nonce, expires_at=issued + 2 * MAX_AGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The request that a bound token came with (RFC 9449 §7). `url` is the public one.

    Make it from your own configuration and the path, never from the Host header.
    """

    method: str
    url: str
    proof: str | None


class Proofs:
    """The proofs a resource has seen, in memory: each is taken once while it is young.

    None is forgotten before: where there is no room for another, the request is refused. A token's
    subject may have a third of the room that is left: whoever sends many, by however many keys,
    keeps nobody else out.
    """

    def __init__(self, *, limit: int = _MAX_PROOFS) -> None:
        self._limit = limit
        self._seen: dict[tuple[str, str], tuple[datetime, str]] = {}
        self._count: Counter[str] = Counter()

    def check(self, sent: Sent, *, access_token: str, jkt: str, sub: str, now: datetime) -> None:
        """Take the proof of a request: for this token of `sub`, by the key it is bound to, once.

        Raises:
            TokenError: anything does not hold.
        """
        proof = verify_proof(
            sent.proof or "",
            method=sent.method,
            urls=[sent.url],
            now=now,
            access_token=access_token,
        )
        if proof.jkt != jkt:
            raise TokenError("another key")
        self._forget(now)
        if (jkt, proof.jti) in self._seen:
            raise TokenError("the proof was used before")
        # Whoever may have tokens may have each bound to another key: a key is nobody.
        if self._count[sub] * _SHARE >= self._limit - len(self._seen):
            raise TokenError("too many proofs are young")
        self._seen[jkt, proof.jti] = proof.expires_at, sub
        self._count[sub] += 1

    def _forget(self, now: datetime) -> None:
        """Forget what is too old to be taken again, in the order it came."""
        while self._seen:
            oldest = next(iter(self._seen))
            expires_at, sub = self._seen[oldest]
            if expires_at > now:
                return
            del self._seen[oldest]
            self._count[sub] -= 1
            if not self._count[sub]:
                del self._count[sub]


def _same_place(url: str) -> tuple[str, str, int | None, str] | None:
    """Return an address without query and fragment, normalised as RFC 9449 §4.3 asks."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return parts.scheme, (parts.hostname or "").lower(), port, parts.path or "/"


def _ath(access_token: str) -> str:
    digest = hashlib.sha256(access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
