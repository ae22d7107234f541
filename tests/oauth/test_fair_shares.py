"""A stranger uses up its own share of registrations and device requests, and nobody else's."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest

from as_parts import ISSUER, refused
from conftest import TurnedClock
from host_house import RESOURCE, HostHouse, host_house, registration
from signoff.sealed import Sealer
from signoff.storage import devices
from signoff.storage.sqlite import Database

A_MINUTE = 3
STRANGER, HONEST = "203.0.113.66", "198.51.100.7"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer, registrations_a_minute=A_MINUTE) as running:
        yield running


@asynccontextmanager
async def at(house: HostHouse, address: str) -> AsyncGenerator[httpx2.AsyncClient, None]:
    """A client whose connection comes from `address`."""
    transport = httpx2.ASGITransport(house.transport.app, client=(address, 4711))
    async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as http:
        yield http


async def registered(house: HostHouse, address: str, **headers: str) -> int:
    async with at(house, address) as http:
        answer = await http.post("/oauth2/register", json=registration(), headers=headers)
    if answer.status_code == 429:
        refused(answer, "temporarily_unavailable", status=429)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert not re.search(r"\d+\.\d+|network|address", answer.text)
    return answer.status_code


async def asked(house: HostHouse, address: str, client_id: str) -> int:
    form = {"client_id": client_id, "resource": RESOURCE}
    async with at(house, address) as http:
        answer = await http.post("/oauth2/device_authorization", data=form)
    if answer.status_code == 429:
        refused(answer, "temporarily_unavailable", status=429)
        assert answer.headers["retry-after"] == "30"
    return answer.status_code


async def test_a_stranger_that_registers_all_the_time_keeps_nobody_out(house: HostHouse) -> None:
    for _ in range(A_MINUTE):
        assert await registered(house, STRANGER) == 201
    for _ in range(30):
        assert await registered(house, STRANGER) == 429
    assert await registered(house, HONEST) == 201


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("2001:db8:1:2::2", True),
        ("2001:db8:1:2:aaaa::1", True),
        ("2001:db8:1:3::1", False),
    ],
)
async def test_the_addresses_of_one_site_have_one_share(
    house: HostHouse, address: str, *, same: bool
) -> None:
    for host in range(A_MINUTE):
        assert await registered(house, f"2001:db8:1:2::{host:x}") == 201
    assert await registered(house, address) == (429 if same else 201)


async def test_headers_that_nobody_was_told_to_believe_buy_no_share(house: HostHouse) -> None:
    answers = [
        await registered(house, STRANGER, **{
            "x-forwarded-for": f"10.0.0.{number}", "x-real-ip": f"10.0.1.{number}",
            "forwarded": f"for=10.0.2.{number}", "cf-connecting-ip": f"10.0.3.{number}",
        })
        for number in range(A_MINUTE + 1)
    ]  # fmt: skip
    assert answers == [201] * A_MINUTE + [429]


async def test_many_networks_together_have_a_bound_and_a_share_comes_back(
    house: HostHouse, database: Database, clock: TurnedClock
) -> None:
    many = [f"203.0.113.{number}" for number in range(40)]
    answers = [await registered(house, address) for address in many]
    assert answers == [201] * 6 * A_MINUTE + [429] * (40 - 6 * A_MINUTE)
    assert await registered(house, HONEST) == 429
    # Who was refused for others has used up nothing of its own.
    rows = await database.fetch_all("SELECT id FROM paces WHERE kind = 'registering'")
    assert {row["id"] for row in rows} == {*many[: 6 * A_MINUTE]}
    clock.turn(61)
    assert [await registered(house, HONEST) for _ in range(A_MINUTE)] == [201] * A_MINUTE
    # What says nothing any more is forgotten on the way.
    rows = await database.fetch_all("SELECT id FROM paces WHERE kind = 'registering'")
    assert {row["id"] for row in rows} == {HONEST}


async def test_a_share_is_used_up_over_a_restart(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    for number in range(A_MINUTE + 1):
        async with host_house(database, sealer, registrations_a_minute=A_MINUTE) as house:
            expected = 201 if number < A_MINUTE else 429
            assert await registered(house, STRANGER) == expected
        clock.turn(1)


async def test_a_device_id_that_everybody_knows_is_used_up_for_one_network_alone(
    house: HostHouse,
) -> None:
    client_id = (await house.register(grant_types=[DEVICE_CODE]))["client_id"]
    for _ in range(100):
        assert await asked(house, STRANGER, client_id) == 200
    for _ in range(5):
        assert await asked(house, STRANGER, client_id) == 429
    assert await asked(house, HONEST, client_id) == 200
    # Its neighbours with another application are not touched either.
    other = (await house.register(grant_types=[DEVICE_CODE]))["client_id"]
    assert await asked(house, STRANGER, other) == 200


async def test_no_network_takes_more_device_requests_than_it_leaves(
    house: HostHouse, monkeypatch: pytest.MonkeyPatch, clock: TurnedClock
) -> None:
    monkeypatch.setattr(devices, "_OPEN_AT_MOST", 16)
    client_id = (await house.register(grant_types=[DEVICE_CODE]))["client_id"]

    async def until_full(address: str) -> int:
        for taken in range(20):
            if await asked(house, address, client_id) == 429:
                return taken
        raise AssertionError

    taken = [await until_full(f"203.0.113.{number}") for number in range(5)]
    assert taken == [8, 4, 2, 1, 1], "the next one always finds room, until there is none"
    assert await asked(house, HONEST, client_id) == 429
    clock.turn(601)
    assert await asked(house, HONEST, client_id) == 200
