"""The CIBA grant: what every state answers, and one token for one yes."""

import asyncio
from asyncio import CancelledError
from collections import Counter
from typing import Any, cast

import pytest

from as_parts import (
    BANK,
    ISSUER,
    Provider,
    basic,
    refused,
    tool_call,
)
from conftest import TurnedClock
from signoff.approvals.details import token_details
from signoff.approvals.request import Status
from signoff.storage.sqlite import Database
from signoff.tokens.verify import at_hash, unverified_claims, verify_access_token, verify_id_token
from writer_parts import busy_writer, queued


@pytest.mark.seed("CIBA-46")
@pytest.mark.seed("CIBA-47")
@pytest.mark.seed("B18")
async def test_a_yes_is_worth_one_access_token_and_one_id_token_of_the_profile(
    provider: Provider, clock: TurnedClock
) -> None:
    details = tool_call()
    auth_req_id = await provider.asked(details)
    opened = int(clock().timestamp())
    clock.turn(10)
    await provider.decide(auth_req_id)
    clock.turn(5)
    response = await provider.poll(auth_req_id)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    access = verify_access_token(
        answer["access_token"],
        keys=provider.keyring.public,
        issuer=ISSUER,
        audience=f"{ISSUER}/gate",
        now=clock(),
    )
    assert access == {
        "iss": ISSUER,
        "aud": f"{ISSUER}/gate",
        "sub": "alice",
        "client_id": "signoff-gate",
        "act": {"sub": "alice", "client_id": "claude-code"},
        "txn": "call_1",
        "jti": access["jti"],
        "iat": opened + 15,
        "exp": opened + 10 + 120,
        "auth_time": opened + 10,
        "acr": "session",
        "scope": "openid",
        "authorization_details": [token_details(details)],
    }
    identity = verify_id_token(
        answer["id_token"],
        keys=provider.keyring.public,
        issuer=ISSUER,
        client_id="signoff-gate",
        now=clock(),
        access_token=answer["access_token"],
    )
    assert identity == {
        "iss": ISSUER,
        "aud": "signoff-gate",
        "sub": "alice",
        "iat": opened + 15,
        "exp": opened + 130,
        "auth_time": opened + 10,
        "acr": "session",
        "amr": ["user"],
        "at_hash": at_hash(answer["access_token"]),
        "urn:openid:params:jwt:claim:auth_req_id": auth_req_id,
    }
    assert {name: answer[name] for name in answer if not name.endswith("_token")} == {
        "token_type": "Bearer",
        "expires_in": 115,
        "scope": "openid",
        "authorization_details": [token_details(details)],
    }


@pytest.mark.seed("D11")
async def test_the_token_names_who_decided_and_not_who_was_hinted_at(provider: Provider) -> None:
    auth_req_id = await provider.asked(tool_call(approvers=["alice", "bob"]))
    await provider.decide(auth_req_id, user_id="bob")
    claims = unverified_claims((await provider.poll(auth_req_id)).json()["access_token"])
    assert claims["sub"] == "bob"


async def test_a_machine_caller_acts_as_its_client(provider: Provider) -> None:
    nightly = (await provider.other_client()).client.id
    caller = {"kind": "oauth", "issuer": ISSUER, "client_id": nightly}
    auth_req_id = await provider.asked(tool_call(caller=caller))
    await provider.decide(auth_req_id)
    claims = unverified_claims((await provider.poll(auth_req_id)).json()["access_token"])
    assert claims["act"] == {"sub": nightly, "client_id": nightly}


@pytest.mark.seed("B9")
async def test_the_token_is_for_the_resource_that_was_asked_for(provider: Provider) -> None:
    auth_req_id = await provider.asked(resource=BANK)
    await provider.decide(auth_req_id)
    claims = unverified_claims((await provider.poll(auth_req_id)).json()["access_token"])
    assert claims["aud"] == BANK


async def test_an_argument_beyond_64_bits_reaches_the_token_whole(provider: Provider) -> None:
    auth_req_id = await provider.asked(tool_call(arguments={"amount": 10**30}))
    await provider.decide(auth_req_id)
    claims = unverified_claims((await provider.poll(auth_req_id)).json()["access_token"])
    (member,) = cast("list[dict[str, Any]]", claims["authorization_details"])
    assert member["arguments"] == {"amount": 10**30}


@pytest.mark.seed("B15")
@pytest.mark.seed("CIBA-55")
async def test_an_expired_request_keeps_answering_expired_token(
    provider: Provider, clock: TurnedClock
) -> None:
    auth_req_id = await provider.asked(requested_expiry="60")
    clock.turn(60)
    refused(await provider.poll(auth_req_id), "expired_token")
    await provider.approvals.sweep()
    clock.turn(3600)
    refused(await provider.poll(auth_req_id), "expired_token")
    assert (await provider.card(auth_req_id)).status is Status.EXPIRED


@pytest.mark.seed("CIBA-57")
async def test_a_denied_request_keeps_answering_access_denied_and_tells_others_no_more(
    provider: Provider,
) -> None:
    other = await provider.other_client()
    auth_req_id = await provider.asked(auth=basic(other), resource=BANK, authorization_details=None)
    await provider.decide(auth_req_id, "deny", client_id=other.client.id, reason="private")
    for _ in range(2):
        refused(await provider.poll(auth_req_id, auth=basic(other)), "access_denied")


