"""A thousand rounds each of what must have one winner: decide, redeem, slow_down.

Real routes over a real SQLite; the contenders of a round start at once, forty rounds at a time.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from as_parts import Monotonic, Provider, basic, running_provider, tool_call
from signed_in import site
from signoff.approvals.request import Status
from signoff.approvals.service import Limits
from signoff.oauth.clients import Issued
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.tokens.verify import unverified_claims

ROUNDS = 1000
AT_ONCE = 40
HTTPS = "https://signoff.example"
MANY = Limits(
    pending_per_client=10 * ROUNDS,
    pending_per_user=10 * ROUNDS,
    pending_of_client=10 * ROUNDS,
    prompts_per_minute=10 * ROUNDS,
    prompts_of_client=10 * ROUNDS,
)
PAYMENT = '[{"type":"payment","amount":25}]'


@pytest.fixture
async def time() -> Monotonic:
    return Monotonic()


@pytest.fixture
async def provider(
    database: Database, sealer: Sealer, time: Monotonic
) -> AsyncGenerator[Provider, None]:
    async with running_provider(database, sealer, limits=MANY, monotonic=time) as running:
        yield running


async def rounds(one: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """Run every round, `AT_ONCE` of them at a time, and return what each told."""
    told: list[Any] = []
    for first in range(0, ROUNDS, AT_ONCE):
        told += await asyncio.gather(*map(one, range(first, min(first + AT_ONCE, ROUNDS))))
    return told


def code(answer: httpx2.Response) -> str:
    return "token" if answer.status_code == 200 else answer.json()["error"]


@pytest.mark.seed("CIBA-37")
@pytest.mark.seed("CIBA-57")
@pytest.mark.seed("B17")
async def test_of_parallel_redemptions_one_gets_the_token_in_a_thousand_rounds(
    provider: Provider, database: Database
) -> None:
    """Two ids of one approval, two polls each: four contenders for one yes."""

    async def one(number: int) -> tuple[Counter[str], str]:
        call = tool_call(f"call_{number}")
        ids = [await provider.asked(call), await provider.asked(call)]
        await provider.decide(ids[0])
        answers = await asyncio.gather(*(provider.poll(each) for each in (*ids, *ids)))
        (won,) = [answer.json() for answer in answers if answer.status_code == 200]
        return Counter(map(code, answers)), str(unverified_claims(won["access_token"])["jti"])

    told = await rounds(one)
    assert {tuple(sorted(found.items())) for found, _ in told} == {
        (("invalid_grant", 3), ("token", 1))
    }
    assert len({jti for _, jti in told}) == ROUNDS
    kept = await database.fetch_all("SELECT token_jti FROM approvals")
    assert {row["token_jti"] for row in kept} == {jti for _, jti in told}


@pytest.mark.seed("B14")
async def test_of_parallel_decisions_one_counts_in_a_thousand_rounds(
    provider: Provider, database: Database
) -> None:
    """Yes and no of two people at once, by the approver's own endpoints."""
    async with site(provider, url=HTTPS) as here:
        alice, bob = await here.enter("alice"), await here.enter("bob")

        async def one(number: int) -> tuple[str, ...]:
            details = tool_call(f"call_{number}", approvers=["alice", "bob"])
            auth_req_id = await provider.asked(details)
            card = await provider.card(auth_req_id)
            body = {"approval_id": card.id, "digest": card.digest}
            answers = await asyncio.gather(*(
                here.http.post(f"/ciba/{verb}", json=body, headers=who)
                for who in (alice, bob)
                for verb in ("authorize", "reject")
            ))  # fmt: skip
            assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
            won = [answer.status_code for answer in answers].index(200)
            said = Status.DENIED if won % 2 else Status.APPROVED
            ended = await provider.card(auth_req_id)
            assert (ended.status, ended.decided_by) == (said, ("alice", "bob")[won // 2])
            return (str(said), code(await provider.poll(auth_req_id)))

        told = await rounds(one)
    assert set(told) <= {("approved", "token"), ("denied", "access_denied")}
    rows = await database.fetch_all("SELECT body FROM audit")
    events = [json.loads(row["body"])["event"] for row in rows]
    assert sum(event in ("approval.approved", "approval.denied") for event in events) == ROUNDS


@pytest.mark.seed("CIBA-44")
@pytest.mark.seed("B16")
async def test_each_poll_too_early_costs_five_seconds_once_and_never_a_token_in_a_thousand_rounds(
    provider: Provider, time: Monotonic
) -> None:
    """A yes comes among polls that are too early: each is slowed down or served, never both."""
    client = await provider.other_client()
    auth = basic(client)

    async def one(number: int) -> tuple[int, ...]:
        auth_req_id = await _asked(provider, client)
        assert code(await provider.poll(auth_req_id, auth=auth)) == "authorization_pending"
        polls = [provider.poll(auth_req_id, auth=auth) for _ in range(3)]
        yes = provider.decide(auth_req_id, client_id=client.client.id)
        place = number % 4
        if place == 0:
            await yes  # surely first: no poll is too early any more
            answers = await asyncio.gather(*polls)
        else:
            async with asyncio.TaskGroup() as group:
                before = [group.create_task(poll) for poll in polls[:place]]
                group.create_task(yes)
                after = [group.create_task(poll) for poll in polls[place:]]
            answers = [task.result() for task in (*before, *after)]
        told = Counter(map(code, answers))
        assert set(told) <= {"slow_down", "token", "invalid_grant"}
        ticket = await provider.approvals.find(auth_req_id, client_id=client.client.id)
        assert ticket is not None
        assert ticket.interval_s == 5 + 5 * told["slow_down"]
        assert place or not told["slow_down"]
        if not told["token"]:
            told[code(await provider.poll(auth_req_id, auth=auth))] += 1
        assert told["token"] == 1
        return (told["slow_down"], told["invalid_grant"])

    told = await rounds(one)
    assert len(told) == ROUNDS
    assert any(slowed for slowed, _ in told), "no poll was ever too early"
    assert time.at == 1000.0


async def _asked(provider: Provider, client: Issued) -> str:
    return await provider.asked(auth=basic(client), authorization_details=PAYMENT, resource=None)
