"""The bank as a client of it sees it, and its books as an auditor sees them."""

import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from signoff.demo.bank import BankSettings, bank

Visit = Callable[[BankSettings], AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
def books(tmp_path: Path) -> Path:
    return tmp_path / "bank.db"


@pytest.fixture
def read_books(books: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    def read(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(books)) as connection:
            return connection.execute(sql).fetchall()

    return read


@asynccontextmanager
async def visit(settings: BankSettings) -> AsyncGenerator[httpx2.AsyncClient, None]:
    """Run a bank and yield a client of it that acts for alice."""
    site = bank(lambda: settings)
    async with site.router.lifespan_context(site) as state:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await site({**scope, "state": dict(state or {})}, receive, send)

        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app),
            base_url="http://bank.test",
            headers={"X-On-Behalf-Of": "alice"},
        ) as client:
            yield client


@pytest.fixture
def visitor() -> Visit:
    return visit


@pytest.fixture
async def client(books: Path) -> AsyncGenerator[httpx2.AsyncClient, None]:
    async with visit(BankSettings(ledger=books, issuer="http://localhost:8420")) as client:
        yield client