async def test_a_withdrawn_request_answers_access_denied(provider: Provider) -> None:
    auth_req_id = await provider.asked()
    assert (await provider.post("/ciba/withdraw", {"auth_req_id": auth_req_id})).json() == {
        "status": "withdrawn"
    }
    response = await provider.poll(auth_req_id)
    assert response.json()["error"] == "access_denied"
    assert response.json()["denied_by"] is None


@pytest.mark.seed("CIBA-37")
@pytest.mark.seed("CIBA-42")
@pytest.mark.seed("B17")
async def test_unknown_used_lapsed_and_another_clients_id_are_one_answer(
    provider: Provider, clock: TurnedClock
) -> None:
    other = await provider.other_client()
    used, lapsed, foreign, waiting, denied = [
        await provider.asked(tool_call(f"call_{n}")) for n in range(5)
    ]
    await provider.decide(denied, "deny")
    await provider.decide(used)
    await provider.decide(foreign)
    assert (await provider.poll(used)).status_code == 200
    await provider.decide(lapsed)
    clock.turn(120)
    answers = [
        await provider.poll("no-such-id"),
        await provider.poll("x" * 10_000),
        await provider.poll(used),
        await provider.poll(lapsed),
        await provider.poll(foreign, auth=basic(other)),
        await provider.poll(waiting, auth=basic(other)),
        await provider.poll(denied, auth=basic(other)),
    ]
    for answer in answers:
        refused(answer, "invalid_grant")
    assert len({(answer.content, str(answer.headers)) for answer in answers}) == 1


@pytest.mark.seed("CIBA-57")
async def test_fifty_parallel_polls_after_a_yes_get_one_token(provider: Provider) -> None:
    auth_req_id = await provider.asked()
    await provider.decide(auth_req_id)
    answers = await asyncio.gather(*(provider.poll(auth_req_id) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 49}
    assert {a.json()["error"] for a in answers if a.status_code == 400} == {"invalid_grant"}


async def test_fifty_parallel_polls_over_several_ids_of_one_approval_get_one_token(
    provider: Provider,
) -> None:
    ids = [await provider.asked() for _ in range(5)]
    await provider.decide(ids[0])
    polls = (provider.poll(auth_req_id) for auth_req_id in ids for _ in range(10))
    answers = await asyncio.gather(*polls)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 49}


async def test_a_poll_cancelled_in_its_exchange_leaves_the_tokens_to_the_next(
    provider: Provider, database: Database
) -> None:
    auth_req_id = await provider.asked()
    await provider.decide(auth_req_id)
    async with busy_writer(database):
        poll = asyncio.create_task(provider.poll(auth_req_id))
        await queued(database)
        poll.cancel()
        assert isinstance((await asyncio.gather(poll, return_exceptions=True))[0], CancelledError)
    answers = [await provider.poll(auth_req_id) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 400]


async def test_a_poll_that_comes_during_an_exchange_waits_for_it_and_takes_nothing_back(
    provider: Provider, database: Database
) -> None:
    auth_req_id = await provider.asked()
    await provider.decide(auth_req_id)
    async with busy_writer(database):
        first = asyncio.create_task(provider.poll(auth_req_id))
        await queued(database)
        others = [asyncio.create_task(provider.poll(auth_req_id)) for _ in range(10)]
        await asyncio.sleep(0)
    assert (await first).status_code == 200
    for other in others:
        refused(await other, "invalid_grant")
    assert not await database.fetch_all("SELECT jti FROM revoked_tokens")


async def test_a_poll_that_comes_during_an_exchange_has_the_tokens_of_one_that_left(
    provider: Provider, database: Database
) -> None:
    auth_req_id = await provider.asked()
    await provider.decide(auth_req_id)
    async with busy_writer(database):
        first = asyncio.create_task(provider.poll(auth_req_id))
        await queued(database)
        second = asyncio.create_task(provider.poll(auth_req_id))
        await asyncio.sleep(0)
        first.cancel()
    assert (await second).status_code == 200
    assert not await database.fetch_all("SELECT jti FROM revoked_tokens")


@pytest.mark.parametrize("who", ["alice", "signoff-gate"])
async def test_a_yes_of_somebody_switched_off_since_is_worth_nothing(
    provider: Provider, who: str
) -> None:
    auth_req_id = await provider.asked(tool_call(approvers=["alice", "bob"]))
    await provider.decide(auth_req_id)
    assert await provider.people.disable(who, by="operator")
    refused(await provider.poll(auth_req_id), "invalid_grant")
    assert (await provider.card(auth_req_id)).status is Status.LAPSED


async def test_a_yes_over_details_that_were_changed_since_is_worth_nothing(
    provider: Provider, database: Database
) -> None:
    auth_req_id = await provider.asked()
    card = await provider.decide(auth_req_id)
    statement = "UPDATE approvals SET acr = 'passkey' WHERE id = :id"
    await database.write(lambda tx: tx.execute(statement, {"id": card.id}))
    refused(await provider.poll(auth_req_id), "invalid_grant")
