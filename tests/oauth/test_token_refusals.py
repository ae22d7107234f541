"""Every refusal of the token endpoint: its status, its code and its words, grant by grant."""

import ast
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from as_parts import (
    BANK,
    ISSUER,
    Monotonic,
    Provider,
    basic,
    running_provider,
)
from callback_parts import TOKEN, called_back
from conftest import TurnedClock
from signoff.oauth import token as endpoint
from signoff.oauth.clients import CIBA, Issued
from signoff.oauth.pacing import TokenPace
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

PATH = "/oauth2/token"
KEY = ECKey.generate_key("P-256")
MACHINE: dict[str, Any] = {"grant_type": "client_credentials"}
TWO = [{"type": "payment", "amount": 25}, {"type": "payment", "amount": 30}]


def proof(clock: TurnedClock, key: ECKey, *, nonce: str, jti: str) -> str:
    claims = {"htm": "POST", "htu": ISSUER + PATH, "iat": int(clock().timestamp())}
    header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False)}
    return jwt.encode(header, {**claims, "jti": jti, "nonce": nonce}, key)


class Desk:
    """A client at the token endpoint, and what stands behind it."""

    def __init__(
        self, provider: Provider, clock: TurnedClock, time: Monotonic, client: Issued
    ) -> None:
        self.provider, self.clock, self.time, self.client = provider, clock, time, client
        self._jti = 0

    async def send(
        self,
        form: dict[str, Any],
        *,
        client: Issued | None = None,
        headers: list[tuple[str, str]] | None = None,
    ) -> httpx2.Response:
        data = {name: value for name, value in form.items() if value is not None}
        return await self.provider.http.post(
            PATH, data=data, headers=headers, auth=basic(client or self.client)
        )

    async def asked(self, client: Issued | None = None, **changed: Any) -> str:
        details: dict[str, Any] = {"authorization_details": json.dumps(TWO), "resource": BANK}
        form = {**details, **changed}
        return await self.provider.asked(auth=basic(client or self.client), **form)

    async def decided(self, verdict: str = "approve", **changed: Any) -> str:
        auth_req_id = await self.asked(**changed)
        await self.provider.decide(auth_req_id, verdict, client_id=self.client.client.id)
        return auth_req_id

    async def poll(self, auth_req_id: str | None, **more: Any) -> httpx2.Response:
        return await self.send({"grant_type": CIBA, "auth_req_id": auth_req_id, **more})

    async def polls(self, count: int) -> httpx2.Response:
        auth_req_id = await self.asked()
        for _ in range(count - 1):
            await self.poll(auth_req_id)
        return await self.poll(auth_req_id)

    async def expired(self) -> httpx2.Response:
        auth_req_id = await self.asked(requested_expiry="60")
        self.clock.turn(60)
        return await self.poll(auth_req_id)

    async def lapsed(self) -> httpx2.Response:
        auth_req_id = await self.decided()
        self.clock.turn(120)
        return await self.poll(auth_req_id)

    async def withdrawn(self) -> httpx2.Response:
        auth_req_id = await self.asked()
        await self.provider.approvals.withdraw(auth_req_id, client_id=self.client.client.id)
        return await self.poll(auth_req_id)

    async def used(self) -> httpx2.Response:
        auth_req_id = await self.decided()
        assert (await self.poll(auth_req_id)).status_code == 200
        return await self.poll(auth_req_id)

    async def pushed(self) -> httpx2.Response:
        client = await called_back(self.provider, "push", "https://client.example/ciba")
        auth_req_id = await self.asked(client, client_notification_token=TOKEN)
        return await self.send({"grant_type": CIBA, "auth_req_id": auth_req_id}, client=client)

    async def lasting(self) -> str:
        answer = await self.poll(await self.decided(scope="openid offline_access payments"))
        assert answer.status_code == 200, answer.text
        return answer.json()["refresh_token"]

    async def refresh(self, token: str | None, **more: Any) -> httpx2.Response:
        return await self.send({"grant_type": "refresh_token", "refresh_token": token, **more})

    async def refreshed_twice(self) -> httpx2.Response:
        token = await self.lasting()
        assert (await self.refresh(token)).status_code == 200
        return await self.refresh(token)

    async def proof(self, *, nonce: str | None = None) -> list[tuple[str, str]]:
        """Return a proof that holds, made with a nonce of the server's."""
        if nonce is None:
            first = await self.send(MACHINE, headers=await self.proof(nonce="none"))
            nonce = first.headers["dpop-nonce"]
        self._jti += 1
        return [("dpop", proof(self.clock, KEY, nonce=nonce, jti=f"p-{self._jti}"))]

    async def proved_twice(self) -> httpx2.Response:
        proof = await self.proof()
        assert (await self.send(MACHINE, headers=proof)).status_code == 200
        return await self.send(MACHINE, headers=proof)

    async def bound(self) -> httpx2.Response:
        return await self.send(MACHINE, client=await self.provider.other_client(dpop_bound=True))

    async def not_given(self) -> httpx2.Response:
        machine = await self.provider.other_client(grant_types=["client_credentials"])
        return await self.send({"grant_type": CIBA, "auth_req_id": "x"}, client=machine)

    async def machine(self, **more: Any) -> httpx2.Response:
        return await self.send({**MACHINE, **more})

    async def too_often(self) -> httpx2.Response:
        for _ in range(3):
            assert (await self.machine()).status_code == 200
        return await self.machine()


