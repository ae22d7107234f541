"""Client authentication: three methods, one answer to every failure."""

import asyncio
import base64
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from as_parts import ISSUER, Provider, basic, refused, running_provider
from conftest import TurnedClock
from signoff.oauth.clients import Issued
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

KEY = ECKey.generate_key("P-256", {"kid": "one"})
FORM = {"grant_type": "client_credentials"}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def jwks(*keys: Any) -> str:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


def assertion(
    client_id: str,
    clock: TurnedClock,
    *,
    key: Any = KEY,
    alg: str = "ES256",
    header: dict[str, Any] | None = None,
    **changed: Any,
) -> str:
    now = int(clock().timestamp())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": ISSUER,
        "jti": "first",
        "iat": now,
        "exp": now + 60,
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": "one", **(header or {})}, kept, key, algorithms=[alg])


async def with_key(provider: Provider) -> Issued:
    return await provider.other_client(jwks=jwks(KEY))


async def token(provider: Provider, **form: Any) -> httpx2.Response:
    return await provider.post("/oauth2/token", {**FORM, **form}, auth=None)


async def by_assertion(provider: Provider, jwt_: str, **form: Any) -> httpx2.Response:
    return await token(provider, client_assertion_type=ASSERTION, client_assertion=jwt_, **form)


@pytest.mark.seed("CIBA-14")
@pytest.mark.seed("B1")
async def test_a_secret_opens_in_the_header_and_in_the_body(provider: Provider) -> None:
    issued = await provider.other_client()
    in_header = await provider.post("/oauth2/token", FORM, auth=basic(issued))
    in_body = await token(provider, client_id=issued.client.id, client_secret=issued.secret)
    assert (in_header.status_code, in_body.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("encoded", "code", "status"),
    [
        (b"the-gate%27s%20secret%3Awith%25signs", "unauthorized_client", 400),
        (b"the-gate%27s+secret%3Awith%25signs", "unauthorized_client", 400),
        (b"the-gate%27s%2Bsecret%3Awith%25signs", "invalid_client", 401),
    ],
)
async def test_a_secret_with_reserved_characters_is_form_decoded(
    provider: Provider, encoded: bytes, code: str, status: int
) -> None:
    raw = base64.b64encode(b"signoff-gate:" + encoded).decode()
    response = await provider.post(
        "/oauth2/token", FORM, auth=None, headers={"Authorization": f"Basic {raw}"}
    )
    refused(response, code, status=status)


@pytest.mark.seed("C1")
@pytest.mark.seed("CIBA-14")
async def test_unknown_wrong_disabled_expired_and_deleted_are_one_answer(
    provider: Provider, clock: TurnedClock
) -> None:
    wrong = await provider.other_client()
    off = await provider.other_client()
    expired = await provider.other_client(expires_in=timedelta(hours=1))
    deleted = await provider.other_client()
    keyed = await with_key(provider)
    await provider.people.disable(off.client.id, by="operator")
    await provider.clients.delete(deleted.client.id, by="operator")
    clock.turn(3600)
    answers = [
        await provider.post("/oauth2/token", FORM, auth=auth)
        for auth in (
            httpx2.BasicAuth("nobody", "secret"),
            httpx2.BasicAuth(wrong.client.id, "secret"),
            httpx2.BasicAuth(keyed.client.id, "secret"),
            httpx2.BasicAuth(wrong.client.id, "\x00" * 32),
            basic(off),
            basic(expired),
            basic(deleted),
        )
    ]
    for answer in answers:
        refused(answer, "invalid_client", status=401)
        assert answer.headers["www-authenticate"] == 'Basic realm="signoff", charset="UTF-8"'
    assert len({(answer.content, str(answer.headers)) for answer in answers}) == 1


async def test_what_changes_of_a_client_counts_at_its_very_next_request(
    provider: Provider,
) -> None:
    """What is known of a client is understood once, and read every time."""

    async def opens(auth: httpx2.BasicAuth, scope: str = "payments") -> int:
        answer = await provider.post("/oauth2/token", {**FORM, "scope": scope}, auth=auth)
        return answer.status_code

    first = await provider.other_client()
    client_id = first.client.id
    assert await opens(basic(first)) == 200
    await provider.people.disable(client_id, by="operator")
    assert await opens(basic(first)) == 401
    await provider.people.enable(client_id, by="operator")
    assert await opens(basic(first)) == 200
    second = await provider.clients.rotate(client_id, by="operator")
    assert (await opens(basic(first)), await opens(basic(second))) == (401, 200)
    third = await provider.clients.rotate(client_id, by="operator", overlap=timedelta(hours=1))
    assert (await opens(basic(second)), await opens(basic(third))) == (200, 200)
    await provider.clients.update(client_id, by="operator", scopes=["reports"])
    assert (await opens(basic(third)), await opens(basic(third), "reports")) == (400, 200)
    await provider.clients.delete(client_id, by="operator")
    assert await opens(basic(third)) == 401


async def test_an_overlap_that_ends_closes_a_client_that_did_not_change(
    provider: Provider, clock: TurnedClock
) -> None:
    first = await provider.other_client()
    await provider.clients.rotate(first.client.id, by="operator", overlap=timedelta(hours=1))
    for turned, status in ((3599, 200), (1, 401)):
        clock.turn(turned)
        answer = await provider.post("/oauth2/token", FORM, auth=basic(first))
        assert answer.status_code == status


