"""What an upstream checks: everything about the token, and that it is used once."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from conftest import TurnedClock
from dpop_parts import KeyHolder
from resource_parts import BANK, ISSUER, NOW, WANTED, bearer, pays_bob_25, verifier
from signoff.resource import (
    SCOPE_KEY,
    MemorySingleUse,
    RequireToken,
    ResourceError,
    SingleUse,
    SqliteSingleUse,
)
from signoff.tokens.keyring import Keyring


@pytest.mark.seed("C11")
async def test_a_token_for_this_very_transfer_passes_once(keyring: Keyring) -> None:
    checks, authorization = verifier(keyring), bearer(keyring)
    token = await checks.verify(authorization, details=pays_bob_25)
    assert (token.sub, token.client_id, token.jti) == ("alice", "signoff-gate", "one")
    assert (token.scopes, token.details) == (frozenset({"openid", "pay"}), (WANTED,))
    assert token.expires_at == NOW + timedelta(seconds=120)
    with pytest.raises(ResourceError) as refused:
        await checks.verify(authorization, details=pays_bob_25)
    assert (refused.value.code, refused.value.status) == ("invalid_token", 401)
    assert refused.value.headers["www-authenticate"] == 'Bearer error="invalid_token"'


WRONG: list[tuple[dict[str, Any], str, int]] = [
    ({"iss": "https://evil.example"}, "invalid_token", 401),
    ({"aud": "https://bank.example"}, "invalid_token", 401),
    ({"aud": [BANK]}, "invalid_token", 401),
    ({"client_id": "another"}, "invalid_token", 401),
    ({"exp": int(NOW.timestamp()) - 10}, "invalid_token", 401),
    ({"jti": None}, "invalid_token", 401),
    ({"scope": ["pay"]}, "invalid_token", 401),
    ({"authorization_details": "all"}, "invalid_token", 401),
    ({"authorization_details": ["all"]}, "invalid_token", 401),
    ({"scope": "payments"}, "insufficient_scope", 403),
    ({"scope": ""}, "insufficient_scope", 403),
    ({"authorization_details": []}, "insufficient_authorization_details", 403),
    ({"authorization_details": [{}]}, "insufficient_authorization_details", 403),
    (
        {"authorization_details": [{**WANTED, "arguments": {"amount": 26}}]},
        "insufficient_authorization_details",
        403,
    ),
]


@pytest.mark.parametrize(("changed", "code", "status"), WRONG)
async def test_a_token_that_is_wrong_in_one_thing_is_refused_and_not_spent(
    keyring: Keyring, changed: dict[str, Any], code: str, status: int
) -> None:
    checks = verifier(keyring)
    with pytest.raises(ResourceError) as refused:
        await checks.verify(bearer(keyring, **changed), details=pays_bob_25)
    assert (refused.value.code, refused.value.status) == (code, status)
    assert await checks.verify(bearer(keyring), details=pays_bob_25)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "missing_token"),
        ("", "missing_token"),
        ("Basic YTpi", "missing_token"),
        ("Bearer", "invalid_token"),
        ("Bearer a.b.c", "invalid_token"),
        ("Bearer " + "x" * 500_000, "invalid_token"),
    ],
    ids=["none", "empty", "basic", "blank", "garbage", "huge"],
)
async def test_a_request_without_a_token_is_refused(
    keyring: Keyring, header: str | None, code: str
) -> None:
    with pytest.raises(ResourceError) as refused:
        await verifier(keyring).verify(header)
    assert refused.value.code == code


async def test_no_credentials_are_told_no_error(keyring: Keyring) -> None:
    with pytest.raises(ResourceError) as refused:
        await verifier(keyring).verify(None)
    assert refused.value.headers["www-authenticate"] == "Bearer"


async def test_a_check_that_answers_anything_but_true_is_a_no(keyring: Keyring) -> None:
    def missing(details: Any) -> Any:
        return details["missing"]

    def truthy(details: Any) -> Any:
        return details

    for check in (missing, truthy):
        with pytest.raises(ResourceError):
            await verifier(keyring).verify(bearer(keyring), details=check)


@pytest.fixture(params=["memory", "sqlite"])
def single_use(request: pytest.FixtureRequest, tmp_path: Path) -> SingleUse:
    if request.param == "memory":
        return MemorySingleUse(clock=NOW.timestamp)
    return SqliteSingleUse(tmp_path / "spent.db", clock=NOW.timestamp)


async def test_of_fifty_parallel_uses_one_passes(keyring: Keyring, single_use: SingleUse) -> None:
    checks, authorization = verifier(keyring, single_use=single_use), bearer(keyring)
    uses = (checks.verify(authorization) for _ in range(50))
    outcomes = await asyncio.gather(*uses, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert all(
        isinstance(outcome, ResourceError)
        for outcome in outcomes
        if isinstance(outcome, BaseException)
    )


async def test_one_issuers_token_does_not_spend_anothers(single_use: SingleUse) -> None:
    at = NOW + timedelta(seconds=60)
    assert await single_use.spend(issuer="a", jti="b", expires_at=at)
    assert await single_use.spend(issuer="b", jti="b", expires_at=at)
    assert not await single_use.spend(issuer="a", jti="b", expires_at=at)


async def test_a_spent_token_stays_spent_over_a_restart_and_in_another_process(
    tmp_path: Path,
) -> None:
    times = [NOW.timestamp()]
    path, at = tmp_path / "spent.db", NOW + timedelta(seconds=60)

    def clock() -> float:
        return times[0]

    assert await SqliteSingleUse(path, clock=clock).spend(issuer="a", jti="b", expires_at=at)
    again = SqliteSingleUse(path, clock=clock)
    assert not await again.spend(issuer="a", jti="b", expires_at=at)
    times[0] += 3600 + 59
    assert not await again.spend(issuer="a", jti="b", expires_at=at)


async def test_a_full_memory_refuses_rather_than_forgets() -> None:
    times = [NOW.timestamp()]
    spent, at = MemorySingleUse(limit=2, clock=lambda: times[0]), NOW + timedelta(seconds=60)
    assert await spent.spend(issuer="a", jti="1", expires_at=at)
    assert await spent.spend(issuer="a", jti="2", expires_at=at)
    assert not await spent.spend(issuer="a", jti="3", expires_at=at)
    times[0] += 3661
    assert await spent.spend(issuer="a", jti="3", expires_at=at + timedelta(hours=2))


@pytest.fixture
async def guarded(keyring: Keyring) -> AsyncGenerator[httpx2.AsyncClient, None]:
    async def pay(request: Request) -> Response:
        token = request.scope[SCOPE_KEY]
        await checks.take(token, details=pays_bob_25)
        return JSONResponse({"paid_by": token.sub})

    checks = verifier(keyring)
    app = RequireToken(Starlette(routes=[Route("/pay", pay, methods=["POST"])]), verifier=checks)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="https://bank.example"
    ) as client:
        yield client


async def test_the_middleware_lets_a_good_token_through_and_the_handler_spends_it(
    keyring: Keyring, guarded: httpx2.AsyncClient
) -> None:
    headers = {"Authorization": bearer(keyring)}
    assert (await guarded.post("/pay", headers=headers)).json() == {"paid_by": "alice"}
    with pytest.raises(ResourceError):
        await guarded.post("/pay", headers=headers)


async def test_the_middleware_answers_a_bad_token_itself_on_every_path(
    keyring: Keyring, guarded: httpx2.AsyncClient
) -> None:
    none = await guarded.get("/anything")
    assert (none.status_code, none.headers["www-authenticate"]) == (401, "Bearer")
    assert none.json() == {"error": "missing_token"}
    bad = await guarded.post("/pay", headers={"Authorization": bearer(keyring, scope="x")})
    assert (bad.status_code, bad.json()) == (403, {"error": "insufficient_scope"})
    assert bad.headers["cache-control"] == "no-store"
    good = bearer(keyring)
    two = await guarded.post("/pay", headers=[("Authorization", good), ("Authorization", good)])
    assert two.status_code == 401


@pytest.mark.seed("CIBA-68")
async def test_the_middleware_takes_a_bound_token_only_with_its_proof_and_its_own_address(
    keyring: Keyring, clock: TurnedClock
) -> None:
    holder = KeyHolder(clock, issuer=ISSUER)
    token = bearer(keyring, cnf={"jkt": holder.jkt}).removeprefix("Bearer ")
    checks = verifier(keyring, now=clock)

    async def who(request: Request) -> Response:
        return JSONResponse({"scheme": request.scope[SCOPE_KEY].scheme})

    async def ask(public_url: str | None, *proofs: str, scheme: str = "DPoP") -> httpx2.Response:
        inner = Starlette(routes=[Route("/pay/{name}", who, methods=["POST"])])
        app = RequireToken(inner, verifier=checks, public_url=public_url)
        headers = [("authorization", f"{scheme} {token}"), *(("dpop", one) for one in proofs)]
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://inside"
        ) as client:
            return await client.post("/pay/a%20b?x=1", headers=headers)

    public, place = "https://bank.example/", "https://bank.example/pay/a%20b"
    answer = await ask(public, holder.proof("POST", place, token=token))
    assert answer.json() == {"scheme": "DPoP"}
    algorithms = 'algs="ES256 PS256 Ed25519 EdDSA"'
    invalid_proof = f'DPoP error="invalid_dpop_proof", {algorithms}'
    for answer, challenge in (
        (await ask(public), invalid_proof),
        (await ask(public, *[holder.proof("POST", place, token=token)] * 2), invalid_proof),
        (await ask(public, holder.proof("POST", f"{place}/", token=token)), invalid_proof),
        (
            await ask(public, holder.proof("POST", place, token=token), scheme="Bearer"),
            f'Bearer error="invalid_token", DPoP {algorithms}',
        ),
        (
            await ask(None, holder.proof("POST", "http://inside/pay/a%20b", token=token)),
            f'DPoP error="invalid_token", {algorithms}',
        ),
    ):
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
