"""Cookies cross ports: a server on another port gets the approver's, and still cannot approve."""

import re
from collections.abc import AsyncGenerator
from urllib.parse import urlencode

import httpx2
import pytest
from playwright.async_api import Page, expect
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from signoff.approvals.request import Approval
from street import Street, loopback, serving


class Thief:
    """A server of the same host on another port, with a page of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: list[str] = []
        self.page = ""

    async def answer(self, request: Request) -> Response:
        self.cookies.append(request.headers.get("cookie", ""))
        return HTMLResponse(self.page)


@pytest.fixture
async def thief() -> AsyncGenerator[Thief, None]:
    listener, port = loopback()
    running = Thief(f"http://localhost:{port}")
    async with serving([Route("/{path:path}", running.answer)], listener):
        yield running


async def decisions(here: Street) -> list[str]:
    rows = await here.database.fetch_all(
        "SELECT CAST(body AS TEXT) AS body FROM audit WHERE CAST(body AS TEXT) "
        "LIKE '%\"approval.approved\"%' OR CAST(body AS TEXT) LIKE '%\"approval.denied\"%'"
    )
    return [str(row["body"]) for row in rows]


def csrf_of(page: str, approval: Approval) -> str:
    form = page[page.index(f'action="/approvals/{approval.id}/') :]
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', form)
    assert found is not None
    return found[1]


async def test_a_cookie_replayed_from_another_port_reads_but_approves_nothing(
    here: Street, alice: Page, thief: Thief
) -> None:
    approval = await here.open()
    await alice.goto(thief.url)
    assert thief.cookies[0].startswith("signoff-"), "the browser hands it over: the risk is real"
    async with httpx2.AsyncClient(headers={"Cookie": thief.cookies[0]}, timeout=60) as client:
        page = await client.get(f"{here.url}/approvals/{approval.id}")
        assert page.status_code == 200
        form = {
            "csrf": csrf_of(page.text, approval),
            "digest": approval.digest,
            "decision": "approve",
        }
        for proof in (None, "", "A" * 86, approval.nonce):
            fields = form if proof is None else {**form, "proof": proof}
            answer = await client.post(
                f"{here.url}/approvals/{approval.id}/decision",
                data=fields,
                headers={"Origin": here.url, "Sec-Fetch-Site": "same-origin"},
            )
            assert answer.status_code == 403
            assert "did not prove itself" in answer.text
    assert await here.status(approval) == "pending"
    assert await decisions(here) == []
    # The control: the same form with the browser's own signature is a yes.
    await alice.goto(f"{here.url}/approvals/{approval.id}")
    await alice.locator("#approve[aria-disabled=false]").click()
    await expect(alice.locator("h1")).to_have_text("Approved, now running")
    assert len(await decisions(here)) == 1


async def test_a_cookie_replayed_from_another_port_brings_no_key_of_its_own(
    here: Street, alice: Page, thief: Thief
) -> None:
    await alice.goto(thief.url)
    before = await here.database.fetch_all("SELECT * FROM device_keys")
    async with httpx2.AsyncClient(headers={"Cookie": thief.cookies[0]}, timeout=60) as client:
        for path in ("/login/none", "/approvals", "/logout", "/login/device_key"):
            answer = await client.post(
                here.url + path, data={"device_key": "{}"}, headers={"Origin": here.url}
            )
            assert answer.status_code >= 400
    assert await here.database.fetch_all("SELECT * FROM device_keys") == before


async def test_a_page_on_another_port_cannot_post_read_frame_or_sign(
    here: Street, alice: Page, thief: Thief
) -> None:
    approval = await here.open()
    await alice.goto(f"{here.url}/approvals/{approval.id}")
    csrf = csrf_of(await alice.content(), approval)
    fields = urlencode({"csrf": csrf, "digest": approval.digest, "decision": "deny"})
    target = f"{here.url}/approvals/{approval.id}"
    thief.page = f"""<!doctype html><iframe src="{target}"></iframe>
      <form method="post" action="{target}/decision">
      {
        "".join(
            f'<input name="{name}" value="{value}">'
            for name, value in (pair.split("=") for pair in fields.split("&"))
        )
    }
      <button>Win a prize</button></form>"""
    await alice.goto(thief.url)
    assert await alice.evaluate("indexedDB.databases()") == [], "the key is of another origin"
    read = "url => fetch(url, {credentials: 'include'}).then(r => r.text(), () => 'blocked')"
    assert await alice.evaluate(read, target) == "blocked"
    for frame in alice.frames[1:]:
        assert frame.url.startswith("chrome-error:")
        await expect(frame.locator("form.decide")).to_have_count(0)
    await alice.get_by_role("button", name="Win a prize").click()
    await expect(alice.locator("h1")).to_have_text("Refused")
    assert await here.status(approval) == "pending"
    assert await decisions(here) == []


async def test_a_stolen_cookie_marks_no_unknown_outcome(
    here: Street, alice: Page, thief: Thief
) -> None:
    approval = await here.open()
    await here.approvals.decide(
        approval.id, user_id="alice", digest=approval.digest, verdict="approve", reason=None,
        acr="session",
    )  # fmt: skip
    await here.redeem(approval)
    await here.tell(approval, "outcome_unknown")
    await alice.goto(thief.url)
    async with httpx2.AsyncClient(headers={"Cookie": thief.cookies[0]}, timeout=60) as client:
        page = await client.get(f"{here.url}/approvals/{approval.id}")
        fields = {"csrf": csrf_of(page.text, approval), "digest": approval.digest, "done": "no"}
        answer = await client.post(
            f"{here.url}/approvals/{approval.id}/reconcile",
            data=fields,
            headers={"Origin": here.url},
        )
    assert answer.status_code == 403
    assert here.settled == []
