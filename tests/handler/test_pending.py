"""An upstream that is not done yet gives a value of its own, without an address or a key."""

import json

import pytest

from handler_parts import SHOP, TOKEN, Person, shop, yes
from signoff.canonical import Json
from signoff.handler.answers import Done, Pending
from signoff.upstream.follow_up import FollowUp
from wire import answer


def accepted(body: Json = None, *headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    return answer("202 Accepted", content, "application/json", *headers)


@pytest.mark.seed("A46")
@pytest.mark.seed("P19")
async def test_a_202_is_pending_and_names_the_call_that_tells_how_it_went() -> None:
    body: Json = {"state": "queued", "status_url": "/v1/orders/7"}
    async with shop(accepted(body, "Retry-After: 3"), answer(body=b'{"id": 7}')) as (call, wire):
        pending = await call("ship_order", {"id": 7, "to": "home"})

        assert pending == Pending(
            data={"state": "queued"},
            follow_up=FollowUp(tool="get_order", arguments={"id": 7}),
            retry_after_s=3.0,
        )
        assert pending.text == (
            "HTTP 202 Accepted: it is not done yet.\n"
            'Ask how it went in 3 s: get_order with {"id": 7}.\n'
            '{"state": "queued"}'
        )
        assert isinstance(pending, Pending)
        assert pending.follow_up is not None
        done = await call(pending.follow_up.tool, pending.follow_up.arguments)
        assert isinstance(done, Done)
        assert wire.head()[0] == "GET /v1/orders/7 HTTP/1.1"
        assert ("Authorization", f"Bearer {TOKEN}") in wire.head()[1]


@pytest.mark.seed("A46")
async def test_location_counts_where_the_body_names_none() -> None:
    async with shop(accepted(None, "Location: /v1/orders/8", "Retry-After: 1")) as (call, _):
        pending = await call("ship_order", {"id": 7, "to": "home"})

    assert pending == Pending(
        data=None,
        follow_up=FollowUp(tool="get_order", arguments={"id": 8}),
        retry_after_s=1.0,
    )


@pytest.mark.seed("P19")
@pytest.mark.parametrize("place", ["body", "header"])
async def test_an_address_elsewhere_is_neither_followed_nor_handed_on(place: str) -> None:
    address = f"https://jobs.elsewhere.example/7?key={TOKEN}&sig=abc123"
    sent = (
        accepted({"id": 7, "status_url": address})
        if place == "body"
        else accepted({"id": 7}, f"Location: {address}")
    )
    async with shop(sent) as (call, wire):
        pending = await call("ship_order", {"id": 7, "to": "home"})

        assert pending == Pending(data={"id": 7}, follow_up=None, retry_after_s=None)
        assert pending.text == 'HTTP 202 Accepted: it is not done yet.\n{"id": 7}'
        assert "elsewhere" not in repr(pending) + pending.text
        assert TOKEN not in repr(pending) + pending.text
        assert len(wire.requests) == 1


@pytest.mark.seed("P19")
async def test_a_202_that_echoes_the_credential_hands_none_out() -> None:
    body: Json = {"authorization": f"Bearer {TOKEN}", "status_url": f"/v1/orders/{TOKEN}"}
    async with shop(accepted(body)) as (call, _):
        pending = await call("ship_order", {"id": 7, "to": "home"})

    assert pending == Pending(
        data={"authorization": "Bearer [redacted]"}, follow_up=None, retry_after_s=None
    )


async def test_the_look_at_a_risky_read_asks_like_any_other_call() -> None:
    risky = json.dumps(SHOP).replace('"get_order", ', '"get_order", "x-risk": "high", ')
    spec: dict[str, Json] = json.loads(risky)
    person = Person(yes)
    sent = accepted(None, "Location: /v1/orders/7")
    async with shop(sent, answer(), spec=spec, approve=person) as (call, _):
        pending = await call("ship_order", {"id": 7, "to": "home"})
        assert isinstance(pending, Pending)
        assert pending.follow_up is not None
        await call(pending.follow_up.tool, pending.follow_up.arguments)

    assert [ask.tool.name for ask in person.asked] == ["ship_order", "get_order"]
