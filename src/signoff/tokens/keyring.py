"""Our own signing keys, and what is signed with them.

Owns rotation: a key is published before it signs and stays after its last token has expired.
What a token says is put together by the grant that issues it; where keys stay is a `KeyStore`.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, cast

from joserfc import jws
from joserfc.jwk import ECKey

from signoff.canonical import Json
from signoff.tokens.keys import ALGORITHM, KeySet, TokenError
from signoff.tokens.verify import HEAD_TYPE, at_hash

PUBLISH_AHEAD: Final = timedelta(hours=1)
ROTATE_AFTER: Final = timedelta(days=30)
KEEP_AFTER_ROTATION: Final = timedelta(hours=26)
"""Longer than any token lives, and than an expired ID token is taken as a hint (24 h)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A signing key as the store keeps it. `private` is the private JWK as JSON."""

    kid: str
    private: bytes
    created_at: datetime
    signs_from: datetime


class KeyStore(Protocol):
    """Where signing keys stay. A crash before a method leaves the old keys, after it the new."""

    async def load(self) -> Sequence[StoredKey]:
        """Return every key still published, oldest first."""
        ...

    async def add(self, key: StoredKey) -> None:
        """Keep a new key, sealed, with an audit row."""
        ...

    async def remove(self, kid: str) -> None:
        """Forget a key whose last token has expired, with an audit row."""
        ...


class Keyring:
    """Our signing keys: one signs, the next is already published, the last still verifies."""

    def __init__(self, store: KeyStore, *, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self._keys: tuple[tuple[StoredKey, ECKey], ...] = ()
        self._public = KeySet(())

    @property
    def public(self) -> KeySet:
        """The keys that verify, for us and for `/oauth2/jwks`."""
        return self._public

    async def keys_for(self, kid: str | None) -> KeySet:
        """Implement `tokens.keys.KeySource` for tokens of our own."""
        del kid
        return self._public

    async def maintain(self) -> None:
        """Load the keys, make the first, rotate when due, forget the outlived. Call hourly."""
        self._hold(await self._store.load())
        if not self._keys:
            await self._make(signs_from=self._now())
        elif self._now() >= self._keys[-1][0].signs_from + ROTATE_AFTER:
            await self.rotate()
        newer = [stored for stored, _ in self._keys[1:]]
        for (old, _), successor in zip(self._keys, newer, strict=False):
            # The successor signs since then, so what `old` signed has expired.
            if self._now() >= successor.signs_from + KEEP_AFTER_ROTATION:
                await self._store.remove(old.kid)
        self._hold(await self._store.load())

    async def rotate(self) -> None:
        """Publish a new key now; it signs once every verifier had time to see it."""
        await self._make(signs_from=self._now() + PUBLISH_AHEAD)

    def mint_access_token(self, claims: Mapping[str, Json]) -> str:
        """Return `claims` as a signed RFC 9068 access token."""
        return self._sign(claims, typ="at+jwt")

    def mint_id_token(self, claims: Mapping[str, Json], *, access_token: str) -> str:
        """Return `claims` as a signed ID token bound to `access_token` by `at_hash`."""
        return self._sign({**claims, "at_hash": at_hash(access_token)}, typ="JWT")

    def sign_head(self, *, seq: int, head: bytes, at: datetime) -> str:
        """Return a signed statement that the audit chain reached row `seq` with hash `head`."""
        claims: dict[str, Json] = {"seq": seq, "head": head.hex(), "iat": int(at.timestamp())}
        return self._sign(claims, typ=HEAD_TYPE)

    def _sign(self, claims: Mapping[str, Json], *, typ: str) -> str:
        now = self._now()
        signing = [pair for pair in self._keys if pair[0].signs_from <= now]
        if not signing:
            raise TokenError("no signing key is ready")
        stored, key = signing[-1]
        header = {"alg": ALGORITHM, "kid": stored.kid, "typ": typ}
        # Not orjson: an argument may be an integer beyond 64 bits.
        payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":"))
        return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM])

    async def _make(self, *, signs_from: datetime) -> None:
        key = ECKey.generate_key("P-256", private=True)
        private = json.dumps(key.as_dict(private=True)).encode()
        kid = key.thumbprint()
        await self._store.add(
            StoredKey(kid=kid, private=private, created_at=self._now(), signs_from=signs_from)
        )
        self._hold(await self._store.load())

    def _hold(self, stored: Iterable[StoredKey]) -> None:
        ordered = sorted(stored, key=lambda each: each.signs_from)
        self._keys = tuple((each, ECKey.import_key(json.loads(each.private))) for each in ordered)
        self._public = KeySet([_published(each.kid, key) for each, key in self._keys])


def _published(kid: str, key: ECKey) -> dict[str, Json]:
    members = cast("dict[str, Json]", key.as_dict(private=False))
    return {**members, "kid": kid, "use": "sig", "alg": ALGORITHM}
