"""What one code is worth: to its own host, once, and for a minute."""

import asyncio
from typing import Any

import pytest

from as_parts import refused
from conftest import TurnedClock
from host_house import (
    CHALLENGE,
    RESOURCE,
    HostHouse,
    Person,
)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_verifier": "another-verifier-of-at-least-forty-three-chars"}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"redirect_uri": "http://127.0.0.1:49153/callback"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"resource": f"{RESOURCE}/"}, "invalid_target"),
    ],
)
async def test_a_code_stays_good_for_its_owner_whatever_others_try(
    house: HostHouse, client_id: str, alice: Person, changed: dict[str, Any], error: str
) -> None:
    code = await house.code(alice, client_id)
    refused(await house.redeem(code, client_id, **changed), error)
    assert (await house.redeem(code, client_id)).status_code == 200


async def test_a_code_of_another_host_is_as_unknown_as_any(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    other = (await house.register())["client_id"]
    code = await house.code(alice, client_id)
    stolen = await house.redeem(code, other)
    unknown = await house.redeem("no-such-code", other)
    refused(stolen, "invalid_grant")
    assert stolen.content == unknown.content
    assert (await house.redeem(code, client_id)).status_code == 200


async def test_a_code_that_comes_twice_revokes_what_it_gave(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    code = await house.code(alice, client_id)
    given = (await house.redeem(code, client_id)).json()
    refused(await house.redeem(code, client_id), "invalid_grant")
    assert not await house.stands(given["access_token"])
    refused(await house.refresh(given["refresh_token"], client_id), "invalid_grant")
    assert (await house.events()).count("consent.revoked") == 1


async def test_of_fifty_parallel_exchanges_one_wins_and_none_survives(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    code = await house.code(alice, client_id)
    answers = await asyncio.gather(*(house.redeem(code, client_id) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
    assert (await house.events()).count("consent.code_redeemed") == 1
    given = next(answer.json() for answer in answers if answer.status_code == 200)
    assert not await house.stands(given["access_token"])


async def test_a_code_lives_for_a_minute(
    house: HostHouse, client_id: str, clock: TurnedClock, alice: Person
) -> None:
    late, timely = await house.code(alice, client_id), None
    clock.turn(59)
    timely = await house.code(alice, client_id)
    assert (await house.redeem(timely, client_id)).status_code == 200
    clock.turn(1)
    refused(await house.redeem(late, client_id), "invalid_grant")


@pytest.mark.parametrize("who", ["alice", "host"])
async def test_a_code_of_somebody_switched_off_gives_nothing(
    house: HostHouse, client_id: str, alice: Person, who: str
) -> None:
    code = await house.code(alice, client_id)
    await house.people.disable(client_id if who == "host" else who, by="operator")
    answer = await house.redeem(code, client_id)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] in ("invalid_grant", "invalid_client")


async def test_codes_and_verifiers_stand_in_the_store_by_hash_only(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    code = await house.code(alice, client_id)
    given = (await house.redeem(code, client_id)).json()
    folder = house.database.path.parent
    kept = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    for secret in (code, given["refresh_token"], given["access_token"]):
        assert secret.encode() not in kept
