"""Verification: the strict reading of a compact JWS and the claims each kind must carry.

Only `verify_*` makes `VerifiedClaims`. A header never brings a key: `kid` is an opaque look-up
in the keys the caller trusts, and `jwk`, `jku`, `x5c`, `x5u` are not read. Does no I/O: keys and
times are arguments.
"""

import base64
import binascii
import hashlib
import hmac
import math
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning

from signoff.canonical import Json, JsonError, parse
from signoff.tokens.keys import ALGORITHM, MAX_KID, KeySet, TokenError

VerifiedClaims = NewType("VerifiedClaims", dict[str, Json])

# FAPI-CIBA, FAPI 2.0: no RS256, whose padding has been attacked since 1998; nothing symmetric.
ASSERTION_ALGORITHMS: Final = ("ES256", "PS256", "Ed25519", "EdDSA")
MAX_TOKEN_BYTES: Final = 131_072
HEAD_TYPE: Final = "signoff-audit-head+jwt"

_LEEWAY_S: Final = 5.0
_MAX_LIFE_S: Final = 86_400
# What clients make by default (Authlib); each `jti` is spent once, so a longer life is no reuse.
_MAX_ASSERTION_LIFE_S: Final = 3600
_MAX_PROOF_AGE_S: Final = 300
_MAX_REQUEST_LIFE_S: Final = 3600
_MAX_HEADER: Final = 8192
_LATEST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_AT_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
_ID_TYPES: Final = frozenset({None, "jwt"})
_REQUEST_TYPES: Final = frozenset({
    *(None, "jwt", "oauth-authz-req+jwt", "application/oauth-authz-req+jwt"),
})
_ASSERTION_TYPES: Final = frozenset({None, "jwt", "client-authentication+jwt"})


class SignatureError(TokenError):
    """The one failure that costs a signature check; every other is found before it, or after."""


class ExpiredError(TokenError):
    """The token holds, but its time is over."""


def key_id(unverified_jwt: str) -> str | None:
    """Return the `kid` a token names, to decide whether the keys must be fetched again.

    Raises:
        TokenError: the header cannot be read.
    """
    return _read_header(unverified_jwt)[1]


def verify_access_token(
    unverified_jwt: str,
    *,
    keys: KeySet,
    issuer: str,
    audience: str,
    now: datetime,
    leeway_s: float = _LEEWAY_S,
    algorithms: Collection[str] = (ALGORITHM,),
) -> VerifiedClaims:
    """Verify an RFC 9068 access token: typ, signature, `iss`, `aud` as one exact string, times.

    `sub`, `client_id`, `jti`, `iat` and `exp` are there and well formed afterwards.

    Raises:
        TokenError: anything does not hold.
    """
    claims = _verify(unverified_jwt, keys=keys, types=_AT_TYPES, algorithms=algorithms)
    _same(claims, "iss", issuer)
    _same(claims, "aud", audience)
    for name in ("sub", "client_id", "jti"):
        _text(claims, name)
    _check_times(claims, now=now, leeway_s=leeway_s, max_life_s=_MAX_LIFE_S)
    return VerifiedClaims(claims)


def check_lifetime(claims: VerifiedClaims, *, now: datetime) -> None:
    """Check again the times of an access token that was verified before.

    Raises:
        TokenError: it has expired.
    """
    _check_times(claims, now=now, leeway_s=_LEEWAY_S, max_life_s=_MAX_LIFE_S)


def verify_id_token(
    unverified_jwt: str,
    *,
    keys: KeySet,
    issuer: str,
    client_id: str,
    now: datetime,
    access_token: str | None = None,
    leeway_s: float = _LEEWAY_S,
    expired_s: float = 0.0,
    algorithms: Collection[str] = (ALGORITHM,),
) -> VerifiedClaims:
    """Verify an ID token (OIDC Core §3.1.3.7); with `access_token` given, `at_hash` too.

    `expired_s`: for how long after its end it is still taken, as a hint and as nothing else.

    Raises:
        TokenError: anything does not hold.
    """
    claims = _verify(unverified_jwt, keys=keys, types=_ID_TYPES, algorithms=algorithms)
    _same(claims, "iss", issuer)
    _same(claims, "aud", client_id)
    if "azp" in claims:
        _same(claims, "azp", client_id)
    _text(claims, "sub")
    _check_times(claims, now=now, leeway_s=leeway_s, max_life_s=_MAX_LIFE_S, expired_s=expired_s)
    if "auth_time" in claims:
        _time(claims, "auth_time")
    if access_token is not None:
        _same(claims, "at_hash", at_hash(access_token))
    return VerifiedClaims(claims)


