"""From a yes to its effect, and all that may come between: loss, retries, restarts, stops."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from gate_house import Bank, Build, House, authorized, last_event, stored
from gate_parts import ALICE, BOB, KEYED, PAY, catalogue
from signoff.approvals.request import Status
from signoff.catalog.model import HeaderTemplate, Policy, PolicyRule, Reference, Text
from signoff.gate.call import Event, State
from signoff.gate.ports import Moved
from signoff.storage.people import SqlitePeople
from signoff.storage.settlements import SqliteSettlements
from signoff.storage.sqlite import Database


class Clock(Protocol):
    def turn(self, seconds: float) -> None: ...


async def test_a_call_authorized_before_the_restart_is_sent_after_it(build: Build) -> None:
    call = await authorized(build)
    async with build() as home:
        assert (await home.ended(call)).state is State.SUCCEEDED
        assert len(home.bank.heads) == 1


async def test_an_approval_that_ended_during_the_restart_lapses(build: Build, clock: Clock) -> None:
    call = await authorized(build)
    clock.turn(120)
    async with build() as home:
        assert (await home.ended(call)).state is State.LAPSED
        assert home.bank.heads == []


async def test_a_changed_catalogue_refuses_what_was_approved_under_the_old_one(
    build: Build, bank: Bank
) -> None:
    call = await authorized(build)
    other = catalogue(base_url=bank.base_url, digest="sha-256:" + "e" * 64)
    async with build(served=other) as home:
        ended = await home.ended(call)
        assert ended.note == "the catalogue changed since the approval"
        assert ended.state is State.REFUSED
        assert bank.heads == []


async def test_a_policy_that_denies_now_refuses(build: Build, bank: Bank) -> None:
    call = await authorized(build)
    rule = PolicyRule(id="no", effect="deny", capability="pay", reason="closed")
    other = catalogue(base_url=bank.base_url, policy=Policy(rules=(rule,)))
    async with build(served=other) as home:
        assert (await home.ended(call)).note == "policy denies it now: closed"
        assert bank.heads == []


async def test_an_upstream_at_another_address_refuses(build: Build) -> None:
    call = await authorized(build)
    async with build(served=catalogue(base_url="http://127.0.0.1:1")) as home:
        assert (await home.ended(call)).state is State.REFUSED


@pytest.mark.parametrize("who", ["alice", "local:1"])
async def test_whoever_is_switched_off_after_the_yes_sends_nothing(
    build: Build, database: Database, who: str
) -> None:
    call = await authorized(build)
    await SqlitePeople(database).disable(who, by="root")
    async with build() as home:
        ended = await home.ended(call)
        assert (ended.state, ended.note) == (State.REFUSED, f"{who} is switched off")
        assert home.bank.heads == []


async def test_a_credential_that_changed_since_the_card_refuses(
    build: Build, bank: Bank, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first-secret")
    header = HeaderTemplate(
        name="Authorization",
        parts=(Text(text="Bearer "), Reference(kind="file", name=str(secret))),
    )
    served = catalogue(base_url=bank.base_url)
    with_key = replace(
        served, upstreams={"bank": replace(served.upstreams["bank"], headers=(header,))}
    )
    async with build(served=with_key) as home:
        call = await home.pay()
        await home.card(call)
        secret.write_text("second-secret")
        await home.decide(call)
        ended = await home.ended(call)
        assert (ended.state, ended.note) == (
            State.REFUSED,
            "a credential changed since the approval",
        )
        assert bank.heads == []


async def test_the_approval_token_reaches_the_upstream_that_asks_for_it(
    build: Build, bank: Bank
) -> None:
    header = HeaderTemplate(name="X-Approval", parts=(Reference(kind="approval", name="token"),))
    served = catalogue(base_url=bank.base_url)
    upstream = replace(
        served.upstreams["bank"], headers=(header,), audience="https://bank.example/api"
    )
    async with build(served=replace(served, upstreams={"bank": upstream})) as home:
        call = await home.pay()
        assert call.audience == "https://bank.example/api"
        await home.decide(call)
        assert (await home.ended(call)).state is State.SUCCEEDED
        assert "\r\nX-Approval: eyJ" in bank.heads[0]


@pytest.mark.parametrize(("status", "state"), [(204, State.SUCCEEDED), (404, State.FAILED)])
async def test_a_definite_answer_ends_the_call(home: House, status: int, state: State) -> None:
    home.bank.status = status
    home.bank.body = b""
    call = await home.pay()
    await home.decide(call)
    finished = await home.finished(call)
    assert finished.call is not None
    assert finished.call.state is state
    assert finished.result.is_error == (state is State.FAILED)


@pytest.mark.parametrize("fault", ["status", "close"])
async def test_an_answer_that_is_not_definite_leaves_the_outcome_unknown(
    home: House, fault: str
) -> None:
    if fault == "status":
        home.bank.status = 500
    else:
        home.bank.fault = "close"
    call = await home.pay()
    await home.decide(call)
    finished = await home.finished(call)
    assert finished.call is not None
    assert finished.call.state is State.OUTCOME_UNKNOWN
    assert finished.result.is_error
    assert "may have taken effect" in str(finished.result.content[0]["text"])
    assert len(home.bank.heads) == 1
    assert (await last_event(home))["event"] == "capability.executed"


async def test_an_upstream_that_is_down_fails_the_call_for_certain(
    build: Build, bank: Bank
) -> None:
    async with build(served=catalogue(base_url="http://127.0.0.1:9")) as home:
        call = await home.pay()
        await home.decide(call)
        ended = await home.ended(call)
        assert ended.state is State.FAILED
        assert ended.attempts == 0
        assert ended.note is not None
        assert ended.note.startswith("nothing was sent: ")
    assert bank.heads == []


async def test_a_declared_retry_sends_the_same_bytes_and_key_again(home: House) -> None:
    home.bank.fault = "close"
    home.bank.faults_left = 2
    call = await home.pay(ALICE, "pay_keyed")
    await home.decide(call)
    ended = await home.ended(call)
    assert (ended.state, ended.attempts) == (State.SUCCEEDED, 3)
    assert len(home.bank.heads) == 3
    assert len(set(home.bank.heads)) == 1
    assert len(set(home.bank.bodies)) == 1


async def test_retries_are_bounded_and_then_the_outcome_is_unknown(home: House) -> None:
    home.bank.fault = "close"
    call = await home.pay(ALICE, "pay_keyed")
    await home.decide(call)
    ended = await home.ended(call)
    assert (ended.state, ended.attempts) == (State.OUTCOME_UNKNOWN, 3)
    assert len(home.bank.heads) == 3


async def test_an_outcome_that_cannot_be_stored_becomes_unknown(
    build: Build, database: Database
) -> None:
    refusing = """
    CREATE TRIGGER no_outcome BEFORE UPDATE ON calls WHEN NEW.state = 'succeeded'
    BEGIN SELECT RAISE(FAIL, 'disk full'); END
    """
    await stored(database, refusing)
    async with build() as home:
        call = await home.pay()
        await home.decide(call)
        ended = await home.until(call, lambda current: not current.is_open, timeout_s=20)
        assert ended.state is State.OUTCOME_UNKNOWN
        assert len(home.bank.heads) == 1


async def test_an_eligible_approver_reconciles_an_unknown_outcome_once(home: House) -> None:
    home.bank.status = 500
    call = await home.pay()
    await home.decide(call)
    await home.ended(call)
    assert not await home.gate.reconcile(call.id, done=True, by="bob")
    assert not await home.gate.reconcile("call_x", done=True, by="alice")
    assert await home.gate.reconcile(call.id, done=True, by="alice")
    assert not await home.gate.reconcile(call.id, done=False, by="alice")
    finished = await home.finished(call)
    assert finished.call is not None
    assert finished.call.state is State.SUCCEEDED
    assert "alice marked it as done" in str(finished.result.content[0]["text"])
    assert (await last_event(home))["event"] == "call.reconciled"


async def test_the_page_hears_how_the_call_ended(home: House) -> None:
    call = await home.pay()
    await home.decide(call)
    await home.ended(call)
    card = await home.card(call)
    with home.approvals.changes.watch("approval", card.id) as watch:
        while (await home.card(call)).outcome is None:
            assert await watch.changed(30)
    assert (await home.card(call)).outcome == "succeeded"


async def test_what_the_page_did_not_hear_is_told_when_it_can(build: Build) -> None:
    away, told = asyncio.Event(), asyncio.Event()
    away.set()

    def cut_off(app: ASGIApp) -> ASGIApp:
        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("/outcome") and away.is_set():
                told.set()
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            await app(scope, receive, send)

        return served

    async with build(wrap=cut_off) as home:
        call = await home.pay()
        await home.decide(call)
        await home.ended(call)
        await told.wait()
        card = await home.card(call)
        assert (card.outcome, await home.calls.untold()) == (None, [call.id])
        away.clear()
        with home.approvals.changes.watch("approval", card.id) as watch:
            while (await home.card(call)).outcome is None:
                await home.gate.remind()
                await watch.changed(0.1)
        assert (await home.card(call)).outcome == "succeeded"


async def test_what_a_person_found_out_elsewhere_is_heard(home: House) -> None:
    home.bank.status = 500
    call = await home.pay()
    await home.decide(call)
    await home.ended(call)
    card = await home.card(call)
    with home.approvals.changes.watch("approval", card.id) as watch:
        while (await home.card(call)).outcome != "outcome_unknown":
            assert await watch.changed(30)
    await home.gate.remind()
    assert (await home.ended(call)).state is State.OUTCOME_UNKNOWN
    assert await SqliteSettlements(home.database).settle(card.id, done=False, by="alice")
    await home.gate.remind()
    ended = await home.ended(call)
    assert (ended.state, ended.note) == (State.FAILED, "alice marked it as not done")


async def test_nobody_decides_in_time_and_the_call_expires(home: House, clock: Clock) -> None:
    call = await home.pay()
    await home.until(call, lambda current: current.state is State.WAITING)
    clock.turn(15 * 60)
    await home.approvals.sweep()
    assert (await home.ended(call)).state is State.EXPIRED
    assert home.bank.heads == []


async def test_a_yes_after_the_withdrawal_is_ignored_and_audited(build: Build) -> None:
    polled = asyncio.Event()

    def noticed(app: ASGIApp) -> ASGIApp:
        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("/token"):
                polled.set()
            await app(scope, receive, send)

        return served

    async with build(wrap=noticed) as home:
        call = await home.pay()
        await polled.wait()
        waiting = await home.until(call, lambda current: current.state is State.WAITING)
        # The page has not heard of it yet.
        assert isinstance(await home.calls.move(waiting, Event.WITHDRAW), Moved)
        with home.database.changes.watch("call", call.id) as watch:
            await home.decide(call)
            while (await last_event(home))["event"] != "call.yes_ignored":
                assert await watch.changed(30)
        assert (await home.ended(call)).state is State.WITHDRAWN
        assert home.bank.heads == []


async def test_stopping_takes_no_longer_than_it_must_and_loses_no_yes(build: Build) -> None:
    async with build(grace_s=60) as home:
        call = await home.pay()
        await home.until(call, lambda current: current.state is State.WAITING)
    async with build(grace_s=60) as home:
        await home.decide(call)
        assert (await home.ended(call)).state is State.SUCCEEDED


async def test_a_send_under_way_is_finished_before_the_stop(build: Build, bank: Bank) -> None:
    bank.fault = "hang"
    async with build(grace_s=30) as home:
        call = await home.pay()
        await home.decide(call)
        await bank.arrived.wait()
        asyncio.get_running_loop().call_later(0.05, bank.go_on.set)
    current = await home.calls.load(call.id)
    assert current is not None
    assert current.state is State.SUCCEEDED


async def test_an_authorization_server_that_is_away_at_first_is_asked_again(build: Build) -> None:
    away = [True, True]

    def flaky(app: ASGIApp) -> ASGIApp:
        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("bc-authorize") and away:
                away.pop()
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            await app(scope, receive, send)

        return served

    async with build(wrap=flaky) as home:
        call = await home.pay()
        await home.decide(call)
        assert (await home.ended(call)).state is State.SUCCEEDED
        assert not away


async def test_a_request_the_server_refuses_fails_and_may_be_made_again(
    build: Build, bank: Bank
) -> None:
    strong = replace(PAY, approval=replace(PAY.approval, strength="passkey"))
    served = catalogue(base_url=bank.base_url, tools=(strong, KEYED))
    async with build(served=served) as home:
        call = await home.pay()
        ended = await home.ended(call)
        assert ended.state is State.FAILED
        assert ended.note is not None
        assert "acr_values" in ended.note
        assert (await home.pay()).id != call.id


async def test_switching_a_client_off_ends_what_it_has_not_sent_and_takes_its_cards_back(
    home: House,
) -> None:
    waiting, other = await home.pay(), await home.pay(BOB)
    for call in (waiting, other):
        await home.until(call, lambda current: current.state is State.WAITING)
    card = await home.card(waiting)
    assert await home.gate.end_calls_of("local:1") == 1
    ended = await home.ended(waiting)
    assert (ended.state, ended.note) == (State.REFUSED, "local:1 is switched off")
    with home.approvals.changes.watch("approval", card.id) as watch:
        while (await home.card(waiting)).status is Status.PENDING:
            assert await watch.changed(30)
    assert await home.gate.end_calls_of("local:1") == 0
    current = await home.calls.load(other.id)
    assert current is not None
    assert current.is_open
