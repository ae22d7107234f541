"""What a program without a browser can and cannot do at the pages' addresses."""

import asyncio
import re
from urllib.parse import urlencode

import httpx2
import pytest

from conftest import TurnedClock
from street import Street, tool_call
from visitor import Visitor, signed_in


async def test_a_deny_with_a_reason_is_kept_and_answered_with_the_card(
    here: Street, visitor: Visitor
) -> None:
    approval = await here.open()
    fields = {**await visitor.form(approval), "reason": "not\r\nnow "}
    response = await visitor.decide(approval, fields)
    assert (response.status_code, response.headers["location"]) == (
        303,
        f"/approvals/{approval.id}",
    )
    seen = await here.approvals.load(approval.id)
    assert seen is not None
    assert (seen.status, seen.reason, seen.decided_by) == ("denied", "not\nnow", "alice")


async def test_the_bare_address_leads_to_what_waits(visitor: Visitor) -> None:
    response = await visitor.client.get(f"{visitor.here.url}/")
    assert (response.status_code, response.headers["location"]) == (303, "/approvals")
    assert response.headers["cache-control"] == "no-store"
    assert (await visitor.client.post(f"{visitor.here.url}/")).status_code == 405


async def test_on_https_a_session_alone_approves(secure: Visitor) -> None:
    approval = await secure.here.open()
    fields = {**await secure.form(approval), "decision": "approve"}
    assert (await secure.decide(approval, fields)).status_code == 303
    assert await secure.here.status(approval) == "approved"


async def test_of_many_decisions_by_two_people_at_once_one_wins(secure: Visitor) -> None:
    approval = await secure.here.open(tool_call(approvers=["alice", "bob"]))
    async with httpx2.AsyncClient(timeout=60) as client:
        bob = await signed_in(secure.here, client, "bob")
        forms = {visitor: await visitor.form(approval) for visitor in (secure, bob)}
        responses = await asyncio.gather(
            *(
                visitor.decide(approval, {**form, "decision": verdict})
                for _ in range(8)
                for visitor, form in forms.items()
                for verdict in ("approve", "deny")
            )
        )
    assert sorted(response.status_code for response in responses) == [303, *[409] * 31]
    seen = await secure.here.approvals.load(approval.id)
    assert seen is not None
    told = "You had already decided" if seen.decided_by == "alice" else "Bob</bdi> decided first"
    late = next(response.text for response in responses[2:] if response.status_code == 409)
    assert "Your click changed nothing." in late
    assert seen.decided_by in ("alice", "bob")
    page = await secure.decide(approval, forms[secure])
    assert told in page.text


async def test_a_decision_at_the_last_moment_is_too_late(
    secure: Visitor, clock: TurnedClock
) -> None:
    approval = await secure.here.open(expires_in_s=60)
    fields = {**await secure.form(approval), "decision": "approve"}
    clock.turn(60)
    response = await secure.decide(approval, fields)
    assert response.status_code == 409
    assert "Expired" in response.text
    assert await secure.here.status(approval) == "expired"


async def test_what_needs_a_passkey_is_not_approved_by_a_link(secure: Visitor) -> None:
    approval = await secure.here.open(tool_call(acr="passkey"))
    page = await secure.client.get(f"{secure.here.url}/approvals/{approval.id}")
    assert 'value="approve"' not in page.text
    fields = {**await secure.form(approval), "decision": "approve"}
    assert (await secure.decide(approval, fields)).status_code == 403
    assert await secure.here.status(approval) == "pending"


@pytest.mark.parametrize("proof", [None, "", "A" * 86])
async def test_on_plain_http_a_session_alone_does_not_approve(
    here: Street, visitor: Visitor, proof: str | None
) -> None:
    approval = await here.open()
    fields = {**await visitor.form(approval), "decision": "approve"}
    response = await visitor.decide(
        approval, fields if proof is None else {**fields, "proof": proof}
    )
    assert response.status_code == 403
    assert "signoff login" in response.text
    assert await here.status(approval) == "pending"


async def test_the_cookie_is_http_only_and_lax(here: Street) -> None:
    async with httpx2.AsyncClient(timeout=60) as client:
        response = await Visitor(here, client, here.url).sign_in("alice")
    port = here.url.rsplit(":", 1)[1]
    assert re.fullmatch(
        rf"signoff-{port}=[\w-]{{43}}; HttpOnly; Max-Age=7776000; Path=/; SameSite=lax",
        response.headers["set-cookie"],
    )


@pytest.mark.seed("T26")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
async def test_no_method_but_post_decides_or_uses_up_a_link(
    here: Street, visitor: Visitor, method: str
) -> None:
    approval = await here.open()
    query = urlencode({**await visitor.form(approval), "decision": "deny"})
    link = await here.link()
    for agent in ("Mozilla/5.0", "Slackbot-LinkExpanding 1.0", "Microsoft SafeLinks"):
        for path in (
            f"/approvals/{approval.id}",
            f"/approvals/{approval.id}/decision?{query}",
            "/approvals?decision=approve",
        ):
            await visitor.client.request(method, here.url + path, headers={"User-Agent": agent})
        await visitor.client.request(method, link, headers={"User-Agent": agent})
    assert await here.status(approval) == "pending"
    assert await here.sessions.link_user(link.rsplit("/", 1)[1])