def verify_client_assertion(
    unverified_jwt: str,
    *,
    keys: KeySet,
    client_id: str,
    audiences: Collection[str],
    now: datetime,
    algorithms: Collection[str] = ASSERTION_ALGORITHMS,
) -> VerifiedClaims:
    """Verify a `private_key_jwt` assertion (RFC 7523 §3): at most an hour, one audience.

    The caller spends `jti`. CIBA Core §7.1 asks to take an `aud` array too: each of its members
    must be one of `audiences`.

    Raises:
        TokenError: anything does not hold.
    """
    claims = _verify(unverified_jwt, keys=keys, types=_ASSERTION_TYPES, algorithms=algorithms)
    _same(claims, "iss", client_id)
    _same(claims, "sub", client_id)
    _text(claims, "jti")
    named = claims.get("aud")
    members = named if isinstance(named, list) else [named]
    if not members or not all(isinstance(name, str) and name in audiences for name in members):
        raise TokenError("aud names somebody else")
    claims.setdefault("iat", int(now.timestamp()))  # RFC 7523 §3: iat may be absent
    _check_times(claims, now=now, leeway_s=_LEEWAY_S, max_life_s=_MAX_ASSERTION_LIFE_S)
    if _time(claims, "exp") > now.timestamp() + _MAX_ASSERTION_LIFE_S + _LEEWAY_S:
        raise TokenError("exp is too far away")
    return VerifiedClaims(claims)


def verify_request_object(
    unverified_jwt: str,
    *,
    keys: KeySet,
    client_id: str,
    audience: str,
    now: datetime,
    algorithms: Collection[str] = ASSERTION_ALGORITHMS,
) -> VerifiedClaims:
    """Verify a signed backchannel request (CIBA Core §7.1.1): every claim required, one hour.

    The caller spends `jti`.

    Raises:
        TokenError: anything does not hold.
    """
    claims = _verify(unverified_jwt, keys=keys, types=_REQUEST_TYPES, algorithms=algorithms)
    _by_client(claims, client_id=client_id, audience=audience)
    _text(claims, "jti")
    not_before, expires = _time(claims, "nbf"), _time(claims, "exp")
    # FAPI-CIBA §5.2.2: signed an hour ago at most, and good for an hour at most.
    if expires - not_before > _MAX_REQUEST_LIFE_S + _LEEWAY_S:
        raise TokenError("it lives too long")
    _check_times(claims, now=now, leeway_s=_LEEWAY_S, max_life_s=_MAX_REQUEST_LIFE_S)
    return VerifiedClaims(claims)


def verify_hint_token(
    unverified_jwt: str, *, keys: KeySet, client_id: str, audience: str, now: datetime
) -> VerifiedClaims:
    """Verify a `login_hint_token` that a client signed (CIBA Core §7.1).

    Raises:
        ExpiredError: all of it holds but the time.
        TokenError: anything else does not hold.
    """
    claims = _verify(unverified_jwt, keys=keys, types=_ID_TYPES, algorithms=ASSERTION_ALGORITHMS)
    _by_client(claims, client_id=client_id, audience=audience)
    _check_times(claims, now=now, leeway_s=_LEEWAY_S, max_life_s=_MAX_LIFE_S)
    return VerifiedClaims(claims)


def _by_client(claims: Mapping[str, Json], *, client_id: str, audience: str) -> None:
    """Check that the client made the token, and for us; `aud` may name others too."""
    _same(claims, "iss", client_id)
    named = claims.get("aud")
    members = named if isinstance(named, list) else [named]
    if audience not in members or not all(isinstance(member, str) for member in members):
        raise TokenError("aud does not name us")


def verify_proof_claims(
    unverified_jwt: str, *, keys: KeySet, algorithms: Collection[str], now: datetime
) -> dict[str, Json]:
    """Verify signature, type and age of a DPoP proof; `tokens.dpop` reads the rest.

    Raises:
        TokenError: anything does not hold.
    """
    claims = _verify(
        unverified_jwt, keys=keys, types=frozenset({"dpop+jwt"}), algorithms=algorithms
    )
    age_s = now.timestamp() - _time(claims, "iat")
    if not -_LEEWAY_S <= age_s <= _MAX_PROOF_AGE_S:
        raise TokenError("the proof was not made just now")
    return claims


def read_header(unverified_jwt: str) -> dict[str, Json]:
    """Return the header of a token, trusting nothing.

    Raises:
        TokenError: it cannot be read.
    """
    return _read_header(unverified_jwt)[0]


def unverified_claims(unverified_jwt: str) -> dict[str, Json]:
    """Return what a token says, trusting nothing: only to find whose keys must verify it.

    Raises:
        TokenError: it is not a compact JWS of a JSON object.
    """
    _read_header(unverified_jwt)
    return _object(_unbase64(unverified_jwt.split(".")[1]))


