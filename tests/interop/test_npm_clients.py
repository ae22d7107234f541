"""Clients of the npm world, unmodified, against a server on a real port."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from interop_parts import Served, node, served

DETAILS = [{"type": "payment", "amount": 25}]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Served, None]:
    async with served(tmp_path) as running:
        yield running


@pytest.mark.seed("CIBA-31")
@pytest.mark.seed("CIBA-53")
@pytest.mark.seed("CIBA-68")
@pytest.mark.parametrize("method", ["secret", "key"])
async def test_openid_client_asks_polls_and_hears_every_end(here: Served, method: str) -> None:
    client = here.with_secret if method == "secret" else here.with_key
    found = await node("openid_client.mjs", "openid-client@6.8.9", **here.environment(client))
    token = found["approved"].pop("access_token")
    assert token.count(".") == 2
    assert found["approved"] == {
        "sub": "alice",
        "type": "bearer",
        "details": DETAILS,
        "expires_in": found["approved"]["expires_in"],
    }
    assert found["denied"] == {"error": "access_denied", "status": 400}
    assert found["unknown"] == {"error": "unknown_user_id", "status": 400}
    assert found["bad_details"] == {"error": "invalid_authorization_details", "status": 400}
    assert found["bad_message"] == {"error": "invalid_binding_message", "status": 400}
    assert found["bad_target"] == {"error": "invalid_target", "status": 400}
    assert found["expired"] == "expired_token"
    assert found["dpop"]["type"] == "dpop"
    assert found["polled"] == ["authorization_pending", "slow_down"]
    if method == "key":
        assert (found["signed"]["sub"], found["signed"]["details"]) == ("alice", DETAILS)
    assert found["introspected"] == {"active": True, "details": DETAILS}
    assert found["revoked"] == {"active": False}
    assert found["machine"] == {"scope": "payments reports", "type": "bearer"}


@pytest.mark.seed("CIBA-31")
@pytest.mark.seed("CIBA-56")
@pytest.mark.seed("CIBA-68")
async def test_oauth4webapi_signs_its_requests_and_is_slowed_down(here: Served) -> None:
    found = await node("oauth4webapi.mjs", "oauth4webapi@3.8.8", **here.environment(here.with_key))
    assert found == {
        "issuer": here.url,
        "first": {"error": "authorization_pending", "status": 400},
        "second": {"error": "slow_down", "status": 400},
        "approved": {"sub": "alice", "type": "bearer", "details": DETAILS},
        "again": {"error": "invalid_grant", "status": 400},
        "denied": {"error": "access_denied", "status": 400},
        "expired": {"error": "expired_token", "status": 400},
        "bound": {"sub": "alice", "type": "dpop", "details": DETAILS},
    }


@pytest.mark.seed("CIBA-19")
@pytest.mark.parametrize("method", ["secret", "key"])
async def test_auth0_auth_js_asks_polls_and_hears_every_end(tmp_path: Path, method: str) -> None:
    async with served(tmp_path, behind_tls=True, interval_s=3) as here:
        client = here.with_secret if method == "secret" else here.with_key
        environment = here.environment(client)
        found = await node("auth0_auth_js.mjs", "@auth0/auth0-auth-js@1.16.0", **environment)
    assert found == {
        "approved": {"sub": "alice", "scope": "openid payments", "details": DETAILS},
        "denied": {"error": "access_denied", "status": 400},
        "unknown": {"error": "unknown_user_id", "status": 400},
        "pending": {"error": "authorization_pending", "status": 400},
        "too_early": {"error": "slow_down", "status": 400},
        "expired": {"error": "expired_token", "status": 400},
        "asked": [
            "/.well-known/openid-configuration",
            "/oauth2/bc-authorize",
            "/oauth2/token",
        ],
    }
