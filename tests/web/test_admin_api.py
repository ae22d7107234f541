"""The admin API of machine clients: who may come in, and the life of a client."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from as_parts import BANK, ISSUER, Provider, basic, refused, running_provider
from conftest import TurnedClock
from dpop_parts import KeyHolder
from signed_in import Device, Site, site
from signoff.assistant.auth import AccessTokens, Admitted
from signoff.oauth.clients import CIBA, Issued
from signoff.oauth.pacing import TokenPace
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.web.machine_clients import SCOPE

HTTPS = "https://signoff.example"
FORM = {"grant_type": "client_credentials"}
ADMIN_AUDIENCE = f"{ISSUER}/m2m"
ALGORITHMS = 'algs="ES256 PS256 Ed25519 EdDSA"'


async def bearer(provider: Provider, **settings: Any) -> dict[str, str]:
    """Return the header of a machine that manages clients."""
    given = {"scopes": [SCOPE], "audiences": [ADMIN_AUDIENCE], **settings}
    admin = await provider.other_client(**given)
    answer = await provider.post("/oauth2/token", FORM, auth=basic(admin))
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def created(here: Site, headers: dict[str, str], **members: Any) -> dict[str, Any]:
    body = {"name": "Nightly", "scopes": ["reports"], "audiences": [BANK], **members}
    response = await here.http.post("/m2m/clients", json=body, headers=headers)
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()


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
        made = await created(here, headers, scopes=[SCOPE], audiences=[ADMIN_AUDIENCE])
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


@pytest.mark.seed("C10")
@pytest.mark.parametrize(
    ("settings", "status", "code"),
    [
        ({"scopes": ["reports"]}, 403, "insufficient_scope"),
        ({"audiences": [BANK]}, 401, "invalid_token"),
        ({"audiences": [ISSUER]}, 401, "invalid_token"),
        ({"audiences": []}, 401, "invalid_token"),
    ],
)
async def test_a_machine_without_the_scope_or_for_elsewhere_manages_nothing(
    provider: Provider, settings: dict[str, Any], status: int, code: str
) -> None:
    async with site(provider) as here:
        headers = await bearer(provider, **settings)
        for method, path in (
            ("GET", "/m2m/clients"),
            ("POST", "/m2m/clients"),
            ("GET", "/m2m/clients/x"),
            ("PUT", "/m2m/clients/x"),
            ("DELETE", "/m2m/clients/x"),
            ("POST", "/m2m/clients/x/rotate"),
        ):
            response = await here.http.request(method, path, headers=headers)
            assert (response.status_code, response.json()["error"]) == (status, code)


async def test_a_token_that_was_taken_back_or_whose_client_is_off_manages_nothing(
    provider: Provider,
) -> None:
    async with site(provider) as here:
        admin = await provider.other_client(scopes=[SCOPE], audiences=[ADMIN_AUDIENCE])
        answer = (await provider.post("/oauth2/token", FORM, auth=basic(admin))).json()
        headers = {"authorization": f"Bearer {answer['access_token']}"}
        await provider.people.disable(admin.client.id, by="operator")
        assert (await here.http.get("/m2m/clients", headers=headers)).status_code == 401
        await provider.people.enable(admin.client.id, by="operator")
        assert (await here.http.get("/m2m/clients", headers=headers)).status_code == 200
        form = {"token": answer["access_token"]}
        await provider.post("/oauth2/revoke", form, auth=basic(admin))
        assert (await here.http.get("/m2m/clients", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ("Bearer", f'Bearer error="invalid_token", DPoP {ALGORITHMS}'),
        ("Bearer x", f'Bearer error="invalid_token", DPoP {ALGORITHMS}'),
        ("Bearer a.b.c", f'Bearer error="invalid_token", DPoP {ALGORITHMS}'),
        ("Basic eDp5", f"Bearer, DPoP {ALGORITHMS}"),
        ("DPoP x", f'DPoP error="invalid_token", {ALGORITHMS}'),
    ],
)
async def test_what_is_no_token_manages_nothing(
    provider: Provider, header: str, challenge: str
) -> None:
    async with site(provider) as here:
        # Not even beside the session of an admin: who sends a token is judged by it.
        headers = {**await here.enter("root"), "authorization": header}
        response = await here.http.get("/m2m/clients", headers=headers)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, challenge)


async def test_the_session_of_an_admin_manages_over_https(provider: Provider) -> None:
    async with site(provider, url=HTTPS) as here:
        headers = await here.enter("root")
        made = await created(here, headers)
        path = f"/m2m/clients/{made['id']}"
        assert (await here.http.delete(path, headers=headers)).json() == {"success": True}
        foreign = {**headers, "origin": "https://evil.example"}
        response = await here.http.post("/m2m/clients", json={"name": "x"}, headers=foreign)
        assert response.status_code == 403


async def test_over_plain_http_the_session_of_an_admin_only_reads(provider: Provider) -> None:
    async with site(provider) as here:
        headers = await here.enter("root", device=Device())
        assert (await here.http.get("/m2m/clients", headers=headers)).json() == []
        response = await here.http.post("/m2m/clients", json={"name": "x"}, headers=headers)
        assert (response.status_code, response.json()["error"]) == (403, "access_denied")
        assert not await provider.clients.list()


@pytest.mark.parametrize("user", ["alice", None])
async def test_somebody_who_is_signed_in_and_no_admin_manages_nothing(
    provider: Provider, user: str | None
) -> None:
    async with site(provider, url=HTTPS) as here:
        headers = {"origin": HTTPS} if user is None else await here.enter(user)
        for method, path in (
            ("GET", "/m2m/clients"),
            ("POST", "/m2m/clients"),
            ("DELETE", "/m2m/clients/x"),
        ):
            response = await here.http.request(method, path, headers=headers)
            assert response.status_code == (401 if user is None else 403)


# tokens ----------------------------------------------------------------------------------------


@pytest.mark.seed("C8")
async def test_tokens_have_a_pace_that_a_restart_does_not_forget(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    pace = TokenPace(per_hour=60, burst=3)

    async def limited(provider: Provider, client: Issued) -> None:
        response = await provider.post("/oauth2/token", FORM, auth=basic(client))
        refused(response, "temporarily_unavailable", status=429)
        assert response.headers["retry-after"] == "60"

    async with running_provider(database, sealer, token_pace=pace) as provider:
        client = await provider.other_client()
        for _ in range(3):
            response = await provider.post("/oauth2/token", FORM, auth=basic(client))
            assert response.status_code == 200
        await limited(provider, client)
        other = await provider.other_client()
        response = await provider.post("/oauth2/token", FORM, auth=basic(other))
        assert response.status_code == 200
    async with running_provider(database, sealer, token_pace=pace) as provider:
        await limited(provider, client)
        clock.turn(60)
        response = await provider.post("/oauth2/token", FORM, auth=basic(client))
        assert response.status_code == 200
        await limited(provider, client)
        clock.turn(3600)
        for _ in range(3):
            response = await provider.post("/oauth2/token", FORM, auth=basic(client))
            assert response.status_code == 200
        await limited(provider, client)


async def test_a_refused_token_is_not_recorded(database: Database, sealer: Sealer) -> None:
    pace = TokenPace(per_hour=60, burst=1)
    async with running_provider(database, sealer, token_pace=pace) as provider:
        client = await provider.other_client()
        for _ in range(5):
            await provider.post("/oauth2/token", FORM, auth=basic(client))
        (row,) = await database.fetch_all(
            "SELECT COUNT(*) AS n FROM audit WHERE instr(body, 'client.token_issued')"
        )
        assert row["n"] == 1


async def test_a_machine_with_the_scope_mcp_opens_the_assistants_door(
    provider: Provider, clock: TurnedClock
) -> None:
    machine = await provider.other_client(scopes=["mcp"], audiences=[f"{ISSUER}/mcp"])
    form = {**FORM, "resource": f"{ISSUER}/mcp", "scope": "mcp"}
    answer = (await provider.post("/oauth2/token", form, auth=basic(machine))).json()
    door = AccessTokens(provider.keyring, issuer=ISSUER, resource=f"{ISSUER}/mcp", now=clock)
    admitted = await door(answer["access_token"])
    assert isinstance(admitted, Admitted)
    assert (admitted.caller.client_id, admitted.caller.sub) == (machine.client.id, None)
    without = await provider.other_client(scopes=["reports"], audiences=[f"{ISSUER}/mcp"])
    form = {**FORM, "resource": f"{ISSUER}/mcp"}
    answer = (await provider.post("/oauth2/token", form, auth=basic(without))).json()
    assert not isinstance(await door(answer["access_token"]), Admitted)
