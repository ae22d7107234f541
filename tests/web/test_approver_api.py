"""Deciding over JSON: the page's rules, and no way around one of them."""

import asyncio
from typing import Any

import pytest

from as_parts import Provider, basic, tool_call
from conftest import TurnedClock
from signed_in import Device, Site, site

HTTPS = "https://signoff.example"


async def shown(here: Site, headers: dict[str, str], approval_id: str) -> dict[str, Any]:
    response = await here.http.get(
        "/ciba/verify", params={"approval_id": approval_id}, headers=headers
    )
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.seed("CIBA-40")
@pytest.mark.seed("B13")
async def test_an_approver_is_shown_what_is_asked(provider: Provider) -> None:
    details = tool_call()
    card = await provider.card(await provider.asked(details))
    async with site(provider) as here:
        members = await shown(here, await here.enter("alice"), card.id)
    assert members == {
        "approval_id": card.id,
        "client_id": "signoff-gate",
        "scope": "openid",
        "binding_message": "W4SCT",
        "authorization_details": [details],
        "status": "pending",
        "acr": "session",
        "digest": card.digest,
        "nonce": card.nonce,
        "opened_at": card.opened_at.isoformat(),
        "expires_at": card.expires_at.isoformat(),
    }


@pytest.mark.seed("B14")
@pytest.mark.parametrize("url", ["http://localhost:8420", HTTPS])
async def test_an_approver_says_yes_and_only_once(provider: Provider, url: str) -> None:
    auth_req_id = await provider.asked()
    card = await provider.card(auth_req_id)
    device = Device()
    async with site(provider, url=url) as here:
        headers = await here.enter("alice", device=device)
        members = await shown(here, headers, card.id)
        body = {"approval_id": card.id, "digest": members["digest"]}
        if url != HTTPS:
            body["proof"] = device.proof(members)
        first = await here.http.post("/ciba/authorize", json=body, headers=headers)
        second = await here.http.post("/ciba/authorize", json=body, headers=headers)
    assert (first.status_code, first.json()) == (200, {"success": True, "status": "approved"})
    assert (second.status_code, second.json()["error"]) == (409, "already_ended")
    assert (await provider.poll(auth_req_id)).status_code == 200


@pytest.mark.seed("B14")
async def test_an_approver_says_no_with_a_reason(provider: Provider) -> None:
    auth_req_id = await provider.asked()
    card = await provider.card(auth_req_id)
    async with site(provider) as here:
        headers = await here.enter("alice")
        body = {"approval_id": card.id, "digest": card.digest, "reason": "not today"}
        response = await here.http.post("/ciba/reject", json=body, headers=headers)
    assert response.json() == {"success": True, "status": "denied"}
    assert (await provider.poll(auth_req_id)).json()["reason"] == "not today"


@pytest.mark.seed("B13")
async def test_nobody_but_an_eligible_person_is_told_or_heard(provider: Provider) -> None:
    card = await provider.card(await provider.asked())
    body = {"approval_id": card.id, "digest": card.digest}
    client = await provider.other_client()
    async with site(provider) as here:
        bob = await here.enter("bob")
        token = await provider.post(
            "/oauth2/token", {"grant_type": "client_credentials"}, auth=basic(client)
        )
        bearer = {"authorization": f"Bearer {token.json()['access_token']}", "origin": here.url}
        for headers, status, code in (
            ({"origin": here.url}, 401, "login_required"),
            (bearer, 401, "login_required"),
            ({**bob, "cookie": f"{here.sign_in.cookie}=nonsense"}, 401, "login_required"),
            (bob, 404, "not_found"),
        ):
            told = await here.http.get(
                "/ciba/verify", params={"approval_id": card.id}, headers=headers
            )
            answers = [told] + [
                await here.http.post(path, json=body, headers=headers)
                for path in ("/ciba/authorize", "/ciba/reject")
            ]
            for answer in answers:
                assert (answer.status_code, answer.json()["error"]) == (status, code)
        unknown = await here.http.get(
            "/ciba/verify", params={"approval_id": "apr_unknown"}, headers=bob
        )
        assert unknown.content == told.content
    assert (await provider.approvals.load(card.id)) == card


