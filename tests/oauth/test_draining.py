"""A stop lets nobody wait: held polls are answered, and lose nothing by it."""

import asyncio

import pytest

from as_parts import Provider, refused, tool_call
from signoff.oauth.draining import Draining


@pytest.mark.seed("CIBA-43")
async def test_every_held_poll_is_answered_pending_when_the_server_stops(
    provider: Provider,
) -> None:
    ids = [await provider.asked(tool_call(f"call_{number}")) for number in range(20)]
    async with asyncio.TaskGroup() as group:
        polls = [group.create_task(provider.poll(each, wait=25)) for each in ids]
        await provider.until_held(polls=20)
        provider.draining.begin()
    for poll in polls:
        refused(poll.result(), "authorization_pending")


async def test_a_poll_that_comes_while_the_server_stops_is_not_held(provider: Provider) -> None:
    auth_req_id = await provider.asked()
    provider.draining.begin()
    for _ in range(3):  # and none of them was too fast: each asked to be held
        refused(await provider.poll(auth_req_id, wait=25), "authorization_pending")


async def test_a_yes_is_still_handed_out_while_the_server_stops(provider: Provider) -> None:
    auth_req_id = await provider.asked()
    await provider.decide(auth_req_id)
    provider.draining.begin()
    assert (await provider.poll(auth_req_id, wait=25)).status_code == 200


async def test_what_is_waited_for_comes_back_without_a_stop() -> None:
    draining, event = Draining(), asyncio.Event()
    event.set()
    await draining.wait(event.wait())
    assert not draining.begun


async def test_a_deadline_of_the_waiter_is_not_taken_for_a_stop() -> None:
    async def late() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await Draining().wait(late())
