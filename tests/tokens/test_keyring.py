"""Our own keys, without a server around them."""

from datetime import UTC, datetime, timedelta

import pytest

from signoff.tokens.keyring import Keyring, StoredKey
from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import AuditHead, verify_head

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


class Drawer:
    """A key store that keeps nothing longer than a test."""

    def __init__(self) -> None:
        self.keys: list[StoredKey] = []

    async def load(self) -> list[StoredKey]:
        return list(self.keys)

    async def add(self, key: StoredKey) -> None:
        self.keys.append(key)

    async def remove(self, kid: str) -> None:
        self.keys = [key for key in self.keys if key.kid != kid]


async def test_an_audit_head_is_signed_and_read_back() -> None:
    keyring = Keyring(Drawer(), now=lambda: NOW)
    await keyring.maintain()
    token = keyring.sign_head(seq=7, head=b"\x01" * 32, at=NOW)
    assert verify_head(token, keys=keyring.public) == AuditHead(seq=7, head=b"\x01" * 32)
    with pytest.raises(TokenError):
        verify_head(token, keys=KeySet(()))


async def test_a_keyring_without_a_key_that_may_sign_signs_nothing() -> None:
    keyring = Keyring(Drawer(), now=lambda: NOW)
    with pytest.raises(TokenError):
        keyring.mint_access_token({})
    await keyring.rotate()
    with pytest.raises(TokenError):
        keyring.mint_access_token({})


async def test_the_last_key_is_never_removed() -> None:
    times = [NOW]
    drawer = Drawer()
    keyring = Keyring(drawer, now=lambda: times[0])
    await keyring.maintain()
    for _ in range(10):
        times[0] += timedelta(days=400)
        await keyring.maintain()
        assert keyring.public.as_json()["keys"]
        assert len(drawer.keys) <= 2
