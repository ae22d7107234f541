"""The gate's fixtures: an upstream on loopback, and the gate with everything real around it."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from gate_house import Bank, House, house
from signoff.sealed import Sealer
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
