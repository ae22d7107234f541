"""How the gate proves to the authorization server who it is.

Owns the two ways: a secret that both have in the memory of one process, and assertions signed by
the gate's own key (private_key_jwt, RFC 7523). Knows no endpoint and sends nothing.
"""

import base64
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import quote_plus

from pydantic import SecretStr

from signoff.tokens.client_keys import ClientKey

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Half of what our server takes at most. With no `iat`, which RFC 7523 §3 leaves optional, the
# clocks of the two machines may differ by two minutes either way.
_LIFE_S: Final = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What goes along with one request; `key` names the key that signed it."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    fields: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    key: str | None = None


class Credential(Protocol):
    """Who the gate is. `signs`: by a key that an operator registered, and may register yet."""

    signs: bool

    def proofs(self) -> Iterable[Proof]:
        """Return what may prove it, the likeliest first, each for one request."""
        ...

    def accepted(self, proof: Proof) -> None:
        """Remember that the server took this one."""
        ...


class SharedSecret:
    """A secret in memory, sent as HTTP Basic."""

    signs = False

    def __init__(self, client_id: str, secret: SecretStr) -> None:
        # RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
        pair = f"{quote_plus(client_id)}:{quote_plus(secret.get_secret_value())}"
        basic = f"Basic {base64.b64encode(pair.encode()).decode()}"
        self._proofs = (Proof(headers={"authorization": basic}),)

    def proofs(self) -> Iterable[Proof]:
        return self._proofs

    def accepted(self, proof: Proof) -> None:
        del proof


class SigningKeys:
    """The gate's own keys. While one replaces another, either may be the registered one."""

    signs = True

    def __init__(
        self,
        client_id: str,
        *,
        issuer: str,
        keys: Callable[[], Sequence[ClientKey]],
        now: Callable[[], datetime],
    ) -> None:
        """`keys` are those there are now, newest first."""
        self._client_id, self._issuer = client_id, issuer
        self._keys, self._now = keys, now
        self._good: str | None = None

    def proofs(self) -> Iterable[Proof]:
        for key in sorted(self._keys(), key=lambda key: key.kid != self._good):
            yield Proof(
                fields={
                    "client_id": self._client_id,
                    "client_assertion_type": _ASSERTION_TYPE,
                    "client_assertion": self._assertion(key),
                },
                key=key.kid,
            )

    def accepted(self, proof: Proof) -> None:
        self._good = proof.key

    def _assertion(self, key: ClientKey) -> str:
        return key.sign({
            "iss": self._client_id,
            "sub": self._client_id,
            # draft-ietf-oauth-rfc7523bis: the issuer, so that no other server can use it.
            "aud": self._issuer,
            "jti": secrets.token_urlsafe(16),
            "exp": int(self._now().timestamp()) + _LIFE_S,
        })
