"""A token of an authorization server, the keys it is signed with, and a verifier of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from memory_keys import MemoryKeys
from signoff.resource import (
    MemorySingleUse,
    ResourceVerifier,
)
from signoff.tokens.keyring import Keyring

ISSUER, BANK = "https://as.example", "https://bank.example/api"
NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
WANTED: dict[str, Any] = {
    "type": "tool_call",
    "tool": "transfer_funds",
    "arguments": {"amount": 25, "to": "bob"},
}


@pytest.fixture
async def keyring() -> Keyring:
    keyring = Keyring(MemoryKeys(), now=lambda: NOW)
    await keyring.maintain()
    return keyring


def bearer(keyring: Keyring, **changed: Any) -> str:
    at = int(NOW.timestamp())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": BANK,
        "sub": "alice",
        "client_id": "signoff-gate",
        "jti": "one",
        "iat": at,
        "exp": at + 120,
        "scope": "openid pay",
        "authorization_details": [WANTED],
    }
    return "Bearer " + keyring.mint_access_token({**claims, **changed})


def verifier(keyring: Keyring, **changed: Any) -> ResourceVerifier:
    settings: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": BANK,
        "keys": keyring,
        "clients": {"signoff-gate"},
        "scope": "pay",
        "single_use": MemorySingleUse(clock=NOW.timestamp),
        "now": lambda: NOW,
    }
    return ResourceVerifier(**{**settings, **changed})


def pays_bob_25(details: Any) -> bool:
    return details["tool"] == "transfer_funds" and details["arguments"] == {
        "amount": 25,
        "to": "bob",
    }
