"""The pace of polls, and polls that are held until there is something to say."""

import asyncio

import pytest

from as_parts import (
    Monotonic,
    Provider,
    refused,
    running_provider,
)
from conftest import TurnedClock
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database


@pytest.mark.seed("CIBA-56")
async def test_the_first_poll_may_come_at_once(provider: Provider) -> None:
    auth_req_id = await provider.asked()
    refused(await provider.poll(auth_req_id), "authorization_pending")


@pytest.mark.seed("P17")
@pytest.mark.seed("B16")
@pytest.mark.seed("CIBA-44")
async def test_polling_too_fast_costs_five_seconds_each_time_for_good(
    database: Database, sealer: Sealer
) -> None:
    time = Monotonic()
    async with running_provider(database, sealer, monotonic=time) as provider:
        auth_req_id = await provider.asked()
        refused(await provider.poll(auth_req_id), "authorization_pending")
        time.at += 4
        refused(await provider.poll(auth_req_id), "slow_down")
        time.at += 5
        refused(await provider.poll(auth_req_id), "slow_down")
        time.at += 14
        refused(await provider.poll(auth_req_id), "slow_down")
        time.at += 20
        refused(await provider.poll(auth_req_id), "authorization_pending")
        ticket = await provider.approvals.find(auth_req_id, client_id="signoff-gate")
        assert ticket is not None
        assert ticket.interval_s == 20
    # Another process takes over: the interval stays, the first poll is in time.
    async with running_provider(database, sealer, monotonic=time) as provider:
        refused(await provider.poll(auth_req_id), "authorization_pending")
        time.at += 19
        refused(await provider.poll(auth_req_id), "slow_down")


@pytest.mark.seed("CIBA-43")
async def test_a_poll_that_did_not_ask_to_be_held_is_answered_at_once(provider: Provider) -> None:
    auth_req_id = await provider.asked()
    async with asyncio.timeout(20):
        refused(await provider.poll(auth_req_id), "authorization_pending")


@pytest.mark.parametrize(
    "prefer", ["respond-async, wait=20", 'wait="20"', "WAIT = 20 ; x=1", "wait=99999"]
)
async def test_a_held_poll_is_answered_by_the_decision(provider: Provider, prefer: str) -> None:
    auth_req_id = await provider.asked()
    form = {"grant_type": "urn:openid:params:grant-type:ciba", "auth_req_id": auth_req_id}
    poll = asyncio.create_task(provider.post("/oauth2/token", form, headers={"Prefer": prefer}))
    await provider.until_held()
    await provider.decide(auth_req_id)
    assert (await poll).status_code == 200


@pytest.mark.seed("P16")
async def test_a_held_poll_hears_of_a_denial_with_its_reason(provider: Provider) -> None:
    auth_req_id = await provider.asked()
    poll = asyncio.create_task(provider.poll(auth_req_id, wait=25))
    await provider.until_held()
    await provider.decide(auth_req_id, "deny", reason="not today")
    response = await poll
    assert response.status_code == 400
    assert response.json() == {
        "error": "access_denied",
        "error_description": "the request was denied",
        "reason": "not today",
        "denied_by": "alice",
    }


async def test_a_held_poll_ends_with_the_request_that_expires_under_it(
    provider: Provider, clock: TurnedClock
) -> None:
    auth_req_id = await provider.asked(requested_expiry="30")
    poll = asyncio.create_task(provider.poll(auth_req_id, wait=25))
    await provider.until_held()
    clock.turn(30)
    assert len(await provider.approvals.sweep()) == 1
    refused(await poll, "expired_token")


@pytest.mark.parametrize("prefer", ["wait=0", "wait=-5", "wait=soon", "waiting=9", "wait", ""])
async def test_a_wish_to_be_held_that_is_none_is_ignored(provider: Provider, prefer: str) -> None:
    auth_req_id = await provider.asked()
    form = {"grant_type": "urn:openid:params:grant-type:ciba", "auth_req_id": auth_req_id}
    async with asyncio.timeout(20):
        response = await provider.post("/oauth2/token", form, headers={"Prefer": prefer})
    refused(response, "authorization_pending")


@pytest.mark.seed("CIBA-44")
async def test_a_held_poll_never_causes_slow_down(database: Database, sealer: Sealer) -> None:
    time = Monotonic()
    async with running_provider(database, sealer, monotonic=time) as provider:
        auth_req_id = await provider.asked()
        for _ in range(3):
            poll = asyncio.create_task(provider.poll(auth_req_id, wait=20))
            await provider.until_held()
            time.at += 20
            provider.wake()
            refused(await poll, "authorization_pending")
        refused(await provider.poll(auth_req_id), "authorization_pending")


async def test_more_held_polls_of_one_id_than_anybody_needs_are_answered_at_once(
    provider: Provider,
) -> None:
    auth_req_id = await provider.asked()
    held = [asyncio.create_task(provider.poll(auth_req_id, wait=25)) for _ in range(4)]
    await provider.until_held(polls=4)
    async with asyncio.timeout(20):
        refused(await provider.poll(auth_req_id, wait=25), "authorization_pending")
    await provider.decide(auth_req_id, "deny")
    assert {response.status_code for response in await asyncio.gather(*held)} == {400}


async def test_a_poll_in_time_commits_nothing_and_one_too_early_commits_once(
    database: Database, sealer: Sealer
) -> None:
    time = Monotonic()
    async with running_provider(database, sealer, monotonic=time) as provider:
        auth_req_id = await provider.asked()
        statements: list[str] = []
        writer = database._connection  # pyright: ignore[reportPrivateUsage] — the one that commits
        writer.set_trace_callback(statements.append)
        for _ in range(20):
            refused(await provider.poll(auth_req_id), "authorization_pending")
            time.at += 5
        assert statements == []
        time.at -= 5
        refused(await provider.poll(auth_req_id), "slow_down")
        writer.set_trace_callback(None)
        assert statements.count("COMMIT") == 1
