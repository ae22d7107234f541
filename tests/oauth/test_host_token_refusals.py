"""Every refusal of the token endpoint to a host: codes, refresh tokens and devices."""

import ast
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from as_parts import ISSUER
from conftest import TurnedClock
from host_house import CALLBACK, RESOURCE, VERIFIER, HostHouse, host_house
from signoff.oauth import host_tokens
from signoff.oauth.clients import CIBA, DEVICE_CODE
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

KEY, OTHER = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
AGAIN = "poll less often: 5 seconds were added to the interval"


def proof(clock: TurnedClock, key: ECKey, *, nonce: str, jti: str) -> str:
    claims = {"htm": "POST", "htu": f"{ISSUER}/oauth2/token", "iat": int(clock().timestamp())}
    header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False)}
    return jwt.encode(header, {**claims, "jti": jti, "nonce": nonce}, key)


async def _code(house: HostHouse, **changed: Any) -> httpx2.Response:
    client_id = (await house.register())["client_id"]
    code = await house.code(await house.person(), client_id)
    return await house.redeem(**{"code": code, "client_id": client_id, **changed})


async def _old_code(house: HostHouse, clock: TurnedClock) -> httpx2.Response:
    client_id = (await house.register())["client_id"]
    code = await house.code(await house.person(), client_id)
    clock.turn(61)
    return await house.redeem(code, client_id)


async def _device(
    house: HostHouse, clock: TurnedClock, *, polls: int = 1, turn: float = 0.0, **changed: Any
) -> httpx2.Response:
    grants = [DEVICE_CODE, "refresh_token"]
    client_id = (await house.register(grant_types=grants))["client_id"]
    form = {"client_id": client_id, "resource": RESOURCE}
    opened = (await house.http.post("/oauth2/device_authorization", data=form)).json()
    clock.turn(turn)
    sent = {
        "grant_type": DEVICE_CODE,
        "device_code": opened["device_code"],
        "client_id": client_id,
        **changed,
    }
    for _ in range(polls - 1):
        await house.token(sent)
    return await house.token(sent)


async def _bound(house: HostHouse, clock: TurnedClock, key: ECKey | None) -> httpx2.Response:
    """Refresh with this key what was given to the first one."""
    client_id = (await house.register())["client_id"]
    code = await house.code(await house.person(), client_id)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "client_id": client_id,
        "code_verifier": VERIFIER,
    }
    asked = proof(clock, KEY, nonce="none", jti="a")
    nonce = (await house.token(form, headers={"dpop": asked})).headers["dpop-nonce"]
    by_first = {"dpop": proof(clock, KEY, nonce=nonce, jti="b")}
    given = (await house.token(form, headers=by_first)).json()
    again = {
        "grant_type": "refresh_token",
        "refresh_token": given["refresh_token"],
        "client_id": client_id,
    }
    by_key = {} if key is None else {"dpop": proof(clock, key, nonce=nonce, jti="c")}
    return await house.token(again, headers=by_key)


NO_CODE = "the code is not valid"
HOST_CASES: dict[
    str, tuple[Callable[[HostHouse, TurnedClock], Awaitable[httpx2.Response]], str, str]
] = {
    "no code": (
        lambda h, _: _code(h, code=None),
        "invalid_request",
        "the parameter code is missing",
    ),
    "no redirect": (
        lambda h, _: _code(h, redirect_uri=None),
        "invalid_request",
        "the parameter redirect_uri is missing",
    ),
    "no verifier": (
        lambda h, _: _code(h, code_verifier=None),
        "invalid_request",
        "the parameter code_verifier is missing",
    ),
    "unknown code": (lambda h, _: _code(h, code="unknown"), "invalid_grant", NO_CODE),
    "details with a code": (
        lambda h, _: _code(h, authorization_details='[{"type":"payment","amount":25}]'),
        "invalid_authorization_details",
        "this grant gives no authorization_details: a person must be asked for them",
    ),
    "details with a device": (
        lambda h, c: _device(h, c, authorization_details='[{"type":"payment","amount":25}]'),
        "invalid_authorization_details",
        "this grant gives no authorization_details: a person must be asked for them",
    ),
    "long code": (lambda h, _: _code(h, code="x" * 257), "invalid_grant", NO_CODE),
    "short verifier": (
        lambda h, _: _code(h, code_verifier="x" * 42),
        "invalid_grant",
        NO_CODE,
    ),
    "another verifier": (
        lambda h, _: _code(h, code_verifier=VERIFIER + "x"),
        "invalid_grant",
        NO_CODE,
    ),
    "another redirect": (
        lambda h, _: _code(h, redirect_uri="http://127.0.0.1:1/callback"),
        "invalid_grant",
        NO_CODE,
    ),
    "code for elsewhere": (
        lambda h, _: _code(h, resource=ISSUER),
        "invalid_target",
        "the consent is for another resource",
    ),
    "old code": (_old_code, "invalid_grant", NO_CODE),
    "unproved refresh": (
        lambda h, c: _bound(h, c, None),
        "invalid_dpop_proof",
        "this grant is bound to a key: prove it",
    ),
    "refresh by another key": (
        lambda h, c: _bound(h, c, OTHER),
        "invalid_grant",
        "this grant is bound to another key",
    ),
    "no device code": (
        lambda h, c: _device(h, c, device_code=None),
        "invalid_request",
        "the parameter device_code is missing",
    ),
    "unknown device code": (
        lambda h, c: _device(h, c, device_code="unknown"),
        "invalid_grant",
        "the device_code is not valid",
    ),
    "device pending": (
        _device,
        "authorization_pending",
        "the request waits for a decision",
    ),
    "device too early": (lambda h, c: _device(h, c, polls=2), "slow_down", AGAIN),
    "device expired": (
        lambda h, c: _device(h, c, turn=600),
        "expired_token",
        "nobody decided in time",
    ),
    "a grant that a host has not": (
        lambda h, c: _device(h, c, grant_type=CIBA),
        "unauthorized_client",
        "the client may not use this grant",
    ),
}


@pytest.mark.parametrize("name", HOST_CASES)
async def test_a_host_is_refused_in_these_very_words(
    database: Database, sealer: Sealer, clock: TurnedClock, name: str
) -> None:
    send, code, words = HOST_CASES[name]
    async with host_house(database, sealer) as house:
        answer = await send(house, clock)
    members = answer.json()
    assert members == {"error": code, "error_description": words}
    assert (answer.status_code, answer.headers["cache-control"]) == (400, "no-store")
    assert re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]+", words)
    assert answer.headers.get("retry-after") == ("10" if code == "slow_down" else None)


def test_no_refusal_of_these_grants_is_missing_above() -> None:
    here = Path(str(host_tokens.__file__)).parent
    names = ("host_tokens", "grants/authorization_code", "grants/device_code")
    found = {
        str(node.args[1].value)
        for name in names
        for node in ast.walk(ast.parse((here / f"{name}.py").read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "OAuthError"
        and isinstance(node.args[1], ast.Constant)
    }
    assert len(found) > 5, "the words are found no longer"
    elsewhere = {
        "this server does not have one of these scopes",  # only where a consent is asked for
        "the request was denied",  # in `test_device.py`, where a person says it
    }
    assert found - {words for _, _, words in HOST_CASES.values()} == elsewhere
