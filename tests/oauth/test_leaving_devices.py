"""A device that leaves while its poll is answered: the yes, or what it gave, stays for the next."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette

from as_parts import Monotonic, refused
from host_house import RESOURCE, HostHouse, Person, host_house
from leaving_client import LeavingClient
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from writer_parts import busy_writer, queued

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def time() -> Monotonic:
    return Monotonic()


@pytest.fixture
async def house(
    database: Database, sealer: Sealer, time: Monotonic
) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer, monotonic=time) as running:
        yield running


class Device:
    """A registered device and the code it got."""

    def __init__(self, house: HostHouse, client_id: str, told: dict[str, str]) -> None:
        self.house, self.client_id = house, client_id
        self.user_code, self.device_code = told["user_code"], told["device_code"]

    async def poll(self) -> httpx2.Response:
        form = {"grant_type": DEVICE_CODE, "device_code": self.device_code}
        return await self.house.token({**form, "client_id": self.client_id})

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[LeavingClient, None]:
        """Hold a poll while the body runs."""
        form = {"grant_type": DEVICE_CODE, "device_code": self.device_code}
        request = httpx2.Request("POST", "/", data={**form, "client_id": self.client_id})
        app = self.house.transport.app
        assert isinstance(app, Starlette)
        headers = [(b"prefer", b"wait=25")]
        async with LeavingClient(app.routes, request.content, headers=headers).running() as caller:
            yield caller

    async def approve(self, person: Person) -> None:
        """Type the code and say yes, as the pages ask."""
        page = (await person.http.get("/device")).text.partition("<main")[2]
        csrf = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
        form = {"csrf": csrf, "user_code": self.user_code}
        asked = await person.http.post("/device", data=form)
        fields = {**person.filled(asked.text), "decision": "approve"}
        assert (await person.http.post("/device/decision", data=fields)).status_code == 200


@pytest.fixture
async def device(house: HostHouse) -> Device:
    grants = [DEVICE_CODE, "refresh_token"]
    client_id = (await house.register(grant_types=grants, redirect_uris=None))["client_id"]
    form = {"client_id": client_id, "resource": RESOURCE}
    told = await house.http.post("/oauth2/device_authorization", data=form)
    return Device(house, client_id, told.json())


async def until_held(house: HostHouse) -> None:
    async with asyncio.timeout(10):
        while not house.draining._waits:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage] — nothing announces a held poll
            await asyncio.sleep(0)


async def test_a_yes_stays_for_the_next_poll_of_a_device_that_left_while_it_was_held(
    house: HostHouse, device: Device
) -> None:
    async with device.held() as caller:
        await until_held(house)
        caller.leave()
    await device.approve(await house.person())
    assert (await device.poll()).status_code == 200
    refused(await device.poll(), "invalid_grant")


async def test_a_device_that_leaves_in_the_exchange_gets_the_same_tokens_once_when_it_is_back(
    house: HostHouse, device: Device
) -> None:
    await device.approve(await house.person())
    async with busy_writer(house.database), device.held() as caller:
        await queued(house.database)
        caller.leave()
    answer = await device.poll()
    assert answer.status_code == 200, answer.text
    assert await house.stands(answer.json()["access_token"])
    renewed = await house.refresh(answer.json()["refresh_token"], device.client_id)
    assert renewed.status_code == 200
    refused(await device.poll(), "invalid_grant")
    assert (await house.events()).count("device.redeemed") == 1


async def test_what_a_device_left_behind_is_another_clients_never_and_its_own_for_a_minute(
    house: HostHouse, device: Device, time: Monotonic
) -> None:
    await device.approve(await house.person())
    async with busy_writer(house.database), device.held() as caller:
        await queued(house.database)
        caller.leave()
    other = (await house.register(grant_types=[DEVICE_CODE]))["client_id"]
    thief = Device(house, other, {"user_code": "", "device_code": device.device_code})
    refused(await thief.poll(), "invalid_grant")
    time.at += 61
    refused(await device.poll(), "invalid_grant")
