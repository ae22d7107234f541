"""What a client that introduced itself may become by what it says: a host, and nothing else."""

from typing import Any

import pytest

from as_parts import ISSUER, basic, refused
from host_house import RESOURCE, HostHouse, host_house, registration
from signoff.oauth.clients import CIBA, CLIENT_CREDENTIALS, Issued
from signoff.oauth.revocation import INTROSPECT
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.web.machine_clients import SCOPE

CLAIMS: list[dict[str, Any]] = [
    {"role": "gate"},
    {"origin": "operator"},
    {"client_id": "signoff-gate"},
    {"client_secret": "chosen-by-the-stranger"},
    {"audiences": [f"{ISSUER}/m2m", f"{ISSUER}/gate"]},
    {"resource": f"{ISSUER}/m2m"},
    {"scope": f"mcp openid {SCOPE} {INTROSPECT}"},
    {"jwks": {"keys": []}, "jwks_uri": "http://169.254.169.254/keys"},
    {"request_uris": ["http://169.254.169.254/"]},
    {"backchannel_token_delivery_mode": "push"},
    {"backchannel_client_notification_endpoint": "http://169.254.169.254/"},
    {"backchannel_user_code_parameter": False},
    {"dpop_bound_access_tokens": False, "disabled": False, "expires_at": None},
    {"authorization_details_types": ["tool_call"]},
    {"registration_access_token": "chosen-by-the-stranger"},
    {"subject_type": "pairwise", "sector_identifier_uri": "http://169.254.169.254/"},
]
"""What RFC 7591 and its kin would let a client say, and what only our own records have."""


async def _is_a_host_and_no_more(house: HostHouse, client_id: str) -> None:
    known = await house.directory.find(client_id)
    assert known is not None
    client = known.client
    assert (client.role, client.origin, client.audiences) == ("machine", "self", ())
    assert client.grant_types <= {"authorization_code", "refresh_token"}
    assert set(client.scopes) == {"mcp", "payments", "openid"}
    assert (client.jwks, client.delivery.mode) == (None, "poll")


@pytest.mark.parametrize("claim", CLAIMS, ids=[next(iter(one)) for one in CLAIMS])
async def test_no_claim_makes_a_stranger_more_than_a_host(
    database: Database, sealer: Sealer, claim: dict[str, Any]
) -> None:
    async with host_house(database, sealer) as house:
        answer = await house.http.post("/oauth2/register", json=registration(**claim))
        if answer.status_code != 201:
            # A claim that cannot be met may be refused: then there is no client at all.
            refused(answer, "invalid_client_metadata")
            assert "client.registered" not in await house.events()
            return
        host = answer.json()
        assert host["client_id"].startswith("host_")
        assert "chosen-by-the-stranger" not in answer.text
        await _is_a_host_and_no_more(house, host["client_id"])
        # Nor by saying it later.
        again = await house.http.put(
            f"/oauth2/register/{host['client_id']}",
            json=registration(**{**claim, "client_id": host["client_id"]}),
            headers={"authorization": f"Bearer {host['registration_access_token']}"},
        )
        assert again.status_code in (200, 400), again.text
        await _is_a_host_and_no_more(house, host["client_id"])


@pytest.mark.parametrize("grant", [CIBA, CLIENT_CREDENTIALS, "password", "signoff:gate"])
async def test_a_registration_is_not_widened_by_a_replacement(
    database: Database, sealer: Sealer, grant: str
) -> None:
    async with host_house(database, sealer) as house:
        host = await house.register()
        wider = registration(client_id=host["client_id"], grant_types=["authorization_code", grant])
        answer = await house.http.put(
            f"/oauth2/register/{host['client_id']}",
            json=wider,
            headers={"authorization": f"Bearer {host['registration_access_token']}"},
        )
        refused(answer, "invalid_client_metadata")
        await _is_a_host_and_no_more(house, host["client_id"])


async def test_a_self_registered_client_with_a_secret_asks_nobody_and_manages_nothing(
    database: Database, sealer: Sealer
) -> None:
    async with host_house(database, sealer) as house:
        host = await house.register(token_endpoint_auth_method="client_secret_basic")
        known = await house.directory.find(host["client_id"])
        assert known is not None
        auth = basic(Issued(client=known.client, secret=host["client_secret"]))
        tries = (
            ("/oauth2/bc-authorize", {"scope": "openid", "login_hint": "alice"}),
            ("/bc-authorize", {"scope": "openid", "login_hint": "alice"}),
            ("/oauth2/token", {"grant_type": CIBA, "auth_req_id": "x"}),
            ("/oauth2/token", {"grant_type": CLIENT_CREDENTIALS, "resource": f"{ISSUER}/m2m"}),
            ("/oauth/token", {"grant_type": CLIENT_CREDENTIALS, "audience": RESOURCE}),
            ("/ciba/withdraw", {"auth_req_id": "x"}),
            ("/ciba/outcome", {"auth_req_id": "x", "state": "failed", "at": "x"}),
        )
        for path, form in tries:
            answer = await house.http.post(path, data=form, auth=auth)
            refused(answer, "unauthorized_client")


async def test_the_token_of_a_host_is_for_the_assistants_door_alone(
    database: Database, sealer: Sealer
) -> None:
    async with host_house(database, sealer) as house:
        host = await house.register()
        given = await house.signed_in(host["client_id"])
        claims = house.claims(given["access_token"])
        assert (claims["aud"], claims["scope"], claims["sub"]) == (RESOURCE, "mcp", "alice")
        assert "authorization_details" not in claims
        for resource in (f"{ISSUER}/m2m", f"{ISSUER}/gate", [RESOURCE, f"{ISSUER}/m2m"]):
            wider = await house.refresh(
                given["refresh_token"], host["client_id"], resource=resource
            )
            refused(wider, "invalid_target")
        for scope in (f"mcp {SCOPE}", "mcp payments", "openid", "mcp  mcp", INTROSPECT):
            wider = await house.refresh(given["refresh_token"], host["client_id"], scope=scope)
            refused(wider, "invalid_scope")
        assert await house.stands(given["access_token"])
