"""The page fits a 320 px phone and a desk, in light and dark, for eyes, keyboards and readers."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from looks import SCREENS, check
from signoff.approvals.request import Approval
from street import EARLIER, Street, request, tool_call


async def worst(here: Street) -> list[Approval]:
    """Open cards with everything that can stand on one."""
    return [
        await here.open(
            tool_call(
                "call_a",
                said="word " * 90,
                repeat_of=EARLIER,
                again=True,
                risk="critical",
                tool="pay\u202e",
                client_info={"name": "Cl\u0430ude", "version": "2"},
                request=request(
                    url="https://bank.example/api/" + "segment/" * 30 + "?q=" + "x" * 300,
                    body='{"a_field_name_that_never_ends_and_never_breaks":"'
                    + "y" * 200
                    + '","text":"'
                    + "0123456789" * 2000
                    + '","empty":"","null":null}',
                ),
            )
        ),
        await here.open(tool_call("call_b", tool="pay\u202e")),
        await here.open(
            tool_call("call_c", tool="upload", request=request(body=None, body_bytes=99_999))
        ),
        await here.open({"type": "payment_initiation", "amount": {"value": 5}}, client_id="shop"),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
async def test_every_page_passes_axe_and_never_scrolls_sideways(
    here: Street, browser: Browser, screen: str, scheme: Any
) -> None:
    context = await browser.new_context(**SCREENS[screen], color_scheme=scheme)
    page = await context.new_page()
    width = SCREENS[screen]["viewport"]["width"]
    await check(page, await here.link(), width)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("h1")).to_have_text("Nothing is waiting for you")
    await page.goto("about:blank")
    await check(page, f"{here.url}/approvals", width)
    cards = await worst(here)
    await check(page, f"{here.url}/approvals", width)
    await check(page, f"{here.url}/approvals/apr_none", width)
    for card in cards:
        await check(page, f"{here.url}/approvals/{card.id}", width)
    await here.approvals.decide(
        cards[0].id, user_id="alice", digest=cards[0].digest, verdict="approve", reason=None,
        acr="session",
    )  # fmt: skip
    await here.redeem(cards[0])
    await here.tell(cards[0], "outcome_unknown", "No answer came within 10 s.")
    await check(page, f"{here.url}/approvals/{cards[0].id}", width)
    await context.close()


async def test_the_buttons_are_tall_and_the_bar_covers_no_field(here: Street, alice: Page) -> None:
    approval = (await worst(here))[0]
    await alice.goto(f"{here.url}/approvals/{approval.id}")
    await alice.get_by_text("Deny with a reason").click()
    await alice.get_by_label("What the assistant should know").focus()
    field = await alice.locator("textarea").bounding_box()
    bar = await alice.locator(".bar").bounding_box()
    assert field is not None
    assert bar is not None
    assert field["y"] + field["height"] <= bar["y"]
    assert bar["y"] + bar["height"] <= 844 + 1
    for name in ("Deny", "Send again"):
        box = await alice.get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["height"] >= 52


async def test_the_keyboard_meets_the_facts_then_deny_then_approve(
    here: Street, alice: Page
) -> None:
    approval = await here.open()
    await alice.goto(f"{here.url}/approvals/{approval.id}")
    await expect(alice.locator("#approve[aria-disabled=false]")).to_be_visible()
    met: list[str] = []
    while "Approve once" not in met:
        assert len(met) < 12, met
        await alice.keyboard.press("Tab")
        met.append(await alice.evaluate("document.activeElement.textContent.trim()"))
    assert met[-4:] == ["Exactly what will be sent", "Deny with a reason", "Deny", "Approve once"]
