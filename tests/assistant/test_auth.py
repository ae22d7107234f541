"""Who gets in at `/mcp`: the bearer says it, or nobody does."""

import stat
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from signoff.assistant import auth
from signoff.assistant.auth import (
    CALLER_KEY,
    AccessTokens,
    Admitted,
    Authenticate,
    BearerGuard,
    LocalToken,
    Turned,
    either,
    only_active,
    resource_metadata,
)
from signoff.assistant.local_secret import LocalTokenError, local_token
from signoff.identity import Caller
from signoff.tokens.dpop import Sent
from signoff.tokens.keys import KeySet

PUBLIC = "https://bank.example"
RESOURCE = f"{PUBLIC}/mcp"
NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
KEY = ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256", "use": "sig"})
FOREIGN_KEY = ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256", "use": "sig"})
LOCAL = "sgl_" + "x" * 43
ALGORITHMS = 'algs="ES256 PS256 Ed25519 EdDSA"'
CHALLENGE = (
    f'resource_metadata="{PUBLIC}/.well-known/oauth-protected-resource/mcp", scope="mcp", '
    f"DPoP {ALGORITHMS}"
)


def published(key: ECKey) -> KeySet:
    public: dict[str, Any] = {
        **key.as_dict(private=False),
        "kid": "k1",
        "alg": "ES256",
        "use": "sig",
    }
    return KeySet([public])


def claims(**changes: Any) -> dict[str, Any]:
    at = int(NOW.timestamp())
    plain = {
        "iss": PUBLIC,
        "aud": RESOURCE,
        "sub": "alice",
        "client_id": "claude-code",
        "scope": "openid mcp",
        "jti": "j1",
        "iat": at,
        "exp": at + 300,
    }
    return {name: value for name, value in (plain | changes).items() if value is not None}


def token(*, key: ECKey = KEY, typ: str = "at+jwt", alg: str = "ES256", **changes: Any) -> str:
    return jwt.encode({"alg": alg, "kid": "k1", "typ": typ}, claims(**changes), key, [alg])


def doors(disabled: Iterable[str] = ()) -> Authenticate:
    off = set(disabled)

    async def is_off(ids: Iterable[str]) -> bool:
        return not off.isdisjoint(ids)

    tokens = AccessTokens(published(KEY), issuer=PUBLIC, resource=RESOURCE, now=lambda: NOW)
    return only_active(either(LocalToken(LOCAL, local_user="alice"), tokens), is_off)


async def whoami(request: Request) -> JSONResponse:
    caller = request.scope[CALLER_KEY]
    return JSONResponse({**caller.as_json(), "copy": request.scope["user"].access_token.token})


async def ask(
    authorization: str | list[str] | None, authenticate: Authenticate | None = None
) -> httpx2.Response:
    inner = Starlette(routes=[Route("/mcp", whoami, methods=["POST"])])
    guard = BearerGuard(inner, authenticate=authenticate or doors(), public_url=PUBLIC)
    sent = [authorization] if isinstance(authorization, str) else authorization or []
    transport = httpx2.ASGITransport(guard)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC) as client:
        return await client.post("/mcp", headers=[("authorization", value) for value in sent])


async def test_the_local_secret_is_a_caller_for_the_local_user() -> None:
    answer = await ask(f"Bearer {LOCAL}")
    assert answer.json() == {
        "kind": "local",
        "issuer": "local",
        "client_id": "local:http",
        "sub": "alice",
        "copy": "",
    }


async def test_an_access_token_for_this_resource_is_a_caller() -> None:
    answer = await ask(f"bearer {token()}")
    assert answer.json() == {
        "kind": "oauth",
        "issuer": PUBLIC,
        "client_id": "claude-code",
        "sub": "alice",
        "copy": "",
    }


async def test_a_machine_client_acts_for_nobody() -> None:
    assert "sub" not in (await ask(f"Bearer {token(sub='claude-code')}")).json()


