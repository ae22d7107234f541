"""More windows than a browser has connections: every one of them loads, follows and decides."""

import asyncio
import json
from collections.abc import Callable

import pytest
from playwright.async_api import BrowserContext, Page, Request, expect

from scripted_person import ScriptedPerson
from signoff.approvals.request import Approval
from street import Street, tool_call
from visits import read_to_the_end

WINDOWS = 8
MOST_STREAMS = 3
FOLLOWED = 20_000  # ms; a busy machine


class Streams:
    """Which windows have a stream open now, as the browser sees it."""

    def __init__(self, context: BrowserContext) -> None:
        self.open: dict[Request, Page] = {}
        self.asked = 0
        self.most = 0
        self._news = asyncio.Event()
        context.on("request", self._begun)
        context.on("requestfinished", self._ended)
        context.on("requestfailed", self._ended)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                self._news.clear()
                await self._news.wait()

    def _begun(self, request: Request) -> None:
        if request.url.endswith("/events"):
            self.open[request] = request.frame.page
            self.most = max(self.most, len(self.open))
        self.asked += request.url.endswith("/events?once")
        self._news.set()

    def _ended(self, request: Request) -> None:
        self.open.pop(request, None)
        self._news.set()


async def windows(here: Street, alice: Page) -> tuple[list[Page], list[Approval], Streams]:
    """Open eight windows: lists and cards in turn."""
    streams = Streams(alice.context)
    approvals = [await here.open(tool_call(f"call_{at}"), expires_in_s=3600) for at in range(4)]
    pages: list[Page] = []
    for at in range(WINDOWS):
        page = await alice.context.new_page()
        path = "/approvals" if at % 2 else f"/approvals/{approvals[at // 2].id}"
        await page.goto(f"{here.url}{path}")
        pages.append(page)
    return pages, approvals, streams


async def test_eight_visible_windows_load_and_hold_three_streams(here: Street, alice: Page) -> None:
    pages, _, streams = await windows(here, alice)
    await streams.until(lambda: len(streams.open) == MOST_STREAMS and streams.asked >= 10)
    assert len(pages) == WINDOWS
    assert streams.most == MOST_STREAMS
    await alice.goto(f"{here.url}/applications")
    await expect(alice.locator("h1")).to_have_text("Connected applications")


async def test_every_window_follows_whether_it_has_a_stream_or_not(
    here: Street, alice: Page
) -> None:
    pages, approvals, _ = await windows(here, alice)
    person = await ScriptedPerson(here.url).sign_in(await here.link())
    for approval in approvals:
        await person.deny(approval.id)
    for at, page in enumerate(pages):
        heading = "Nothing is waiting for you" if at % 2 else "Denied"
        await expect(page.locator("h1")).to_have_text(heading, timeout=FOLLOWED)
    await person.close()


async def test_the_last_of_eight_windows_approves(here: Street, alice: Page) -> None:
    pages, approvals, _ = await windows(here, alice)
    last = pages[-2]
    await last.bring_to_front()
    await read_to_the_end(last)
    await last.locator("#approve[aria-disabled=false]").click()
    await expect(last.locator("h1")).to_have_text("Approved, now running")
    assert await here.status(approvals[-1]) == "approved"


async def test_a_stream_of_a_window_that_closes_goes_to_another(here: Street, alice: Page) -> None:
    _, _, streams = await windows(here, alice)
    await streams.until(lambda: len(streams.open) == MOST_STREAMS)
    closing = set(streams.open.values())
    for page in closing:
        await page.close()
    for request, page in [*streams.open.items()]:
        if page in closing:
            streams.open.pop(request)  # its end is not told once its window is gone
    await streams.until(lambda: len(streams.open) == MOST_STREAMS)
    assert closing.isdisjoint(streams.open.values())


@pytest.mark.parametrize("path", ["/approvals/events", "/approvals/{id}/events"])
async def test_what_a_stream_says_can_be_asked_for_once(here: Street, path: str) -> None:
    approval = await here.open()
    url = path.format(id=approval.id)
    alice = await ScriptedPerson(here.url).sign_in(await here.link())
    async with alice.http.stream("GET", url) as events, asyncio.timeout(20):
        lines = events.aiter_lines()
        assert await anext(lines) == "event: state"
        said = json.loads((await anext(lines)).removeprefix("data: "))
    once = await alice.http.get(f"{url}?once")
    assert once.status_code == 200
    assert once.headers["content-type"] == "application/json"
    assert once.headers["cache-control"] == "no-store"
    assert once.json() == said
    mallory = await ScriptedPerson(here.url).sign_in(await here.link("mallory"))
    theirs = await mallory.http.get(f"{url}?once")
    if "{id}" in path:
        assert theirs.status_code == 404
    else:
        assert theirs.json() != said
    mallory.http.cookies.clear()
    assert (await mallory.http.get(f"{url}?once")).status_code == 401
    await alice.close()
    await mallory.close()
