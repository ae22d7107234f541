"""What may act for a person: seen by that person alone, taken back at once, without JavaScript."""

import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from as_parts import refused
from conftest import TurnedClock
from host_house import CALLBACK, HostHouse, Person, host_house
from looks import SCREENS, check
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from street import Street

FORM = re.compile(r'action="/applications/([\w-]+)/take-back">\s*<input [^>]*value="(\w+)"')


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer) as running:
        yield running


async def forms(person: Person) -> dict[str, str]:
    """Return the form token of each connection that the person's page shows."""
    page = await person.http.get("/applications")
    assert page.status_code == 200, page.text
    return dict(FORM.findall(page.text))


async def connected(house: HostHouse, person: Person, **metadata: Any) -> dict[str, Any]:
    """Let a fresh host act for a person; return what it got, its client id beside it."""
    client_id = (await house.register(**metadata))["client_id"]
    answer = await house.redeem(await house.code(person, client_id), client_id)
    assert answer.status_code == 200, answer.text
    return {**answer.json(), "client_id": client_id}


async def test_taking_back_ends_refresh_tokens_and_access_tokens_at_once(house: HostHouse) -> None:
    alice = await house.person()
    tokens = await connected(house, alice)
    other = await connected(house, alice, client_name="Another host")
    assert await house.stands(tokens["access_token"])
    shown = await forms(alice)
    assert len(shown) == 2
    mine = str(house.claims(tokens["access_token"])["consent_id"])
    answer = await alice.http.post(f"/applications/{mine}/take-back", data={"csrf": shown[mine]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/applications")
    assert not await house.stands(tokens["access_token"])
    refused(await house.refresh(tokens["refresh_token"], tokens["client_id"]), "invalid_grant")
    assert set(await forms(alice)) == set(shown) - {mine}
    assert await house.stands(other["access_token"])
    rows = await house.database.fetch_all("SELECT body FROM audit ORDER BY seq")
    (body,) = [text for row in rows if "consent.revoked" in (text := bytes(row["body"]).decode())]
    assert '"actor":"alice"' in body
    assert '"why":"taken_back"' in body


async def test_a_code_that_was_not_fetched_yet_is_taken_back_with_its_consent(
    house: HostHouse,
) -> None:
    alice = await house.person()
    client_id = (await house.register())["client_id"]
    code = await house.code(alice, client_id)
    ((consent_id, csrf),) = (await forms(alice)).items()
    await alice.http.post(f"/applications/{consent_id}/take-back", data={"csrf": csrf})
    refused(await house.redeem(code, client_id), "invalid_grant")


async def test_it_needs_no_device_key_for_it_only_takes_away(house: HostHouse) -> None:
    tokens = await connected(house, await house.person())
    keyless = await house.person(key=False)
    ((consent_id, csrf),) = (await forms(keyless)).items()
    await keyless.http.post(f"/applications/{consent_id}/take-back", data={"csrf": csrf})
    assert not await house.stands(tokens["access_token"])


async def test_taking_back_twice_changes_nothing_more(house: HostHouse) -> None:
    alice = await house.person()
    await connected(house, alice)
    ((consent_id, csrf),) = (await forms(alice)).items()
    for _ in range(2):
        answer = await alice.http.post(f"/applications/{consent_id}/take-back", data={"csrf": csrf})
        assert answer.status_code == 303
    assert (await house.events()).count("consent.revoked") == 1


async def test_nobody_sees_or_ends_anothers_connection(house: HostHouse) -> None:
    alice, bob = await house.person(), await house.person("bob")
    tokens = await connected(house, alice)
    ((consent_id, csrf),) = (await forms(alice)).items()
    assert await forms(bob) == {}
    stolen = await bob.http.post(f"/applications/{consent_id}/take-back", data={"csrf": csrf})
    assert stolen.status_code == 403
    await connected(house, bob)
    ((_, own),) = (await forms(bob)).items()
    swapped = await bob.http.post(f"/applications/{consent_id}/take-back", data={"csrf": own})
    assert swapped.status_code == 403
    assert await house.connections.take_back(consent_id, user_id="bob", by="bob") == "unknown"
    assert await house.stands(tokens["access_token"])


@pytest.mark.parametrize(
    ("headers", "csrf", "status"),
    [
        ({"Origin": "https://evil.example"}, None, 403),
        ({"Origin": "null"}, None, 403),
        ({"Sec-Fetch-Site": "cross-site"}, None, 403),
        ({"Sec-Fetch-Site": "same-site"}, None, 403),
        ({"Cookie": ""}, None, 401),
        ({}, "0" * 64, 403),
        ({}, "", 403),
    ],
    ids=["origin", "null", "cross-site", "same-site", "signed-out", "csrf", "no-csrf"],
)
async def test_a_form_that_is_not_this_pages_own_takes_nothing_back(
    house: HostHouse, headers: dict[str, str], csrf: str | None, status: int
) -> None:
    alice = await house.person()
    tokens = await connected(house, alice)
    ((consent_id, own),) = (await forms(alice)).items()
    if headers.get("Cookie") == "":
        alice.http.cookies.clear()
        headers = {}
    answer = await alice.http.post(
        f"/applications/{consent_id}/take-back",
        data={"csrf": own if csrf is None else csrf},
        headers=headers,
    )
    assert answer.status_code == status
    assert await house.stands(tokens["access_token"])


async def test_a_get_of_the_address_takes_nothing_back(house: HostHouse) -> None:
    alice = await house.person()
    tokens = await connected(house, alice)
    ((consent_id, csrf),) = (await forms(alice)).items()
    path = f"/applications/{consent_id}/take-back?csrf={csrf}"
    assert (await alice.http.get(path)).status_code == 405
    assert await house.stands(tokens["access_token"])


async def test_an_id_that_nobody_has_is_not_found(house: HostHouse) -> None:
    alice = await house.person()
    await connected(house, alice)
    ((_, csrf),) = (await forms(alice)).items()
    answer = await alice.http.post("/applications/consent_none/take-back", data={"csrf": csrf})
    assert answer.status_code == 403


async def test_the_page_tells_whom_it_calls_itself_where_answers_go_since_when_and_last_used(
    house: HostHouse, clock: TurnedClock
) -> None:
    alice = await house.person()
    tokens = await connected(house, alice, client_name="Cl\u0430ude", scope="mcp payments")
    consent_id = str(house.claims(tokens["access_token"])["consent_id"])
    clock.turn(7200)
    page = (await alice.http.get("/applications")).text
    assert 'Calls itself</span> <bdi dir="ltr" class="claims">Cl<mark' in page
    for words in ("a program on this computer", CALLBACK, "2 hours ago", "not yet"):
        assert words in page
    await house.connections.used(consent_id)
    clock.turn(180)
    await house.connections.used(consent_id)  # soon after: not worth a write
    page = (await alice.http.get("/applications")).text
    assert "not yet" not in page
    assert "3 minutes ago" in page
    clock.turn(180)
    await house.connections.used(consent_id)
    assert "less than a minute ago" in (await alice.http.get("/applications")).text


async def test_what_can_open_nothing_any_more_is_not_listed(
    house: HostHouse, clock: TurnedClock
) -> None:
    alice = await house.person()
    once = await connected(house, alice, grant_types=["authorization_code"])
    assert "refresh_token" not in once
    assert len(await forms(alice)) == 1
    clock.turn(2 * 3600)
    assert await forms(alice) == {}
    kept = await connected(house, alice)
    clock.turn(29 * 86_400)
    assert len(await forms(await house.person())) == 1
    renewed = (await house.refresh(kept["refresh_token"], kept["client_id"])).json()
    await house.refresh(kept["refresh_token"], kept["client_id"])  # used before: a copy is about
    assert await forms(await house.person()) == {}
    refused(await house.refresh(renewed["refresh_token"], kept["client_id"]), "invalid_grant")


@pytest.mark.parametrize("end", ["deleted", "unregistered"])
async def test_a_host_that_is_gone_is_listed_no_more(house: HostHouse, end: str) -> None:
    alice = await house.person()
    registered = await house.register()
    client_id = registered["client_id"]
    await house.redeem(await house.code(alice, client_id), client_id)
    assert len(await forms(alice)) == 1
    if end == "deleted":
        await house.clients.delete(client_id, by="operator")
    else:
        token = registered["registration_access_token"]
        await house.http.delete(
            f"/oauth2/register/{client_id}", headers={"Authorization": f"Bearer {token}"}
        )
    assert await forms(alice) == {}


async def hosts_of_every_kind(here: Street) -> None:
    await here.connect("client_desk", scope="mcp payments:send openid")
    await here.connect(
        "client_far", name="Cl\u0430ude \u202eedoC", redirect_uri="https://claude.example/callback"
    )
    await here.connect(
        "client_long", name="W" * 100, redirect_uri="https://" + "long." * 40 + "example/back",
        scope="mcp " + "x" * 90,
    )  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
async def test_the_page_passes_axe_and_never_scrolls_sideways(
    here: Street, browser: Browser, screen: str, scheme: Any
) -> None:
    context = await browser.new_context(**SCREENS[screen], color_scheme=scheme)
    page = await context.new_page()
    width = SCREENS[screen]["viewport"]["width"]
    await page.goto(await here.link())
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="Connected applications").click()
    await expect(page.locator("h2")).to_have_text("No application may act for you")
    await check(page, f"{here.url}/applications", width)
    await hosts_of_every_kind(here)
    await check(page, f"{here.url}/applications", width)
    button = await page.get_by_role("button", name="Take access back").first.bounding_box()
    assert button is not None
    assert button["height"] >= 52
    await context.close()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_a_person_takes_access_back_with_a_browser(
    here: Street, browser: Browser, javascript: bool
) -> None:
    await hosts_of_every_kind(here)
    page: Page = await browser.new_page(java_script_enabled=javascript)
    await page.goto(await here.link())
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="Connected applications").click()
    await expect(page.locator(".app")).to_have_count(3)
    await page.get_by_role("button", name="Take access back from A desk host").click()
    await expect(page.locator(".app")).to_have_count(2)
    await expect(page.locator("main")).not_to_contain_text("A desk host")
