"""Fixtures of whoever visits the pages: the street with its server, and browsers on it."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from browser import find
from conftest import TurnedClock
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from street import Street, street

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
DESK: dict[str, Any] = {"viewport": {"width": 1100, "height": 900}}


async def read_to_the_end(page: Page) -> None:
    """Scroll as far as the button of a card waits for, whatever the fonts make of its length."""
    await page.locator("[data-seen]").last.scroll_into_view_if_needed()
    await page.mouse.wheel(0, 5000)


@pytest.fixture
async def here(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> AsyncGenerator[Street, None]:
    async with street(database, sealer, clock) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncGenerator[Browser, None]:
    path = find()
    assert path is not None, "no Chromium: run make browser"
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        await launched.close()


@pytest.fixture
async def alice(here: Street, browser: Browser) -> AsyncGenerator[Page, None]:
    """A browser in which Alice has signed in, on an empty page."""
    context = await browser.new_context(**PHONE)
    page = await context.new_page()
    await page.goto(await here.link())
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{here.url}/approvals**")
    await page.goto("about:blank")
    yield page
    await context.close()
