"""Clients known by their document that prove themselves by a key (private_key_jwt)."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from as_parts import ISSUER, refused
from conftest import TurnedClock
from document_site import Site, a_site
from dpop_parts import KeyHolder
from host_house import CALLBACK, VERIFIER, HostHouse, host_house, query
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.tokens.verify import unverified_claims

KEY = ECKey.generate_key("P-256", {"kid": "one"})
OTHER = ECKey.generate_key("P-256", {"kid": "two"})
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def keys(*found: ECKey) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in found]}


@pytest.fixture
async def site() -> AsyncGenerator[Site, None]:
    async with a_site() as running:
        yield running


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer, documents={"loopback": True}) as running:
        yield running


def publish(site: Site, **changed: Any) -> None:
    """Serve the document of a client that has a key."""
    members = {"token_endpoint_auth_method": "private_key_jwt", **changed}
    site.serve(site.document(**members))


def assertion(clock: TurnedClock, client_id: str, key: Any = KEY, **changed: Any) -> str:
    at = int(clock().timestamp())
    claims: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": ISSUER,
        "iat": at,
        "exp": at + 60,
        "jti": f"{at}-{len(_JTIS)}",
        **changed,
    }
    _JTIS.append(claims["jti"])
    return jwt.encode({"alg": "ES256", "kid": key.kid, "typ": "JWT"}, claims, key, ["ES256"])


_JTIS: list[str] = []


async def redeem(
    house: HostHouse, code: str, client_id: str, signed: str | None, **changed: Any
) -> httpx2.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "client_id": client_id,
        "code_verifier": VERIFIER,
        "client_assertion": signed,
        "client_assertion_type": None if signed is None else ASSERTION,
        **changed,
    }
    return await house.token(form)


async def refresh(
    house: HostHouse, token: str, client_id: str, signed: str | None
) -> httpx2.Response:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": client_id,
        "client_assertion": signed,
        "client_assertion_type": None if signed is None else ASSERTION,
    }
    return await house.token(form)


async def test_a_client_with_keys_in_its_document_signs_in_by_them(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    publish(site, jwks=keys(KEY))
    code = await house.code(await house.person(), site.url)
    refused(await redeem(house, code, site.url, None), "invalid_client", status=401)
    forged = assertion(clock, site.url, OTHER)
    refused(await redeem(house, code, site.url, forged), "invalid_client", status=401)
    answer = await redeem(house, code, site.url, assertion(clock, site.url))
    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert house.claims(given["access_token"])["client_id"] == site.url
    token = given["refresh_token"]
    refused(await refresh(house, token, site.url, None), "invalid_client", status=401)
    again = await refresh(house, token, site.url, assertion(clock, site.url))
    assert again.status_code == 200, again.text


async def test_an_assertion_counts_once(house: HostHouse, site: Site, clock: TurnedClock) -> None:
    publish(site, jwks=keys(KEY))
    code = await house.code(await house.person(), site.url)
    signed = assertion(clock, site.url)
    assert (await redeem(house, code, site.url, signed)).status_code == 200
    refused(await redeem(house, code, site.url, signed), "invalid_client", status=401)


async def test_keys_at_an_address_are_fetched_with_the_document_and_not_for_each_token(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    publish(site, jwks_uri=site.at("/keys?of=client"))
    site.serve(keys(KEY), path="/keys?of=client")
    code = await house.code(await house.person(), site.url)
    answer = await redeem(house, code, site.url, assertion(clock, site.url))
    assert answer.status_code == 200, answer.text
    assert site.hits == ["GET /client.json HTTP/1.1", "GET /keys?of=client HTTP/1.1"]


async def test_a_key_that_was_replaced_is_believed_no_longer_than_the_document(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    publish(site, jwks_uri=site.at("/keys"))
    site.serve(keys(KEY), "cache-control: max-age=600", path="/keys")
    code = await house.code(await house.person(), site.url)
    given = (await redeem(house, code, site.url, assertion(clock, site.url))).json()
    site.serve(keys(OTHER), "cache-control: max-age=600", path="/keys")
    clock.turn(601)
    stolen = assertion(clock, site.url, KEY)
    token = given["refresh_token"]
    refused(await refresh(house, token, site.url, stolen), "invalid_client", status=401)
    answer = await refresh(house, token, site.url, assertion(clock, site.url, OTHER))
    assert answer.status_code == 200, answer.text


async def test_while_a_site_is_away_its_keys_count_for_another_day_and_no_longer(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    publish(site, jwks=keys(KEY))
    code = await house.code(await house.person(), site.url)
    given = (await redeem(house, code, site.url, assertion(clock, site.url))).json()
    site.serve({}, status="503 Service Unavailable")
    clock.turn(3600 + 86_000)
    signed = assertion(clock, site.url)
    given = (await refresh(house, given["refresh_token"], site.url, signed)).json()
    clock.turn(600)
    signed = assertion(clock, site.url)
    answer = await refresh(house, given["refresh_token"], site.url, signed)
    refused(answer, "invalid_client", status=401)


async def test_an_unknown_id_makes_us_fetch_nothing(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    publish(site, jwks=keys(KEY))
    signed = assertion(clock, site.url)
    refused(await redeem(house, "code", site.url, signed), "invalid_client", status=401)
    assert site.hits == []


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"jwks": keys(KEY), "jwks_uri": "https://client.example/keys"},
        {"jwks": {"keys": []}},
        {"jwks": "keys"},
        {"jwks": {"keys": [KEY.as_dict(private=True)]}},
        {"jwks": {"keys": [OctKey.import_key("secret" * 8).as_dict(private=True)]}},
        {"jwks": {"keys": [{**RSAKey.generate_key(2048).as_dict(private=False), "alg": "RS256"}]}},
        {"jwks": keys(KEY), "token_endpoint_auth_signing_alg": "RS256"},
        {"jwks": keys(KEY), "token_endpoint_auth_signing_alg": "none"},
        {"jwks_uri": 7},
        {"jwks_uri": "ftp://client.example/keys"},
        {"jwks_uri": "http://client.example/keys"},
        {"jwks_uri": "https://user@client.example/keys"},
        {"jwks_uri": "https://client.example/keys#here"},
        {"jwks_uri": "https://[::1]/keys"},
        {"jwks_uri": "https://169.254.169.254/keys"},
        {"jwks_uri": "https://client.example/" + "x" * 3000},
    ],
)
async def test_keys_that_do_not_hold_open_nothing(
    house: HostHouse, site: Site, changed: dict[str, Any]
) -> None:
    publish(site, **changed)
    answer = await (await house.person()).ask(query(site.url))
    assert answer.status_code == 400, answer.text
    assert "client.document_read" not in await house.events()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"<html>", ("content-type: text/html",), "200 OK"),
        (b"{}", (), "200 OK"),
        (b"{}", ("location: http://127.0.0.1:1/",), "302 Found"),
        (b" " * 20_000, (), "200 OK"),
        (b"", (), "500 Internal Server Error"),
    ],
    ids=["html", "no keys", "redirect", "large", "failure"],
)
async def test_an_address_that_does_not_answer_with_keys_opens_nothing(
    house: HostHouse, site: Site, body: bytes, headers: tuple[str, ...], status: str
) -> None:
    publish(site, jwks_uri=site.at("/keys"))
    site.serve(body, *headers, status=status, path="/keys")
    answer = await (await house.person()).ask(query(site.url))
    assert answer.status_code == 400
    assert len(site.hits) == 2


async def test_a_document_can_ask_for_bound_tokens_only(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    publish(site, jwks=keys(KEY), dpop_bound_access_tokens=True)
    code = await house.code(await house.person(), site.url)
    bare = await redeem(house, code, site.url, assertion(clock, site.url))
    refused(bare, "invalid_dpop_proof")
    holder = KeyHolder(clock, issuer=ISSUER)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "client_id": site.url,
        "code_verifier": VERIFIER,
        "client_assertion_type": ASSERTION,
    }
    url = f"{ISSUER}/oauth2/token"
    first = await house.token(
        {**form, "client_assertion": assertion(clock, site.url)},
        headers={"dpop": holder.proof("POST", url)},
    )
    proof = holder.proof("POST", url, nonce=first.headers["dpop-nonce"])
    answer = await house.token(
        {**form, "client_assertion": assertion(clock, site.url)}, headers={"dpop": proof}
    )
    assert answer.status_code == 200, answer.text
    assert unverified_claims(answer.json()["access_token"])["cnf"] == {"jkt": holder.jkt}
