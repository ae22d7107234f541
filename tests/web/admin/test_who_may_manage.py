"""Who comes in at the admin API: a machine with the scope, and an admin over HTTPS."""

from typing import Any

import pytest

from admin_door import ALGORITHMS, FORM, HTTPS, bearer, created
from as_parts import BANK, ISSUER, Provider, basic, refused, running_provider
from conftest import TurnedClock
from signed_in import Device, site
from signoff.assistant.auth import AccessTokens, Admitted
from signoff.oauth.clients import Issued
from signoff.oauth.pacing import TokenPace
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.web.machine_clients import SCOPE


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
        admin = await provider.other_client(scopes=[SCOPE], audiences=[f"{ISSUER}/m2m"])
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
