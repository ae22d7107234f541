"""Live pages: many tabs, a late event, a stop, and a person who is switched off."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from playwright.async_api import Page, expect

from conftest import TurnedClock
from signoff.approvals.sessions import SignedIn
from signoff.sealed import Sealer
from signoff.storage.people import SqlitePeople
from signoff.storage.sqlite import Database
from street import Street, street, tool_call

HEARTBEAT_S = 15
SOON_S = 10
"""Less than a heartbeat: what ends within it was told, and did not just find out."""

HIDE = """
Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
document.dispatchEvent(new Event("visibilitychange"));
"""
SHOW = """
delete document.hidden;
document.dispatchEvent(new Event("visibilitychange"));
"""


async def signed_in(here: Street, user_id: str = "alice") -> SignedIn:
    code = await here.sessions.create_login_code(user_id)
    session = await here.sessions.sign_in(code, device_key=None)
    assert session is not None
    return session


@asynccontextmanager
async def streaming(here: Street, path: str, token: str) -> AsyncGenerator[httpx2.Response, None]:
    port = here.url.rsplit(":", 1)[1]
    cookie = {"Cookie": f"signoff-{port}={token}"}
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=30) as client,
        client.stream("GET", f"{here.url}{path}", headers=cookie) as answer,
    ):
        assert answer.status_code == 200
        yield answer


async def first_event(lines: AsyncIterator[str]) -> None:
    assert await anext(lines) == "event: state"


async def the_end(lines: AsyncIterator[str]) -> list[str]:
    async with asyncio.timeout(SOON_S):
        return [line async for line in lines]


@pytest.mark.parametrize("path", ["/approvals/events", "/approvals/{id}/events"])
async def test_a_person_who_is_switched_off_hears_nothing_more_at_once(
    here: Street, path: str
) -> None:
    approval = await here.open()
    session = await signed_in(here)
    async with streaming(here, path.format(id=approval.id), session.token) as answer:
        lines = answer.aiter_lines()
        await first_event(lines)
        await SqlitePeople(here.database).disable("alice", by="operator")
        assert "event: state" not in await the_end(lines)


async def test_signing_out_ends_the_streams_of_that_session_and_of_no_other(here: Street) -> None:
    gone, stays = await signed_in(here), await signed_in(here)
    async with (
        streaming(here, "/approvals/events", gone.token) as first,
        streaming(here, "/approvals/events", stays.token) as second,
    ):
        ending, living = first.aiter_lines(), second.aiter_lines()
        await first_event(ending)
        await first_event(living)
        await here.sessions.end(gone.session.id, by="alice")
        await the_end(ending)
        await here.open()
        async with asyncio.timeout(SOON_S):
            while await anext(living) != "event: state":
                pass


async def test_streams_end_by_themselves_when_the_server_stops(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    draining = asyncio.Event()
    async with street(database, sealer, clock, draining=draining) as here:
        session = await signed_in(here)
        async with streaming(here, "/approvals/events", session.token) as answer:
            lines = answer.aiter_lines()
            await first_event(lines)
            draining.set()
            await the_end(lines)
        # Whoever comes back while the stop goes on is let go at once, and may try again later.
        async with streaming(here, "/approvals/events", session.token) as again:
            assert await the_end(again.aiter_lines()) == []


async def test_a_late_event_changes_the_page_and_never_navigates(here: Street, alice: Page) -> None:
    await alice.goto(f"{here.url}/approvals")
    await alice.evaluate("window.kept = true")
    approval = await here.open()
    await expect(alice.locator("a.entry")).to_have_count(1)
    await expect(alice).to_have_title("1 waiting · signoff")
    assert await alice.evaluate("window.kept")
    await alice.locator("a.entry").click()
    await alice.wait_for_url(f"**/approvals/{approval.id}")
    await alice.evaluate("window.kept = true")
    await here.approvals.decide(
        approval.id, user_id="alice", digest=approval.digest, verdict="deny", reason=None,
        acr="session",
    )  # fmt: skip
    await expect(alice.locator("h1")).to_have_text("Denied")
    await expect(alice.locator("h1")).to_be_focused()
    assert await alice.evaluate("window.kept")


async def test_going_to_another_page_while_events_come_in_always_arrives(
    here: Street, alice: Page
) -> None:
    for number in range(5):
        async with alice.expect_response(re.compile(r"/approvals/events$")):
            await alice.goto(f"{here.url}/approvals")
        approval = await here.open(tool_call(f"call_{number}"))
        await alice.goto(f"{here.url}/approvals/{approval.id}", timeout=10_000)
        await expect(alice.locator("button[value=deny]")).to_be_visible()
        assert alice.url.endswith(approval.id)


async def test_a_card_that_took_the_place_of_another_page_can_still_be_decided(
    here: Street, alice: Page
) -> None:
    """The form of an unknown outcome appears by itself, and signs as a loaded one does."""
    approval = await here.open()
    await alice.goto(f"{here.url}/approvals/{approval.id}")
    await alice.locator("#approve[aria-disabled=false]").click()
    await expect(alice.locator("h1")).to_have_text("Approved, now running")
    await here.redeem(approval)
    await here.tell(approval, "outcome_unknown", "No answer came.")
    await alice.get_by_role("button", name="Mark as done").click()
    await expect(alice.locator("h1")).to_have_text("Done")
    assert here.settled == [("call_1", True, "alice")]


async def test_hidden_tabs_hold_no_connection_and_listen_again_when_they_are_seen(
    here: Street, alice: Page
) -> None:
    stream = re.compile(r"/approvals/events$")
    tabs: list[Page] = []
    for _ in range(8):
        tab = await alice.context.new_page()
        async with tab.expect_response(stream):
            await tab.goto(f"{here.url}/approvals")
        async with tab.expect_event("requestfailed", lambda gone: bool(stream.search(gone.url))):
            await tab.evaluate(HIDE)
        tabs.append(tab)
    # Six connections to a host: with eight streams this page would never come.
    await alice.goto(f"{here.url}/approvals", timeout=10_000)
    await here.open()
    await expect(alice.locator("a.entry")).to_have_count(1)
    assert await tabs[0].locator("a.entry").count() == 0
    await tabs[0].evaluate(SHOW)
    await expect(tabs[0].locator("a.entry")).to_have_count(1)
