"""An approver's sign-in: the session, its device key, the sign-in link, and their rules.

Owns what a session may do and how a device key proves that it was this browser. Knows no clock,
no cookie, no storage and no HTTP: time, ids and bytes arrive as arguments.

Cookies are not isolated by port, so another server on this host may receive ours. A device key is
non-extractable and kept by one origin: on plain http only its signature can say yes.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from signoff.canonical import Json

Verb = Literal["approve", "done", "not-done", "consent", "connect-device"]
"""What a proof says yes to. Each act has a word of its own, so that no proof serves another."""

IDLE: Final = timedelta(days=30)
LIFETIME: Final = timedelta(days=90)
"""However often it is seen: then its person signs in anew."""
CODE_TTL_S: Final = 600
_COORDINATE_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64


class DeviceKeyError(ValueError):
    """The public key cannot be used. The message says why and is safe to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKey:
    """A P-256 public key, its point on the curve checked. `id` is its thumbprint (RFC 7638)."""

    id: str
    x: bytes
    y: bytes

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Json]) -> "DeviceKey":
        """Read a public JWK as WebCrypto exports it (RFC 7517; `key_ops` and `ext` are ignored).

        Raises:
            DeviceKeyError: it is private, of another kind, or not a point of P-256.
        """
        if "d" in jwk:
            raise DeviceKeyError("the device key is private: only its public half may be sent")
        if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
            raise DeviceKeyError("the device key must be an EC key on P-256")
        x, y = _coordinate(jwk.get("x")), _coordinate(jwk.get("y"))
        return cls.from_point(x, y)

    @classmethod
    def from_point(cls, x: bytes, y: bytes) -> "DeviceKey":
        """Build the key from its coordinates, 32 bytes each.

        Raises:
            DeviceKeyError: not a point of P-256.
        """
        try:
            _numbers(x, y).public_key()
        except ValueError as error:
            raise DeviceKeyError("the device key is not a point on P-256") from error
        thumbprint = f'{{"crv":"P-256","kty":"EC","x":"{_encode(x)}","y":"{_encode(y)}"}}'
        return cls(id=_encode(hashlib.sha256(thumbprint.encode()).digest()), x=x, y=y)

    def signed(self, proof: str, message: bytes) -> bool:
        """Tell whether `proof` (base64url of r || s, as WebCrypto signs) is ours over `message`."""
        signature = _decode(proof)
        if signature is None or len(signature) != _SIGNATURE_BYTES:
            return False
        r, s = (int.from_bytes(half) for half in (signature[:32], signature[32:]))
        try:
            _numbers(self.x, self.y).public_key().verify(
                encode_dss_signature(r, s), message, ECDSA(SHA256())
            )
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in browser of one person. Without a device key it signed in without JavaScript."""

    id: str
    user_id: str
    device_key: DeviceKey | None
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A fresh session and the cookie's value, which is known only here and in the browser."""

    session: Session
    token: str = field(repr=False)
    lifetime: timedelta = LIFETIME


class SessionStore(Protocol):
    """The storage of sessions. Every read refuses who is disabled, in its own statement."""

    async def link_user(self, code: str) -> str | None:
        """Return whom the sign-in link signs in, None when it was used or is too old."""
        ...

    async def sign_in(self, code: str, *, device_key: DeviceKey | None) -> SignedIn | None:
        """Use the link up and begin a session with its key, in one transaction.

        None: used, too old, unknown or disabled. A crash before the commit leaves the link
        usable; after it the link is used and only its browser has the cookie.
        """
        ...

    async def find(self, token: str) -> Session | None:
        """Return the live session of a cookie's value, and note that it was seen."""
        ...

    async def end(self, session_id: str, *, by: str) -> None:
        """Delete the session and its key. Doing it again changes nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Proved:
    """The act comes from this session's own browser, as far as the connection needs it."""


@dataclass(frozen=True, slots=True)
class NeedsKey:
    """The session has no device key and the connection is plain http."""


@dataclass(frozen=True, slots=True)
class BadProof:
    """The proof is missing, malformed, of another key or over another act."""


def proof_message(verb: Verb, *, approval_id: str, digest: str, nonce: str) -> bytes:
    """Return the bytes a device key signs. One line a member; no member can hold a line feed."""
    return f"signoff device proof\n{verb}\n{approval_id}\n{digest}\n{nonce}".encode()


def check_proof(
    session: Session, proof: str, message: bytes, *, https: bool
) -> Proved | NeedsKey | BadProof:
    """Decide whether `session` may do what `message` names.

    On https the cookie is `__Host-` and bound to the origin, so it is enough; a proof that is
    sent all the same must hold.
    """
    if not proof and https:
        return Proved()
    if session.device_key is None:
        return NeedsKey()
    return Proved() if session.device_key.signed(proof, message) else BadProof()


def _numbers(x: bytes, y: bytes) -> EllipticCurvePublicNumbers:
    return EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), SECP256R1())


def _coordinate(text: Json) -> bytes:
    coordinate = _decode(text) if isinstance(text, str) else None
    if coordinate is None or len(coordinate) != _COORDINATE_BYTES:
        raise DeviceKeyError("the device key's coordinates must be 32 bytes each")
    return coordinate


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes | None:
    if len(text) > 200 or not text.isascii():  # noqa: PLR2004 — longer than anything expected here
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