@pytest.mark.seed("T01")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": "https://other.example/mcp"}, id="another audience"),
        pytest.param({"aud": [RESOURCE]}, id="a list of this audience"),
        pytest.param({"aud": [RESOURCE, "https://other.example"]}, id="a list with it"),
        pytest.param({"aud": RESOURCE + "/"}, id="a trailing slash"),
        pytest.param({"aud": RESOURCE + "/x"}, id="a longer path"),
        pytest.param({"aud": PUBLIC}, id="a prefix"),
        pytest.param({"aud": RESOURCE.upper()}, id="another case"),
        pytest.param({"aud": f"{PUBLIC}/gate"}, id="the gate's audience"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"iss": "https://evil.example"}, id="another issuer"),
        pytest.param({"iss": PUBLIC + "/"}, id="an issuer with a slash"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"exp": int(NOW.timestamp()) - 60}, id="expired"),
        pytest.param({"exp": None}, id="without an end"),
        pytest.param({"exp": "never"}, id="an end that is no time"),
        pytest.param({"iat": int(NOW.timestamp()) + 3600}, id="from the future"),
        pytest.param({"client_id": None}, id="no client"),
        pytest.param({"client_id": 7}, id="a client that is a number"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"sub": ["alice"]}, id="a list of subjects"),
        pytest.param({"key": FOREIGN_KEY}, id="a foreign key"),
        pytest.param({"typ": "JWT"}, id="an ID token's type"),
        pytest.param({"authorization_details": [{"type": "tool_call"}]}, id="an approval's token"),
    ],
)
async def test_a_token_made_for_anything_else_is_refused(changes: dict[str, Any]) -> None:
    answer = await ask(f"Bearer {token(**changes)}")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert answer.headers["www-authenticate"].endswith(CHALLENGE)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(None, id="none"),
        pytest.param("Bearer ", id="empty"),
        pytest.param("Bearer", id="only the scheme"),
        pytest.param(f"Basic {LOCAL}", id="another scheme"),
        pytest.param(LOCAL, id="no scheme"),
        pytest.param([f"Bearer {LOCAL}", f"Bearer {LOCAL}"], id="twice"),
        pytest.param("Bearer " + "x" * 20_000, id="too long"),
    ],
)
async def test_without_one_bearer_there_is_a_challenge_and_no_error_code(
    authorization: str | list[str] | None,
) -> None:
    answer = await ask(authorization)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == f"Bearer {CHALLENGE}"


@pytest.mark.parametrize(
    "bearer",
    [
        LOCAL[:-1],
        LOCAL + "x",
        "sgl_",
        "x.y.z",
        "e30.e30.",
        "a" * 200,
        ".",
        "....",
        token()[:-4],
        token(alg="ES256").split(".")[0] + ".e30.e30",
    ],
)
async def test_a_bearer_that_is_no_token_is_refused(bearer: str) -> None:
    assert (await ask(f"Bearer {bearer}")).status_code == 401


async def test_a_token_without_the_scope_is_told_which_one_it_needs() -> None:
    for scope in ("openid", "", "mcpx", None):
        answer = await ask(f"Bearer {token(scope=scope)}")
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        assert 'scope="mcp"' in answer.headers["www-authenticate"]


@pytest.mark.seed("T02")
@pytest.mark.parametrize("error", [RuntimeError("database is locked"), OSError(5, "x"), KeyError()])
async def test_a_verifier_that_fails_lets_nobody_in(error: Exception) -> None:
    async def broken(bearer: str, sent: Sent | None = None) -> Admitted | Turned:
        del bearer, sent
        raise error

    answer = await ask(f"Bearer {LOCAL}", broken)
    assert answer.status_code == 503
    assert "locked" not in answer.text


@pytest.mark.parametrize("off", ["claude-code", "alice"])
async def test_a_switched_off_client_or_person_is_refused(off: str) -> None:
    assert (await ask(f"Bearer {token()}", doors([off]))).status_code == 401


