"""However many documents a site publishes, the store keeps few of them: a flood fills no disk."""

from collections.abc import AsyncGenerator

import pytest

from conftest import TurnedClock
from document_site import Site, a_site
from host_house import HostHouse, host_house, query
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

A_MINUTE = 3


@pytest.fixture
async def site() -> AsyncGenerator[Site, None]:
    async with a_site() as running:
        yield running


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(
        database, sealer, documents={"loopback": True}, registrations_a_minute=A_MINUTE
    ) as running:
        yield running


def published(site: Site, number: int) -> str:
    """Publish one more application, and return its address."""
    address = site.at(f"/{number}.json")
    site.serve(site.document(client_id=address), path=f"/{number}.json")
    return address


async def kept(house: HostHouse) -> set[str]:
    rows = await house.database.fetch_all("SELECT client_id FROM client_documents")
    return {row["client_id"] for row in rows}


async def test_so_many_new_ones_are_taken_in_a_minute_and_no_more(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    alice = await house.person()
    addresses = [published(site, number) for number in range(A_MINUTE + 2)]
    for address in addresses[:A_MINUTE]:
        assert (await alice.ask(query(address))).status_code == 200
    for address in addresses[A_MINUTE:]:
        answer = await alice.ask(query(address))
        assert answer.status_code == 400
        assert "Too many applications introduced themselves just now" in answer.text
    hits = len(site.hits)
    await alice.ask(query(addresses[-1]))
    assert len(site.hits) == hits  # nor is it asked for again and again
    assert await kept(house) == {*addresses[:A_MINUTE]}
    # One that is known is read again whatever happens around it.
    clock.turn(3600)
    for address in addresses[:A_MINUTE]:
        assert (await alice.ask(query(address))).status_code == 200
    assert (await alice.ask(query(addresses[A_MINUTE]))).status_code == 200


async def test_one_that_was_refused_for_others_may_come_a_minute_later(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    alice = await house.person()
    addresses = [published(site, number) for number in range(A_MINUTE + 1)]
    for address in addresses:
        await alice.ask(query(address))
    clock.turn(61)
    assert (await alice.ask(query(addresses[-1]))).status_code == 200


async def test_what_nobody_said_yes_to_within_a_day_is_forgotten(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    alice = await house.person()
    unused, used = published(site, 1), published(site, 2)
    await alice.ask(query(unused))
    given = await house.signed_in(used)
    clock.turn(86_399)
    await alice.ask(query(published(site, 3)))
    assert {unused, used} <= await kept(house)
    clock.turn(1)
    await alice.ask(query(published(site, 4)))
    assert unused not in await kept(house)
    assert used in await kept(house)
    assert (await house.refresh(given["refresh_token"], used)).status_code == 200


async def test_one_that_is_forgotten_while_its_page_is_open_is_read_again(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    address = published(site, 1)
    alice = await house.person()
    await alice.ask(query(address))
    clock.turn(86_400)
    await alice.ask(query(published(site, 2)))
    assert address not in await kept(house)
    assert await house.signed_in(address)


async def test_one_whose_call_still_waits_for_a_person_is_kept(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    """A call may wait for three days, and is sent only for a client that is known then."""
    address = published(site, 0)
    alice = await house.person()
    await alice.answer(query(address))
    clock.turn(3 * 86_400)
    for number in (1, 2):
        await alice.answer(query(published(site, number)))
    assert address in await kept(house)
