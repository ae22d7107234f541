"""The addresses and shapes that Auth0's SDKs know, with the same checks behind them."""

import json
from typing import Any

import httpx2
import pytest

from as_parts import BANK, ISSUER, Provider, basic, refused
from signoff.oauth.clients import CIBA, Issued
from signoff.tokens.verify import unverified_claims


def credentials(client: Issued) -> dict[str, Any]:
    return {"client_id": client.client.id, "client_secret": client.secret}


async def ask(provider: Provider, client: Issued, **changed: Any) -> httpx2.Response:
    members: dict[str, Any] = {
        **credentials(client),
        "scope": "openid",
        "login_hint": json.dumps({"format": "iss_sub", "iss": f"{ISSUER}/", "sub": "alice"}),
        "binding_message": "W4SCT",
        "audience": BANK,
        **changed,
    }
    kept = {name: value for name, value in members.items() if value is not None}
    return await provider.http.post("/bc-authorize", json=kept)


@pytest.mark.seed("B1")
async def test_a_whole_flow_in_json_at_the_aliases(provider: Provider) -> None:
    client = await provider.other_client()
    details = [{"type": "payment", "amount": 25}]
    response = await ask(provider, client, authorization_details=details, requested_expiry=60)
    assert response.status_code == 200, response.text
    assert (response.json()["interval"], response.json()["expires_in"]) == (5, 60)
    auth_req_id = response.json()["auth_req_id"]
    poll = {**credentials(client), "grant_type": CIBA, "auth_req_id": auth_req_id}
    refused(await provider.http.post("/oauth/token", json=poll), "authorization_pending")
    await provider.decide(auth_req_id, client_id=client.client.id)
    answer = (await provider.http.post("/oauth/token", json=poll)).json()
    claims = unverified_claims(answer["access_token"])
    assert (claims["aud"], claims["authorization_details"]) == (BANK, details)
    refused(await provider.http.post("/oauth/token", json=poll), "invalid_grant")


async def test_an_alias_takes_a_form_too(provider: Provider) -> None:
    client = await provider.other_client()
    form = {"grant_type": "client_credentials", "audience": BANK}
    response = await provider.post("/oauth/token", form, auth=basic(client))
    assert unverified_claims(response.json()["access_token"])["aud"] == BANK


@pytest.mark.seed("CIBA-13")
@pytest.mark.parametrize("path", ["/oauth2/bc-authorize", "/oauth2/token"])
async def test_our_own_addresses_take_no_json(provider: Provider, path: str) -> None:
    client = await provider.other_client()
    response = await provider.http.post(path, json=credentials(client))
    refused(response, "invalid_request")


@pytest.mark.parametrize(
    ("changed", "code", "status"),
    [
        ({"client_secret": "wrong"}, "invalid_client", 401),
        ({"audience": "https://other.example"}, "invalid_target", 400),
        ({"resource": "https://second.example"}, "invalid_target", 400),
        ({"resource": [1]}, "invalid_request", 400),
        ({"login_hint": None}, "invalid_request", 400),
        ({"login_hint_token": "x"}, "invalid_request", 400),
        ({"requested_expiry": 1.5}, "invalid_request", 400),
        ({"requested_expiry": True}, "invalid_request", 400),
        ({"authorization_details": [{"type": "tool_call"}]}, "invalid_authorization_details", 400),
        ({"scope": ["openid"]}, "invalid_scope", 400),
    ],
)
async def test_an_alias_checks_all_that_the_endpoint_checks(
    provider: Provider, changed: dict[str, Any], code: Any, status: int
) -> None:
    client = await provider.other_client()
    refused(await ask(provider, client, **changed), code, status=status)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b'{"scope": "a", "scope": "b"}', b'{"a": NaN}', b"\xff"]
)
async def test_a_body_that_is_no_object_of_parameters_is_refused(
    provider: Provider, body: bytes
) -> None:
    for path in ("/bc-authorize", "/oauth/token"):
        response = await provider.http.post(
            path, content=body, headers={"content-type": "application/json"}
        )
        refused(response, "invalid_request")


async def test_an_alias_reads_no_query(provider: Provider) -> None:
    client = await provider.other_client()
    form = {**credentials(client), "grant_type": "client_credentials"}
    for sent in ({"json": form}, {"data": form}):
        response = await provider.http.post("/oauth/token?a=b", **sent)  # pyright: ignore[reportArgumentType] — either of them
        words = refused(response, "invalid_request")
        assert words == "parameters belong in the body, not in the URL"
