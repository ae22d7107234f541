"""The form of a decision: from where, with which fields, and what anything else is answered."""

from urllib.parse import urlencode

import pytest

from signoff.approvals.sessions import Session
from signoff.web.session import Viewer
from street import Street
from visitor import Visitor


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
    here: Street, visitor: Visitor, headers: dict[str, str]
) -> None:
    approval = await here.open()
    response = await visitor.decide(approval, await visitor.form(approval), headers=headers)
    assert response.status_code == 403
    assert await here.status(approval) == "pending"


async def test_a_form_of_unknown_origin_is_refused(here: Street, visitor: Visitor) -> None:
    approval = await here.open()
    response = await visitor.client.post(
        f"{here.url}/approvals/{approval.id}/decision", data=await visitor.form(approval)
    )
    assert response.status_code == 403
    assert await here.status(approval) == "pending"


@pytest.mark.seed("T23")
async def test_a_token_of_another_approval_or_session_is_refused(
    here: Street, visitor: Visitor
) -> None:
    first, second = await here.open(), await here.open({"type": "other", "n": 1}, client_id="shop")
    theirs = await visitor.form(second)
    for csrf in (theirs["csrf"], "", "0" * 64, "é"):
        fields = {**await visitor.form(first), "csrf": csrf}
        assert (await visitor.decide(first, fields)).status_code == 403
    old = await visitor.form(first)
    await visitor.sign_in("alice")
    assert (await visitor.decide(first, old)).status_code == 403
    assert await here.status(first) == "pending"


async def test_a_form_with_another_digest_changes_nothing(here: Street, visitor: Visitor) -> None:
    approval = await here.open()
    fields = {**await visitor.form(approval), "digest": "sha-256:" + "0" * 64}
    assert (await visitor.decide(approval, fields)).status_code == 403, "the token binds the digest"
    assert await here.status(approval) == "pending"


async def test_a_card_that_changed_under_the_form_is_a_409_that_says_so(
    here: Street, visitor: Visitor
) -> None:
    approval = await here.open()
    fields = await visitor.form(approval)
    moved = {**fields, "digest": "sha-256:" + "0" * 64}
    cookie = next(iter(visitor.client.cookies.values()))
    session = Session(
        id="s", user_id="alice", device_key=None, created_at=here.clock(), seen_at=here.clock()
    )
    moved["csrf"] = Viewer(session=session, token=cookie).csrf(approval.id, moved["digest"])
    response = await visitor.decide(approval, moved)
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
    here: Street, visitor: Visitor, tail: str, status: int
) -> None:
    approval = await here.open()
    body = urlencode(await visitor.form(approval)) + tail
    assert (await visitor.decide(approval, body)).status_code == status
    assert await here.status(approval) == "pending"


@pytest.mark.parametrize("decision", ["", "Approve", "approve ", "yes"])
async def test_an_unknown_decision_is_refused(
    here: Street, visitor: Visitor, decision: str
) -> None:
    approval = await here.open()
    fields = {**await visitor.form(approval), "decision": decision}
    assert (await visitor.decide(approval, fields)).status_code == 400
    assert await here.status(approval) == "pending"


@pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data", "text/plain"])
async def test_a_body_of_another_kind_is_refused(
    here: Street, visitor: Visitor, media_type: str
) -> None:
    approval = await here.open()
    response = await visitor.decide(
        approval, await visitor.form(approval), headers={"Content-Type": media_type}
    )
    assert response.status_code == 415
