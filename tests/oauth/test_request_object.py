"""Signed backchannel requests: every claim counts, each is taken once, nothing stands outside."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from as_parts import BANK, ISSUER, Provider, basic, refused
from conftest import TurnedClock
from signoff.oauth.clients import Issued
from signoff.oauth.delivery import Delivery

KEY = ECKey.generate_key("P-256", {"kid": "one"})
RSA = RSAKey.generate_key(2048, {"kid": "two"})
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def signing(provider: Provider, **more: Any) -> Issued:
    jwks = {"keys": [key.as_dict(private=False) for key in (KEY, RSA)]}
    return await provider.other_client(jwks=json.dumps(jwks), **more)


def signed(
    client: Issued,
    clock: TurnedClock,
    *,
    key: Any = KEY,
    header: dict[str, Any] | None = None,
    **changed: Any,
) -> str:
    now = int(clock().timestamp())
    claims = {
        "iss": client.client.id,
        "aud": ISSUER,
        "iat": now,
        "nbf": now,
        "exp": now + 300,
        "jti": "request-1",
        "scope": "openid",
        "login_hint": "alice",
        "binding_message": "W4SCT",
        "requested_expiry": "120",
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    full = {"alg": "ES256", "kid": "one", **(header or {})}
    return jwt.encode(full, kept, key, algorithms=[full["alg"]])


def assertion(client: Issued, clock: TurnedClock, jti: str) -> dict[str, str]:
    now = int(clock().timestamp())
    claims = {
        "iss": client.client.id,
        "sub": client.client.id,
        "aud": ISSUER,
        "jti": jti,
        "iat": now,
        "exp": now + 60,
    }
    token = jwt.encode({"alg": "ES256", "kid": "one"}, claims, KEY)
    return {"client_assertion_type": ASSERTION, "client_assertion": token}


async def send(
    provider: Provider,
    client: Issued,
    clock: TurnedClock,
    request: str,
    *,
    jti: str = "a-1",
    **outside: Any,
) -> httpx2.Response:
    form = {"request": request, **assertion(client, clock, jti), **outside}
    return await provider.post("/oauth2/bc-authorize", form, auth=None)


@pytest.mark.seed("CIBA-31")
@pytest.mark.seed("CIBA-28")
@pytest.mark.seed("CIBA-29")
@pytest.mark.parametrize("typ", [None, "JWT", "oauth-authz-req+jwt"])
async def test_a_signed_request_is_a_request_like_any_other(
    provider: Provider, clock: TurnedClock, typ: str | None
) -> None:
    client = await signing(provider)
    details = [{"type": "payment", "amount": 25}]
    header = {} if typ is None else {"typ": typ}
    request = signed(
        client,
        clock,
        header=header,
        authorization_details=details,
        resource=BANK,
        unknown={"a": 1},
    )
    response = await send(provider, client, clock, request)
    assert response.status_code == 200, response.text
    assert response.json()["expires_in"] == 120
    card = await provider.card(response.json()["auth_req_id"], client_id=client.client.id)
    assert card.binding_message == "W4SCT"
    assert list(card.authorization_details) == details
    assert card.resources == (BANK,)


@pytest.mark.seed("CIBA-26")
@pytest.mark.parametrize("expiry", ["60", 60], ids=["text", "number"])
async def test_an_expiry_in_a_signed_request_is_text_or_number(
    provider: Provider, clock: TurnedClock, expiry: str | int
) -> None:
    client = await signing(provider)
    request = signed(client, clock, requested_expiry=expiry)
    response = await send(provider, client, clock, request)
    assert response.json()["expires_in"] == 60


@pytest.mark.parametrize("expiry", [True, 1.5, [60], {"s": 60}, -1, 0])
async def test_an_expiry_in_a_signed_request_that_is_none_is_refused(
    provider: Provider, clock: TurnedClock, expiry: Any
) -> None:
    client = await signing(provider)
    request = signed(client, clock, requested_expiry=expiry)
    refused(await send(provider, client, clock, request), "invalid_request")


@pytest.mark.seed("CIBA-29")
@pytest.mark.parametrize("claim", ["iss", "aud", "iat", "nbf", "exp", "jti"])
async def test_a_signed_request_without_a_claim_is_refused(
    provider: Provider, clock: TurnedClock, claim: str
) -> None:
    client = await signing(provider)
    request = signed(client, clock, **{claim: None})
    refused(await send(provider, client, clock, request), "invalid_request")


AT = 1_795_356_000  # the turned clock's 14:00


@pytest.mark.seed("CIBA-29")
@pytest.mark.seed("CIBA-65")
@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "another"},
        {"aud": "https://other.example"},
        {"aud": []},
        {"aud": [ISSUER, 1]},
        {"exp": AT - 60},
        {"exp": AT + 4200},
        {"nbf": AT - 4200},
        {"nbf": AT + 600},
        {"iat": AT + 600},
        {"exp": "soon"},
        {"nbf": True},
        {"jti": ""},
        {"jti": 7},
        {"request": "a.b.c"},
        {"request_uri": "urn:x"},
        {"scope": "profile"},
        {"resource": [1]},
    ],
)
async def test_a_signed_request_whose_claim_does_not_hold_is_refused(
    provider: Provider, clock: TurnedClock, changed: dict[str, Any]
) -> None:
    assert clock().timestamp() == AT
    client = await signing(provider)
    code = "invalid_scope" if "scope" in changed else "invalid_request"
    refused(await send(provider, client, clock, signed(client, clock, **changed)), code)


@pytest.mark.seed("CIBA-28")
@pytest.mark.seed("CIBA-31")
async def test_a_request_signed_by_anything_but_the_clients_key_is_refused(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await signing(provider)
    unsigned = "eyJhbGciOiJub25lIn0." + signed(client, clock).split(".")[1] + "."
    for number, request in enumerate([
        signed(client, clock, key=ECKey.generate_key("P-256")),
        signed(client, clock, key=OctKey.import_key("k" * 40), header={"alg": "HS256"}),
        signed(client, clock, header={"typ": "at+jwt"}),
        unsigned,
        "a.b.c.d.e",  # encrypted, so they say
        "nonsense",
    ]):
        response = await send(provider, client, clock, request, jti=f"a-{number}")
        refused(response, "invalid_request")


@pytest.mark.seed("CIBA-31")
async def test_a_client_that_signs_is_bound_to_it_and_to_its_algorithm(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await signing(provider, delivery=Delivery(request_signing_alg="PS256"))
    plain = {"scope": "openid", "login_hint": "alice", **assertion(client, clock, "a-1")}
    refused(await provider.post("/oauth2/bc-authorize", plain, auth=None), "invalid_request")
    other = await send(provider, client, clock, signed(client, clock), jti="a-2")
    refused(other, "invalid_request")
    request = signed(client, clock, key=RSA, header={"alg": "PS256", "kid": "two"})
    assert (await send(provider, client, clock, request, jti="a-3")).status_code == 200


@pytest.mark.seed("CIBA-30")
@pytest.mark.parametrize(
    "outside",
    [
        {"scope": "openid"},
        {"login_hint": "bob"},
        {"binding_message": "other"},
        {"resource": BANK},
        {"anything": "else"},
        {"request_uri": "urn:x"},
    ],
)
async def test_a_parameter_beside_a_signed_request_is_refused(
    provider: Provider, clock: TurnedClock, outside: dict[str, str]
) -> None:
    client = await signing(provider)
    response = await send(provider, client, clock, signed(client, clock), **outside)
    refused(response, "invalid_request")


@pytest.mark.seed("CIBA-32")
async def test_a_signed_request_is_taken_once_even_of_fifty_at_a_time(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await signing(provider)
    request = signed(client, clock)
    answers = await asyncio.gather(
        *(send(provider, client, clock, request, jti=f"a-{number}") for number in range(50))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
    clock.turn(299)
    refused(await send(provider, client, clock, request, jti="late"), "invalid_request")


async def test_the_ids_of_requests_and_of_assertions_are_apart(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await signing(provider)
    request = signed(client, clock, jti="same")
    assert (await send(provider, client, clock, request, jti="same")).status_code == 200


async def test_a_signed_request_of_a_client_without_a_key_is_refused(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    form = {"request": signed(client, clock)}
    response = await provider.post("/oauth2/bc-authorize", form, auth=basic(client))
    refused(response, "invalid_request")


@pytest.mark.seed("CIBA-33")
async def test_authentication_fails_before_the_signed_request_is_looked_at(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await signing(provider)
    form = {"request": "nonsense", **assertion(client, clock, "a-1"), "client_assertion": "a.b.c"}
    response = await provider.post("/oauth2/bc-authorize", form, auth=None)
    refused(response, "invalid_client", status=401)
