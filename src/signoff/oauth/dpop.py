"""DPoP at the token endpoint (RFC 9449 §5, §8): which key a token is to be bound to.

Owns the nonces and the order of the checks. A nonce is a keyed hash of the time: nothing is kept,
and after a restart a client is simply asked again.
"""

import base64
import hmac
import secrets
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from starlette.requests import Request

from signoff.oauth.clients import Client, Directory
from signoff.oauth.errors import OAuthError
from signoff.tokens.dpop import verify_proof
from signoff.tokens.keys import TokenError

_NONCE_LIFE_S: Final = 120
_KEY_BYTES: Final = 32


class Dpop:
    """Checks the proofs of token requests. `urls` are the token endpoint's addresses."""

    def __init__(
        self, directory: Directory, *, urls: Collection[str], now: Callable[[], datetime]
    ) -> None:
        self._directory, self._urls, self._now = directory, tuple(urls), now
        self._key = secrets.token_bytes(_KEY_BYTES)

    async def bound_to(self, http: Request, client: Client) -> str | None:
        """Return the thumbprint of the key that the request proves; None without a proof.

        Raises:
            OAuthError: `invalid_dpop_proof`, or `use_dpop_nonce` with the nonce to use.
        """
        proofs = http.headers.getlist("dpop")
        if not proofs:
            if client.dpop_bound:
                raise _invalid("this client must prove possession of a key")
            return None
        if len(proofs) > 1:
            raise _invalid("more than one proof")
        try:
            proof = verify_proof(proofs[0], method="POST", urls=self._urls, now=self._now())
        except TokenError as error:
            raise _invalid("the proof does not hold", detail=str(error)) from error
        if proof.nonce is None or not self._current(proof.nonce):
            # RFC 9449 §8: so that no proof can be made in advance.
            raise OAuthError(
                "use_dpop_nonce",
                "the proof needs a nonce of this server",
                headers={"dpop-nonce": self._nonce(0)},
            )
        if not await self._directory.spend_jti(
            proof.jkt, proof.jti, expires_at=proof.expires_at, kind="dpop"
        ):
            raise _invalid("the proof was used before")
        return proof.jkt

    def _current(self, nonce: str) -> bool:
        given = nonce.encode()
        return any(hmac.compare_digest(given, self._nonce(age).encode()) for age in (0, 1))

    def _nonce(self, age: int) -> str:
        period = int(self._now().timestamp()) // _NONCE_LIFE_S - age
        digest = hmac.digest(self._key, period.to_bytes(8), "sha256")
        return base64.urlsafe_b64encode(digest[:18]).decode()


def _invalid(description: str, *, detail: str = "") -> OAuthError:
    return OAuthError("invalid_dpop_proof", description, detail=detail)
