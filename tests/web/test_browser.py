"""A person with a real browser: reading, deciding, and what the page does by itself."""

import re
from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from as_parts import known_caller
from conftest import TurnedClock
from signoff.approvals.request import Approval
from street import EARLIER, Street, request, tool_call
from visits import read_to_the_end

ARMED = "#approve[aria-disabled=false]"
KEY_IS_KEPT_IN = """async () => {
  const db = await new Promise((done) => {
    const opening = indexedDB.open("signoff");
    opening.onsuccess = () => done(opening.result);
  });
  if (!db.objectStoreNames.contains("device-keys")) return [];
  const keys = await new Promise((done) => {
    const asked = db.transaction("device-keys").objectStore("device-keys").getAll();
    asked.onsuccess = () => done(asked.result);
  });
  return Promise.all(keys.map((key) => crypto.subtle.exportKey("jwk", key).then(
    () => "extractable", () => key.extractable ? "odd" : "kept")));
}"""


async def visit(page: Page, here: Street, approval: Approval) -> None:
    await page.goto(f"{here.url}/approvals/{approval.id}")


async def approve(page: Page, here: Street, approval: Approval) -> None:
    await visit(page, here, approval)
    await read_to_the_end(page)
    await page.locator(ARMED).click()
    await expect(page.locator("h1")).to_have_text("Approved, now running")


async def decided(here: Street, approval: Approval, outcome: str, note: str | None) -> None:
    await here.approvals.decide(
        approval.id,
        user_id="alice",
        digest=approval.digest,
        verdict="approve",
        reason=None,
        acr="session",
    )
    await here.redeem(approval)
    await here.tell(approval, outcome, note)


async def test_a_tap_on_approve_says_yes_once(here: Street, alice: Page) -> None:
    approval = await here.open()
    await approve(alice, here, approval)
    seen = await here.approvals.load(approval.id)
    assert seen is not None
    assert (seen.status, seen.decided_by, seen.decided_acr) == ("approved", "alice", "session")


async def test_signing_in_goes_straight_to_the_one_open_card(
    here: Street, browser: Browser
) -> None:
    approval = await here.open()
    page = await browser.new_page()
    await page.goto(await here.link())
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{here.url}/approvals/{approval.id}")


async def test_the_device_key_is_kept_by_the_browser_and_not_extractable(
    here: Street, alice: Page
) -> None:
    await alice.goto(f"{here.url}/approvals")
    assert await alice.evaluate(KEY_IS_KEPT_IN) == ["kept"]


async def test_a_reason_goes_with_the_deny(here: Street, alice: Page) -> None:
    approval = await here.open()
    await visit(alice, here, approval)
    await alice.get_by_text("Deny with a reason").click()
    await alice.get_by_label("What the assistant should know").fill("Ask me in December")
    await alice.get_by_role("button", name="Deny").click()
    await expect(alice.locator("h1")).to_have_text("Denied")
    await expect(alice.locator("blockquote")).to_have_text("Ask me in December")
    seen = await here.approvals.load(approval.id)
    assert seen is not None
    assert (seen.status, seen.reason) == ("denied", "Ask me in December")


async def test_enter_on_a_fresh_page_decides_nothing(here: Street, alice: Page) -> None:
    approval = await here.open()
    await visit(alice, here, approval)
    await expect(alice.locator(ARMED)).to_be_visible()
    for _ in range(3):
        await alice.keyboard.press("Enter")
    assert await here.status(approval) == "pending"
    buttons = await alice.locator("form.decide button").all_inner_texts()
    assert buttons == ["Deny", "Approve once"]


@pytest.mark.seed("T24")
async def test_a_click_before_the_button_is_armed_does_nothing(here: Street, alice: Page) -> None:
    approval = await here.open()
    await alice.clock.install(time=here.clock() - timedelta(hours=1))  # it cannot be turned back
    await alice.clock.pause_at(here.clock())
    await visit(alice, here, approval)
    button = alice.get_by_role("button", name="Approve once")
    await expect(button).to_have_attribute("aria-disabled", "true")
    await button.click(force=True)
    await alice.clock.run_for(700)
    await button.click(force=True)
    assert await here.status(approval) == "pending"
    await alice.clock.run_for(200)
    await alice.locator(ARMED).click()
    await expect(alice.locator("h1")).to_have_text("Approved, now running")