async def test_a_server_without_local_secret_takes_none() -> None:
    assert (await ask(f"Bearer {LOCAL}", either(None, None))).status_code == 401


async def test_the_metadata_names_the_resource_and_its_authorization_server() -> None:
    app = Starlette(routes=resource_metadata(public_url=PUBLIC, name="acme-bank"))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC) as client:
        answer = await client.get("/.well-known/oauth-protected-resource/mcp")
    assert answer.json() == {
        "resource": RESOURCE,
        "resource_name": "acme-bank",
        "authorization_servers": [PUBLIC],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "PS256", "Ed25519", "EdDSA"],
        "dpop_bound_access_tokens_required": False,
        "scopes_supported": ["mcp"],
    }


def test_the_local_secret_is_made_once_and_only_for_this_user(tmp_path: Path) -> None:
    first = local_token(tmp_path)
    assert local_token(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "local-token").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["local-token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_secret_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    local_token(tmp_path)
    (tmp_path / "local-token").chmod(mode)
    with pytest.raises(LocalTokenError, match="delete it"):
        local_token(tmp_path)


@pytest.mark.parametrize("content", ["", "\n", "hunter2", "sgl_short", "é" * 50])
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "local-token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(LocalTokenError):
        local_token(tmp_path)


def test_a_secret_behind_a_link_is_refused(tmp_path: Path) -> None:
    local_token(tmp_path)
    elsewhere = tmp_path / "data"
    elsewhere.mkdir()
    (elsewhere / "local-token").symlink_to(tmp_path / "local-token")
    with pytest.raises(LocalTokenError):
        local_token(elsewhere)


def test_a_caller_is_never_made_of_nothing() -> None:
    with pytest.raises(TypeError):
        Caller()  # pyright: ignore[reportCallIssue] — the point of the test


class Keys:
    """A key source whose keys change."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys

    async def keys_for(self, kid: str | None) -> KeySet:
        assert kid == "k1"
        return self.keys


async def test_a_bearer_that_was_good_before_is_refused_once_it_has_expired() -> None:
    moments = [NOW, NOW, NOW + timedelta(seconds=306)]
    door = AccessTokens(published(KEY), issuer=PUBLIC, resource=RESOURCE, now=lambda: moments[0])
    bearer = token()
    assert isinstance(await door(bearer), Admitted)
    del moments[0]
    assert isinstance(await door(bearer), Admitted)
    del moments[0]
    assert isinstance(await door(bearer), Turned)


async def test_a_bearer_that_was_good_before_is_refused_once_its_key_is_gone() -> None:
    keys = Keys(published(KEY))
    door = AccessTokens(keys, issuer=PUBLIC, resource=RESOURCE, now=lambda: NOW)
    bearer = token()
    assert isinstance(await door(bearer), Admitted)
    keys.keys = published(FOREIGN_KEY)
    assert isinstance(await door(bearer), Turned)
    keys.keys = published(KEY)
    assert isinstance(await door(bearer), Admitted)


async def test_a_bearer_is_no_better_for_one_that_was_good() -> None:
    door = AccessTokens(published(KEY), issuer=PUBLIC, resource=RESOURCE, now=lambda: NOW)
    good = token()
    assert isinstance(await door(good), Admitted)
    head, body, signature = good.split(".")
    other = token(sub="bob").split(".")[1]
    for forged in (f"{head}.{other}.{signature}", f"{head}.{body}.", f"{good}A", token(exp=1)):
        assert isinstance(await door(forged), Turned)


async def test_remembered_bearers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_REMEMBERED", 3)
    door = AccessTokens(published(KEY), issuer=PUBLIC, resource=RESOURCE, now=lambda: NOW)
    bearers = [token(jti=f"j{number}") for number in range(5)]
    for bearer in (*bearers, *bearers):
        assert isinstance(await door(bearer), Admitted)
        assert len(door._verified) <= 3  # pyright: ignore[reportPrivateUsage] — a leak shows here