@pytest.mark.seed("T22")
async def test_who_may_not_decide_gets_the_same_answer_as_for_an_unknown_id(
    here: Street, visitor: Visitor
) -> None:
    approval = await here.open()
    fields = await visitor.form(approval)
    async with httpx2.AsyncClient(timeout=60) as client:
        mallory = Visitor(here, client, here.url)
        await mallory.sign_in("mallory")
        for path in ("", "/events"):
            theirs = await client.get(f"{here.url}/approvals/{approval.id}{path}")
            unknown = await client.get(f"{here.url}/approvals/apr_nothing{path}")
            assert (theirs.status_code, theirs.text) == (404, unknown.text)
        posted = await mallory.decide(approval, fields)
        assert posted.status_code == 404
        inbox = await client.get(f"{here.url}/approvals")
        assert approval.id not in inbox.text
    assert await here.status(approval) == "pending"


async def test_who_is_not_signed_in_gets_one_answer_for_every_address(here: Street) -> None:
    approval = await here.open()
    async with httpx2.AsyncClient(timeout=60) as client:
        answers = {
            (response.status_code, response.text)
            for path in ("", f"/{approval.id}", "/apr_no", f"/{approval.id}/events", "/events")
            for response in [await client.get(f"{here.url}/approvals{path}")]
        }
    assert len(answers) == 1
    ((status, text),) = answers
    assert status == 401
    assert "signoff login" in text


async def test_a_session_ends_at_sign_out(here: Street, visitor: Visitor) -> None:
    page = (await visitor.client.get(f"{here.url}/approvals")).text
    csrf = re.search(r'action="/logout".*?value="([0-9a-f]+)"', page, re.DOTALL)
    assert csrf is not None
    cookie = next(iter(visitor.client.cookies.values()))
    wrong = await visitor.client.post(
        f"{here.url}/logout", data={"csrf": "0" * 64}, headers={"Origin": here.url}
    )
    assert wrong.status_code == 403
    left = await visitor.client.post(
        f"{here.url}/logout", data={"csrf": csrf[1]}, headers={"Origin": here.url}
    )
    assert "You are signed out" in left.text
    assert await here.sessions.find(cookie) is None


async def test_disabling_a_user_ends_what_she_sees_at_once(here: Street, visitor: Visitor) -> None:
    approval = await here.open()
    fields = await visitor.form(approval)
    await here.database.write(
        lambda tx: tx.execute(
            "INSERT INTO disabled (id, at) VALUES ('alice', :at)", {"at": tx.now_us}
        )
    )
    assert (await visitor.client.get(f"{here.url}/approvals")).status_code == 401
    assert (await visitor.decide(approval, fields)).status_code == 401
    assert await here.status(approval) == "pending"


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"kty":"EC"}', '{"kty":"EC","kty":"EC"}'])
async def test_a_device_key_that_is_none_leaves_the_link_unused(here: Street, text: str) -> None:
    link = await here.link()
    async with httpx2.AsyncClient(timeout=60) as client:
        response = await client.post(link, data={"device_key": text}, headers={"Origin": here.url})
    assert response.status_code == 400
    assert await here.sessions.link_user(link.rsplit("/", 1)[1])


async def test_signing_in_from_another_origin_is_refused(here: Street) -> None:
    link = await here.link()
    async with httpx2.AsyncClient(timeout=60) as client:
        response = await client.post(link, headers={"Origin": "http://localhost:1"})
    assert response.status_code == 403
    assert await here.sessions.link_user(link.rsplit("/", 1)[1])


async def test_a_used_link_says_what_to_do(here: Street, visitor: Visitor) -> None:
    link = await here.link()
    await visitor.client.post(link, data={"device_key": ""}, headers={"Origin": here.url})
    for response in (
        await visitor.client.get(link),
        await visitor.client.post(link, data={"device_key": ""}, headers={"Origin": here.url}),
    ):
        assert response.status_code == 410
        assert "signoff login" in response.text


@pytest.mark.seed("T29")
async def test_every_page_carries_the_strict_headers(here: Street, visitor: Visitor) -> None:
    approval = await here.open()
    link = await here.link()
    paths = ("/approvals", f"/approvals/{approval.id}", "/approvals/apr_no", link[len(here.url) :])
    for path in paths:
        headers = (await visitor.client.get(here.url + path)).headers
        policy = headers["content-security-policy"]
        for rule in (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ):
            assert rule in policy.split("; "), (path, rule)
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["permissions-policy"] == "publickey-credentials-get=(self)"


@pytest.mark.parametrize("name", ["../pages.py", "..%2fpages.py", "nothing.js", "signoff.css/x"])
async def test_only_the_files_of_the_page_are_served(here: Street, name: str) -> None:
    async with httpx2.AsyncClient(timeout=60) as client:
        assert (await client.get(f"{here.url}/static/{name}")).status_code == 404
        served = await client.get(f"{here.url}/static/signoff.css")
        assert served.headers["content-type"] == "text/css; charset=utf-8"
