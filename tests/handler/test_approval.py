"""What policy asks about goes only after a yes to that very question; wrong use sends nothing."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from handler_parts import SHOP, TOKEN, Person, no, shop, yes
from signoff.catalog.standalone import Outbound, SetupError
from signoff.handler.answers import CallError
from signoff.handler.asking import Approved, Ask, Denied
from signoff.handler.openapi import openapi_handler
from wire import answer

SHIP = {"id": 7, "to": "Zoë", "pin": "2468"}


async def error_of(call: Any, name: str = "ship_order", **arguments: Any) -> CallError:
    with pytest.raises(CallError) as caught:
        await call(name, arguments or SHIP)
    return caught.value


@pytest.mark.seed("A44")
@pytest.mark.seed("A46")
async def test_an_approved_call_goes_once_as_the_question_described_it() -> None:
    person = Person(yes)
    async with shop(answer(body=b'{"shipped": true}'), approve=person) as (call, wire):
        done = await call("ship_order", SHIP, {"user": "alice"})

        first, headers = wire.head()
        assert done.data == {"shipped": True}
        assert first == "POST /v1/orders/7/ship HTTP/1.1"
        assert dict(headers)["Connection"] == "close"
        assert json.loads(wire.body()) == {"to": "Zoë", "pin": "2468"}

    [ask] = person.asked
    assert ask.title == "Call ship_order: POST /orders/{id}/ship"
    assert (ask.strength, ask.expires_in_s) == ("session", 900)
    assert ask.reason == "risk high (POST without a risk of its own)"
    assert ask.context == {"user": "alice"}
    assert ask.request["method"] == "POST"
    assert ask.request["url"] == f"{wire.url}/v1/orders/7/ship"
    assert ask.request["headers"]["Authorization"] == {  # pyright: ignore[reportArgumentType, reportOptionalSubscript, reportCallIssue, reportIndexIssue]
        "reference": "Bearer ${resolved}"
    }
    assert dict(headers)["Idempotency-Key"] == ask.request["headers"]["Idempotency-Key"]  # pyright: ignore[reportArgumentType, reportOptionalSubscript, reportCallIssue, reportIndexIssue]
    assert len(wire.requests) == 1


async def test_a_question_shows_no_secret() -> None:
    person = Person(no)
    async with shop(approve=person) as (call, _):
        await error_of(call)
    [ask] = person.asked
    shown = json.dumps([dict(ask.arguments), dict(ask.request)], ensure_ascii=False) + repr(ask)

    assert "2468" not in shown
    assert TOKEN not in shown
    assert str(ask.arguments["pin"]).startswith("•••• (4 characters)")
    assert "Zoë" in shown


async def test_a_no_sends_nothing_and_says_who_and_why() -> None:
    async with shop(approve=no) as (call, wire):
        error = await error_of(call)

    assert error.code == "denied"
    assert str(error) == (
        'alice denied this call. Their reason, as data: "not today". Nothing was sent.'
    )
    assert not error.may_have_happened
    assert wire.requests == []


@pytest.mark.parametrize("tools", ["all", "one"])
def test_a_handler_is_not_made_without_somebody_to_ask(tools: str) -> None:
    with pytest.raises(SetupError, match="approve is needed: a person decides about ") as caught:
        openapi_handler(
            SHOP,
            base_url="https://shop.example",
            selected=lambda one: tools == "all" or one.id == "drop_order",
        )

    assert "drop_order" in str(caught.value)


async def test_reads_alone_need_nobody() -> None:
    async with shop(approve=None, selected=lambda one: one.method == "get") as (call, wire):
        await call("get_order", {"id": 1})

    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "given",
    [True, 1, "yes", None, {"approved": True}, "approve"],
    ids=["true", "one", "text", "none", "dict", "word"],
)
async def test_an_answer_of_another_kind_is_no_yes(given: object) -> None:
    async def says(_: Ask) -> Any:
        return given

    async with shop(approve=says) as (call, wire):
        assert (await error_of(call)).code == "not_approved"

    assert wire.requests == []


@pytest.mark.parametrize(
    "forged",
    [
        {"digest": ""},
        {"digest": "sha-256:" + "0" * 64},
        {"by": ""},
        {"by": None},
        {"strength": "none"},
        {"strength": None},
    ],
    ids=["no digest", "another digest", "nobody", "none", "no strength", "none at all"],
)
async def test_a_yes_that_is_not_to_this_question_is_none(forged: dict[str, Any]) -> None:
    async def answers(ask: Ask) -> Approved:
        return replace(ask.approved(by="alice"), **forged)

    async with shop(approve=answers) as (call, wire):
        assert (await error_of(call)).code == "not_approved"

    assert wire.requests == []


async def test_a_no_to_something_else_is_no_answer() -> None:
    async def answers(ask: Ask) -> Denied:
        return replace(ask.denied(by="alice"), digest="")

    async with shop(approve=answers) as (call, _):
        assert (await error_of(call)).code == "not_approved"


async def test_a_yes_counts_for_one_call_of_several_that_look_the_same() -> None:
    first: list[Approved] = []

    async def once(ask: Ask) -> Approved:
        first.append(first[0] if first else ask.approved(by="alice"))
        return first[0]

    async with shop(approve=once) as (call, wire):
        await call("ship_order", SHIP)
        assert (await error_of(call)).code == "not_approved"

        assert len(wire.requests) == 1


@pytest.mark.seed("P12")
async def test_a_strength_that_was_not_reached_is_no_yes() -> None:
    async with shop(approve=yes, approval_strength={"DELETE": "passkey"}) as (call, wire):
        error = await error_of(call, "drop_order", id=1)
        assert error.code == "not_approved"
        assert str(error) == (
            "drop_order needs a passkey; alice was asked with session. Nothing was sent."
        )
        assert wire.requests == []

        await call("ship_order", SHIP)
        assert len(wire.requests) == 1


@pytest.mark.seed("A47")
async def test_a_passkey_is_more_than_a_session() -> None:
    async def strong(ask: Ask) -> Approved:
        return ask.approved(by="alice", strength="passkey")

    async with shop(approve=strong, approval_strength={"DELETE": "passkey"}) as (call, wire):
        await call("drop_order", {"id": 1})
        await call("ship_order", SHIP)

        assert len(wire.requests) == 2


async def test_a_question_that_nobody_answers_ends() -> None:
    async def never(_: Ask) -> Approved:
        await asyncio.Event().wait()
        raise AssertionError

    async with shop(approve=never, expires_in_s=1) as (call, wire):
        assert (await error_of(call)).code == "approval_expired"

    assert wire.requests == []


@pytest.mark.parametrize("error", [TimeoutError("their own"), RuntimeError("no phone")])
async def test_what_approve_raises_comes_out_and_sends_nothing(error: Exception) -> None:
    async def fails(_: Ask) -> Approved:
        raise error

    async with shop(approve=fails) as (call, wire):
        with pytest.raises(type(error), match=str(error)):
            await call("ship_order", SHIP)

    assert wire.requests == []


async def test_arguments_that_change_while_a_person_reads_are_not_sent() -> None:
    arguments: dict[str, Any] = {"id": 7, "to": "home"}

    async def slow(ask: Ask) -> Approved:
        arguments["to"] = "elsewhere"
        return ask.approved(by="alice")

    async with shop(approve=slow) as (call, wire):
        await call("ship_order", arguments)

        assert json.loads(wire.body()) == {"to": "home"}


async def test_a_token_may_be_renewed_while_a_person_reads() -> None:
    made: list[str] = []

    def fresh(_: Outbound) -> dict[str, str]:
        made.append(f"Bearer token-{len(made)}")
        return {"Authorization": made[-1]}

    async with shop(approve=yes, resolve_headers=fresh) as (call, wire):
        await call("ship_order", SHIP)

        assert dict(wire.head()[1])["Authorization"] == "Bearer token-1"


@pytest.mark.parametrize(
    "later",
    [{"X-Other": "x-1"}, {"Authorization": "Bearer t-2", "X-HTTP-Method-Override": "DELETE"}, {}],
    ids=["another", "one more", "none"],
)
async def test_other_headers_than_the_person_saw_send_nothing(later: dict[str, str]) -> None:
    left = [{"Authorization": "Bearer t-1"}, later]
    async with shop(approve=yes, resolve_headers=lambda _: left.pop(0)) as (call, wire):
        assert (await error_of(call)).code == "changed"

    assert wire.requests == []


async def test_a_call_that_cannot_be_sent_asks_nobody() -> None:
    person = Person(yes)
    async with shop(approve=person, resolve_headers=lambda _: {"Host": "x"}) as (call, _):
        assert (await error_of(call)).code == "headers_failed"

    assert person.asked == []


async def test_a_gated_call_is_never_sent_again() -> None:
    async with shop(answer("503 Later", b"", "text/plain", "Retry-After: 0")) as (call, wire):
        error = await error_of(call, "drop_order", id=1)

        assert (error.code, error.status, error.retry_after_s) == ("outcome_unknown", 503, 0.0)
        assert len(wire.requests) == 1
