"""Tokens bound to a key: proved at the token endpoint, refused without the key everywhere else."""

import asyncio
import base64
import hashlib
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from as_parts import BANK, ISSUER, Provider, basic, refused
from conftest import TurnedClock
from signoff.oauth.clients import ClientError, Issued
from signoff.oauth.delivery import Delivery
from signoff.resource import ResourceError, ResourceVerifier
from signoff.tokens.dpop import Sent
from signoff.tokens.verify import unverified_claims

KEY = ECKey.generate_key("P-256")
TOKEN_URL = f"{ISSUER}/oauth2/token"
FORM = {"grant_type": "client_credentials", "resource": BANK}


def proof(
    clock: TurnedClock, *, key: Any = KEY, header: dict[str, Any] | None = None, **changed: Any
) -> str:
    claims = {
        "htm": "POST",
        "htu": TOKEN_URL,
        "iat": int(clock().timestamp()),
        "jti": "proof-1",
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    full = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False), **(header or {})}
    return jwt.encode(
        {name: value for name, value in full.items() if value is not None},
        kept,
        key,
        algorithms=[full["alg"]],
    )


async def send(
    provider: Provider, client: Issued, *proofs: str, form: dict[str, Any] | None = None
) -> httpx2.Response:
    headers = [("dpop", each) for each in proofs]
    return await provider.http.post(
        "/oauth2/token", data=form or FORM, headers=headers, auth=basic(client)
    )


async def nonce(provider: Provider, client: Issued, clock: TurnedClock) -> str:
    response = await send(provider, client, proof(clock, jti="first"))
    refused(response, "use_dpop_nonce")
    return response.headers["dpop-nonce"]


def thumbprint(key: Any) -> str:
    return str(key.thumbprint())


