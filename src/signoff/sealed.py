"""Encryption of what must be used again, and keyed hashes of what is only compared.

Owns the one master key of a data directory and what is derived from it. Does no I/O: the key
arrives as bytes. A sealed value opens only for the table, row and column it was sealed for.
"""

import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"


class SealError(Exception):
    """A sealed value does not open: another key, another place, or changed bytes."""


def new_key() -> bytes:
    """Return a fresh master key of 32 random bytes."""
    return secrets.token_bytes(KEY_BYTES)


class Sealer:
    """Seals column values with AES-256-GCM, bound to table, row and column."""

    def __init__(self, master: bytes) -> None:
        if len(master) != KEY_BYTES:
            raise SealError(f"the seal key must be {KEY_BYTES} bytes, not {len(master)}")
        self._master = master
        self._aead = AESGCM(self.derive("seal"))

    def derive(self, purpose: str) -> bytes:
        """Return the 32-byte key for `purpose`, stable for this master key."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"signoff " + purpose.encode()).derive(
            self._master
        )

    def keyed_hash(self, purpose: str, content: bytes) -> bytes:
        """Return the HMAC-SHA-256 of `content` under the key for `purpose`."""
        return hmac.digest(self.derive(purpose), content, "sha256")

    def seal(self, plain: bytes, *, table: str, row: str, column: str) -> bytes:
        """Return `plain` encrypted for this one place."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._aead.encrypt(nonce, plain, _place(table, row, column))

    def open(self, sealed: bytes, *, table: str, row: str, column: str) -> bytes:
        """Return what was sealed.

        Raises:
            SealError: the value was sealed elsewhere, under another key, or was changed.
        """
        if sealed[:1] != _VERSION or len(sealed) <= 1 + _NONCE_BYTES:
            raise SealError(f"{table}.{column} holds no sealed value")
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, body, _place(table, row, column))
        except InvalidTag:
            raise SealError(f"{table}.{column} of {row} does not open") from None


def hash_id(value: str) -> bytes:
    """Return SHA-256 of a high-entropy id (>= 128 bits), for look-up by hash."""
    return hashlib.sha256(value.encode()).digest()


def _place(table: str, row: str, column: str) -> bytes:
    return b"\x00".join(part.encode() for part in (table, row, column))
