"""Takes the pictures of the page: `.venv/bin/python tests/web/screenshots.py [FOLDER]`.

Without a folder the four of the README go to `docs/`; with one, every state on every screen goes
there, for looking at.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # the helpers of tests, as pytest finds them

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from browser import ensure
from conftest import TurnedClock
from signoff.approvals.request import Approval
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from street import EARLIER, Street, request, street, tool_call

DOCS: Final = Path(__file__).parents[2] / "docs"
MAX_BYTES: Final = 200 * 1024
SCREENS: Final[dict[str, dict[str, Any]]] = {
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
    "desk": {"viewport": {"width": 1100, "height": 900}},
    "narrow": {
        "viewport": {"width": 320, "height": 640},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}
SAID: Final = "You asked me to top up the savings account at the end of each month."
STATES: Final = {
    "done": ("succeeded", None),
    "running": ("dispatching", None),
    "failed": ("failed", "The bank answered 409: the account is frozen."),
    "unknown": ("outcome_unknown", "No answer came back within 10 s."),
    "refused": ("refused", "The credential changed since the approval."),
}


@asynccontextmanager
async def signed_in(browser: Browser, here: Street, **screen: Any) -> AsyncGenerator[Page, None]:
    """Yield a page of a browser in which Alice has signed in."""
    context: BrowserContext = await browser.new_context(
        timezone_id="UTC", locale="en-GB", reduced_motion="reduce", **screen
    )
    page = await context.new_page()
    await page.clock.set_fixed_time(here.clock())
    await page.goto(await here.link())
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{here.url}/approvals**")
    yield page
    await context.close()


async def shoot(page: Page, url: str, target: Path, *, whole: bool = False) -> None:
    """Open the page and save what a person sees."""
    await page.goto(url)
    if await page.locator("#approve").count():
        armed = "#approve[aria-disabled=false]"
        waiting = "#hint:not(:empty)"
        await page.locator(f"{armed}, {waiting}").first.wait_for(state="attached")
    target.parent.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=target, full_page=whole)


async def readme(browser: Browser, here: Street) -> None:
    """Take the README's four."""
    approval = await here.open(tool_call(said=SAID))
    for screen in ("phone", "desk"):
        for scheme in ("light", "dark"):
            target = DOCS / f"card-{screen}-{scheme}.png"
            options = {**SCREENS[screen], "color_scheme": scheme}
            async with signed_in(browser, here, **options) as page:
                await shoot(page, f"{here.url}/approvals/{approval.id}", target)
            size = target.stat().st_size
            if size > MAX_BYTES:
                sys.exit(f"{target} has {size:,} bytes: more than {MAX_BYTES:,}")
            sys.stdout.write(f"{target} ({size:,} bytes)\n")


