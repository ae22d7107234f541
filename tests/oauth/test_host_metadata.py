"""What hosts discover: true in every field, at every address, with a path and without."""

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from as_parts import ISSUER
from host_house import HostHouse, host_house, query
from signoff.assistant.auth import resource_metadata, resource_metadata_url
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

CIBA = "urn:openid:params:grant-type:ciba"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


async def test_hosts_are_told_what_they_need(house: HostHouse) -> None:
    told = (await house.http.get("/.well-known/oauth-authorization-server")).json()
    again = (await house.http.get("/.well-known/openid-configuration")).json()
    assert told == again
    expected = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/oauth2/authorize",
        "token_endpoint": f"{ISSUER}/oauth2/token",
        "registration_endpoint": f"{ISSUER}/oauth2/register",
        "device_authorization_endpoint": f"{ISSUER}/oauth2/device_authorization",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
        "scopes_supported": ["mcp", "payments", "openid", "offline_access"],
    }
    assert {name: told[name] for name in expected} == expected
    assert set(told["grant_types_supported"]) == {
        *(CIBA, "client_credentials", "authorization_code", "refresh_token", DEVICE_CODE),
    }
    assert set(told["token_endpoint_auth_methods_supported"]) == {
        *("client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
    }


async def test_at_each_endpoint_the_methods_that_are_named_are_those_that_are_taken(
    house: HostHouse,
) -> None:
    told = (await house.http.get("/.well-known/oauth-authorization-server")).json()
    public = {"client_id": (await house.register())["client_id"], "token": "x"}
    for endpoint in ("token", "introspection", "revocation"):
        answer = await house.http.post(told[f"{endpoint}_endpoint"], data=public)
        taken = answer.status_code == 200 or answer.json()["error"] == "invalid_request"
        named = "none" in told[f"{endpoint}_endpoint_auth_methods_supported"]
        assert named is taken, (endpoint, answer.text)


async def test_every_endpoint_that_is_named_answers(house: HostHouse) -> None:
    told = (await house.http.get("/.well-known/oauth-authorization-server")).json()
    for name, address in told.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            method = "GET" if name in ("authorization_endpoint", "jwks_uri") else "POST"
            answer = await house.http.request(method, address)
            assert answer.status_code in (200, 400, 401), (name, answer.status_code)


async def test_an_issuer_with_a_path_signs_hosts_in_below_it(
    database: Database, sealer: Sealer
) -> None:
    issuer = f"{ISSUER}/tenants/a"
    async with host_house(database, sealer, issuer=issuer, mcp_resource=f"{issuer}/mcp") as house:
        told = [
            await house.http.get(path)
            for path in (
                "/.well-known/oauth-authorization-server/tenants/a",
                "/.well-known/openid-configuration/tenants/a",
                "/tenants/a/.well-known/openid-configuration",
            )
        ]
        assert [answer.status_code for answer in told] == [200] * 3
        assert told[0].json() == told[1].json() == told[2].json()
        document = told[0].json()
        answer = await house.http.post(
            document["registration_endpoint"],
            json={
                "redirect_uris": ["http://127.0.0.1/callback"],
                "token_endpoint_auth_method": "none",
            },
        )
        host = answer.json()
        assert host["registration_client_uri"].startswith(f"{issuer}/oauth2/register/")
        alice = await house.person()
        asked = query(host["client_id"], resource=f"{issuer}/mcp")
        page = await alice.http.get(f"{document['authorization_endpoint']}?{asked}")
        assert page.status_code == 200
        wrong = await alice.http.get(
            f"{document['authorization_endpoint']}?{query(host['client_id'])}"
        )
        assert "error=invalid_target" in wrong.headers["location"]


@pytest.mark.parametrize(
    ("public_url", "where"),
    [
        ("https://bank.example", "/.well-known/oauth-protected-resource/mcp"),
        ("https://bank.example/a/b", "/.well-known/oauth-protected-resource/a/b/mcp"),
    ],
)
def test_the_resource_is_described_where_its_address_says(public_url: str, where: str) -> None:
    assert resource_metadata_url(public_url) == f"https://bank.example{where}"
    app = Starlette(routes=resource_metadata(public_url=public_url, name="bank"))
    with TestClient(app) as http:
        assert http.get(where).json() == {
            "resource": f"{public_url}/mcp",
            "resource_name": "bank",
            "authorization_servers": [public_url],
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": ["ES256", "PS256", "Ed25519", "EdDSA"],
            "dpop_bound_access_tokens_required": False,
            "scopes_supported": ["mcp"],
        }
