"""A host that changes what it says of itself is as new as what it says: age is no disguise."""

import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from conftest import TurnedClock
from document_site import Site, a_site
from host_house import RESOURCE, HostHouse, host_house, query, registration
from signoff.oauth.clients import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

DAYS = 40


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer, documents={"loopback": True}) as running:
        yield running


@pytest.fixture
async def site() -> AsyncGenerator[Site, None]:
    async with a_site() as running:
        yield running


async def replaced(house: HostHouse, host: dict[str, Any], **changed: Any) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {host['registration_access_token']}"}
    body = {**registration(**changed), "client_id": host["client_id"]}
    answer = await house.http.put(host["registration_client_uri"], json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    "changed",
    [
        {"client_name": "Claude Code"},
        {"redirect_uris": ["http://127.0.0.1/callback", "https://evil.example/cb"]},
    ],
)
async def test_a_registration_that_took_another_name_or_place_is_shown_as_new(
    house: HostHouse, clock: TurnedClock, changed: dict[str, Any]
) -> None:
    host = await house.register()
    await house.signed_in(host["client_id"])
    clock.turn(DAYS * 86_400)
    alice = await house.person()
    page = (await alice.ask(query(host["client_id"]))).text
    assert "It is new here" not in page
    assert f"{DAYS} days ago" in page
    after = await replaced(house, host, **changed)
    # RFC 7591 §3.2.1: this is when the id was given, and stays.
    assert after["client_id_issued_at"] == host["client_id_issued_at"]
    page = (await alice.ask(query(host["client_id"]))).text
    assert "It is new here: first seen less than a minute ago" in page
    assert f"{DAYS} days ago" not in page


async def test_a_device_that_took_another_name_is_shown_as_new(
    house: HostHouse, clock: TurnedClock
) -> None:
    grants = [AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE]
    host = await house.register(grant_types=grants)
    await house.signed_in(host["client_id"])
    clock.turn(DAYS * 86_400)
    alice = await house.person()

    async def page() -> str:
        form = {"client_id": host["client_id"], "resource": RESOURCE}
        told = (await house.http.post("/oauth2/device_authorization", data=form)).json()
        entry = (await alice.http.get("/device")).text.partition("<main")[2]
        csrf = re.findall(r'name="csrf" value="([^"]+)"', entry)[0]
        data = {"csrf": csrf, "user_code": told["user_code"]}
        return (await alice.http.post("/device", data=data)).text

    assert f"{DAYS} days ago" in await page()
    await replaced(house, host, client_name="Claude Code", grant_types=grants)
    assert f"{DAYS} days ago" not in await page()


@pytest.mark.parametrize(
    "changed",
    [{"client_name": "Claude Code"}, {"redirect_uris": ["http://127.0.0.1/callback", "app:/cb"]}],
)
async def test_a_document_that_took_another_name_or_place_is_shown_as_new(
    house: HostHouse, site: Site, clock: TurnedClock, changed: dict[str, Any]
) -> None:
    await house.signed_in(site.url)
    clock.turn(DAYS * 86_400)
    alice = await house.person()
    page = (await alice.ask(query(site.url))).text
    assert f"{DAYS} days ago" in page
    site.serve(site.document(**changed))
    clock.turn(86_400)
    page = (await alice.ask(query(site.url))).text
    assert "It is new here: first seen less than a minute ago" in page
    assert "days ago" not in page


async def test_a_document_that_stays_as_it_was_keeps_its_age(
    house: HostHouse, site: Site, clock: TurnedClock
) -> None:
    await house.signed_in(site.url)
    clock.turn(DAYS * 86_400)
    site.serve(site.document(dpop_bound_access_tokens=True))
    alice = await house.person()
    assert f"{DAYS} days ago" in (await alice.ask(query(site.url))).text