@pytest.mark.seed("CIBA-68")
async def test_a_proved_key_is_what_the_token_is_bound_to(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    given = await nonce(provider, client, clock)
    answer = (await send(provider, client, proof(clock, nonce=given))).json()
    assert answer["token_type"] == "DPoP"
    assert unverified_claims(answer["access_token"])["cnf"] == {"jkt": thumbprint(KEY)}


@pytest.mark.seed("CIBA-68")
async def test_the_tokens_of_a_decision_are_bound_to_the_key_of_the_poll(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    auth_req_id = await provider.asked(
        auth=basic(client), authorization_details=None, resource=None
    )
    await provider.decide(auth_req_id, client_id=client.client.id)
    form = {"grant_type": "urn:openid:params:grant-type:ciba", "auth_req_id": auth_req_id}
    first = await send(provider, client, proof(clock, jti="first"), form=form)
    refused(first, "use_dpop_nonce")  # and the yes is not spent by it
    signed = proof(clock, nonce=first.headers["dpop-nonce"])
    answer = (await send(provider, client, signed, form=form)).json()
    assert answer["token_type"] == "DPoP"
    assert unverified_claims(answer["access_token"])["cnf"] == {"jkt": thumbprint(KEY)}


async def test_without_a_proof_a_token_is_a_bearer_token(provider: Provider) -> None:
    client = await provider.other_client()
    answer = (await send(provider, client)).json()
    assert answer["token_type"] == "Bearer"
    assert "cnf" not in unverified_claims(answer["access_token"])


async def test_a_client_registered_for_bound_tokens_gets_no_other(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client(dpop_bound=True)
    refused(await send(provider, client), "invalid_dpop_proof")
    given = await nonce(provider, client, clock)
    assert (await send(provider, client, proof(clock, nonce=given))).status_code == 200


async def test_a_client_with_bound_tokens_cannot_have_them_pushed(provider: Provider) -> None:
    push = Delivery(mode="push", notification_endpoint="https://client.example/ciba")
    with pytest.raises(ClientError):
        await provider.other_client(dpop_bound=True, delivery=push)


@pytest.mark.parametrize(
    "changed",
    [
        {"htm": "GET"},
        {"htm": None},
        {"htu": f"{ISSUER}/oauth2/revoke"},
        {"htu": "https://localhost:8420/oauth2/token"},
        {"htu": "http://localhost:1/oauth2/token"},
        {"htu": "http://[bad"},
        {"htu": None},
        {"iat": None},
        {"iat": 0},
        {"iat": 4_102_444_800},
        {"iat": "now"},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 257},
        {"nonce": 7},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": None}},
        {"header": {"jwk": None}},
        {"header": {"jwk": KEY.as_dict(private=True)}},
        {"header": {"jwk": ECKey.generate_key("P-256").as_dict(private=False)}},
        {"key": OctKey.import_key("k" * 40), "header": {"alg": "HS256"}},
    ],
)
async def test_a_proof_that_does_not_hold_is_refused(
    provider: Provider, clock: TurnedClock, changed: dict[str, Any]
) -> None:
    client = await provider.other_client()
    given: Any = await nonce(provider, client, clock)
    refused(
        await send(provider, client, proof(clock, **{"nonce": given, **changed})),
        "invalid_dpop_proof",
    )


@pytest.mark.parametrize("text", ["", "a.b.c", "x" * 9000])
async def test_what_is_no_proof_is_refused(provider: Provider, text: str) -> None:
    client = await provider.other_client()
    refused(await send(provider, client, text), "invalid_dpop_proof")


async def test_two_proofs_are_refused(provider: Provider, clock: TurnedClock) -> None:
    client = await provider.other_client()
    given = await nonce(provider, client, clock)
    both = [proof(clock, nonce=given), proof(clock, nonce=given, jti="proof-2")]
    refused(await send(provider, client, *both), "invalid_dpop_proof")


async def test_of_fifty_parallel_uses_of_a_proof_one_counts(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    signed = proof(clock, nonce=await nonce(provider, client, clock))
    answers = await asyncio.gather(*(send(provider, client, signed) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49


async def test_a_nonce_lives_for_its_period_and_the_next(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    given = await nonce(provider, client, clock)
    clock.turn(120)
    assert (await send(provider, client, proof(clock, nonce=given))).status_code == 200
    clock.turn(120)
    late = proof(clock, nonce=given, jti="proof-2")
    refused(await send(provider, client, late), "use_dpop_nonce")
    refused(await send(provider, client, proof(clock, nonce="mine")), "use_dpop_nonce")


@pytest.mark.parametrize(
    ("key", "alg"),
    [(RSAKey.generate_key(2048), "PS256"), (OKPKey.generate_key("Ed25519"), "Ed25519")],
    ids=["PS256", "Ed25519"],
)
async def test_every_algorithm_of_the_metadata_proves(
    provider: Provider, clock: TurnedClock, key: Any, alg: str
) -> None:
    client = await provider.other_client()
    given = await nonce(provider, client, clock)
    signed = proof(clock, key=key, header={"alg": alg}, nonce=given)
    assert (await send(provider, client, signed)).status_code == 200


@pytest.mark.parametrize("htu", ["HTTP://LOCALHOST:8420/oauth2/token", f"{TOKEN_URL}?x=1#y"])
async def test_an_address_is_compared_as_the_same_place(
    provider: Provider, clock: TurnedClock, htu: str
) -> None:
    client = await provider.other_client()
    given = await nonce(provider, client, clock)
    response = await send(provider, client, proof(clock, nonce=given, htu=htu))
    assert response.status_code == 200


# at a resource ---------------------------------------------------------------------------------

PLACE = f"{BANK}/transfers"


async def bound_token(provider: Provider, clock: TurnedClock, **form: Any) -> str:
    client = await provider.other_client(
        scopes=["payments", "mcp"], audiences=[BANK, f"{ISSUER}/mcp"]
    )
    given = await nonce(provider, client, clock)
    response = await send(provider, client, proof(clock, nonce=given), form={**FORM, **form})
    return response.json()["access_token"]


def verifier(provider: Provider, clock: TurnedClock) -> ResourceVerifier:
    return ResourceVerifier(issuer=ISSUER, audience=BANK, keys=provider.keyring, now=clock)


def shown(clock: TurnedClock, token: str, **changed: Any) -> Sent:
    ath = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    claims: dict[str, Any] = {"htu": PLACE, "ath": ath, "jti": "at-the-bank", **changed}
    return Sent(method="POST", url=PLACE, proof=proof(clock, **claims))


async def test_a_resource_takes_a_bound_token_with_a_proof_by_its_key_once(
    provider: Provider, clock: TurnedClock
) -> None:
    token = await bound_token(provider, clock)
    bank, sent = verifier(provider, clock), shown(clock, token)
    verified = await bank.verify(f"DPoP {token}", sent=sent)
    assert verified.scopes == {"payments", "mcp"}
    with pytest.raises(ResourceError, match="used before"):
        await bank.verify(f"DPoP {token}", sent=sent)
    again = shown(clock, token, jti="another")
    await bank.verify(f"DPoP {token}", sent=again)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": ECKey.generate_key("P-256")},
        {"ath": "of-another-token"},
        {"ath": None},
        {"htu": f"{BANK}/accounts"},
        {"htm": "GET"},
        {"iat": 0},
    ],
)
async def test_a_resource_refuses_a_proof_that_does_not_fit(
    provider: Provider, clock: TurnedClock, changed: dict[str, Any]
) -> None:
    token = await bound_token(provider, clock)
    with pytest.raises(ResourceError) as refused_:
        await verifier(provider, clock).verify(f"DPoP {token}", sent=shown(clock, token, **changed))
    assert (refused_.value.status, refused_.value.headers["www-authenticate"]) == (
        401,
        'DPoP error="invalid_dpop_proof", algs="ES256 PS256 Ed25519 EdDSA"',
    )


async def test_a_bound_token_opens_nothing_as_a_bearer_token(
    provider: Provider, clock: TurnedClock
) -> None:
    token = await bound_token(provider, clock)
    algorithms = 'algs="ES256 PS256 Ed25519 EdDSA"'
    for header, sent, challenge in (
        (f"Bearer {token}", None, 'Bearer error="invalid_token"'),
        (
            f"Bearer {token}",
            shown(clock, token),
            f'Bearer error="invalid_token", DPoP {algorithms}',
        ),
        (f"DPoP {token}", None, f'DPoP error="invalid_token", {algorithms}'),
        (
            f"DPoP {token}",
            Sent(method="POST", url=PLACE, proof=None),
            f'DPoP error="invalid_dpop_proof", {algorithms}',
        ),
        (None, shown(clock, token), f"Bearer, DPoP {algorithms}"),
    ):
        with pytest.raises(ResourceError) as refused_:
            await verifier(provider, clock).verify(header, sent=sent)
        assert refused_.value.headers["www-authenticate"] == challenge


async def test_a_bearer_token_is_not_made_a_bound_one_by_a_proof(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    token = (await send(provider, client)).json()["access_token"]
    with pytest.raises(ResourceError, match="invalid_token"):
        await verifier(provider, clock).verify(f"DPoP {token}", sent=shown(clock, token))
