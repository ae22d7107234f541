"""Public keys: which ones are trusted, and what each may be used with.

Owns reading a JWKS. A key says which algorithms it verifies; a token never does. Symmetric and
private keys are refused. Does no I/O.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from signoff.canonical import Json, JsonError, parse

ALGORITHM: Final = "ES256"
"""What we sign with."""
MAX_KID: Final = 128
_MAX_BYTES: Final = 131_072
_MAX_KEYS: Final = 100
_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 8200
_CURVES: Final[Mapping[str, frozenset[str]]] = {
    "P-256": frozenset({"ES256"}),
    "Ed25519": frozenset({"EdDSA", "Ed25519"}),
}
_RSA_ALGORITHMS: Final = frozenset({"PS256"})


class TokenError(Exception):
    """The token or key does not hold. The message is for the log: tell a stranger "invalid"."""


class KeysUnavailableError(Exception):
    """The keys cannot be had now: answer 503, not "invalid"."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    key: Key
    algorithms: frozenset[str]


class KeySource(Protocol):
    """Where a verifier's keys come from: a `KeySet`, our `Keyring`, or a fetched JWKS."""

    async def keys_for(self, kid: str | None) -> "KeySet":
        """Return the trusted keys, fetched again if `kid` is unknown and that is due.

        Raises:
            KeysUnavailableError: there are none yet and none can be had.
        """
        ...


class KeySet:
    """Public keys by `kid`, each with the algorithms it may be used with."""

    __slots__ = ("_jwks", "_keys")

    def __init__(self, jwks: Sequence[Mapping[str, Json]]) -> None:
        """Import public JWKs. Keys for encryption or of a type we do not use are left out.

        Raises:
            TokenError: a symmetric or private key, a repeated `kid`, or a malformed key.
        """
        self._jwks = tuple(dict(jwk) for jwk in jwks)
        self._keys: dict[str, PublicKey] = {}
        if len(self._jwks) > _MAX_KEYS:
            raise TokenError(f"more than {_MAX_KEYS} keys")
        for jwk in self._jwks:
            imported = _import_public(jwk)
            if imported is None:
                continue
            kid = jwk.get("kid")
            if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
                kid = imported.key.thumbprint()
            if kid in self._keys:
                raise TokenError("two keys have the same kid")
            self._keys[kid] = imported

    @classmethod
    def parse(cls, document: bytes | str) -> "KeySet":
        """Read a JWKS document (RFC 7517 §5).

        Raises:
            TokenError: it is not one.
        """
        if len(document) > _MAX_BYTES:
            raise TokenError("the JWKS is too large")
        try:
            value = parse(document)
        except JsonError as error:
            raise TokenError(f"the JWKS is not JSON: {error}") from None
        keys = value.get("keys") if isinstance(value, dict) else None
        if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
            raise TokenError("not a JWKS")
        return cls(cast("list[Mapping[str, Json]]", keys))

    def __contains__(self, kid: str) -> bool:
        return kid in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str | None) -> PublicKey | None:
        """Return the key with `kid`; without one, the only key there is."""
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def keys_for(self, kid: str | None) -> "KeySet":
        """Implement `KeySource`: these keys and no others."""
        del kid
        return self

    def as_json(self) -> dict[str, Json]:
        """Return the document to publish."""
        return {"keys": [dict(jwk) for jwk in self._jwks]}


def _import_public(jwk: Mapping[str, Json]) -> PublicKey | None:
    kty, crv, alg, use = (jwk.get(name) for name in ("kty", "crv", "alg", "use"))
    if kty == "oct" or "d" in jwk:
        raise TokenError("a JWKS holds public keys only")
    if kty == "RSA":
        allowed = _RSA_ALGORITHMS
    else:
        allowed = _CURVES.get(crv, frozenset()) if isinstance(crv, str) else frozenset[str]()
    if alg is not None:
        if not isinstance(alg, str):
            raise TokenError("the alg of a key is not text")
        names = {"EdDSA", "Ed25519"}
        allowed &= frozenset(names if alg in names else {alg})
    if use not in (None, "sig") or not allowed:
        return None
    # Before the import: a huge modulus costs seconds at every verification.
    if kty == "RSA" and not _RSA_BITS <= len(str(jwk.get("n")).rstrip("=")) * 6 <= _MAX_RSA_BITS:
        raise TokenError(f"an RSA key has {_RSA_BITS} to {_MAX_RSA_BITS} bits")
    try:
        key = JWKRegistry.import_key(cast("dict[str, str | list[str]]", dict(jwk)))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TokenError(f"a key cannot be read: {type(error).__name__}") from None
    return PublicKey(key, allowed)
