"""Too much at once: prompts, pending requests, polls. And an id that comes twice."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from as_parts import Monotonic, Provider, basic, refused, running_provider, tool_call
from conftest import TurnedClock
from signoff.approvals.service import Limits
from signoff.oauth.clients import Issued
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


async def by(provider: Provider, client: Issued, **changed: Any) -> httpx2.Response:
    """Ask as a client that is not the gate."""
    form: dict[str, Any] = {"authorization_details": None, "resource": None}
    return await provider.ask(auth=basic(client), **{**form, **changed})


async def test_a_noisy_client_keeps_neither_the_gate_out_nor_another_client(
    database: Database, sealer: Sealer
) -> None:
    limits = Limits(pending_per_user=4, pending_of_client=2)
    async with running_provider(database, sealer, limits=limits) as provider:
        noisy, quiet = await provider.other_client(), await provider.other_client()
        ids = [(await by(provider, noisy)).json()["auth_req_id"] for _ in range(2)]
        refused(await by(provider, noisy), "temporarily_unavailable", status=429)
        assert (await by(provider, noisy, login_hint="bob")).status_code == 200
        assert (await by(provider, quiet)).status_code == 200
        assert (await by(provider, quiet)).status_code == 200
        late = await by(provider, await provider.other_client())
        refused(late, "temporarily_unavailable", status=429)
        assert late.headers["retry-after"] == "30"
        for number in range(4):
            assert (await provider.ask(tool_call(f"call_{number}"))).status_code == 200
        refused(await provider.ask(tool_call("call_4")), "temporarily_unavailable", status=429)
        await provider.decide(ids[0], "deny", client_id=noisy.client.id)
        assert (await by(provider, noisy)).status_code == 200
        refused(await by(provider, noisy), "temporarily_unavailable", status=429)


async def test_the_gate_leaves_room_for_others_too(database: Database, sealer: Sealer) -> None:
    async with running_provider(database, sealer, limits=Limits(pending_per_user=1)) as provider:
        await provider.asked(tool_call("call_1"))
        assert (await by(provider, await provider.other_client())).status_code == 200


async def test_prompts_of_one_client_leave_the_gate_and_other_clients_their_own(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    limits = Limits(prompts_per_minute=3, prompts_of_client=2)
    async with running_provider(database, sealer, limits=limits) as provider:
        noisy = await provider.other_client()
        for _ in range(2):
            told = await by(provider, noisy)
            await provider.decide(told.json()["auth_req_id"], "deny", client_id=noisy.client.id)
        response = await by(provider, noisy)
        refused(response, "temporarily_unavailable", status=429)
        assert response.headers["retry-after"] == "60"
        assert (await by(provider, await provider.other_client())).status_code == 200
        many = await by(provider, await provider.other_client())
        refused(many, "temporarily_unavailable", status=429)
        for number in range(3):
            assert (await provider.ask(tool_call(f"call_{number}"))).status_code == 200
        refused(await provider.ask(tool_call("call_3")), "temporarily_unavailable", status=429)
        clock.turn(61)
        assert (await by(provider, noisy)).status_code == 200


async def test_what_waits_and_was_asked_is_counted_over_a_restart(
    tmp_path: Path, sealer: Sealer, clock: TurnedClock
) -> None:
    limits = Limits(pending_of_client=1, prompts_of_client=2)

    @asynccontextmanager
    async def started() -> AsyncGenerator[Provider, None]:
        async with (
            Database(tmp_path / "kept.db", clock=clock).running() as database,
            running_provider(database, sealer, limits=limits) as provider,
        ):
            yield provider

    async with started() as provider:
        noisy = await provider.other_client()
        auth_req_id = (await by(provider, noisy)).json()["auth_req_id"]
    async with started() as provider:
        response = await by(provider, noisy)
        refused(response, "temporarily_unavailable", status=429)
        assert response.headers["retry-after"] == "30"
        await provider.decide(auth_req_id, "deny", client_id=noisy.client.id)
        auth_req_id = (await by(provider, noisy)).json()["auth_req_id"]
        await provider.decide(auth_req_id, "deny", client_id=noisy.client.id)
    async with started() as provider:
        response = await by(provider, noisy)
        refused(response, "temporarily_unavailable", status=429)
        assert response.headers["retry-after"] == "60"
        assert (await provider.ask(tool_call("call_1"))).status_code == 200


async def test_of_a_burst_of_parallel_requests_the_cap_lets_its_number_in(
    database: Database, sealer: Sealer
) -> None:
    limits = Limits(pending_of_client=5, prompts_of_client=100)
    async with running_provider(database, sealer, limits=limits) as provider:
        noisy = await provider.other_client()
        answers = await asyncio.gather(*(by(provider, noisy) for _ in range(40)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 35


async def test_opening_measures_a_request_by_one_statement(
    provider: Provider, database: Database
) -> None:
    statements: list[str] = []
    writer = database._connection  # pyright: ignore[reportPrivateUsage] — the one that commits
    client = await provider.other_client()
    writer.set_trace_callback(statements.append)
    assert (await by(provider, client)).status_code == 200
    writer.set_trace_callback(None)
    asked = [one for one in statements if "pending_counts" in one and one.startswith("\nSELECT")]
    assert len(asked) == 1


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
