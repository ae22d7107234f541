"""When a token is over: with its client, with its person, and for as long as it was taken back."""

from datetime import timedelta
from typing import Any

import pytest

from as_parts import BANK, USERS, Provider, basic, refused, running_provider
from conftest import TurnedClock
from signoff.oauth.clients import CIBA, Issued
from signoff.oauth.revocation import INTROSPECT
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.tokens.verify import unverified_claims


async def approved(provider: Provider, client: Issued, **changed: Any) -> str:
    form: dict[str, Any] = {"authorization_details": None, "resource": BANK, **changed}
    auth_req_id = await provider.asked(auth=basic(client), **form)
    await provider.decide(auth_req_id, client_id=client.client.id)
    return auth_req_id


async def tells(provider: Provider, token: str) -> Any:
    """Ask as the resource server does."""
    bank = await provider.other_client(
        grant_types=["client_credentials"], scopes=[INTROSPECT], details_types=[]
    )
    return (await provider.post("/oauth2/introspect", {"token": token}, auth=basic(bank))).json()


async def test_no_token_of_a_yes_outlives_its_client(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client(
        grant_types=[CIBA, "refresh_token"], expires_in=timedelta(seconds=300)
    )
    auth_req_id = await approved(provider, client, scope="openid offline_access")
    first = (await provider.poll(auth_req_id, auth=basic(client))).json()
    clock.turn(100)
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = (await provider.post("/oauth2/token", form, auth=basic(client))).json()
    assert (first["expires_in"], second["expires_in"]) == (300, 200)
    ends = {
        str(unverified_claims(answer[name])["exp"])
        for answer in (first, second)
        for name in ("access_token", "id_token")
    }
    assert ends == {str(int(clock().timestamp()) + 200)}


async def test_a_yes_is_not_used_up_by_a_client_in_its_last_second(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client(expires_in=timedelta(seconds=60))
    auth_req_id = await approved(provider, client)
    clock.turn(59.5)
    await provider.clients.update(
        client.client.id, by="operator", expires_in=timedelta(seconds=0.4)
    )
    refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")
    await provider.clients.update(client.client.id, by="operator", expires_in=timedelta(hours=1))
    assert (await provider.poll(auth_req_id, auth=basic(client))).status_code == 200


async def test_a_token_whose_client_was_given_less_time_since_ends_with_it(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    auth_req_id = await approved(provider, client)
    token = (await provider.poll(auth_req_id, auth=basic(client))).json()["access_token"]
    await provider.clients.update(client.client.id, by="operator", expires_in=timedelta(seconds=60))
    clock.turn(59)
    assert (await tells(provider, token))["active"] is True
    clock.turn(1)
    assert await tells(provider, token) == {"active": False}


@pytest.mark.parametrize("grant_types", [[CIBA], [CIBA, "refresh_token"]])
async def test_the_yes_of_a_person_who_is_no_user_any_more_is_worth_nothing(
    database: Database, sealer: Sealer, grant_types: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_provider(database, sealer) as provider:
        client = await provider.other_client(grant_types=grant_types)
        auth_req_id = await approved(provider, client)
        monkeypatch.delitem(USERS, "alice")
        refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")
        monkeypatch.undo()
        assert (await provider.poll(auth_req_id, auth=basic(client))).status_code == 200


async def test_a_token_stays_taken_back_for_a_verifier_whose_clock_is_behind(
    provider: Provider, database: Database, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    auth_req_id = await approved(provider, client)
    token = (await provider.poll(auth_req_id, auth=basic(client))).json()["access_token"]
    await provider.post("/oauth2/revoke", {"token": token}, auth=basic(client))
    claims = unverified_claims(token)
    names: dict[str, Any] = {"sub": claims["sub"], "client_id": claims["client_id"]}
    clock.turn(601)
    await provider.stores.revocations.forget()
    assert not await provider.stores.revocations.standing(str(claims["jti"]), **names)
    clock.turn(300)
    await provider.stores.revocations.forget()
    assert await database.fetch_all("SELECT jti FROM revoked_tokens") == []


async def test_a_used_refresh_token_in_another_clients_hand_ends_nothing(
    provider: Provider,
) -> None:
    """Else whoever finds an old one could end what a person agreed to."""
    lasting = [CIBA, "refresh_token"]
    client = await provider.other_client(grant_types=lasting)
    other = await provider.other_client(grant_types=lasting)
    auth_req_id = await approved(provider, client, scope="openid offline_access")
    used = (await provider.poll(auth_req_id, auth=basic(client))).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": used}
    fresh = (await provider.post("/oauth2/token", form, auth=basic(client))).json()
    refused(await provider.post("/oauth2/token", form, auth=basic(other)), "invalid_grant")
    await provider.post("/oauth2/revoke", {"token": fresh["refresh_token"]}, auth=basic(other))
    renewal = {**form, "refresh_token": fresh["refresh_token"]}
    refused(await provider.post("/oauth2/token", renewal, auth=basic(other)), "invalid_grant")
    answer = await provider.post("/oauth2/token", renewal, auth=basic(client))
    assert answer.status_code == 200
