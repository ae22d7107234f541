"""A client that is not what it was when it asked: expired, told otherwise, with fewer resources."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from as_parts import BANK, ISSUER, Provider, basic, refused
from callback_parts import TOKEN, called_back, listening, telling, until_quiet
from conftest import TurnedClock
from dpop_parts import KeyHolder
from signoff.oauth.clients import CIBA, Issued
from signoff.oauth.delivery import Delivery
from signoff.storage.sqlite import Database
from signoff.tokens.verify import unverified_claims
from writer_parts import busy_writer, queued


async def asked(provider: Provider, client: Issued, **changed: Any) -> str:
    form: dict[str, Any] = {
        "client_notification_token": TOKEN,
        "authorization_details": None,
        "resource": None,
    }
    return await provider.asked(auth=basic(client), **{**form, **changed})


async def told_by(provider: Provider, client: Issued, delivery: Delivery) -> None:
    await provider.clients.update(client.client.id, by="operator", delivery=delivery)


PUSH = Delivery(mode="push", notification_endpoint="https://client.example/ciba")
PING = Delivery(mode="ping", notification_endpoint="https://client.example/ciba")


@pytest.mark.seed("B20")
@pytest.mark.parametrize("mode", ["ping", "push"])
async def test_a_client_that_expired_hears_nothing_and_gets_no_token(
    provider: Provider, database: Database, clock: TurnedClock, mode: Any
) -> None:
    async with listening() as listener:
        client = await called_back(provider, mode, listener.url, expires_in=timedelta(seconds=60))
        auth_req_id = await asked(provider, client)
        clock.turn(60)
        await provider.decide(auth_req_id, client_id=client.client.id)
        async with telling(provider):
            await until_quiet(provider)
        assert listener.heard.empty()
    assert await database.fetch_all("SELECT id FROM approvals WHERE status = 'redeemed'") == []


async def test_a_client_hears_up_to_its_last_moment(provider: Provider, clock: TurnedClock) -> None:
    async with listening() as listener, telling(provider):
        client = await called_back(provider, "push", listener.url, expires_in=timedelta(seconds=60))
        auth_req_id = await asked(provider, client)
        clock.turn(59)
        await provider.decide(auth_req_id, client_id=client.client.id)
        assert "access_token" in (await listener.next()).body


@pytest.mark.seed("CIBA-52")
async def test_a_client_that_polls_since_its_push_failed_fetches_it_once(
    provider: Provider, database: Database
) -> None:
    async with listening("403 Forbidden") as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        pushed = (await listener.next()).body
        await until_quiet(provider)
    await told_by(provider, client, Delivery())
    fetched = (await provider.poll(auth_req_id, auth=basic(client))).json()
    assert fetched["access_token"] == pushed["access_token"]
    assert await database.fetch_all("SELECT jti FROM revoked_tokens") == []
    # From now on it is an id that was used: a further poll takes back what it gave.
    refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")
    revoked = await database.fetch_all("SELECT jti FROM revoked_tokens")
    assert [row["jti"] for row in revoked] == [unverified_claims(pushed["access_token"])["jti"]]


@pytest.mark.seed("CIBA-52")
async def test_a_client_that_polls_since_a_push_was_tried_in_vain_fetches_it(
    provider: Provider,
) -> None:
    """The message comes again after the switch, when there is no address to send it to."""
    async with listening(*["503 Service Unavailable"] * 9) as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        pushed = (await listener.next()).body
        await told_by(provider, client, Delivery())
        await until_quiet(provider)
    fetched = (await provider.poll(auth_req_id, auth=basic(client))).json()
    assert fetched["access_token"] == pushed["access_token"]


@pytest.mark.seed("CIBA-52")
@pytest.mark.parametrize("before", [Delivery(), PING])
async def test_a_client_that_is_pushed_to_since_it_asked_still_polls_for_what_it_asked(
    provider: Provider, before: Delivery
) -> None:
    client = await provider.other_client(delivery=before)
    auth_req_id = await asked(provider, client)
    await told_by(provider, client, PUSH)
    refused(await provider.poll(auth_req_id, auth=basic(client)), "authorization_pending")
    await provider.decide(auth_req_id, client_id=client.client.id)
    assert (await provider.poll(auth_req_id, auth=basic(client))).status_code == 200
    refused(await provider.poll(auth_req_id, auth=basic(client)), "unauthorized_client")


@pytest.mark.seed("CIBA-11")
async def test_of_another_clients_request_a_push_client_learns_nothing(provider: Provider) -> None:
    client, other = await provider.other_client(), await provider.other_client(delivery=PUSH)
    auth_req_id = await asked(provider, client)
    refused(await provider.poll(auth_req_id, auth=basic(other)), "unauthorized_client")
    await provider.decide(auth_req_id, client_id=client.client.id)
    refused(await provider.poll(auth_req_id, auth=basic(other)), "unauthorized_client")


@pytest.mark.parametrize("audiences", [[], ["https://other.example/api"]])
async def test_a_refresh_gives_nothing_for_a_resource_that_was_taken_from_the_client(
    provider: Provider, audiences: list[str]
) -> None:
    client = await provider.other_client(grant_types=[CIBA, "refresh_token"])
    auth_req_id = await asked(provider, client, scope="openid offline_access", resource=BANK)
    await provider.decide(auth_req_id, client_id=client.client.id)
    tokens = (await provider.poll(auth_req_id, auth=basic(client))).json()
    await provider.clients.update(client.client.id, by="operator", audiences=audiences)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    refused(await provider.post("/oauth2/token", form, auth=basic(client)), "invalid_grant")
    await provider.clients.update(client.client.id, by="operator", audiences=[BANK])
    answer = await provider.post("/oauth2/token", form, auth=basic(client))
    assert answer.status_code == 200  # nothing was used up by the attempt


async def test_a_refresh_goes_on_for_a_client_that_never_had_a_resource(
    provider: Provider,
) -> None:
    client = await provider.other_client(grant_types=[CIBA, "refresh_token"], audiences=[])
    auth_req_id = await asked(provider, client, scope="openid offline_access")
    await provider.decide(auth_req_id, client_id=client.client.id)
    tokens = (await provider.poll(auth_req_id, auth=basic(client))).json()
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    answer = (await provider.post("/oauth2/token", form, auth=basic(client))).json()
    assert unverified_claims(answer["access_token"])["aud"] == f"{ISSUER}/default"


async def test_a_client_that_binds_its_tokens_since_a_push_failed_gets_no_bearer_token(
    provider: Provider, database: Database, clock: TurnedClock
) -> None:
    async with listening("403 Forbidden") as listener, telling(provider):
        client = await called_back(provider, "push", listener.url)
        auth_req_id = await asked(provider, client)
        await provider.decide(auth_req_id, client_id=client.client.id)
        pushed = (await listener.next()).body
        await until_quiet(provider)
    await provider.clients.update(
        client.client.id, by="operator", delivery=Delivery(), dpop_bound=True
    )
    holder = KeyHolder(clock, issuer=ISSUER)
    form = {"grant_type": CIBA, "auth_req_id": auth_req_id}
    refused(await holder.token(provider.http, form, auth=basic(client)), "invalid_grant")
    revoked = await database.fetch_all("SELECT jti FROM revoked_tokens")
    assert [row["jti"] for row in revoked] == [unverified_claims(pushed["access_token"])["jti"]]


@pytest.mark.parametrize(
    ("who", "code", "status"),
    [("the client", "invalid_client", 401), ("alice", "unknown_user_id", 400)],
)
async def test_who_is_switched_off_while_the_request_is_checked_asks_and_is_asked_nothing(
    provider: Provider, database: Database, who: str, code: str, status: int
) -> None:
    client = await provider.other_client()
    off = client.client.id if who == "the client" else who
    async with busy_writer(database):
        switching = asyncio.create_task(provider.people.disable(off, by="operator"))
        await queued(database)
        asking = asyncio.create_task(
            provider.ask(auth=basic(client), authorization_details=None, resource=None)
        )
        await queued(database, writes=2)
    assert await switching
    refused(await asking, code, status=status)
    assert await database.fetch_all("SELECT id FROM approvals") == []
