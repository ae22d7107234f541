"""Our own keys, without a server around them."""

from datetime import UTC, datetime, timedelta

import pytest

from memory_keys import MemoryKeys
from signoff.tokens.keyring import Keyring
from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import AuditHead, verify_head

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


async def test_an_audit_head_is_signed_and_read_back() -> None:
    keyring = Keyring(MemoryKeys(), now=lambda: NOW)
    await keyring.maintain()
    token = keyring.sign_head(seq=7, head=b"\x01" * 32, at=NOW)
    assert verify_head(token, keys=keyring.public) == AuditHead(seq=7, head=b"\x01" * 32)
    with pytest.raises(TokenError):
        verify_head(token, keys=KeySet(()))


async def test_a_keyring_without_a_key_that_may_sign_signs_nothing() -> None:
    keyring = Keyring(MemoryKeys(), now=lambda: NOW)
    with pytest.raises(TokenError):
        keyring.mint_access_token({})
    await keyring.rotate()
    with pytest.raises(TokenError):
        keyring.mint_access_token({})


async def test_the_last_key_is_never_removed() -> None:
    times = [NOW]
    kept = MemoryKeys()
    keyring = Keyring(kept, now=lambda: times[0])
    await keyring.maintain()
    for _ in range(10):
        times[0] += timedelta(days=400)
        await keyring.maintain()
        assert keyring.public.as_json()["keys"]
        assert len(kept.stored) <= 2