@pytest.mark.parametrize(
    "header",
    [
        "Bearer abc",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no-colon").decode(),
        "Basic " + base64.b64encode(b":secret").decode(),
        "Basic " + base64.b64encode(b"id:").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Basic " + base64.b64encode(b"i" * 300 + b":x").decode(),
    ],
)
async def test_a_malformed_header_is_a_failed_authentication(
    provider: Provider, header: str
) -> None:
    response = await provider.post(
        "/oauth2/token", FORM, auth=None, headers={"Authorization": header}
    )
    refused(response, "invalid_client", status=401)


@pytest.mark.seed("CIBA-14")
@pytest.mark.seed("CIBA-58")
async def test_a_public_client_is_refused(provider: Provider) -> None:
    response = await token(provider, client_id="signoff-gate")
    refused(response, "invalid_client", status=401)
    assert "www-authenticate" not in response.headers


async def test_two_methods_in_one_request_are_refused(provider: Provider) -> None:
    issued = await provider.other_client()
    form = {**FORM, "client_id": issued.client.id, "client_secret": issued.secret}
    refused(await provider.post("/oauth2/token", form, auth=basic(issued)), "invalid_request")
    form = {**FORM, "client_id": "another"}
    refused(await provider.post("/oauth2/token", form, auth=basic(issued)), "invalid_request")


async def test_a_signed_assertion_opens_once(provider: Provider, clock: TurnedClock) -> None:
    issued = await with_key(provider)
    assert issued.secret is None
    signed = assertion(issued.client.id, clock)
    assert (await by_assertion(provider, signed)).status_code == 200
    refused(await by_assertion(provider, signed), "invalid_client", status=401)


async def test_of_fifty_parallel_uses_of_an_assertion_one_opens(
    provider: Provider, clock: TurnedClock
) -> None:
    issued = await with_key(provider)
    signed = assertion(issued.client.id, clock)
    answers = await asyncio.gather(*(by_assertion(provider, signed) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 49}


async def test_one_clients_assertion_id_does_not_spend_anothers(
    provider: Provider, clock: TurnedClock
) -> None:
    for issued in (await with_key(provider), await with_key(provider)):
        signed = assertion(issued.client.id, clock)
        assert (await by_assertion(provider, signed)).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": f"{ISSUER}/oauth2/token"},
        {"aud": [ISSUER, "https://elsewhere.example"]},
        {"aud": []},
        {"aud": None},
        {"iss": "somebody-else"},
        {"jti": None},
        {"jti": ""},
        {"jti": 1},
        {"exp": None},
        {"exp": "2099-01-01"},
        {"exp": True},
        {"exp": 10**400},
        {"exp": 0},
        {"exp": 1_795_356_000 + 3600 + 60},
        {"exp": 4_102_444_800},
        {"nbf": 4_102_444_800},
        {"iat": 4_102_444_800},
        {"key": ECKey.generate_key("P-256")},
        {"key": OctKey.import_key("secret" * 10), "alg": "HS256"},
        {"key": RSAKey.generate_key(2048), "alg": "RS256"},
        {"header": {"kid": "../../etc/passwd"}},
        {"header": {"kid": "x" * 300}},
        {"header": {"typ": "at+jwt"}},
        {"header": {"jwk": KEY.as_dict(private=False), "kid": "two"}},
    ],
)
async def test_an_assertion_that_does_not_hold_is_refused(
    provider: Provider, clock: TurnedClock, changed: dict[str, Any]
) -> None:
    issued = await with_key(provider)
    response = await by_assertion(provider, assertion(issued.client.id, clock, **changed))
    refused(response, "invalid_client", status=401)


@pytest.mark.parametrize("jwt_", ["", "a.b", "a.b.c", "x" * 200_000, "é.é.é"])
async def test_an_assertion_that_is_no_token_is_refused(provider: Provider, jwt_: str) -> None:
    response = await by_assertion(provider, jwt_)
    refused(response, "invalid_client", status=401)


async def test_an_assertion_of_another_type_is_refused(
    provider: Provider, clock: TurnedClock
) -> None:
    issued = await with_key(provider)
    signed = assertion(issued.client.id, clock)
    refused(
        await token(provider, client_assertion=signed, client_assertion_type="saml"),
        "invalid_request",
    )
    refused(await by_assertion(provider, signed, client_id="another"), "invalid_request")


async def test_an_assertion_opens_no_client_that_has_a_secret(
    provider: Provider, clock: TurnedClock
) -> None:
    issued = await provider.other_client()
    response = await by_assertion(provider, assertion(issued.client.id, clock))
    refused(response, "invalid_client", status=401)


@pytest.mark.seed("CIBA-15")
@pytest.mark.parametrize("path", ["", "/oauth2/token", "/oauth2/bc-authorize"])
async def test_the_audiences_of_ciba_are_taken_where_they_are_switched_on(
    database: Database, sealer: Sealer, clock: TurnedClock, path: str
) -> None:
    async with running_provider(database, sealer, assertion_audience="ciba") as provider:
        issued = await with_key(provider)
        signed = assertion(issued.client.id, clock, aud=[ISSUER + path])
        assert (await by_assertion(provider, signed)).status_code == 200
