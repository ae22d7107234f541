"""Keys of a client: with them it proves who it is at an authorization server that is not here.

Owns the order of the keys, newest first, and signing with one of them. Nothing rotates by itself,
for a key counts only once a person has registered it there. Where keys stay is a `KeyStore`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from joserfc import jws
from joserfc.jwk import ECKey

from signoff.canonical import Json
from signoff.tokens.keyring import KeyStore, StoredKey
from signoff.tokens.keys import ALGORITHM

MOST_KEYS: Final = 5


class ClientKeyError(ValueError):
    """What was asked of the keys cannot be. The message is for the operator."""


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One key pair."""

    kid: str
    created_at: datetime
    _key: ECKey

    def sign(self, claims: Mapping[str, Json]) -> str:
        """Return `claims` as a client assertion (RFC 7523 §2.2)."""
        # draft-ietf-oauth-rfc7523bis §4.2: the type keeps it from being taken for another token.
        header = {"alg": ALGORITHM, "kid": self.kid, "typ": "client-authentication+jwt"}
        payload = json.dumps(claims, separators=(",", ":"))
        return jws.serialize_compact(header, payload, self._key, algorithms=[ALGORITHM])

    def public(self) -> dict[str, Json]:
        """Return the JWK to register."""
        members = cast("dict[str, Json]", self._key.as_dict(private=False))
        return {**members, "kid": self.kid, "use": "sig", "alg": ALGORITHM}


class ClientKeys:
    """The key pairs of one client. `load` before use."""

    def __init__(self, store: KeyStore, *, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self.newest_first: tuple[ClientKey, ...] = ()

    async def load(self) -> None:
        """Read the keys."""
        stored = sorted(await self._store.load(), key=lambda each: each.created_at, reverse=True)
        self.newest_first = tuple(
            ClientKey(each.kid, each.created_at, ECKey.import_key(json.loads(each.private)))
            for each in stored
        )

    async def make(self) -> ClientKey:
        """Make a key beside those there are.

        Raises:
            ClientKeyError: there are enough.
        """
        if len(self.newest_first) >= MOST_KEYS:
            raise ClientKeyError(f"there are {MOST_KEYS} keys already: remove old ones first")
        key = ECKey.generate_key("P-256", private=True)
        now = self._now()
        await self._store.add(
            StoredKey(
                kid=key.thumbprint(),
                private=json.dumps(key.as_dict(private=True)).encode(),
                created_at=now,
                signs_from=now,
            )
        )
        await self.load()
        return self.newest_first[0]

    async def remove(self, kid: str) -> None:
        """Forget a key for good.

        Raises:
            ClientKeyError: there is no such key, or it is the only one.
        """
        if kid not in {key.kid for key in self.newest_first}:
            known = ", ".join(key.kid for key in self.newest_first) or "none"
            raise ClientKeyError(f"there is no key {kid[:64]}; there is {known}")
        if len(self.newest_first) == 1:
            raise ClientKeyError("this is the only key: make another one first")
        await self._store.remove(kid)
        await self.load()

    def as_json(self) -> dict[str, Json]:
        """Return the public keys as the JWKS to register."""
        return {"keys": [key.public() for key in self.newest_first]}
