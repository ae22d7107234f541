"""The admin API of machine clients: the life of a client."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from admin_door import FORM, bearer, created
from as_parts import BANK, ISSUER, Provider, basic, refused
from conftest import TurnedClock
from dpop_parts import KeyHolder
from signed_in import site
from signoff.oauth.clients import CIBA
from signoff.web.machine_clients import SCOPE


async def token(provider: Provider, client_id: str, secret: str) -> httpx2.Response:
    return await provider.post("/oauth2/token", FORM, auth=httpx2.BasicAuth(client_id, secret))


@pytest.mark.seed("C3")
async def test_a_client_is_created_with_a_secret_that_is_shown_once(
    provider: Provider, clock: TurnedClock
) -> None:
    async with site(provider) as here:
        headers = await bearer(provider)
        made = await created(here, headers, metadata={"team": "ops"}, expiresIn=30)
        secret = made.pop("clientSecret")
        assert len(secret) >= 43
        now = clock().isoformat(timespec="seconds")
        assert made == {
            "id": made["id"],
            "clientId": made["id"],
            "name": "Nightly",
            "scopes": ["reports"],
            "audiences": [BANK],
            "metadata": {"team": "ops"},
            "grantTypes": ["client_credentials"],
            "authorizationDetailsTypes": [],
            "dpopBoundAccessTokens": False,
            "backchannelTokenDeliveryMode": "poll",
            "backchannelClientNotificationEndpoint": None,
            "backchannelAuthenticationRequestSigningAlg": None,
            "backchannelUserCodeParameter": False,
            "jwks": None,
            "disabled": False,
            "startingCharacters": secret[:6],
            "createdAt": now,
            "updatedAt": now,
            "expiresAt": (clock() + timedelta(days=30)).isoformat(timespec="seconds"),
            "lastUsedAt": None,
        }
        shown = await here.http.get(f"/m2m/clients/{made['id']}", headers=headers)
        assert shown.json() == made
        assert secret not in shown.text
        clock.turn(60)
        assert (await token(provider, made["id"], secret)).status_code == 200
        used = (await here.http.get(f"/m2m/clients/{made['id']}", headers=headers)).json()
        assert used["lastUsedAt"] == clock().isoformat(timespec="seconds")


@pytest.mark.seed("C4")
@pytest.mark.seed("C5")
async def test_clients_are_listed_newest_first_a_page_at_a_time(
    provider: Provider, clock: TurnedClock
) -> None:
    async with site(provider) as here:
        headers = await bearer(provider)
        for number in range(3):
            clock.turn(1)
            await created(here, headers, name=f"Number {number}")
        page = await here.http.get("/m2m/clients?limit=2&offset=1", headers=headers)
        assert [each["name"] for each in page.json()] == ["Number 1", "Number 0"]
        assert "ecret" not in page.text
        assert len((await here.http.get("/m2m/clients", headers=headers)).json()) == 4
        for query in ("limit=x", "limit=-1", "offset=1.5", "limit=9999999"):
            response = await here.http.get(f"/m2m/clients?{query}", headers=headers)
            assert response.status_code == 400


async def test_what_a_client_may_ask_a_person_for_and_how_its_tokens_are_bound_is_set_here(
    provider: Provider,
) -> None:
    async with site(provider) as here:
        headers = await bearer(provider)
        made = await created(
            here,
            headers,
            grantTypes=[CIBA, "refresh_token"],
            authorizationDetailsTypes=["payment"],
            dpopBoundAccessTokens=True,
        )
        assert made["grantTypes"] == ["refresh_token", CIBA]
        assert made["authorizationDetailsTypes"] == ["payment"]
        assert made["dpopBoundAccessTokens"] is True
        path = f"/m2m/clients/{made['id']}"
        body: dict[str, Any] = {"authorizationDetailsTypes": [], "dpopBoundAccessTokens": False}
        changed = (await here.http.put(path, json=body, headers=headers)).json()
        assert changed["authorizationDetailsTypes"] == []
        assert changed["dpopBoundAccessTokens"] is False
        for wrong in (
            {"authorizationDetailsTypes": ["unheard_of"]},
            {"authorizationDetailsTypes": "payment"},
            {"dpopBoundAccessTokens": "yes"},
            {"grantTypes": ["client_credentials"]},
        ):
            answer = await here.http.put(path, json=wrong, headers=headers)
            assert answer.status_code == 400, wrong


async def test_a_machine_whose_tokens_are_bound_manages_with_a_proof_and_not_without(
    provider: Provider, clock: TurnedClock
) -> None:
    holder = KeyHolder(clock, issuer=ISSUER)
    manager = await provider.other_client(
        scopes=["signoff:clients"], audiences=[f"{ISSUER}/m2m"], dpop_bound=True
    )
    form = {"grant_type": "client_credentials"}
    answer = await holder.token(provider.http, form, auth=basic(manager))
    token, url = answer.json()["access_token"], f"{ISSUER}/m2m/clients"
    async with site(provider) as here:
        for headers in (
            {"authorization": f"Bearer {token}"},
            {"authorization": f"DPoP {token}"},
            {
                "authorization": f"DPoP {token}",
                "dpop": holder.proof("POST", url, token=token),
            },
        ):
            assert (await here.http.get("/m2m/clients", headers=headers)).status_code == 401
        headers = {
            "authorization": f"DPoP {token}",
            "dpop": holder.proof("GET", url, token=token),
        }
        assert (await here.http.get("/m2m/clients?limit=5", headers=headers)).status_code == 200
        assert (await here.http.get("/m2m/clients", headers=headers)).status_code == 401


@pytest.mark.seed("C6")
async def test_a_client_is_changed_switched_off_and_on_again(provider: Provider) -> None:
    async with site(provider) as here:
        headers = await bearer(provider)
        made = await created(here, headers)
        path = f"/m2m/clients/{made['id']}"
        body = {"name": "Weekly", "scopes": ["payments"], "metadata": {"a": 1}, "disabled": True}
        changed = (await here.http.put(path, json=body, headers=headers)).json()
        assert (changed["name"], changed["scopes"], changed["disabled"]) == (
            "Weekly",
            ["payments"],
            True,
        )
        response = await token(provider, made["id"], made["clientSecret"])
        refused(response, "invalid_client", status=401)
        again = (await here.http.put(path, json={"disabled": False}, headers=headers)).json()
        assert again == {**changed, "disabled": False}
        response = await token(provider, made["id"], made["clientSecret"])
        assert response.json()["scope"] == "payments"


@pytest.mark.seed("C6")
async def test_a_secret_is_rotated_with_an_overlap(provider: Provider, clock: TurnedClock) -> None:
    async with site(provider) as here:
        headers = await bearer(provider)
        made = await created(here, headers)
        path = f"/m2m/clients/{made['id']}/rotate"
        after = (await here.http.post(path, json={"overlapHours": 1}, headers=headers)).json()
        assert after["startingCharacters"] == after["clientSecret"][:6]
        clock.turn(3599)
        for secret in (made["clientSecret"], after["clientSecret"]):
            assert (await token(provider, made["id"], secret)).status_code == 200
        clock.turn(1)
        late = await token(provider, made["id"], made["clientSecret"])
        refused(late, "invalid_client", status=401)
        for hours in (-1, 24 * 8, 1.5, True, "1"):
            response = await here.http.post(path, json={"overlapHours": hours}, headers=headers)
            assert response.status_code == 400


@pytest.mark.seed("C7")
async def test_a_deleted_client_is_gone_with_its_tokens(provider: Provider) -> None:
    async with site(provider) as here:
        headers = await bearer(provider)
        made = await created(here, headers, scopes=[SCOPE], audiences=[f"{ISSUER}/m2m"])
        answer = await token(provider, made["id"], made["clientSecret"])
        other = {"authorization": f"Bearer {answer.json()['access_token']}"}
        assert (await here.http.get("/m2m/clients", headers=other)).status_code == 200
        path = f"/m2m/clients/{made['id']}"
        response = await here.http.delete(path, headers=headers)
        assert response.json() == {"success": True}
        assert (await here.http.get("/m2m/clients", headers=other)).status_code == 401
        for gone in (
            await here.http.get(path, headers=headers),
            await here.http.put(path, json={"name": "x"}, headers=headers),
            await here.http.delete(path, headers=headers),
            await here.http.post(f"{path}/rotate", json={}, headers=headers),
        ):
            assert (gone.status_code, gone.json()["error"]) == (404, "not_found")


async def test_a_gate_is_nobodys_to_manage_here(provider: Provider) -> None:
    gate = await provider.clients.create(
        name="A gate", by="operator", role="gate", grant_types=["urn:openid:params:grant-type:ciba"]
    )
    async with site(provider) as here:
        headers = await bearer(provider)
        for client_id in (gate.client.id, "signoff-gate", "nobody"):
            response = await here.http.delete(f"/m2m/clients/{client_id}", headers=headers)
            assert response.status_code == 404


@pytest.mark.seed("C8")
@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": None},
        {"name": 7},
        {"scopes": "reports"},
        {"scopes": ["with blank"]},
        {"scopes": [1]},
        {"audiences": ["no-uri"]},
        {"metadata": []},
        {"metadata": {"a": "x" * 5000}},
        {"expiresIn": 0},
        {"expiresIn": 3651},
        {"expiresIn": 1.5},
        {"expiresIn": True},
        {"role": "gate"},
        {"clientId": "mine"},
        {"disabled": True},
    ],
)
async def test_a_client_that_cannot_be_is_refused(
    provider: Provider, changed: dict[str, Any]
) -> None:
    async with site(provider) as here:
        headers = await bearer(provider)
        body = {"name": "Nightly", **changed}
        response = await here.http.post("/m2m/clients", json=body, headers=headers)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
        assert len(await provider.clients.list()) == 1
