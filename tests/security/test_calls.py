"""One yes, one send, of exactly the bytes on the card: attacks on a call by its own caller."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import TurnedClock
from gate_house import Bank, House, authorized, house
from gate_parts import ALICE, ARGUMENTS, BOB, INFO, PAY, catalogue
from signoff.approvals.ports import NotYours, TooLate
from signoff.canonical import Json, parse
from signoff.desk.frames import Conversation
from signoff.gate.answers import Finished, Refused, Waiting
from signoff.gate.call import Event, State
from signoff.gate.ports import Moved
from signoff.identity import Caller
from signoff.sealed import Sealer
from signoff.storage.calls import SqliteCalls
from signoff.storage.sqlite import Database
from signoff.web.endings import Stage, stage

OPEN = replace(
    PAY, name="free", input_schema={
        "type": "object",
        "required": ["amount", "to_account"],
        "properties": {"amount": {}, "to_account": {}},
    },
)  # fmt: skip


@pytest.fixture
async def bank() -> AsyncGenerator[Bank, None]:
    async with Bank().open() as opened:
        yield opened


@pytest.fixture
async def home(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> AsyncGenerator[House, None]:
    served = catalogue(base_url=bank.base_url, tools=(PAY, OPEN))
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, served=served) as running:
        yield running


def shown_body(details: Mapping[str, Json]) -> str:
    request = details["request"]
    assert isinstance(request, dict)
    return str(request["body"])


# --- The bytes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        '{"amount":25.0,"to_account":"a"}',
        '{"amount":1e2,"to_account":"a"}',
        '{"amount":-0,"to_account":"a"}',
        '{"amount":-0.0,"to_account":"a"}',
        '{"amount":9007199254740993,"to_account":"a"}',
        '{"amount":123456789012345678901234567890,"to_account":"a"}',
        '{"amount":{"$bigint":"9007199254740993"},"to_account":"a"}',
        '{"amount":0.1000000000000000055511151231257827,"to_account":"a"}',
        '{"amount":5e-324,"to_account":"a"}',
        '{"amount":1.7976931348623157e308,"to_account":"a"}',
        '{"amount":[[[[[[[[{}]]]]]]]],"to_account":"a"}',
        '{"amount":true,"to_account":null}',
        '{"amount":1,"to_account":"\\u0000\\u202e\\u2028\\ud83d\\ude00 e\\u0301 \\u00e9"}',
        '{"amount":1,"to_account":{"__proto__":{"admin":true},"constructor":1,"":2}}',
        '{"to_account":"order","amount":1}',
        '{"amount":1,"to_account":"${env:BANK_TOKEN} ${approval.token} {amount}"}',
    ],
)
async def test_what_is_sent_is_what_the_card_holds_whatever_the_arguments(
    home: House, arguments: str
) -> None:
    given = parse(arguments)
    assert isinstance(given, dict)
    answer = await home.gate.call(ALICE, INFO, "free", given)
    assert isinstance(answer, Waiting), answer
    card = await home.card(answer.call)
    await home.decide(answer.call)
    assert (await home.ended(answer.call)).state is State.SUCCEEDED
    (sent,) = home.bank.bodies
    assert sent.decode() == shown_body(card.authorization_details[0])
    assert json.dumps(json.loads(sent), sort_keys=True) == json.dumps(given, sort_keys=True)
    assert "bank-token" not in sent.decode()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"amount":9007199254740993,"to_account":"a"}',
         '{"amount":9007199254740992,"to_account":"a"}'),
        ('{"amount":9007199254740993,"to_account":"a"}',
         '{"amount":{"$bigint":"9007199254740993"},"to_account":"a"}'),
        ('{"amount":25,"to_account":"a"}', '{"amount":"25","to_account":"a"}'),
        ('{"amount":1,"to_account":"a"}', '{"amount":true,"to_account":"a"}'),
        ('{"amount":null,"to_account":"a"}', '{"amount":0,"to_account":"a"}'),
        ('{"amount":1,"to_account":"\\u00e9"}', '{"amount":1,"to_account":"e\\u0301"}'),
        ('{"amount":1,"to_account":"a"}', '{"amount":1,"to_account":"a "}'),
        ('{"amount":1,"to_account":"a"}', '{"amount":1,"to_account":"\\u0430"}'),
        ('{"amount":1,"to_account":{}}', '{"amount":1,"to_account":[]}'),
    ],
)  # fmt: skip
async def test_a_call_that_differs_in_meaning_joins_no_other_ones_card(
    home: House, one: str, other: str
) -> None:
    first, second = parse(one), parse(other)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    asked = await home.gate.call(ALICE, INFO, "free", first)
    told = await home.gate.call(ALICE, INFO, "free", second)
    assert isinstance(asked, Waiting)
    assert isinstance(told, Waiting)
    assert told.call.id != asked.call.id
    await home.decide(asked.call)
    assert (await home.ended(asked.call)).state is State.SUCCEEDED
    (sent,) = home.bank.bodies
    assert json.loads(sent) == first


async def test_a_number_written_in_another_way_joins_and_sends_what_the_card_shows(
    home: House,
) -> None:
    asked = await home.pay(amount=25)
    joined = await home.call(amount=25.0)
    assert isinstance(joined, Waiting)
    assert (joined.call.id, joined.attached) == (asked.id, True)
    await home.decide(asked)
    await home.ended(asked)
    assert home.bank.bodies == [b'{"amount":25,"to_account":"savings"}']


@pytest.mark.parametrize(
    "extra",
    [{"__proto__": {}}, {"constructor": 1}, {"Amount": 1}, {"amount ": 1}, {"signoff_note": "x"}],
)  # fmt: skip
async def test_an_argument_the_schema_does_not_have_is_refused_before_anybody_is_asked(
    home: House, extra: dict[str, Json]
) -> None:
    answer = await home.gate.call(ALICE, INFO, "pay", {**ARGUMENTS, **extra})
    assert isinstance(answer, Refused)
    assert answer.code == "invalid_arguments"
    assert await home.approvals.inbox("alice") == []


def test_a_call_sent_again_to_a_new_owner_keeps_every_digit() -> None:
    """Read by a parser that rounds, a resent call would be another one: a second card."""
    arguments = '{"amount":123456789012345678901234567890,"rate":0.1,"n":18446744073709551616}'
    line = (
        '{"jsonrpc":"2.0","id":7,"method":"tools/call",'
        f'"params":{{"name":"pay","arguments":{arguments}}}}}\n'
    ).encode()
    talk = Conversation()
    talk.heard(line)
    (again,) = talk.replayed()
    message = parse(again)
    assert isinstance(message, dict)
    params = message["params"]
    assert isinstance(params, dict)
    assert params["arguments"] == parse(arguments)


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '{"a":NaN}', '{"a":1e400}', '{"a":"\\ud800"}'])
def test_a_line_that_is_not_strict_is_sent_again_as_it_was(text: str) -> None:
    line = (
        f'{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"arguments":{text}}}}}\n'
    ).encode()
    talk = Conversation()
    talk.heard(line)
    assert talk.replayed() in ([line], [])


# --- The person and the time -------------------------------------------------------------------


@pytest.mark.parametrize("turned_s", [15 * 60, 15 * 60 + 0.001, 24 * 3600])
async def test_nobody_approves_at_or_after_the_expiry_not_even_when_the_clock_steps_back(
    home: House, clock: TurnedClock, turned_s: float
) -> None:
    call = await home.pay()
    card = await home.card(call)
    clock.turn(turned_s)
    home.database.now()
    for back in (0, 3600, 20 * 3600):
        clock.turn(-back)
        decision = await home.approvals.decide(
            card.id, user_id="alice", digest=card.digest, verdict="approve", reason=None,
            acr="session",
        )  # fmt: skip
        assert isinstance(decision, TooLate)
    assert (await home.ended(call)).state is State.EXPIRED
    assert home.bank.heads == []


@pytest.mark.parametrize(
    "user", ["bob", "mallory", "Alice", "alice ", "alic\u0435", "", "signoff-gate"]
)
async def test_only_the_person_who_was_asked_decides(home: House, user: str) -> None:
    call = await home.pay()
    card = await home.card(call)
    decision = await home.approvals.decide(
        card.id, user_id=user, digest=card.digest, verdict="approve", reason=None, acr="session"
    )
    assert isinstance(decision, NotYours)
    assert not await home.gate.reconcile(call.id, done=True, by=user)
    assert home.bank.heads == []


@pytest.mark.parametrize(
    "other",
    [
        BOB,
        replace(ALICE, client_id="local:2"),
        replace(ALICE, sub=None),
        replace(ALICE, issuer="elsewhere"),
        Caller(kind="oauth", issuer="local", client_id="local:1", sub="alice"),
    ],
)
async def test_another_caller_can_neither_see_nor_withdraw_nor_repeat_a_call(
    home: House, other: Caller
) -> None:
    call = await home.pay()
    assert await home.gate.look(other, call.id) is None
    assert await home.gate.withdraw(other, call.id) is None
    assert await home.gate.repeat(other, INFO, call.id) is None
    assert (await home.until(call, lambda now: now.state is State.WAITING)).is_open


# --- Races -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
async def test_yes_no_withdrawal_status_and_repetition_at_once_send_at_most_once(
    home: House, seed: int
) -> None:
    call = await home.pay(amount=seed + 1)
    card = await home.card(call)

    async def decide(verdict: str) -> None:
        await home.approvals.decide(
            card.id, user_id="alice", digest=card.digest, verdict=verdict, reason=None,  # pyright: ignore[reportArgumentType]
            acr="session",
        )  # fmt: skip

    moves = [
        decide("approve"), decide("approve"), decide("deny"), home.gate.withdraw(ALICE, call.id),
        home.gate.look(ALICE, call.id), home.gate.repeat(ALICE, INFO, call.id),
        home.call(amount=seed + 1), home.gate.reconcile(call.id, done=True, by="alice"),
    ]  # fmt: skip
    random.Random(seed).shuffle(moves)  # noqa: S311 — an order, and the same one each time
    await asyncio.gather(*moves)
    ended = await home.ended(call)
    assert len(home.bank.bodies) == (ended.state is State.SUCCEEDED)
    for other in await home.calls.unfinished():
        await home.gate.withdraw(ALICE, other)


async def test_many_repetitions_of_a_finished_call_at_once_open_one_card(home: House) -> None:
    call = await home.pay()
    await home.decide(call)
    await home.ended(call)
    answers = await asyncio.gather(*(home.gate.repeat(ALICE, INFO, call.id) for _ in range(8)))
    opened = {answer.call.id for answer in answers if isinstance(answer, Waiting)}
    assert len(opened) == 1
    assert len(home.bank.bodies) == 1
    again = await asyncio.gather(*(home.call() for _ in range(4)))
    assert all(isinstance(answer, Waiting | Finished) for answer in again)
    assert len(home.bank.bodies) == 1


async def test_a_yes_that_was_taken_back_before_the_sending_does_not_look_as_if_it_ran(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    """The page once said for ever that the request is on its way."""

    def build(**parts: object):  # noqa: ANN202 — what `authorized` wants
        return house(database, bank, data_dir=tmp_path, sealer=sealer, **parts)  # pyright: ignore[reportArgumentType]

    call = await authorized(build)

    async def take_back(calls: SqliteCalls) -> None:
        assert isinstance(await calls.move(call, Event.WITHDRAW), Moved)

    async with build(before_start=take_back) as home:
        card = await home.card(call)
        with home.approvals.changes.watch("approval", card.id) as watch:
            while stage(await home.card(call)) is not Stage.WITHDRAWN:
                assert await watch.changed(30)
    assert bank.heads == []