Send: TypeAlias = Callable[[Desk], Awaitable[httpx2.Response]]


async def _of(desk: Desk, verdict: str, **more: Any) -> httpx2.Response:
    return await desk.poll(await desk.decided(verdict), **more)


async def _refresh(desk: Desk, **more: Any) -> httpx2.Response:
    return await desk.refresh(await desk.lasting(), **more)


NO_ID = "the auth_req_id is not valid"
NO_TOKEN = "the refresh_token is not valid"
BUSY = "too many requests are waiting, try again later"
AGAIN = "poll less often: 5 seconds were added to the interval"
NARROW = "authorization_details can only be narrowed to members that were granted"
SCOPES = "the client may not have one of these scopes"
CASES: dict[str, tuple[Send, str, str, int]] = {
    # RFC 6749 §5.2
    "no grant": (
        lambda d: d.send({"scope": "payments"}),
        "invalid_request",
        "the parameter grant_type is missing",
        400,
    ),
    "unknown grant": (
        lambda d: d.send({"grant_type": "password"}),
        "unsupported_grant_type",
        "this server does not have this grant type",
        400,
    ),
    "a grant of others": (
        lambda d: d.send({"grant_type": "authorization_code"}),
        "unsupported_grant_type",
        "this server does not have this grant type",
        400,
    ),
    "a grant not given": (
        Desk.not_given,
        "unauthorized_client",
        "the client may not use this grant",
        400,
    ),
    "scope": (lambda d: d.machine(scope="admin"), "invalid_scope", SCOPES, 400),
    "resource": (
        lambda d: d.machine(resource=ISSUER),
        "invalid_target",
        "the client may not have a token for this resource",
        400,
    ),
    "resources": (
        lambda d: d.machine(resource=[BANK, ISSUER]),
        "invalid_target",
        "a token has one audience: name one resource",
        400,
    ),
    "details without a person": (
        lambda d: d.machine(authorization_details='[{"type":"payment","amount":25}]'),
        "invalid_authorization_details",
        "this grant gives no authorization_details: a person must be asked for them",
        400,
    ),
    "too often": (Desk.too_often, "temporarily_unavailable", BUSY, 429),
    # CIBA Core §11
    "no id": (
        lambda d: d.poll(None),
        "invalid_request",
        "the parameter auth_req_id is missing",
        400,
    ),
    "unknown id": (lambda d: d.poll("unknown"), "invalid_grant", NO_ID, 400),
    "long id": (lambda d: d.poll("x" * 257), "invalid_grant", NO_ID, 400),
    "id with a null": (lambda d: d.poll("x\x00"), "invalid_grant", NO_ID, 400),
    "pending": (
        lambda d: d.polls(1),
        "authorization_pending",
        "the request waits for a decision",
        400,
    ),
    "too early": (lambda d: d.polls(2), "slow_down", AGAIN, 400),
    "flood": (lambda d: d.polls(7), "temporarily_unavailable", BUSY, 503),
    "expired": (Desk.expired, "expired_token", "nobody decided in time", 400),
    "denied": (lambda d: _of(d, "deny"), "access_denied", "the request was denied", 400),
    "withdrawn": (Desk.withdrawn, "access_denied", "the request was withdrawn", 400),
    "lapsed": (Desk.lapsed, "invalid_grant", NO_ID, 400),
    "used": (Desk.used, "invalid_grant", NO_ID, 400),
    "another target": (
        lambda d: _of(d, "approve", resource=ISSUER),
        "invalid_target",
        "the approval is for another resource",
        400,
    ),
    "pushed": (
        Desk.pushed,
        "unauthorized_client",
        "the tokens are pushed to this client",
        400,
    ),
    # RFC 9449 §5, §8
    "two proofs": (
        lambda d: d.send(MACHINE, headers=[("dpop", "a"), ("dpop", "b")]),
        "invalid_dpop_proof",
        "more than one proof",
        400,
    ),
    "bad proof": (
        lambda d: d.send(MACHINE, headers=[("dpop", "a.b.c")]),
        "invalid_dpop_proof",
        "the proof does not hold",
        400,
    ),
    "no proof": (
        Desk.bound,
        "invalid_dpop_proof",
        "this client must prove possession of a key",
        400,
    ),
    "used proof": (
        Desk.proved_twice,
        "invalid_dpop_proof",
        "the proof was used before",
        400,
    ),
    # RFC 6749 §6, RFC 8707 §2.2, RFC 9396 §6
    "no refresh token": (
        lambda d: d.refresh(None),
        "invalid_request",
        "the parameter refresh_token is missing",
        400,
    ),
    "unknown refresh token": (lambda d: d.refresh("x"), "invalid_grant", NO_TOKEN, 400),
    "long refresh token": (lambda d: d.refresh("x" * 257), "invalid_grant", NO_TOKEN, 400),
    "used refresh token": (Desk.refreshed_twice, "invalid_grant", NO_TOKEN, 400),
    "wider scope": (
        lambda d: _refresh(d, scope="openid payments reports"),
        "invalid_scope",
        "the scope is wider than the consent",
        400,
    ),
    "another resource": (
        lambda d: _refresh(d, resource=ISSUER),
        "invalid_target",
        "the consent is for another resource",
        400,
    ),
    "wider details": (
        lambda d: _refresh(d, authorization_details='[{"type":"payment","amount":31}]'),
        "invalid_authorization_details",
        NARROW,
        400,
    ),
}


