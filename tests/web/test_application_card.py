"""The card of an application that is not the gate: who asks, for what, and for how long."""

import json
import re
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest

from as_parts import BANK, PAYMENT, basic
from host_house import HostHouse, Person, host_house
from signoff.oauth.clients import CIBA, Issued
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer, details_types={"payment": PAYMENT}) as running:
        yield running


@pytest.fixture
async def client(house: HostHouse) -> Issued:
    return await house.clients.create(
        name="Payroll",
        by="operator",
        client_id="payroll",
        grant_types=[CIBA, "refresh_token"],
        scopes=["payments"],
        audiences=[BANK],
        details_types=["payment"],
    )


async def asked(house: HostHouse, client: Issued, **changed: Any) -> tuple[str, str]:
    """Ask, and return the auth_req_id and the address of the card."""
    form: dict[str, Any] = {
        "scope": "openid payments",
        "login_hint": "alice",
        "binding_message": "W4SCT",
        "requested_expiry": "900",
        "authorization_details": json.dumps([{"type": "payment", "amount": 25}]),
    }
    answer = await house.http.post(
        "/oauth2/bc-authorize", data={**form, **changed}, auth=basic(client)
    )
    assert answer.status_code == 200, answer.text
    row = await house.database.fetch_one("SELECT id FROM approvals ORDER BY opened_at DESC")
    assert row is not None
    return answer.json()["auth_req_id"], f"/approvals/{row['id']}"


async def approved(person: Person, place: str) -> None:
    page = (await person.http.get(place)).text
    fields = {**person.filled(page, verb="approve"), "decision": "approve"}
    answer = await person.http.post(f"{place}/decision", data=fields)
    assert answer.status_code == 303, answer.text


async def tokens(house: HostHouse, client: Issued, auth_req_id: str) -> httpx2.Response:
    form = {"grant_type": CIBA, "auth_req_id": auth_req_id}
    return await house.token(form, auth=basic(client))


def plain(page: str) -> str:
    """Return the words of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<main")[2]).split())


@pytest.mark.seed("CIBA-40")
async def test_the_card_shows_who_asks_for_what_with_which_message_and_until_when(
    house: HostHouse, client: Issued
) -> None:
    _, place = await asked(house, client)
    person = await house.person()
    page = (await person.http.get(place)).text
    words = plain(page)
    for shown in (
        "Application payroll asks for payment",
        "Asked by the application payroll",
        "amount 25",
        "scope openid payments",
        f"resource {BANK}",
        "The application says (unverified) W4SCT",
        "Expires at 14:15 UTC",
    ):
        assert shown in words, words
    assert 'data-left="900"' in page
    assert "Approve once" in words
    assert "take it back" not in words


@pytest.mark.seed("CIBA-39")
@pytest.mark.seed("CIBA-40")
async def test_access_that_lasts_says_so_on_its_card_and_on_its_button(
    house: HostHouse, client: Issued
) -> None:
    _, place = await asked(house, client, scope="openid offline_access payments")
    words = plain((await (await house.person()).http.get(place)).text)
    assert "A yes lasts until you take it back." in words
    assert "Approve until I take it back" in words
    assert "Approve once" not in words


async def test_what_lasts_is_among_the_connected_applications_and_ends_there(
    house: HostHouse, client: Issued
) -> None:
    auth_req_id, place = await asked(house, client, scope="openid offline_access payments")
    person = await house.person()
    await approved(person, place)
    given = (await tokens(house, client, auth_req_id)).json()
    page = (await person.http.get("/applications")).text
    words = plain(page)
    for shown in ("Payroll", "keep this access until you take it back", "have the scope payments"):
        assert shown in words, words
    assert f'href="{place}"' in page
    action = re.findall(r'action="(/applications/[^"]+/take-back)"', page)[0]
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page.partition(action)[2])[0]
    answer = await person.http.post(action, data={"csrf": csrf})
    assert answer.status_code == 303, answer.text
    form = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    refused = await house.token(form, auth=basic(client))
    assert refused.json()["error"] == "invalid_grant"


async def test_a_yes_that_does_not_last_connects_nothing(house: HostHouse, client: Issued) -> None:
    auth_req_id, place = await asked(house, client)
    person = await house.person()
    await approved(person, place)
    assert (await tokens(house, client, auth_req_id)).status_code == 200
    assert "Payroll" not in (await person.http.get("/applications")).text
