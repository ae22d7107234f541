"""A client that leaves while its poll is held: the yes stays, and so does its place to wait."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from as_parts import Monotonic, Provider, basic, refused, running_provider
from leaving_client import PATH, LeavingClient
from signoff.oauth.clients import CIBA, Issued
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from writer_parts import busy_writer, queued


@asynccontextmanager
async def calling(
    provider: Provider, client: Issued, auth_req_id: str
) -> AsyncGenerator[LeavingClient]:
    """Hold a poll while the body runs; it is over at the end."""
    body = f"grant_type={CIBA.replace(':', '%3A')}&auth_req_id={auth_req_id}".encode()
    request = provider.http.build_request("POST", PATH, headers={"prefer": "wait=25"})
    signed = next(basic(client).auth_flow(request))
    headers = [(name.lower(), value) for name, value in signed.headers.raw]
    async with LeavingClient(provider.routes, body, headers=headers).running() as caller:
        yield caller


async def asked(provider: Provider, client: Issued) -> str:
    return await provider.asked(auth=basic(client), authorization_details=None, resource=None)


@pytest.mark.seed("CIBA-43")
async def test_a_yes_stays_for_the_next_poll_of_a_client_that_left_while_it_was_held(
    provider: Provider,
) -> None:
    client = await provider.other_client()
    auth_req_id = await asked(provider, client)
    async with calling(provider, client, auth_req_id) as caller:
        await provider.until_held()
        caller.leave()
    await provider.decide(auth_req_id, client_id=client.client.id)
    assert (await provider.poll(auth_req_id, auth=basic(client))).status_code == 200
    refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")


@pytest.mark.seed("CIBA-44")
async def test_polls_of_a_client_that_keeps_leaving_take_no_place_of_the_next(
    provider: Provider,
) -> None:
    client = await provider.other_client()
    auth_req_id = await asked(provider, client)
    for _ in range(6):
        async with calling(provider, client, auth_req_id) as caller:
            await provider.until_held()
            caller.leave()
    async with calling(provider, client, auth_req_id) as last:
        await provider.until_held()
        await provider.decide(auth_req_id, client_id=client.client.id)
    assert last.sent[0]["status"] == 200


async def test_a_client_that_leaves_in_the_exchange_gets_the_same_tokens_once_when_it_is_back(
    provider: Provider,
) -> None:
    client = await provider.other_client()
    auth_req_id = await asked(provider, client)
    await provider.decide(auth_req_id, client_id=client.client.id)
    async with (
        busy_writer(provider.database),
        calling(provider, client, auth_req_id) as caller,
    ):
        await queued(provider.database)
        caller.leave()
    answers = [await provider.poll(auth_req_id, auth=basic(client)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 400]


async def test_who_stays_is_answered_though_another_poll_of_the_same_request_left(
    provider: Provider,
) -> None:
    client = await provider.other_client()
    auth_req_id = await asked(provider, client)
    async with calling(provider, client, auth_req_id) as stays:
        await provider.until_held()
        async with calling(provider, client, auth_req_id) as leaves:
            await provider.until_held(polls=2)
            leaves.leave()
        await provider.decide(auth_req_id, client_id=client.client.id)
    assert stays.sent[0]["status"] == 200


@pytest.mark.seed("CIBA-44")
@pytest.mark.parametrize("how", ["held to its end", "left"])
async def test_a_poll_right_after_a_held_one_is_in_time_whatever_came_before_it(
    database: Database, sealer: Sealer, how: str
) -> None:
    time = Monotonic()
    async with running_provider(database, sealer, monotonic=time) as provider:
        client = await provider.other_client()
        auth_req_id = await asked(provider, client)
        refused(await provider.poll(auth_req_id, auth=basic(client)), "authorization_pending")
        async with calling(provider, client, auth_req_id) as caller:
            await provider.until_held()
            if how == "left":
                caller.leave()
            else:
                time.at += 25
                provider.wake()
        refused(await provider.poll(auth_req_id, auth=basic(client)), "authorization_pending")
        refused(await provider.poll(auth_req_id, auth=basic(client)), "slow_down")