async def cards(here: Street) -> dict[str, Approval]:
    """Open one card of every kind and bring each to its state."""
    made: dict[str, Approval] = {}
    for number, (name, (state, note)) in enumerate(STATES.items()):
        made[name] = await here.open(tool_call(f"call_s{number}", tool=f"pay_{name}"))
        await decide(here, made[name], "approve")
        await here.redeem(made[name])
        await here.tell(made[name], state, note)
    for name, verdict in (("denied", "deny"), ("lapsed", "approve")):
        made[name] = await here.open(tool_call(f"call_{name}", tool=f"pay_{name}"))
        await decide(here, made[name], verdict)
    made["expired"] = await here.open(tool_call("call_exp", tool="pay_exp"), expires_in_s=60)
    made["withdrawn"] = await here.open(tool_call("call_wd", tool="pay_wd"))
    await here.approvals.withdraw(here.tickets[made["withdrawn"].id], client_id="signoff-gate")
    here.clock.turn(180)
    await here.approvals.sweep()
    made["plain"] = await here.open(tool_call("call_p", said=SAID))
    made["rival"] = await here.open(
        tool_call("call_r", request=request(body='{"from_account":"checking","amount":2500}'))
    )
    made["again"] = await here.open(
        tool_call("call_a", tool="pay_again", repeat_of=EARLIER, again=True), expires_in_s=70
    )
    await here.tell(made["again"], "listener_left")
    made["hidden"] = await here.open(
        tool_call(
            "call_h",
            tool="refund\u202e_create",
            risk="critical",
            said="I promise\u200b this is fine.\u2066",
            client_info={"name": "Cl\u0430ude", "version": "2.1"},
            request=request(
                url="https://bank.example/api/accounts/a\u0441me-7/close?reason=dup%E2%80%AEtneilc",
                template="/accounts/{account_id}/close",
                body='{"to":"  mallory\\u202e","empty":"","nothing":null,"code":"007","pin":null}',
            ),
        )
    )
    made["long"] = await here.open(
        tool_call(
            "call_l",
            tool="post_statement",
            title=[{"text": "Post a statement as "}, {"argument": "author", "value": "x" * 60}],
            request=request(
                body='{"text":"' + "All work and no play makes a dull statement. " * 455 + '",'
                '"a_very_long_field_name_that_nobody_would_ever_type_by_hand":"https://example.com/'
                + "path/" * 40
                + '","audience":"everyone"}'
            ),
        )
    )
    made["large"] = await here.open(
        tool_call(
            "call_x",
            tool="upload",
            title=[{"text": "Call upload: PUT /files/{name}"}],
            request=request(
                method="PUT",
                url="https://files.example/files/report%20Q3.pdf",
                template="/files/{name}",
                body=None,
                body_bytes=2_481_152,
                body_sha256="sha-256:" + "7f3a91ac0b2e55d1" * 4,
                body_media_type="application/pdf",
            ),
        )
    )
    made["application"] = await here.open(
        {"type": "payment_initiation", "instructedAmount": {"currency": "EUR", "amount": "123.50"}},
        client_id="shop",
        binding_message="W4SCT",
    )
    return made


async def decide(here: Street, approval: Approval, verdict: Any) -> None:
    """Decide as Alice, at the service."""
    await here.approvals.decide(
        approval.id,
        user_id="alice",
        digest=approval.digest,
        verdict=verdict,
        reason="Not this month, please ask me again in December." if verdict == "deny" else None,
        acr="session",
    )


async def everything(browser: Browser, here: Street, folder: Path) -> None:
    """Take every state on every screen."""
    async with signed_in(browser, here, **SCREENS["phone"]) as page:
        await shoot(page, f"{here.url}/approvals", folder / "inbox-empty.png")
    made = await cards(here)
    for screen, options in SCREENS.items():
        for scheme in ("light", "dark"):
            async with signed_in(browser, here, **{**options, "color_scheme": scheme}) as page:
                await page.clock.set_fixed_time(here.clock() + timedelta(seconds=1))
                tag = f"{screen}-{scheme}.png"
                await shoot(page, f"{here.url}/approvals", folder / f"inbox-{tag}", whole=True)
                for name, approval in made.items():
                    url = f"{here.url}/approvals/{approval.id}"
                    await shoot(page, url, folder / f"{name}-{tag}", whole=name != "plain")
                await shoot(page, await here.link(), folder / f"login-{tag}")
                await shoot(page, f"{here.url}/approvals/apr_no", folder / f"notfound-{tag}")


async def main(folder: Path | None) -> None:
    """Take the pictures."""
    with tempfile.TemporaryDirectory() as data_dir:
        clock = TurnedClock()
        async with (
            Database(Path(data_dir) / "signoff.db", clock=clock).running() as database,
            street(database, Sealer(b"k" * 32), clock) as here,
            async_playwright() as playwright,
        ):
            browser = await playwright.chromium.launch(
                executable_path=ensure(), args=["--no-sandbox"]
            )
            if folder is None:
                await readme(browser, here)
            else:
                await everything(browser, here, folder)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
