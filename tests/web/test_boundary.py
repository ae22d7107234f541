"""What a program without a browser can and cannot do at the pages' addresses."""

import asyncio
import re
from collections.abc import AsyncGenerator
from urllib.parse import urlencode

import httpx2
import pytest

from conftest import TurnedClock
from signoff.approvals.request import Approval
from signoff.approvals.sessions import Session
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database
from signoff.web.session import Viewer
from street import Street, street, tool_call

HTTPS = "https://signoff.example"


class Visitor:
    """A signed-in program that sends what a browser would, unless told otherwise."""

    def __init__(self, here: Street, client: httpx2.AsyncClient, origin: str) -> None:
        self.here, self.client, self.origin = here, client, origin

    async def sign_in(self, user_id: str) -> httpx2.Response:
        link = await self.here.link(user_id)
        fields = {"device_key": ""}
        return await self.client.post(link, data=fields, headers={"Origin": self.origin})

    async def form(self, approval: Approval) -> dict[str, str]:
        page = (await self.client.get(f"{self.here.url}/approvals/{approval.id}")).text
        csrf = re.search(
            r'action="/approvals/[^"]*".*?name="csrf" value="([0-9a-f]+)"', page, re.DOTALL
        )
        assert csrf is not None, page
        return {"csrf": csrf[1], "digest": approval.digest, "decision": "deny"}

    async def decide(
        self,
        approval: Approval,
        fields: dict[str, str] | str,
        *,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        return await self.client.post(
            f"{self.here.url}/approvals/{approval.id}/decision",
            content=fields if isinstance(fields, str) else urlencode(fields),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": self.origin,
                **(headers or {}),
            },
        )


async def signed_in(there: Street, client: httpx2.AsyncClient, user_id: str) -> Visitor:
    visitor = Visitor(there, client, HTTPS)
    set_cookie = (await visitor.sign_in(user_id)).headers["set-cookie"]
    value, attributes = set_cookie.split("; ", 1)
    assert re.fullmatch(r"__Host-signoff=[\w-]{43}", value)
    assert attributes == "HttpOnly; Max-Age=7776000; Path=/; SameSite=lax; Secure"
    client.headers["Cookie"] = value
    return visitor


@pytest.fixture
async def alice(here: Street) -> AsyncGenerator[Visitor, None]:
    async with httpx2.AsyncClient(timeout=60) as client:
        visitor = Visitor(here, client, here.url)
        assert (await visitor.sign_in("alice")).status_code == 303
        yield visitor


@pytest.fixture
async def secure(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> AsyncGenerator[Visitor, None]:
    """Alice behind a proxy that ends TLS: the cookie goes by hand, as the hop is plain."""
    async with (
        street(database, sealer, clock, public_url=HTTPS) as there,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        yield await signed_in(there, client, "alice")


async def test_a_deny_with_a_reason_is_kept_and_answered_with_the_card(
    here: Street, alice: Visitor
) -> None:
    approval = await here.open()
    fields = {**await alice.form(approval), "reason": "not\r\nnow "}
    response = await alice.decide(approval, fields)
    assert (response.status_code, response.headers["location"]) == (
        303,
        f"/approvals/{approval.id}",
    )
    seen = await here.approvals.load(approval.id)
    assert seen is not None
    assert (seen.status, seen.reason, seen.decided_by) == ("denied", "not\nnow", "alice")


async def test_the_bare_address_leads_to_what_waits(alice: Visitor) -> None:
    response = await alice.client.get(f"{alice.here.url}/")
    assert (response.status_code, response.headers["location"]) == (303, "/approvals")
    assert response.headers["cache-control"] == "no-store"
    assert (await alice.client.post(f"{alice.here.url}/")).status_code == 405


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
    here: Street, alice: Visitor, proof: str | None
) -> None:
    approval = await here.open()
    fields = {**await alice.form(approval), "decision": "approve"}
    response = await alice.decide(approval, fields if proof is None else {**fields, "proof": proof})
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
    here: Street, alice: Visitor, method: str
) -> None:
    approval = await here.open()
    query = urlencode({**await alice.form(approval), "decision": "deny"})
    link = await here.link()
    for agent in ("Mozilla/5.0", "Slackbot-LinkExpanding 1.0", "Microsoft SafeLinks"):
        for path in (
            f"/approvals/{approval.id}",
            f"/approvals/{approval.id}/decision?{query}",
            "/approvals?decision=approve",
        ):
            await alice.client.request(method, here.url + path, headers={"User-Agent": agent})
        await alice.client.request(method, link, headers={"User-Agent": agent})
    assert await here.status(approval) == "pending"
    assert await here.sessions.link_user(link.rsplit("/", 1)[1])


@pytest.mark.seed("T23")
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Origin": "https://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_a_form_sent_from_elsewhere_is_refused(
    here: Street, alice: Visitor, headers: dict[str, str]
) -> None:
    approval = await here.open()
    response = await alice.decide(approval, await alice.form(approval), headers=headers)
    assert response.status_code == 403
    assert await here.status(approval) == "pending"


async def test_a_form_of_unknown_origin_is_refused(here: Street, alice: Visitor) -> None:
    approval = await here.open()
    response = await alice.client.post(
        f"{here.url}/approvals/{approval.id}/decision", data=await alice.form(approval)
    )
    assert response.status_code == 403
    assert await here.status(approval) == "pending"