@pytest.mark.seed("T19")
async def test_what_was_not_on_the_screen_cannot_be_approved(here: Street, alice: Page) -> None:
    body = '{"text":"' + "word " * 4000 + '","to":"mallory"}'
    approval = await here.open(tool_call(request=request(body=body)))
    await visit(alice, here, approval)
    button = alice.get_by_role("button", name="Approve once")
    await expect(alice.locator("#hint")).to_have_text("Read to the end to approve")
    await button.click(force=True)
    await button.click(force=True)
    await expect(button).to_have_attribute("aria-disabled", re.compile("true|false"))
    assert await here.status(approval) == "pending"
    await alice.locator(".long").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    await read_to_the_end(alice)
    await alice.locator(ARMED).click()
    await expect(alice.locator("h1")).to_have_text("Approved, now running")


async def test_a_browser_that_lost_its_key_is_told_what_to_do(here: Street, alice: Page) -> None:
    approval = await here.open()
    await alice.goto(f"{here.url}/approvals/apr_none")
    await alice.evaluate("indexedDB.deleteDatabase('signoff')")
    await visit(alice, here, approval)
    await expect(alice.locator("#keyless")).to_contain_text("no longer has the key")
    await expect(alice.get_by_role("button", name="Approve once")).to_be_disabled()
    await alice.get_by_role("button", name="Deny").click()
    await expect(alice.locator("h1")).to_have_text("Denied")


async def test_without_javascript_one_can_read_and_deny_but_not_approve(
    here: Street, browser: Browser
) -> None:
    approval = await here.open(tool_call(said="For the rent"))
    page = await browser.new_page(java_script_enabled=False)
    await page.goto(await here.link())
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{here.url}/approvals/{approval.id}")
    text = await page.locator("main").inner_text()
    for words in ("Transfer 25 EUR from checking to savings", "For the rent", "not approve"):
        assert words in text
    await expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    await page.get_by_role("button", name="Deny").click()
    await expect(page.locator("h1")).to_have_text("Denied")
    assert await here.status(approval) == "denied"


async def test_other_windows_follow_a_decision(here: Street, alice: Page) -> None:
    approval = await here.open()
    card, listed = await alice.context.new_page(), await alice.context.new_page()
    await visit(card, here, approval)
    await listed.goto(f"{here.url}/approvals")
    await expect(listed.locator("h1")).to_have_text("Waiting for you")
    await approve(alice, here, approval)
    await expect(card.locator("h1")).to_have_text("Approved, now running")
    await expect(listed.locator("h1")).to_have_text("Nothing is waiting for you")


async def test_the_list_shows_a_new_request_by_itself(here: Street, alice: Page) -> None:
    await alice.goto(f"{here.url}/approvals")
    await expect(alice.locator("h1")).to_have_text("Nothing is waiting for you")
    await here.open()
    await expect(alice.locator(".entry strong")).to_have_text(
        "Transfer 25 EUR from checking to savings"
    )


async def test_the_page_follows_the_call_to_its_end(here: Street, alice: Page) -> None:
    approval = await here.open()
    await approve(alice, here, approval)
    await here.redeem(approval)
    await here.tell(approval, "succeeded")
    await expect(alice.locator("h1")).to_have_text("Done")


async def test_a_withdrawn_request_leaves_no_zombie(here: Street, alice: Page) -> None:
    approval = await here.open()
    await visit(alice, here, approval)
    await here.approvals.withdraw(here.tickets[approval.id], client_id="signoff-gate")
    await expect(alice.locator("h1")).to_have_text("Withdrawn", timeout=2000)
    await expect(alice.locator("main button")).to_have_count(0)


async def test_the_countdown_is_the_servers(here: Street, alice: Page, clock: TurnedClock) -> None:
    approval = await here.open(expires_in_s=90)
    await visit(alice, here, approval)
    await expect(alice.get_by_role("timer")).to_have_text(re.compile(r"1:(30|29|28)"))
    clock.turn(31)
    await here.tell(approval, "listener_left")
    await expect(alice.locator("#listener")).to_contain_text("The assistant stopped listening")
    await expect(alice.locator("#announce")).to_have_text("60 seconds left to decide")
    clock.turn(60)
    await here.approvals.sweep()
    await expect(alice.locator("h1")).to_have_text("Expired")


ENDINGS = {
    "dispatching": ("Approved, now running", "The assistant gets the result in the chat."),
    "succeeded": ("Done", "The assistant has the result in the chat."),
    "failed": ("It did not succeed", "needs a new approval"),
    "outcome_unknown": ("It may or may not have happened", "Nothing is sent again."),
    "refused": ("Stopped before it was sent", "Nothing was sent."),
    "lapsed": ("Approved, but too late", "ask in the chat again"),
    "withdrawn": ("Withdrawn", "Nothing was sent."),
}