def check_signature(unverified_jwt: str, *, keys: KeySet) -> None:
    """Check nothing but the signature.

    Raises:
        TokenError: it does not hold.
    """
    _verify(unverified_jwt, keys=keys, types=_ID_TYPES, algorithms=(ALGORITHM,))


def at_hash(access_token: str) -> str:
    """Return the `at_hash` of `access_token` for a SHA-256 signature (OIDC Core §3.1.3.6)."""
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """What `sign_head` vouched for."""

    seq: int
    head: bytes


def verify_head(unverified_jwt: str, *, keys: KeySet) -> AuditHead:
    """Verify a signed audit head.

    Raises:
        TokenError: we did not sign it, or it is something else.
    """
    types = frozenset({HEAD_TYPE})
    claims = _verify(unverified_jwt, keys=keys, types=types, algorithms=(ALGORITHM,))
    seq, head = claims.get("seq"), claims.get("head")
    if isinstance(seq, bool) or not isinstance(seq, int) or not isinstance(head, str):
        raise TokenError("not an audit head")
    try:
        return AuditHead(seq=seq, head=bytes.fromhex(head))
    except ValueError:
        raise TokenError("not an audit head") from None


def _read_header(token: str) -> tuple[dict[str, Json], str | None]:
    """Return the header and its `kid`. Size first: nothing large is ever decoded."""
    if len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise TokenError("too large, or not ASCII")
    if token.count(".") != 2:  # noqa: PLR2004 — RFC 7515 §7.1: three parts
        raise TokenError("not a compact JWS")
    header = _object(_unbase64(token.split(".", 1)[0]))
    if "crit" in header or "b64" in header:
        raise TokenError("critical headers are not understood")
    kid = header.get("kid")
    if kid is not None and (not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID):
        raise TokenError("kid is not a short string")
    return header, kid


def _verify(
    token: str, *, keys: KeySet, types: Collection[str | None], algorithms: Collection[str]
) -> dict[str, Json]:
    header, kid = _read_header(token)
    typ = header.get("typ")
    if typ is not None and not isinstance(typ, str):
        raise TokenError("typ is not text")
    if (typ and typ.lower()) not in types:
        raise TokenError("the wrong kind of token")
    found = keys.find(kid)
    if found is None:
        raise TokenError("no key has this kid")
    alg = header.get("alg")
    # RFC 8725 §3.1: the key, not the token, says which algorithm.
    if not isinstance(alg, str) or alg not in found.algorithms or alg not in algorithms:
        raise TokenError("the key is not for this algorithm")
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    registry.max_header_length = _MAX_HEADER  # a proof brings its key, and RSA keys are long
    try:
        with warnings.catch_warnings():
            # RFC 9864 gave EdDSA with this curve the name Ed25519; clients still say EdDSA.
            warnings.simplefilter("ignore", SecurityWarning)
            signed = jws.deserialize_compact(token, found.key, registry=registry)
    except (JoseError, ValueError, TypeError) as error:
        raise SignatureError(f"the signature does not hold: {type(error).__name__}") from None
    return _object(signed.payload)


def _unbase64(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenError("not base64url") from None


def _object(text: bytes) -> dict[str, Json]:
    try:
        value = parse(text)
    except JsonError as error:
        raise TokenError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise TokenError("not a JSON object")
    return value


def _same(claims: Mapping[str, Json], name: str, expected: str) -> None:
    value = claims.get(name)
    if not isinstance(value, str) or not hmac.compare_digest(value.encode(), expected.encode()):
        raise TokenError(f"{name} is not ours")


def _text(claims: Mapping[str, Json], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 1024:  # noqa: PLR2004 — a bound
        raise TokenError(f"{name} is missing")
    return value


def _time(claims: Mapping[str, Json], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(f"{name} is not a time")
    if (isinstance(value, float) and not math.isfinite(value)) or not 0 <= value <= _LATEST:
        raise TokenError(f"{name} is out of range")
    return float(value)


def _check_times(
    claims: Mapping[str, Json],
    *,
    now: datetime,
    leeway_s: float,
    max_life_s: float,
    expired_s: float = 0.0,
) -> None:
    at = now.timestamp()
    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    if at >= expires + leeway_s + expired_s:
        raise ExpiredError("it has expired")
    if issued > at + leeway_s:
        raise TokenError("it was issued in the future")
    if "nbf" in claims and _time(claims, "nbf") > at + leeway_s:
        raise TokenError("it is not valid yet")
    if not 0 < expires - issued <= max_life_s + leeway_s:
        raise TokenError("it lives too long")
