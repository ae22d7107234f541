"""Fixtures of the end-to-end tests: processes that end with the test, and a real browser.

All of these tests share one event loop, so that a browser and a server may serve many of them.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

import browser as chromium
from e2e_parts import launching, open_house
from harness import (
    Bank,
    House,
    Launch,
    Person,
    Server,
    SignIn,
    StartBank,
    bank_process,
    catalogue,
)

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what stands in this folder in the session's loop."""
    for item in items:
        if HERE in item.path.parents and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(loop_scope="session")
async def bank(tmp_path: Path) -> AsyncGenerator[StartBank, None]:
    """Start the bank as its own process; it trusts the issuer it is given."""
    async with AsyncExitStack() as stack:

        async def start(issuer: str) -> Bank:
            return await stack.enter_async_context(bank_process(tmp_path, issuer))

        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def launch(tmp_path: Path) -> AsyncGenerator[Launch, None]:
    """Start `signoff serve` with a catalogue; ended with the test."""
    async with launching(tmp_path) as start:
        yield start


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House, None]:
    """One server and bank for the tests of a file, which tell their transfers by amount.

    The client that calls itself `impatient` is handed back after a second.
    """
    folder = tmp_path_factory.mktemp("house")
    shipped = catalogue(None)["server"]
    async with open_house(folder, server={**shipped, "wait_budgets": {"impatient": "1s"}}) as here:
        yield here


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chrome() -> AsyncGenerator[Browser, None]:
    """A real Chromium."""
    path = chromium.find()
    assert path, "make browser"
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def person(chrome: Browser) -> AsyncGenerator[SignIn, None]:
    """Give somebody a browser and sign them in."""
    async with AsyncExitStack() as stack:

        async def sign_in(server: Server, user: str = "alice", **options: Any) -> Person:
            context = await chrome.new_context(**options)
            stack.push_async_callback(context.close)
            return await Person(server, context).sign_in(user)

        yield sign_in
