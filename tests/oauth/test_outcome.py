"""What the gate alone may tell: that a request is over, and how the call went."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest

from as_parts import Provider, basic, refused
from conftest import TurnedClock
from signoff.approvals.request import Status


async def outcome(provider: Provider, auth_req_id: str, **changed: Any) -> httpx2.Response:
    form = {
        "auth_req_id": auth_req_id,
        "state": "succeeded",
        "at": "2026-11-22T14:00:05+00:00",
        **changed,
    }
    return await provider.post("/ciba/outcome", form)


async def test_an_outcome_stands_on_the_card_and_older_news_does_not_replace_it(
    provider: Provider, clock: TurnedClock
) -> None:
    auth_req_id = await provider.asked()
    response = await outcome(provider, auth_req_id, note="transfer 17")
    assert (response.status_code, response.json()) == (200, {})
    late = await outcome(provider, auth_req_id, state="dispatching", at="2026-11-22T14:00:04+00:00")
    assert late.status_code == 200
    card = await provider.card(auth_req_id)
    assert (card.outcome, card.outcome_note) == ("succeeded", "transfer 17")
    assert card.outcome_at == clock() + timedelta(seconds=5)
    assert card.status is Status.PENDING


async def test_the_card_says_since_when_nobody_listens(
    provider: Provider, clock: TurnedClock
) -> None:
    auth_req_id = await provider.asked()
    left = clock().isoformat()
    assert (await outcome(provider, auth_req_id, state="listener_left", at=left)).status_code == 200
    assert (await provider.card(auth_req_id)).listener_left_at == clock()
    assert (await outcome(provider, auth_req_id, state="listener_back")).status_code == 200
    card = await provider.card(auth_req_id)
    assert (card.listener_left_at, card.outcome) == (None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "approved"},
        {"state": None},
        {"at": None},
        {"at": "yesterday"},
        {"at": "2026-11-22T14:00:05"},
        {"at": "9999-12-31T23:59:59+00:00"},
        {"at": "0001-01-01T00:00:00+00:00"},
        {"note": "x" * 201},
    ],
)
async def test_news_that_cannot_be_is_refused(provider: Provider, wrong: dict[str, Any]) -> None:
    refused(await outcome(provider, await provider.asked(), **wrong), "invalid_request")


async def test_a_withdrawn_request_can_be_decided_no_more(provider: Provider) -> None:
    auth_req_id = await provider.asked()
    for _ in range(2):
        response = await provider.post("/ciba/withdraw", {"auth_req_id": auth_req_id})
        assert response.json() == {"status": "withdrawn"}
    assert (await provider.card(auth_req_id)).status is Status.WITHDRAWN
    with pytest.raises(AssertionError, match="TooLate"):
        await provider.decide(auth_req_id)


async def test_withdrawing_comes_too_late_for_a_decision(provider: Provider) -> None:
    auth_req_id = await provider.asked()
    await provider.decide(auth_req_id)
    response = await provider.post("/ciba/withdraw", {"auth_req_id": auth_req_id})
    assert response.json() == {"status": "approved"}
    assert (await provider.poll(auth_req_id)).status_code == 200


@pytest.mark.parametrize("path", ["/ciba/withdraw", "/ciba/outcome"])
async def test_another_client_and_an_unknown_id_are_refused(provider: Provider, path: str) -> None:
    auth_req_id = await provider.asked()
    form = {"auth_req_id": auth_req_id, "state": "succeeded", "at": "2026-11-22T14:00:05Z"}
    other = basic(await provider.other_client())
    refused(await provider.post(path, form, auth=other), "unauthorized_client")
    refused(await provider.post(path, form, auth=None), "invalid_client", status=401)
    refused(await provider.post(path, {**form, "auth_req_id": "unknown"}), "invalid_grant")
    refused(await provider.post(path, {**form, "auth_req_id": ""}), "invalid_request")
