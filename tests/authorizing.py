"""A person at the authorization endpoint, and a host that asked."""

from collections.abc import AsyncGenerator

import pytest

from host_house import (
    HostHouse,
    Person,
    host_house,
)
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database


@pytest.fixture
async def house(database: Database, sealer: Sealer) -> AsyncGenerator[HostHouse, None]:
    async with host_house(database, sealer) as running:
        yield running


@pytest.fixture
async def client_id(house: HostHouse) -> str:
    return (await house.register())["client_id"]


@pytest.fixture
async def alice(house: HostHouse) -> Person:
    return await house.person()
