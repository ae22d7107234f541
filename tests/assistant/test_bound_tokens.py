"""Tokens bound to a key at `/mcp` (RFC 9449 §7): a proof for this very request, once."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from as_parts import ISSUER, Provider, basic, running_provider
from conftest import TurnedClock
from dpop_parts import KeyHolder
from signoff.assistant.auth import CALLER_KEY, AccessTokens, BearerGuard, LocalToken, either
from signoff.assistant.step_up import StepUp
from signoff.assistant.strict import StrictJson
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

RESOURCE = f"{ISSUER}/mcp"
LOCAL = "sgl_" + "x" * 43
ALGORITHMS = 'algs="ES256 PS256 Ed25519 EdDSA"'
METADATA = f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource/mcp"'

Ask = Callable[..., Awaitable[httpx2.Response]]


@pytest.fixture
async def provider(database: Database, sealer: Sealer) -> Any:
    async with running_provider(database, sealer) as running:
        yield running


@pytest.fixture
def holder(clock: TurnedClock) -> KeyHolder:
    return KeyHolder(clock, issuer=ISSUER)


@pytest.fixture
async def token(provider: Provider, holder: KeyHolder) -> str:
    client = await provider.other_client(scopes=["mcp"], audiences=[RESOURCE])
    answer = await holder.token(
        provider.http, {"grant_type": "client_credentials"}, auth=basic(client)
    )
    assert answer.json()["token_type"] == "DPoP"
    return answer.json()["access_token"]


@pytest.fixture
async def ask(provider: Provider, clock: TurnedClock) -> Any:
    """Send one request to `/mcp` with the headers given."""

    async def whoami(request: Request) -> JSONResponse:
        return JSONResponse(request.scope[CALLER_KEY].as_json())

    async def needed(*_: Any) -> frozenset[str]:
        return frozenset({"payments"})

    inner = Starlette(routes=[Route("/mcp", whoami, methods=["POST", "GET"])])
    tokens = AccessTokens(provider.keyring, issuer=ISSUER, resource=RESOURCE, now=clock)
    guard = BearerGuard(
        StrictJson(StepUp(inner, needed=needed, public_url=ISSUER)),
        authenticate=either(LocalToken(LOCAL, local_user="alice"), tokens),
        public_url=ISSUER,
    )
    transport = httpx2.ASGITransport(guard)

    async def asked(
        authorization: str, *proofs: str, method: str = "POST", body: str = "{}"
    ) -> httpx2.Response:
        headers = [("authorization", authorization), *(("dpop", proof) for proof in proofs)]
        # Another Host must not make another address of us.
        async with httpx2.AsyncClient(transport=transport, base_url="http://elsewhere") as client:
            return await client.request(method, "/mcp", headers=headers, content=body)

    return asked


async def test_a_bound_token_with_a_proof_by_its_key_is_a_caller(
    ask: Ask, holder: KeyHolder, token: str
) -> None:
    answer = await ask(f"DPoP {token}", holder.proof("POST", RESOURCE, token=token))
    assert answer.status_code == 200
    assert answer.json()["kind"] == "oauth"
    again = await ask(f"dpop {token}", holder.proof("POST", RESOURCE, token=token))
    assert again.status_code == 200


async def test_a_bound_token_shown_as_a_bearers_is_refused(
    ask: Ask, holder: KeyHolder, token: str
) -> None:
    for proofs in ((), (holder.proof("POST", RESOURCE, token=token),)):
        answer = await ask(f"Bearer {token}", *proofs)
        assert answer.status_code == 401
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer error="invalid_token", error_description="')
        assert challenge.endswith(f'{METADATA}, scope="mcp", DPoP {ALGORITHMS}')


@pytest.mark.parametrize(
    "changed",
    [
        {"htm": "GET"},
        {"htu": f"{ISSUER}/oauth2/token"},
        {"htu": "http://elsewhere/mcp"},
        {"ath": None},
        {"ath": "of-another-token"},
        {"iat": 0},
        {"iat": 4_102_444_800},
        {"jti": None},
    ],
)
async def test_a_proof_for_anything_else_is_refused(
    ask: Ask, holder: KeyHolder, token: str, changed: dict[str, Any]
) -> None:
    proof = holder.proof("POST", RESOURCE, token=token, **changed)
    refused(await ask(f"DPoP {token}", proof))


async def test_a_proof_is_taken_once(ask: Ask, holder: KeyHolder, token: str) -> None:
    proof = holder.proof("POST", RESOURCE, token=token)
    assert (await ask(f"DPoP {token}", proof)).status_code == 200
    refused(await ask(f"DPoP {token}", proof))


async def test_a_proof_by_another_key_is_refused(ask: Ask, clock: TurnedClock, token: str) -> None:
    thief = KeyHolder(clock, issuer=ISSUER)
    refused(await ask(f"DPoP {token}", thief.proof("POST", RESOURCE, token=token)))


async def test_without_exactly_one_proof_a_bound_token_is_refused(
    ask: Ask, holder: KeyHolder, token: str
) -> None:
    refused(await ask(f"DPoP {token}"))
    both = [holder.proof("POST", RESOURCE, token=token) for _ in range(2)]
    refused(await ask(f"DPoP {token}", *both))
    refused(await ask(f"DPoP {token}", "x" * 9000))


async def test_what_is_bound_to_no_key_is_not_made_so_by_a_proof(
    ask: Ask, provider: Provider, holder: KeyHolder
) -> None:
    client = await provider.other_client(scopes=["mcp"], audiences=[RESOURCE])
    form = {"grant_type": "client_credentials"}
    bearer = (await provider.post("/oauth2/token", form, auth=basic(client))).json()
    for shown in (bearer["access_token"], LOCAL):
        assert (await ask(f"Bearer {shown}")).status_code == 200
        answer = await ask(f"DPoP {shown}", holder.proof("POST", RESOURCE, token=shown))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('DPoP error="invalid_token"')


async def test_a_step_up_is_asked_for_by_the_scheme_that_was_used(
    ask: Ask, holder: KeyHolder, token: str
) -> None:
    body = '{"method": "tools/call", "params": {"name": "pay"}}'
    answer = await ask(f"DPoP {token}", holder.proof("POST", RESOURCE, token=token), body=body)
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].startswith('DPoP error="insufficient_scope"')


def refused(answer: httpx2.Response) -> None:
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_dpop_proof"
    assert answer.headers["www-authenticate"] == (
        'DPoP error="invalid_dpop_proof", error_description="the DPoP proof does not hold", '
        f'{METADATA}, scope="mcp", {ALGORITHMS}'
    )
