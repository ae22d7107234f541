"""Too much at once: prompts, pending requests, polls. And an id that comes twice."""

import asyncio

import pytest

from as_parts import Monotonic, Provider, basic, refused, running_provider, tool_call
from conftest import TurnedClock
from signoff.approvals.service import Limits
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database


async def test_a_person_is_prompted_so_often_in_a_minute_and_no_more(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    limits = Limits(prompts_per_minute=3)
    async with running_provider(database, sealer, limits=limits) as provider:
        for number in range(3):
            auth_req_id = await provider.asked(tool_call(f"call_{number}"))
            await provider.post("/ciba/withdraw", {"auth_req_id": auth_req_id})
        response = await provider.ask(tool_call("call_more"))
        refused(response, "temporarily_unavailable", status=429)
        assert response.headers["retry-after"] == "60"
        assert (await provider.ask(tool_call("call_0"))).status_code == 200  # no second card
        bob = tool_call("call_bob", approvers=["bob"])
        assert (await provider.ask(bob, login_hint="bob")).status_code == 200
        clock.turn(59)
        refused(await provider.ask(tool_call("call_more")), "temporarily_unavailable", status=429)
        clock.turn(2)
        assert (await provider.ask(tool_call("call_more"))).status_code == 200


async def test_the_prompts_of_a_minute_survive_a_restart(
    database: Database, sealer: Sealer
) -> None:
    limits = Limits(prompts_per_minute=1)
    async with running_provider(database, sealer, limits=limits) as provider:
        await provider.asked(tool_call("call_1"))
    async with running_provider(database, sealer, limits=limits) as provider:
        refused(await provider.ask(tool_call("call_2")), "temporarily_unavailable", status=429)


@pytest.mark.seed("CIBA-45")
@pytest.mark.seed("CIBA-56")
async def test_a_flood_of_polls_is_sent_away_and_writes_no_more(
    database: Database, sealer: Sealer
) -> None:
    time = Monotonic()
    async with running_provider(database, sealer, monotonic=time) as provider:
        auth_req_id = await provider.asked()
        refused(await provider.poll(auth_req_id), "authorization_pending")
        for _ in range(5):
            refused(await provider.poll(auth_req_id), "slow_down")
        statements: list[str] = []
        writer = database._connection  # pyright: ignore[reportPrivateUsage] — the one that commits
        writer.set_trace_callback(statements.append)
        for _ in range(20):
            response = await provider.poll(auth_req_id)
            refused(response, "temporarily_unavailable", status=503)
            assert response.headers["retry-after"] == "30"
        writer.set_trace_callback(None)
        assert statements == []
        time.at += 30
        refused(await provider.poll(auth_req_id), "authorization_pending")
        await provider.decide(auth_req_id)
        assert (await provider.poll(auth_req_id)).status_code == 200


@pytest.mark.seed("CIBA-46")
async def test_an_id_that_comes_again_takes_back_what_it_gave(
    provider: Provider, database: Database
) -> None:
    client = await provider.other_client()
    auth_req_id = await provider.asked(
        auth=basic(client), authorization_details=None, resource=None
    )
    await provider.decide(auth_req_id, client_id=client.client.id)
    assert (await provider.poll(auth_req_id, auth=basic(client))).status_code == 200
    assert not await database.fetch_all("SELECT jti FROM revoked_tokens")
    other = await provider.other_client()
    refused(await provider.poll(auth_req_id, auth=basic(other)), "invalid_grant")
    assert not await database.fetch_all("SELECT jti FROM revoked_tokens")
    refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")
    (revoked,) = await database.fetch_all("SELECT jti FROM revoked_tokens")
    (given,) = await database.fetch_all("SELECT token_jti FROM approvals")
    assert revoked["jti"] == given["token_jti"]
    refused(await provider.poll(auth_req_id, auth=basic(client)), "invalid_grant")
    assert len(await database.fetch_all("SELECT jti FROM revoked_tokens")) == 1


async def test_polls_that_race_for_the_tokens_take_nothing_back(
    provider: Provider, database: Database
) -> None:
    auth_req_id = await provider.asked()
    async with asyncio.TaskGroup() as group:
        polls = [group.create_task(provider.poll(auth_req_id, wait=25)) for _ in range(4)]
        await provider.until_held(polls=4)
        await provider.decide(auth_req_id)
    assert sorted(poll.result().status_code for poll in polls) == [200, 400, 400, 400]
    assert not await database.fetch_all("SELECT jti FROM revoked_tokens")
