"""Fixtures of the end-to-end tests: processes that end with the test, and a real browser."""

import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.async_api import Browser, async_playwright

import browser as chromium
from harness import Bank, Launch, Person, Server, SignIn, StartBank, bank_process, free_port


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncGenerator[StartBank, None]:
    """Start the bank as its own process; it trusts the issuer it is given."""
    async with AsyncExitStack() as stack:

        async def start(issuer: str) -> Bank:
            return await stack.enter_async_context(bank_process(tmp_path, issuer))

        yield start


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncGenerator[Launch, None]:
    """Start `signoff serve` with a catalogue; ended with the test."""
    servers: list[Server] = []

    async def start(
        document: Mapping[str, Any], *, port: int | None = None, name: str = "one", **env: str
    ) -> Server:
        folder = tmp_path / name
        folder.mkdir()
        config = folder / "capabilities.yaml"
        config.write_text(yaml.safe_dump(dict(document), sort_keys=False))
        server = Server(
            port=port or free_port(), data_dir=folder / "data", config=config, environment=env,
            log=folder / "log",
        )  # fmt: skip
        servers.append(server)
        return await server.start()

    yield start
    for server in servers:
        await server.end(signal.SIGKILL)


@pytest.fixture
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


@pytest.fixture
async def person(chrome: Browser) -> SignIn:
    """Give somebody a browser and sign them in."""

    async def sign_in(server: Server, user: str = "alice", **options: Any) -> Person:
        context = await chrome.new_context(**options)
        return await Person(server, context).sign_in(user)

    return sign_in
