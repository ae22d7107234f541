"""The fixture of a running authorization server."""

from collections.abc import AsyncGenerator

import pytest

from as_parts import Provider, running_provider
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database


@pytest.fixture
async def provider(database: Database, sealer: Sealer) -> AsyncGenerator[Provider, None]:
    async with running_provider(database, sealer) as running:
        yield running
