"""When a client or a host last acted, as the operator is told: a client in use never looks idle."""

from datetime import timedelta

import httpx2

from as_parts import BANK, Provider, basic, running_provider
from conftest import TurnedClock
from host_house import CALLBACK, HostHouse
from signoff.oauth.clients import CIBA
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

ASKED = {"scope": "openid", "login_hint": "alice", "resource": BANK}


async def test_a_client_that_only_asks_people_is_used_when_it_asks(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client(grant_types=[CIBA])
    assert client.client.last_used_at is None
    clock.turn(60)
    response = await provider.post("/oauth2/bc-authorize", ASKED, auth=basic(client))
    assert response.status_code == 200
    first = clock()
    assert (await provider.clients.show(client.client.id)).last_used_at == first
    # Exact to five minutes: a poll is worth no write.
    for seconds, expected in ((299, first), (1, first + timedelta(minutes=5))):
        clock.turn(seconds)
        await provider.poll(response.json()["auth_req_id"], auth=basic(client))
        assert (await provider.clients.show(client.client.id)).last_used_at == expected


async def test_a_client_that_only_asks_about_tokens_is_used(
    provider: Provider, clock: TurnedClock
) -> None:
    client = await provider.other_client()
    await provider.post("/oauth2/introspect", {"token": "x"}, auth=basic(client))
    assert (await provider.clients.show(client.client.id)).last_used_at == clock()


async def test_who_cannot_prove_it_leaves_no_trace_of_use(provider: Provider) -> None:
    client = await provider.other_client()
    wrong = httpx2.BasicAuth(client.client.id, "wrong")
    await provider.post("/oauth2/token", {"grant_type": "client_credentials"}, auth=wrong)
    assert (await provider.clients.show(client.client.id)).last_used_at is None
    await provider.people.disable(client.client.id, by="operator")
    await provider.post("/oauth2/introspect", {"token": "x"}, auth=basic(client))
    assert (await provider.clients.show(client.client.id)).last_used_at is None


async def test_naming_a_registration_does_not_keep_it_from_being_forgotten(
    house: HostHouse, clock: TurnedClock
) -> None:
    named = await house.register()
    secret = await house.register(token_endpoint_auth_method="client_secret_post")
    for _ in range(3):
        clock.turn(12 * 3600)
        await house.refresh("nothing", named["client_id"])
        await house.refresh("nothing", secret["client_id"], client_secret=secret["client_secret"])
    await house.register()
    for host in (named, secret):
        answer = await house.refresh(
            "nothing", host["client_id"], client_secret=host.get("client_secret")
        )
        assert answer.json()["error"] == "invalid_client"


async def test_a_host_is_used_when_it_last_acted_for_somebody(
    house: HostHouse, clock: TurnedClock
) -> None:
    made, _ = await house.hosts.create(name="Host", redirect_uris=[CALLBACK], by="operator")
    assert (await house.hosts.show(made.client.id)).client.last_used_at is None
    clock.turn(60)
    tokens = await house.signed_in(made.client.id)
    assert (await house.hosts.show(made.client.id)).client.last_used_at == clock()
    clock.turn(3000)
    await house.connections.used(str(house.claims(tokens["access_token"])["consent_id"]))
    (listed,) = await house.hosts.list()
    assert listed.client.last_used_at == clock()


async def test_the_use_of_a_client_is_told_after_a_restart(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    async with running_provider(database, sealer) as provider:
        client = await provider.other_client()
        await provider.post("/oauth2/introspect", {"token": "x"}, auth=basic(client))
    used = clock()
    clock.turn(60)
    async with running_provider(database, sealer) as provider:
        assert (await provider.clients.show(client.client.id)).last_used_at == used
