"""Fixtures of attacks: on the pages, and on the authorization server."""

from collections.abc import AsyncGenerator

import pytest

from as_parts import Provider, running_provider
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from visits import alice, browser, here

__all__ = ["alice", "browser", "here", "provider"]


@pytest.fixture
async def provider(database: Database, sealer: Sealer) -> AsyncGenerator[Provider, None]:
    async with running_provider(database, sealer) as running:
        yield running
