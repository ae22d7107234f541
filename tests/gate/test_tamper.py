"""What was approved is what is sent: one changed byte anywhere in between is refused."""

from dataclasses import replace

import pytest

from gate_house import Build, House, authorized, flipped, last_event, stored
from signoff.gate.call import State
from signoff.sealed import Sealer
from signoff.storage.calls import SqliteCalls
from signoff.storage.sqlite import Database
from signoff.upstream.request import FrozenRequest

TAMPERED = {
    "details": "UPDATE calls SET details = :value",
    "request": "UPDATE calls SET request = :value",
    "arguments": "UPDATE calls SET arguments = :value",
    "access_token": "UPDATE calls SET access_token = :value",
    "auth_req_id": "UPDATE calls SET auth_req_id = :value",
}


@pytest.mark.parametrize("column", ["details", "request", "arguments", "auth_req_id"])
async def test_one_changed_byte_between_card_and_yes_is_refused_and_nothing_is_sent(
    home: House, column: str
) -> None:
    call = await home.pay()
    await home.until(call, lambda current: current.state is State.WAITING)
    row = await home.database.fetch_one("SELECT * FROM calls")
    assert row is not None
    await stored(home.database, TAMPERED[column], value=flipped(row[column]))
    await home.decide(call)
    ended = await home.ended(call)
    if column == "auth_req_id":
        # The poll was under way with the true one; the tokens are for it.
        assert ended.state in (State.SUCCEEDED, State.REFUSED)
        return
    assert ended.state is State.REFUSED
    assert home.bank.heads == []
    event = await last_event(home)
    assert (event["event"], event["subject"]) == ("call.refused", call.id)


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("UPDATE calls SET digest = :value", "sha-256:" + "0" * 64),
        ("UPDATE calls SET catalogue_digest = :value", "sha-256:" + "0" * 64),
        ("UPDATE calls SET tool = :value", "pay_keyed"),
        ("UPDATE calls SET audience = :value", "https://elsewhere.example"),
        ("UPDATE calls SET approvers = :value", '["bob"]'),
        ("UPDATE calls SET acr = :value", "passkey"),
    ],
)
async def test_a_changed_record_is_refused_at_the_yes(home: House, sql: str, value: str) -> None:
    call = await home.pay()
    await home.until(call, lambda current: current.state is State.WAITING)
    await stored(home.database, sql, value=value)
    await home.decide(call)
    ended = await home.ended(call)
    assert ended.state is State.REFUSED, ended
    assert home.bank.heads == []


@pytest.mark.parametrize("column", ["details", "request", "access_token"])
async def test_one_changed_byte_between_yes_and_send_is_refused(
    build: Build, database: Database, column: str
) -> None:
    call = await authorized(build)

    async def tamper(_: SqliteCalls) -> None:
        row = await database.fetch_one("SELECT * FROM calls")
        assert row is not None
        await stored(database, TAMPERED[column], value=flipped(row[column]))

    async with build(before_start=tamper) as home:
        ended = await home.ended(call)
        assert (ended.state, ended.note) == (State.REFUSED, "the stored call was changed")
        assert home.bank.heads == []


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("UPDATE calls SET digest = :value", "sha-256:" + "0" * 64),
        ("UPDATE calls SET tool = :value", "pay_keyed"),
        ("UPDATE calls SET approvers = :value", '["alice","bob"]'),
        ("UPDATE calls SET acr = :value", "passkey"),
        ("UPDATE calls SET caller = replace(caller, 'alice', :value)", "bob"),
    ],
)
async def test_a_record_changed_between_yes_and_send_is_refused(
    build: Build, database: Database, sql: str, value: str
) -> None:
    call = await authorized(build)

    async def tamper(_: SqliteCalls) -> None:
        await stored(database, sql, value=value)

    async with build(before_start=tamper) as home:
        ended = await home.ended(call)
        assert ended.note == "the digest does not match what was approved"
        assert ended.state is State.REFUSED
        assert home.bank.heads == []


async def test_another_request_sealed_with_our_own_key_is_refused(
    build: Build, database: Database, sealer: Sealer
) -> None:
    call = await authorized(build)

    async def tamper(calls: SqliteCalls) -> None:
        frozen = await calls.load_frozen(call.id)
        assert frozen is not None
        request = FrozenRequest.from_record(frozen.request)
        more = replace(request, body=b'{"amount":9999,"to_account":"savings"}')
        sealed = sealer.seal(more.to_record(), table="calls", row=call.id, column="request")
        await stored(database, TAMPERED["request"], value=sealed)

    async with build(before_start=tamper) as home:
        ended = await home.ended(call)
        assert ended.note == "the digest does not match what was approved"
        assert home.bank.heads == []


async def test_a_gated_send_has_a_connection_of_its_own(home: House) -> None:
    for amount in (1, 2):
        call = await home.pay(amount=amount)
        await home.decide(call)
        await home.ended(call)
    assert all("\r\nConnection: close\r\n" in head for head in home.bank.heads)