@pytest.mark.seed("T23")
async def test_a_token_of_another_approval_or_session_is_refused(
    here: Street, alice: Visitor
) -> None:
    first, second = await here.open(), await here.open({"type": "other", "n": 1}, client_id="shop")
    theirs = await alice.form(second)
    for csrf in (theirs["csrf"], "", "0" * 64, "é"):
        fields = {**await alice.form(first), "csrf": csrf}
        assert (await alice.decide(first, fields)).status_code == 403
    old = await alice.form(first)
    await alice.sign_in("alice")
    assert (await alice.decide(first, old)).status_code == 403
    assert await here.status(first) == "pending"


async def test_a_form_with_another_digest_changes_nothing(here: Street, alice: Visitor) -> None:
    approval = await here.open()
    fields = {**await alice.form(approval), "digest": "sha-256:" + "0" * 64}
    assert (await alice.decide(approval, fields)).status_code == 403, "the token binds the digest"
    assert await here.status(approval) == "pending"


async def test_a_card_that_changed_under_the_form_is_a_409_that_says_so(
    here: Street, alice: Visitor
) -> None:
    approval = await here.open()
    fields = await alice.form(approval)
    moved = {**fields, "digest": "sha-256:" + "0" * 64}
    cookie = next(iter(alice.client.cookies.values()))
    session = Session(
        id="s", user_id="alice", device_key=None, created_at=here.clock(), seen_at=here.clock()
    )
    moved["csrf"] = Viewer(session=session, token=cookie).csrf(approval.id, moved["digest"])
    response = await alice.decide(approval, moved)
    assert response.status_code == 409
    assert "not what you were shown" in response.text
    assert await here.status(approval) == "pending"


@pytest.mark.parametrize(
    ("tail", "status"),
    [
        ("&decision=approve", 400),
        ("&digest=x", 400),
        ("&extra=1", 400),
        ("&reason=" + "x" * 501, 400),
        ("&reason=" + "x" * 20_000, 413),
        ("&a=1" * 30, 400),
        ("&%FF=%FF", 400),
    ],
)
async def test_a_form_that_is_not_ours_is_refused(
    here: Street, alice: Visitor, tail: str, status: int
) -> None:
    approval = await here.open()
    body = urlencode(await alice.form(approval)) + tail
    assert (await alice.decide(approval, body)).status_code == status
    assert await here.status(approval) == "pending"


@pytest.mark.parametrize("decision", ["", "Approve", "approve ", "yes"])
async def test_an_unknown_decision_is_refused(here: Street, alice: Visitor, decision: str) -> None:
    approval = await here.open()
    fields = {**await alice.form(approval), "decision": decision}
    assert (await alice.decide(approval, fields)).status_code == 400
    assert await here.status(approval) == "pending"


@pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data", "text/plain"])
async def test_a_body_of_another_kind_is_refused(
    here: Street, alice: Visitor, media_type: str
) -> None:
    approval = await here.open()
    response = await alice.decide(
        approval, await alice.form(approval), headers={"Content-Type": media_type}
    )
    assert response.status_code == 415


@pytest.mark.seed("T22")
async def test_who_may_not_decide_gets_the_same_answer_as_for_an_unknown_id(
    here: Street, alice: Visitor
) -> None:
    approval = await here.open()
    fields = await alice.form(approval)
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


async def test_a_session_ends_at_sign_out(here: Street, alice: Visitor) -> None:
    page = (await alice.client.get(f"{here.url}/approvals")).text
    csrf = re.search(r'action="/logout".*?value="([0-9a-f]+)"', page, re.DOTALL)
    assert csrf is not None
    cookie = next(iter(alice.client.cookies.values()))
    wrong = await alice.client.post(
        f"{here.url}/logout", data={"csrf": "0" * 64}, headers={"Origin": here.url}
    )
    assert wrong.status_code == 403
    left = await alice.client.post(
        f"{here.url}/logout", data={"csrf": csrf[1]}, headers={"Origin": here.url}
    )
    assert "You are signed out" in left.text
    assert await here.sessions.find(cookie) is None


async def test_disabling_a_user_ends_what_she_sees_at_once(here: Street, alice: Visitor) -> None:
    approval = await here.open()
    fields = await alice.form(approval)
    await here.database.write(
        lambda tx: tx.execute(
            "INSERT INTO disabled (id, at) VALUES ('alice', :at)", {"at": tx.now_us}
        )
    )
    assert (await alice.client.get(f"{here.url}/approvals")).status_code == 401
    assert (await alice.decide(approval, fields)).status_code == 401
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


async def test_a_used_link_says_what_to_do(here: Street, alice: Visitor) -> None:
    link = await here.link()
    await alice.client.post(link, data={"device_key": ""}, headers={"Origin": here.url})
    for response in (
        await alice.client.get(link),
        await alice.client.post(link, data={"device_key": ""}, headers={"Origin": here.url}),
    ):
        assert response.status_code == 410
        assert "signoff login" in response.text


@pytest.mark.seed("T29")
async def test_every_page_carries_the_strict_headers(here: Street, alice: Visitor) -> None:
    approval = await here.open()
    link = await here.link()
    paths = ("/approvals", f"/approvals/{approval.id}", "/approvals/apr_no", link[len(here.url) :])
    for path in paths:
        headers = (await alice.client.get(here.url + path)).headers
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
