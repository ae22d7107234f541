"""The gate's fixtures: an upstream on loopback, and the gate with everything real around it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from gate_house import Bank, Build, House, house
from signoff.catalog.model import Catalogue
from signoff.gate.failpoints import Reach
from signoff.sealed import Sealer
from signoff.storage.calls import SqliteCalls
from signoff.storage.sqlite import Database


@pytest.fixture
async def bank() -> AsyncGenerator[Bank, None]:
    async with Bank().open() as opened:
        yield opened


@pytest.fixture
async def home(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> AsyncGenerator[House, None]:
    async with house(database, bank, data_dir=tmp_path, sealer=sealer) as running:
        yield running


@pytest.fixture
def build(database: Database, bank: Bank, tmp_path: Path, sealer: Sealer) -> Build:
    """Return what puts a process together on the one database, once or several times."""

    @asynccontextmanager
    async def one(
        *,
        served: Catalogue | None = None,
        reach: Reach | None = None,
        wrap: Callable[[ASGIApp], ASGIApp] | None = None,
        before_start: Callable[[SqliteCalls], Awaitable[None]] | None = None,
        grace_s: float = 5.0,
    ) -> AsyncGenerator[House, None]:
        async with house(
            database,
            bank,
            data_dir=tmp_path,
            sealer=sealer,
            served=served,
            reach=reach or (lambda _: None),
            wrap=wrap or (lambda app: app),
            before_start=before_start,
            grace_s=grace_s,
        ) as home:
            yield home

    return one
