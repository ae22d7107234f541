"""Clients of the PyPI world, unmodified, each in a venv of its own."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from as_parts import BANK
from interop_parts import Served, python, served

DETAILS = [{"type": "payment", "amount": 25}]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Served, None]:
    async with served(tmp_path) as running:
        yield running


@pytest.mark.seed("CIBA-31")
@pytest.mark.seed("CIBA-36")
@pytest.mark.seed("CIBA-68")
@pytest.mark.parametrize("method", ["secret", "key"])
async def test_requests_oauth2client_asks_and_hears_every_end(here: Served, method: str) -> None:
    client = here.with_secret if method == "secret" else here.with_key
    program, environment = "requests_oauth2client_program.py", here.environment(client)
    assert await python(program, "requests-oauth2client==1.8.0", **environment) == {
        "approved": {"sub": "alice", "details": DETAILS, "type": "Bearer"},
        "bound": {"sub": "alice", "details": DETAILS, "type": "DPoP"},
        "denied": {"error": "AccessDenied"},
        "unknown": {"error": "BackChannelAuthenticationError"},
        "expired": {"error": "ExpiredToken"},
        "twice": ["AuthorizationPending", "SlowDown"],
        "machine": "payments reports",
    }


@pytest.mark.parametrize("method", ["secret", "key"])
async def test_authlib_gets_tokens_by_the_grants_name(tmp_path: Path, method: str) -> None:
    async with served(tmp_path, interval_s=3) as here:
        client = here.with_secret if method == "secret" else here.with_key
        packages = ("authlib==1.9.9", "requests", "joserfc")
        found = await python("authlib_program.py", *packages, **here.environment(client))
    ends: dict[str, Any] = {
        "approved": {"type": "Bearer", "details": DETAILS},
        "denied": {"error": "access_denied"},
        "expired": {"error": "expired_token"},
        "twice": ["authorization_pending", "slow_down"],
    }
    secrets = ("client_secret_basic", "client_secret_post")
    assert found == dict.fromkeys(secrets if method == "secret" else ("private_key_jwt",), ends)


@pytest.mark.seed("CIBA-19")
@pytest.mark.parametrize("method", ["secret", "key"])
@pytest.mark.parametrize("version", ["4.13.0", "6.8.0"])
async def test_auth0_python_works_against_us_as_against_its_own(
    tmp_path: Path, version: str, method: str
) -> None:
    async with served(tmp_path, behind_tls=True, interval_s=3) as here:
        client = here.with_secret if method == "secret" else here.with_key
        environment = here.environment(client)
        program = "auth0_python_program.py"
        found = await python(program, f"auth0-python=={version}", **environment)
    assert found == {
        "approved": {"scope": "openid", "details": DETAILS},
        "denied": {"error": "access_denied"},
        "unknown": {"error": "unknown_user_id"},
        "expired": {"error": "expired_token"},
        "twice": ["authorization_pending", "slow_down"],
        "machine": "payments reports",
    }


@pytest.mark.seed("D7")
@pytest.mark.seed("CIBA-19")
@pytest.mark.seed("D1")
@pytest.mark.seed("D2")
@pytest.mark.seed("D5")
@pytest.mark.seed("D8")
@pytest.mark.parametrize("method", ["secret", "key"])
async def test_a_tool_wrapped_by_auth0_ai_runs_after_a_yes_and_never_without(
    tmp_path: Path, method: str
) -> None:
    async with served(tmp_path, behind_tls=True, interval_s=3) as here:
        client = here.with_secret if method == "secret" else here.with_key
        environment = here.environment(client)
        found = await python("auth0_ai_program.py", "auth0-ai==1.0.2", **environment)
    assert found == {
        "approved": {
            "paid": 25,
            "sub": "alice",
            "aud": BANK,
            "scope": ["openid", "payments"],
            "details": DETAILS,
        },
        "denied": {"interrupt": "ASYNC_AUTHORIZATION_ACCESS_DENIED", "again_after": None},
        "expired": {"interrupt": "ASYNC_AUTHORIZATION_REQUEST_EXPIRED", "again_after": None},
        "unknown": {"error": "unknown_user_id"},
        "pending": {"interrupt": "ASYNC_AUTHORIZATION_PENDING", "again_after": 3},
        # Without Retry-After it would come too early for ever.
        "too early": {"interrupt": "ASYNC_AUTHORIZATION_POLLING_ERROR", "again_after": 8},
    }
