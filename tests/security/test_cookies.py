"""Cookies of a host belong to all its ports: another server may read ours, and set its own."""

from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.async_api import Page, expect
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from scripted_person import ScriptedPerson
from street import Street, loopback, serving, tool_call


class Tosser:
    """A server of the same host on another port, which sets cookies."""

    def __init__(self, url: str) -> None:
        self.url, self.cookies = url, list[str]()

    async def answer(self, _: Request) -> Response:
        response = HTMLResponse("<h1>Hello</h1>")
        for cookie in self.cookies:
            response.headers.append("set-cookie", cookie)
        return response


@pytest.fixture
async def tosser() -> AsyncGenerator[Tosser, None]:
    listener, port = loopback()
    running = Tosser(f"http://localhost:{port}")
    async with serving([Route("/{path:path}", running.answer)], listener):
        yield running


def cookie_of(here: Street) -> str:
    return f"signoff-{urlsplit(here.url).port}"


async def mallory(here: Street) -> ScriptedPerson:
    return await ScriptedPerson(here.url).sign_in(await here.link("mallory"))


async def test_a_session_that_another_port_slipped_in_is_named_and_cannot_approve(
    here: Street, alice: Page, tosser: Tosser
) -> None:
    theirs = await here.open(tool_call("call_m", approvers=["mallory"]))
    stranger = await mallory(here)
    token = stranger.http.cookies[cookie_of(here)]
    tosser.cookies = [f"{cookie_of(here)}={token}; Path=/; HttpOnly"]
    await alice.goto(tosser.url)
    await alice.goto(f"{here.url}/approvals/{theirs.id}")
    await expect(alice.locator(".me")).to_contain_text("Mallory")
    await expect(alice.locator("#keyless")).to_be_visible()
    await expect(alice.locator("#approve")).to_be_disabled()
    assert await here.status(theirs) == "pending"
    await stranger.close()


async def test_a_cookie_for_a_deeper_path_does_not_replace_the_session(
    here: Street, alice: Page, tosser: Tosser
) -> None:
    mine = await here.open()
    stranger = await mallory(here)
    token = stranger.http.cookies[cookie_of(here)]
    tosser.cookies = [
        f"{cookie_of(here)}={token}; Path=/approvals",
        f"{cookie_of(here)}=nonsense; Path=/approvals/{mine.id}",
    ]
    await alice.goto(tosser.url)
    await alice.goto(f"{here.url}/approvals/{mine.id}")
    await expect(alice.locator(".me")).to_contain_text("Alice")
    await alice.locator("#approve[aria-disabled=false]").click()
    await expect(alice.locator("h1")).to_have_text("Approved, now running")
    await stranger.close()


@pytest.mark.parametrize("planted", ["", "known-to-mallory", "x" * 43])
async def test_signing_in_takes_no_session_that_was_there_before(
    here: Street, planted: str
) -> None:
    async with httpx2.AsyncClient(
        base_url=here.url, trust_env=False, headers={"Origin": here.url}, timeout=60
    ) as browser:
        browser.cookies.set(cookie_of(here), planted, domain="localhost.local", path="/")
        answer = await browser.post(
            await here.link(), data={"device_key": ""},
            headers={"Cookie": f"{cookie_of(here)}={planted}"},
        )  # fmt: skip
        assert answer.status_code == 303
        fresh = answer.cookies[cookie_of(here)]
        assert fresh != planted
        assert len(fresh) >= 43
        refused = await httpx2.AsyncClient(trust_env=False, timeout=60).get(
            f"{here.url}/approvals", headers={"Cookie": f"{cookie_of(here)}={planted}"}
        )
        assert refused.status_code == 401


async def test_a_sign_in_link_says_whom_it_signs_in_before_the_button_is_pressed(
    here: Street, alice: Page
) -> None:
    """A link somebody else slipped in would make this browser theirs, key and all."""
    await alice.goto(await here.link("mallory"))
    await expect(alice.locator(".who")).to_have_text("You become Mallory (mallory).")


async def test_a_signature_for_one_act_is_none_for_another(here: Street) -> None:
    person = await ScriptedPerson(here.url).sign_in(await here.link())
    first, second = await here.open(tool_call("call_a")), await here.open(tool_call("call_b"))
    one, other = await person.form(first.id), await person.form(second.id)
    for proof in (
        person.proof(other, "approve"),
        person.proof(one, "done"),
        person.proof(one, "not-done"),
        person.proof(one, "consent"),
        person.proof(one, "connect-device"),
        person.proof(one, "approve")[:-2] + "AA",
        person.proof(one, "approve") + "A",
    ):
        answer = await person.send(one, decision="approve", proof=proof)
        assert answer.status_code == 403
    assert await here.status(first) == await here.status(second) == "pending"
    await person.approve(first.id)
    assert await here.status(first) == "approved"
    await person.close()