@pytest.mark.parametrize(("outcome", "words"), ENDINGS.items())
async def test_every_end_has_its_own_page_without_a_way_to_decide(
    here: Street, alice: Page, outcome: str, words: tuple[str, str]
) -> None:
    approval = await here.open()
    await decided(here, approval, outcome, "409 <b>frozen</b>\u202e")
    await visit(alice, here, approval)
    heading, text = words
    await expect(alice.locator("h1")).to_have_text(heading)
    await expect(alice.locator("main")).to_contain_text(text)
    await expect(alice.locator("main")).to_contain_text("409 <b>frozen</b>U+202E")
    await expect(alice.locator("[name=decision]")).to_have_count(0)


@pytest.mark.parametrize(("button", "done"), [("Mark as done", True), ("Mark as not done", False)])
async def test_an_unknown_end_is_marked_by_the_approver(
    here: Street, alice: Page, button: str, *, done: bool
) -> None:
    approval = await here.open()
    await decided(here, approval, "outcome_unknown", None)
    await visit(alice, here, approval)
    await alice.get_by_role("button", name=button, exact=True).click()
    await expect(alice.locator("h1")).to_have_text("Done" if done else "It did not succeed")
    assert here.settled == [("call_1", done, "alice")]


async def test_a_decision_of_somebody_else_is_named(here: Street, alice: Page) -> None:
    approval = await here.open(tool_call(approvers=["alice", "bob"]))
    await visit(alice, here, approval)
    await here.approvals.decide(
        approval.id, user_id="bob", digest=approval.digest, verdict="deny", reason=None,
        acr="session",
    )  # fmt: skip
    await expect(alice.locator("main")).to_contain_text("Bob denied this. Nothing was sent.")


async def test_doing_it_twice_says_so_on_the_card_and_the_button(here: Street, alice: Page) -> None:
    approval = await here.open(tool_call(repeat_of=EARLIER, again=True))
    await visit(alice, here, approval)
    await expect(alice.locator(".banner").first).to_contain_text("The same call succeeded at")
    await expect(alice.locator(".banner").first).to_contain_text("This would be the second.")
    await expect(alice.get_by_role("button", name="Send again")).to_be_visible()


@pytest.mark.seed("T16")
async def test_markup_in_any_field_is_text(here: Street, alice: Page) -> None:
    alarms: list[str] = []
    alice.on("dialog", lambda dialog: alarms.append(dialog.message))
    alice.on("console", lambda message: alarms.append(message.text))
    payload = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{7*7}}</pre>"
    await known_caller(here.database, payload)
    approval = await here.open(
        tool_call(
            tool=payload,
            title=[{"text": "Do "}, {"argument": payload, "value": payload}],
            said=payload,
            client_info={"name": payload[:100], "version": payload[:50]},
            caller={"kind": "oauth", "issuer": "x", "client_id": payload, "sub": payload},
            request=request(
                url="https://b.example/<script>alert(3)</script>?a=" + payload,
                headers={"X-A": payload, payload: {"reference": payload, "fingerprint": None}},
                body='{"<img src=x onerror=alert(4)>":"<svg onload=alert(5)>"}',
            ),
        )
    )
    await visit(alice, here, approval)
    await read_to_the_end(alice)
    await expect(alice.locator(ARMED)).to_be_attached()
    text = await alice.locator("main").inner_text()
    assert text.count("<img src=x onerror=alert(1)>") >= 4
    await expect(alice.locator("main img, main script")).to_have_count(0)
    assert alarms == []
    await alice.get_by_role("button", name="Deny").click()
    await expect(alice.locator("h1")).to_have_text("Denied")
    await alice.goto(f"{here.url}/approvals")
    assert alarms == []


@pytest.mark.seed("T17")
async def test_what_hides_is_named_in_the_page_a_person_sees(here: Street, alice: Page) -> None:
    approval = await here.open(
        tool_call(
            tool="pay\u2066",
            said="trust\u200bme",
            client_info={"name": "Claude\u00ad", "version": ""},
            request=request(body='{"to":"dup\\u202etneilc","t\U000e0041":"x"}'),
        )
    )
    await visit(alice, here, approval)
    text = await alice.locator("main").inner_text()
    for chip in ("payU+2066", "trustU+200Bme", "ClaudeU+00AD", "dupU+202Etneilc", "tU+E0041"):
        assert chip in text, chip
    assert "Hidden characters in the tool's name" in text


async def test_another_applications_request_never_wears_our_heading(
    here: Street, alice: Page
) -> None:
    approval = await here.open(
        {"type": "payment_initiation", "title": "Nothing to see"}, client_id="shop"
    )
    await visit(alice, here, approval)
    await expect(alice.locator("h1")).to_have_text("Application shop asks for payment_initiation")
    await alice.locator(ARMED).click()
    await expect(alice.locator("h1")).to_have_text("Approved")
