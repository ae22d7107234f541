"""Refresh tokens: each works once, and a second use ends everything."""

import asyncio
from typing import Any

import pytest

from as_parts import refused
from conftest import TurnedClock
from host_house import RESOURCE, HostHouse


async def test_a_refresh_gives_new_tokens_of_the_same_consent(
    house: HostHouse, client_id: str, clock: TurnedClock
) -> None:
    first = await house.signed_in(client_id)
    clock.turn(3500)
    second = (await house.refresh(first["refresh_token"], client_id, resource=RESOURCE)).json()
    assert second["refresh_token"] != first["refresh_token"]
    before, after = house.claims(first["access_token"]), house.claims(second["access_token"])
    same = ("iss", "aud", "sub", "client_id", "scope", "auth_time", "acr", "consent_id")
    assert {name: before[name] for name in same} == {name: after[name] for name in same}
    assert before["jti"] != after["jti"]


async def test_a_token_that_comes_twice_ends_its_whole_family(
    house: HostHouse, client_id: str
) -> None:
    first = await house.signed_in(client_id)
    second = (await house.refresh(first["refresh_token"], client_id)).json()
    refused(await house.refresh(first["refresh_token"], client_id), "invalid_grant")
    refused(await house.refresh(second["refresh_token"], client_id), "invalid_grant")
    assert not await house.stands(second["access_token"])


async def test_of_fifty_parallel_refreshes_one_wins_and_the_family_ends(
    house: HostHouse, client_id: str
) -> None:
    first = await house.signed_in(client_id)
    answers = await asyncio.gather(
        *(house.refresh(first["refresh_token"], client_id) for _ in range(50))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
    given = next(answer.json() for answer in answers if answer.status_code == 200)
    refused(await house.refresh(given["refresh_token"], client_id), "invalid_grant")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"refresh_token": "unknown"}, "invalid_grant"),
        ({"refresh_token": "x" * 300}, "invalid_grant"),
        ({"refresh_token": None}, "invalid_request"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"scope": "mcp payments"}, "invalid_scope"),
        ({"scope": "mcp admin"}, "invalid_scope"),
    ],
)
async def test_a_refresh_that_does_not_hold_costs_nothing(
    house: HostHouse, client_id: str, changed: dict[str, Any], error: str
) -> None:
    token = (await house.signed_in(client_id))["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}
    refused(await house.token({**form, **changed}), error)
    assert (await house.refresh(token, client_id)).status_code == 200


async def test_another_hosts_token_is_as_unknown_as_any_and_stays_good(
    house: HostHouse, client_id: str
) -> None:
    token = (await house.signed_in(client_id))["refresh_token"]
    other = (await house.register())["client_id"]
    stolen, unknown = await house.refresh(token, other), await house.refresh("unknown", other)
    refused(stolen, "invalid_grant")
    assert stolen.content == unknown.content
    assert (await house.refresh(token, client_id)).status_code == 200


async def test_a_narrower_scope_narrows_one_access_token_only(
    house: HostHouse, client_id: str
) -> None:
    code = await house.code(await house.person(), client_id, scope="mcp payments")
    first = (await house.redeem(code, client_id)).json()
    narrow = (await house.refresh(first["refresh_token"], client_id, scope="mcp")).json()
    assert narrow["scope"] == "mcp"
    assert house.claims(narrow["access_token"])["scope"] == "mcp"
    wide = (await house.refresh(narrow["refresh_token"], client_id)).json()
    assert wide["scope"] == "mcp payments"


async def test_a_refresh_token_lives_for_thirty_days(
    house: HostHouse, client_id: str, clock: TurnedClock
) -> None:
    token = (await house.signed_in(client_id))["refresh_token"]
    clock.turn(30 * 86_400)
    refused(await house.refresh(token, client_id), "invalid_grant")


@pytest.mark.parametrize("who", ["alice", "host"])
async def test_nobody_switched_off_is_refreshed(house: HostHouse, client_id: str, who: str) -> None:
    token = (await house.signed_in(client_id))["refresh_token"]
    off = client_id if who == "host" else who
    await house.people.disable(off, by="operator")
    answer = await house.refresh(token, client_id)
    assert answer.json()["error"] == ("invalid_client" if who == "host" else "invalid_grant")
    await house.people.enable(off, by="operator")
    assert (await house.refresh(token, client_id)).status_code == 200


async def test_what_a_removed_person_let_act_for_them_acts_no_more(
    house: HostHouse, client_id: str
) -> None:
    gone = await house.signed_in(client_id, "bob")
    stays = await house.signed_in(client_id, "alice")
    await house.people.keep_only({"alice"})
    refused(await house.refresh(gone["refresh_token"], client_id), "invalid_grant")
    assert not await stands(house, gone["access_token"])
    assert await stands(house, stays["access_token"])
    assert (await house.refresh(stays["refresh_token"], client_id)).status_code == 200
    assert [one.user_id for one in await house.connections.of(None)] == ["alice"]
    assert (await house.events()).count("account.removed") == 1


async def stands(house: HostHouse, access_token: str) -> bool:
    claims = house.claims(access_token)
    return await house.revocations.standing(
        str(claims["jti"]),
        sub=str(claims["sub"]),
        client_id=str(claims["client_id"]),
        consent_id=str(claims["consent_id"]),
    )


async def test_a_host_that_did_not_ask_for_refresh_tokens_gets_none(house: HostHouse) -> None:
    client_id = (await house.register(grant_types=["authorization_code"]))["client_id"]
    given = await house.signed_in(client_id)
    assert "refresh_token" not in given
    refused(await house.refresh("x", client_id), "unauthorized_client")


@pytest.mark.parametrize(
    ("grants", "scope"),
    [
        (["authorization_code", "refresh_token"], "mcp offline_access"),
        (["authorization_code"], "mcp"),
    ],
    ids=["may refresh", "may not"],
)
async def test_a_host_that_asks_for_lasting_access_gets_it_only_with_the_grant(
    house: HostHouse, grants: list[str], scope: str
) -> None:
    client_id = (await house.register(grant_types=grants))["client_id"]
    person = await house.person()
    code = await house.code(person, client_id, scope="mcp offline_access")
    given = (await house.redeem(code, client_id)).json()
    assert given["scope"] == scope
    assert ("refresh_token" in given) is ("offline_access" in scope)