def told(answer: httpx2.Response) -> tuple[str, str, int]:
    members = answer.json()
    assert set(members) == {"error", "error_description"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    # CIBA Core §11, RFC 6749 §5.2: printable ASCII, no quote, no backslash.
    assert re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]+", members["error_description"])
    return (members["error"], members["error_description"], answer.status_code)


@pytest.mark.seed("CIBA-41")
@pytest.mark.seed("CIBA-45")
@pytest.mark.seed("CIBA-53")
@pytest.mark.seed("CIBA-54")
@pytest.mark.seed("CIBA-57")
@pytest.mark.seed("B15")
@pytest.mark.seed("B16")
@pytest.mark.parametrize("name", CASES)
async def test_a_token_is_refused_in_these_very_words(
    database: Database, sealer: Sealer, clock: TurnedClock, name: str
) -> None:
    send, code, words, status = CASES[name]
    time = Monotonic()
    pace = TokenPace(per_hour=60, burst=3)
    async with running_provider(database, sealer, monotonic=time, token_pace=pace) as provider:
        grants = [CIBA, "client_credentials", "refresh_token"]
        client = await provider.other_client(grant_types=grants)
        answer = await send(Desk(provider, clock, time, client))
        assert told(answer) == (code, words, status)
        waits = {"slow_down": "10", "temporarily_unavailable": "60" if status == 429 else "30"}
        assert answer.headers.get("retry-after") == waits.get(code)
        assert "www-authenticate" not in answer.headers


async def test_a_proof_without_our_nonce_is_told_which_to_use(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    desk = Desk(provider, clock, Monotonic(), client)
    answer = await desk.send(MACHINE, headers=await desk.proof(nonce="of-somebody-else"))
    words = "the proof needs a nonce of this server"
    assert told(answer) == ("use_dpop_nonce", words, 400)
    assert answer.headers["dpop-nonce"]


def raised() -> set[str]:
    """Return the words of every refusal that the endpoint's modules make."""
    here = Path(str(endpoint.__file__)).parent
    files = [here / f"{name}.py" for name in ("token", "exchange", "dpop")]
    found: set[str] = set()
    grants = ("ciba", "client_credentials", "refresh_token")
    for file in [*files, *(here / "grants" / f"{name}.py" for name in grants)]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                at = {"OAuthError": 1, "_invalid": 0, "_refused": 2}.get(node.func.id)
                if at is not None and len(node.args) > at:
                    said = node.args[at]
                    if isinstance(said, ast.Constant):
                        found.add(str(said.value))
    return found


def test_no_refusal_of_the_endpoint_is_missing_above() -> None:
    above = {words for _, _, words, _ in CASES.values()}
    assert len(raised()) > 15, "the words are found no longer"
    assert raised() - above == {"the proof needs a nonce of this server"}  # by its own test
