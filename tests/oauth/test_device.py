"""Device authorization: the code on the device, the page of the person, the polls between them."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest

from as_parts import ISSUER, Monotonic, basic, refused
from conftest import TurnedClock
from host_house import RESOURCE, HostHouse, Person, host_house
from signoff.approvals.sessions import Verb
from signoff.oauth.device import ALPHABET, normal
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
async def house(
    database: Database, sealer: Sealer, monotonic: Monotonic
) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer, monotonic=monotonic) as running:
        yield running


@pytest.fixture
async def client_id(house: HostHouse) -> str:
    return (await house.register(grant_types=[DEVICE_CODE, "refresh_token"]))["client_id"]


async def opened(house: HostHouse, client_id: str, **changed: Any) -> dict[str, Any]:
    """Ask as a device does."""
    form = {"client_id": client_id, "scope": "mcp", "resource": RESOURCE, **changed}
    answer = await house.http.post("/oauth2/device_authorization", data=form)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def poll(
    house: HostHouse, client_id: str, device_code: str, **headers: str
) -> httpx2.Response:
    form = {"grant_type": DEVICE_CODE, "device_code": device_code, "client_id": client_id}
    return await house.token(form, headers=headers)


async def entered(person: Person, user_code: str) -> httpx2.Response:
    """Type a code on the page."""
    page = (await person.http.get("/device")).text
    csrf = re.findall(r'name="csrf" value="([^"]+)"', page.partition("<main")[2])[0]
    return await person.http.post("/device", data={"csrf": csrf, "user_code": user_code})


async def decided(
    person: Person, typed: str, decision: str = "approve", **changed: str
) -> httpx2.Response:
    """Type a code and answer the page behind it."""
    page = await entered(person, typed)
    assert page.status_code == 200, page.text
    fields = {**person.filled(page.text), "decision": decision, **changed}
    return await person.http.post("/device/decision", data=fields)


async def test_a_device_gets_what_it_must_show(house: HostHouse, client_id: str) -> None:
    told = await opened(house, client_id)
    assert told.pop("device_code")
    user_code = told.pop("user_code")
    assert re.fullmatch(rf"[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}", user_code)
    assert told == {
        "verification_uri": f"{ISSUER}/device",
        "verification_uri_complete": f"{ISSUER}/device?user_code={user_code}",
        "expires_in": 600,
        "interval": 5,
    }


async def test_a_yes_gives_the_device_tokens_once(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    told = await opened(house, client_id)
    refused(await poll(house, client_id, told["device_code"]), "authorization_pending")
    done = await decided(alice, told["user_code"].lower().replace("-", " "))
    assert "may act for you now" in done.text
    given = await poll(house, client_id, told["device_code"])
    assert given.status_code == 200
    claims = house.claims(given.json()["access_token"])
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("alice", client_id, "mcp")
    assert (await house.refresh(given.json()["refresh_token"], client_id)).status_code == 200
    refused(await poll(house, client_id, told["device_code"]), "invalid_grant")


async def test_a_no_is_told_to_the_device(house: HostHouse, client_id: str, alice: Person) -> None:
    told = await opened(house, client_id)
    assert (await decided(alice, told["user_code"], "deny", proof="")).status_code == 200
    refused(await poll(house, client_id, told["device_code"]), "access_denied")
    refused(await poll(house, client_id, told["device_code"]), "access_denied")
    assert "consent.given" not in await house.events()


async def test_a_held_poll_wakes_with_the_yes(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    told = await opened(house, client_id)
    held = asyncio.create_task(poll(house, client_id, told["device_code"], prefer="wait=25"))
    await decided(alice, told["user_code"])
    async with asyncio.timeout(30):
        assert (await held).status_code == 200


async def test_a_held_poll_is_answered_at_once_when_the_server_stops(
    house: HostHouse, client_id: str
) -> None:
    told = await opened(house, client_id)
    held = asyncio.create_task(poll(house, client_id, told["device_code"], prefer="wait=25"))
    async with asyncio.timeout(30):
        while not house.draining._waits:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage] — nothing announces a held poll
            await asyncio.sleep(0)
        house.draining.begin()
        refused(await held, "authorization_pending")


async def test_a_poll_too_soon_is_slowed_down_for_good(
    house: HostHouse, client_id: str, monotonic: Monotonic
) -> None:
    code = (await opened(house, client_id))["device_code"]
    refused(await poll(house, client_id, code), "authorization_pending")
    monotonic.at += 4
    refused(await poll(house, client_id, code), "slow_down")
    monotonic.at += 9
    refused(await poll(house, client_id, code), "slow_down")
    monotonic.at += 15
    refused(await poll(house, client_id, code), "authorization_pending")


async def test_a_code_is_over_after_ten_minutes(
    house: HostHouse, client_id: str, clock: TurnedClock, alice: Person
) -> None:
    told = await opened(house, client_id)
    clock.turn(600)
    refused(await poll(house, client_id, told["device_code"]), "expired_token")
    assert (await entered(alice, told["user_code"])).status_code == 400


async def test_a_yes_that_nobody_fetched_lapses(
    house: HostHouse, client_id: str, clock: TurnedClock, alice: Person
) -> None:
    told = await opened(house, client_id)
    await decided(alice, told["user_code"])
    clock.turn(600)
    refused(await poll(house, client_id, told["device_code"]), "invalid_grant")


async def test_of_fifty_parallel_polls_after_the_yes_one_gets_tokens(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    told = await opened(house, client_id)
    await decided(alice, told["user_code"])
    answers = await asyncio.gather(
        *(poll(house, client_id, told["device_code"]) for _ in range(50))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49


async def test_five_wrong_codes_and_none_is_taken_any_more(
    house: HostHouse, client_id: str, clock: TurnedClock, alice: Person
) -> None:
    told = await opened(house, client_id)
    for left in (4, 3, 2, 1):
        page = await entered(alice, "BBBB-BBBB")
        assert page.status_code == 400
        assert (f"{left} tries are left" if left > 1 else "One try is left") in page.text
    assert (await entered(alice, "BBBB-BBBB")).status_code == 429
    assert (await entered(alice, told["user_code"])).status_code == 429
    bob = await house.person("bob")
    assert (await entered(bob, told["user_code"])).status_code == 200
    clock.turn(600)
    assert (await entered(alice, (await opened(house, client_id))["user_code"])).status_code == 200


async def test_a_right_code_buys_no_new_guesses(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    own = (await opened(house, client_id))["user_code"]
    for _ in range(4):
        await entered(alice, "BBBB-BBBB")
    assert (await entered(alice, own)).status_code == 200
    assert (await entered(alice, "BBBB-BBBB")).status_code == 429
    assert (await entered(alice, own)).status_code == 429


async def test_what_is_no_code_at_all_costs_a_try(alice: Person) -> None:
    for typed in ("", "' OR 1=1", "B" * 32, "AEIOUAEI"):
        assert (await entered(alice, typed)).status_code == 400
    assert (await entered(alice, "x")).status_code == 429


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("bcdf-ghjk", "BCDFGHJK"),
        (" BCDF GHJK ", "BCDFGHJK"),
        ("BCDF–GHJK", "BCDFGHJK"),  # noqa: RUF001 — a phone's own dash
        ("BCDFGHJ", ""),
        ("BCDFGHJKL", ""),
        ("ACDFGHJK", ""),
        ("ＢCDFGHJK", ""),  # noqa: RUF001 — a letter that only looks right
        ("ßCDFGHJ", ""),
        ("", ""),
    ],
)
def test_a_typed_code_is_read_as_people_type(typed: str, code: str) -> None:
    assert normal(typed) == code


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"resource": None}, "invalid_target"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
    ],
)
async def test_a_device_cannot_ask_for_anything_else(
    house: HostHouse, client_id: str, changed: dict[str, Any], error: str
) -> None:
    form = {"client_id": client_id, "scope": "mcp", "resource": RESOURCE, **changed}
    data = {name: value for name, value in form.items() if value is not None}
    refused(await house.http.post("/oauth2/device_authorization", data=data), error)


async def test_only_a_client_with_the_grant_may_ask(house: HostHouse) -> None:
    desk = (await house.register())["client_id"]
    form = {"client_id": desk, "resource": RESOURCE}
    answer = await house.http.post("/oauth2/device_authorization", data=form)
    refused(answer, "unauthorized_client")
    answer = await house.http.post("/oauth2/device_authorization", data={"resource": RESOURCE})
    refused(answer, "invalid_client", status=401)


async def test_an_operators_client_uses_it_with_its_secret(house: HostHouse, alice: Person) -> None:
    television = await house.clients.create(
        name="The television", by="operator", grant_types=[DEVICE_CODE]
    )
    client_id = television.client.id
    answer = await house.http.post(
        "/oauth2/device_authorization", data={"resource": RESOURCE}, auth=basic(television)
    )
    told = answer.json()
    page = (await entered(alice, told["user_code"])).text
    assert "The television" in page
    assert "Nobody has checked" not in page
    await decided(alice, told["user_code"])
    refused(await poll(house, client_id, told["device_code"]), "invalid_client", status=401)
    form = {"grant_type": DEVICE_CODE, "device_code": told["device_code"]}
    assert (await house.token(form, auth=basic(television))).status_code == 200


async def test_another_clients_device_code_is_as_unknown_as_any(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    other = (await house.register(grant_types=[DEVICE_CODE]))["client_id"]
    told = await opened(house, client_id)
    await decided(alice, told["user_code"])
    stolen = await poll(house, other, told["device_code"])
    unknown = await poll(house, other, "unknown")
    refused(stolen, "invalid_grant")
    assert stolen.content == unknown.content
    assert (await poll(house, client_id, told["device_code"])).status_code == 200


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"csrf": "0" * 64}, 403),
        ({"id": "ask_other"}, 403),
        ({"at": "1"}, 403),
        ({"proof": ""}, 403),
        ({"proof": "A" * 86}, 403),
        ({"decision": "maybe"}, 400),
    ],
)
async def test_a_form_that_was_changed_lets_no_device_in(
    house: HostHouse, client_id: str, alice: Person, changed: dict[str, str], status: int
) -> None:
    told = await opened(house, client_id)
    assert (await decided(alice, told["user_code"], **changed)).status_code == status
    refused(await poll(house, client_id, told["device_code"]), "authorization_pending")


async def test_the_yes_for_one_device_does_not_count_for_another(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    mine, thine = await opened(house, client_id), await opened(house, client_id)
    answer = await decided(alice, mine["user_code"], user_code=thine["user_code"])
    assert answer.status_code == 403
    refused(await poll(house, client_id, thine["device_code"]), "authorization_pending")


@pytest.mark.parametrize("verb", ["approve", "done", "not-done", "consent"])
async def test_a_proof_of_another_act_connects_no_device(
    house: HostHouse, client_id: str, alice: Person, verb: Verb
) -> None:
    told = await opened(house, client_id)
    page = await entered(alice, told["user_code"])
    fields = {**alice.filled(page.text, verb=verb), "decision": "approve"}
    assert (await alice.http.post("/device/decision", data=fields)).status_code == 403
    refused(await poll(house, client_id, told["device_code"]), "authorization_pending")
    assert (await decided(alice, told["user_code"])).status_code == 200


async def test_a_link_with_the_code_in_it_decides_nothing(
    house: HostHouse, client_id: str, alice: Person
) -> None:
    told = await opened(house, client_id)
    page = await alice.http.get(told["verification_uri_complete"])
    assert told["user_code"] in page.text
    assert "Let it act for me" not in page.text
    refused(await poll(house, client_id, told["device_code"]), "authorization_pending")
    stranger = await house.http.get(told["verification_uri_complete"])
    assert stranger.status_code == 401


@pytest.mark.parametrize("who", ["alice", "device"])
async def test_nobody_switched_off_lets_a_device_in(
    house: HostHouse, client_id: str, alice: Person, who: str
) -> None:
    told = await opened(house, client_id)
    await decided(alice, told["user_code"])
    await house.people.disable(client_id if who == "device" else who, by="operator")
    answer = await poll(house, client_id, told["device_code"])
    assert answer.json()["error"] in ("invalid_grant", "invalid_client")


async def test_a_client_has_a_hundred_devices_waiting_at_most(
    house: HostHouse, client_id: str
) -> None:
    for _ in range(100):
        await opened(house, client_id)
    form = {"client_id": client_id, "resource": RESOURCE}
    answer = await house.http.post("/oauth2/device_authorization", data=form)
    refused(answer, "temporarily_unavailable", status=429)
    assert answer.headers["retry-after"] == "30"