async def test_over_plain_http_a_cookie_alone_approves_nothing(provider: Provider) -> None:
    card = await provider.card(await provider.asked())
    device = Device()
    async with site(provider) as here:
        with_key = await here.enter("alice", device=device)
        without = await here.enter("alice")
        members = await shown(here, with_key, card.id)
        for headers, proof in (
            (without, None),
            (without, device.proof(members)),
            (with_key, None),
            (with_key, "nonsense"),
            (with_key, Device().proof(members)),
            (with_key, device.proof(members, verb="done")),
            (with_key, device.proof({**members, "digest": "other"})),
        ):
            body = {"approval_id": card.id, "digest": card.digest}
            if proof is not None:
                body["proof"] = proof
            response = await here.http.post("/ciba/authorize", json=body, headers=headers)
            assert (response.status_code, response.json()["error"]) == (403, "proof_required")
    assert (await provider.approvals.load(card.id)) == card


async def test_what_another_site_sends_is_refused(provider: Provider) -> None:
    card = await provider.card(await provider.asked())
    body = {"approval_id": card.id, "digest": card.digest}
    async with site(provider) as here:
        alice = await here.enter("alice")
        for changed in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": here.url, "sec-fetch-site": "cross-site"},
        ):
            response = await here.http.post("/ciba/reject", json=body, headers={**alice, **changed})
            assert response.status_code == 403
        without = {"cookie": alice["cookie"]}
        assert (await here.http.post("/ciba/reject", json=body, headers=without)).status_code == 403
        form = await here.http.post("/ciba/reject", data=body, headers=alice)
        assert form.status_code == 415
        got = await here.http.get("/ciba/reject", params=body, headers=alice)
        assert got.status_code == 405
    assert (await provider.approvals.load(card.id)) == card


@pytest.mark.parametrize(
    "changed",
    [
        {"digest": "sha-256:other"},
        {"digest": 7},
        {"approval_id": 7},
        {"reason": 7},
        {"reason": "x" * 501},
        {"unknown": 1},
    ],
)
async def test_a_body_that_does_not_fit_decides_nothing(
    provider: Provider, changed: dict[str, Any]
) -> None:
    card = await provider.card(await provider.asked())
    async with site(provider) as here:
        headers = await here.enter("alice")
        body = {"approval_id": card.id, "digest": card.digest, **changed}
        response = await here.http.post("/ciba/reject", json=body, headers=headers)
        assert response.status_code in (400, 409)
        for raw in (b"", b"[]", b"{", b'{"digest": "a", "digest": "b"}', b"x" * 20_000):
            json_type = {"content-type": "application/json"}
            response = await here.http.post(
                "/ciba/reject", content=raw, headers={**headers, **json_type}
            )
            assert response.status_code in (400, 413)
    assert (await provider.approvals.load(card.id)) == card


async def test_a_request_that_is_over_or_needs_more_is_not_approved(
    provider: Provider, clock: TurnedClock
) -> None:
    late = await provider.card(await provider.asked())
    async with site(provider, url=HTTPS) as here:
        headers = await here.enter("alice")
        clock.turn(900)
        body = {"approval_id": late.id, "digest": late.digest}
        response = await here.http.post("/ciba/authorize", json=body, headers=headers)
        assert (response.status_code, response.json()["error"]) == (409, "already_ended")


async def test_of_yes_and_no_at_once_one_wins(provider: Provider) -> None:
    card = await provider.card(await provider.asked())
    body = {"approval_id": card.id, "digest": card.digest}
    async with site(provider, url=HTTPS) as here:
        headers = await here.enter("alice")
        answers = await asyncio.gather(
            *(
                here.http.post(path, json=body, headers=headers)
                for path in ["/ciba/authorize", "/ciba/reject"] * 20
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 39
