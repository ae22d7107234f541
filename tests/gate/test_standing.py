"""Right before the first byte the gate asks once more whether the yes stands (RFC 7662)."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gate_house import Bank, Build, House, authorized, stored
from signoff.gate import runner
from signoff.gate.call import Call, Event, Facts, State
from signoff.gate.failpoints import Failpoint
from signoff.gate.ports import Moved
from signoff.storage.sqlite import Database

REVOKE = "INSERT INTO revoked_tokens (jti, expires_at) VALUES (:jti, 4102444800000000)"


class Clock(Protocol):
    def turn(self, seconds: float) -> None: ...


class Introspecting:
    """What stands between the gate and introspection: says when it is asked, and may be away."""

    def __init__(self, *, away: bool = False, status: int = 503, page: bytes = b"") -> None:
        self.away, self.asked = away, 0
        self.status, self.page = status, page

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("/introspect"):
                self.asked += 1
                if self.away:
                    await send({
                        "type": "http.response.start",
                        "status": self.status,
                        "headers": [],
                    })
                    await send({"type": "http.response.body", "body": self.page})
                    return
            await app(scope, receive, send)

        return served


async def taken_back(database: Database, call: Call) -> None:
    """Take the token of an approved call back, behind the gate's back."""
    await stored(database, REVOKE, jti=call.jti)


def halting(at: Failpoint) -> Callable[[Failpoint], None]:
    """Return what stops a job as a killed process would."""

    def reach(failpoint: Failpoint) -> None:
        if failpoint == at:
            raise asyncio.CancelledError

    return reach


async def stopped(build: Build, at: Failpoint, state: State, *, tool: str = "pay") -> Call:
    """Return a call whose process stopped at a failpoint."""
    async with build(reach=halting(at)) as home:
        call = await home.pay(tool=tool)
        await home.decide(call)
        return await home.until(call, lambda current: current.state is state)


async def test_each_send_is_asked_about_once_and_goes_out(build: Build, bank: Bank) -> None:
    introspecting = Introspecting()
    async with build(wrap=introspecting) as home:
        call = await home.pay()
        await home.decide(call)
        assert (await home.ended(call)).state is State.SUCCEEDED
    assert (introspecting.asked, len(bank.heads)) == (1, 1)


@pytest.mark.parametrize("tool", ["pay", "pay_keyed"])
async def test_a_yes_that_was_taken_back_sends_nothing(
    build: Build, bank: Bank, database: Database, tool: str
) -> None:
    call = await authorized(build, tool)
    await taken_back(database, call)
    async with build() as home:
        ended = await home.ended(call)
        assert (ended.state, ended.note) == (State.REFUSED, "the approval was taken back")
    assert bank.heads == []


async def test_a_yes_taken_back_between_two_attempts_sends_no_second_one(
    build: Build, bank: Bank, database: Database
) -> None:
    call = await stopped(build, "after_intent", State.DISPATCHING, tool="pay_keyed")
    await taken_back(database, call)
    async with build() as home:
        ended = await home.ended(call)
        assert (ended.state, ended.note) == (State.OUTCOME_UNKNOWN, "the approval was taken back")
    assert bank.heads == []


async def test_while_nobody_can_be_asked_nothing_is_sent_and_then_it_is_once(
    build: Build, bank: Bank
) -> None:
    introspecting = Introspecting(away=True)
    async with build(wrap=introspecting) as home:
        call = await home.pay()
        await home.decide(call)
        await home.until(call, lambda current: current.state is State.CLAIMED)
        waits = await home.until(call, lambda current: current.state is State.AUTHORIZED)
        assert (bank.heads, waits.attempts) == ([], 0)
        introspecting.away = False
        assert (await home.ended(call)).state is State.SUCCEEDED
    assert introspecting.asked >= 2
    assert len(bank.heads) == 1


async def test_where_nobody_can_be_asked_in_time_the_yes_lapses(
    build: Build, bank: Bank, clock: Clock
) -> None:
    call = await authorized(build)
    async with build(wrap=Introspecting(away=True)) as home:
        await home.until(call, lambda current: current.state is State.CLAIMED)
        clock.turn(120)
        assert (await home.ended(call)).state is State.LAPSED
    assert bank.heads == []


class Late:
    """Introspection whose first answer is on its way until it may come; the token is looked up."""

    def __init__(self) -> None:
        self.looked, self.may_come = asyncio.Event(), asyncio.Event()

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            async def late(message: Message) -> None:
                if not self.looked.is_set() and message["type"] == "http.response.start":
                    self.looked.set()
                    await self.may_come.wait()
                await send(message)

            await app(scope, receive, late if scope["path"].endswith("/introspect") else send)

        return served


async def test_the_answer_to_an_earlier_question_sends_nothing(
    build: Build, bank: Bank, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was looked up before the token was taken back, and comes when it is asked about again."""
    monkeypatch.setattr(runner, "_STANDS_WITHIN_S", 0.05)
    call, late, connected = await authorized(build), Late(), asyncio.Semaphore(0)

    def reach(failpoint: Failpoint) -> None:
        if failpoint == "after_connect":
            connected.release()

    async with build(wrap=late, reach=reach) as home:
        await connected.acquire()
        await late.looked.wait()
        await home.until(call, lambda current: current.state is State.AUTHORIZED)
        await taken_back(database, call)
        await connected.acquire()
        late.may_come.set()
        ended = await home.ended(call)
        assert (ended.state, ended.note) == (State.REFUSED, "the approval was taken back")
    assert bank.heads == []


@pytest.mark.parametrize(
    "page", [b"<h1>Maintenance</h1>", b"", b"[]", b"{}", b'{"active": "true"}', b'{"active": null}']
)
async def test_a_page_of_something_in_between_does_not_end_the_yes(
    build: Build, bank: Bank, page: bytes
) -> None:
    introspecting = Introspecting(away=True, status=200, page=page)
    async with build(wrap=introspecting) as home:
        call = await home.pay()
        await home.decide(call)
        await home.until(call, lambda current: current.state is State.CLAIMED)
        await home.until(call, lambda current: current.state is State.AUTHORIZED)
        assert bank.heads == []
        introspecting.away = False
        assert (await home.ended(call)).state is State.SUCCEEDED
    assert len(bank.heads) == 1


async def test_a_call_that_is_claimed_ends_with_its_client_too(home: House) -> None:
    """Between the claim and the first byte lie a connection and perhaps a token to fetch."""
    call = await home.pay()
    await home.until(call, lambda current: current.state is State.WAITING)
    for event, facts in (
        (Event.AUTHORIZE, authorization(home, call)),
        (Event.CLAIM, Facts(lease_until=home.calls.now().replace(year=2100))),
    ):
        current = await home.calls.load(call.id)
        assert current is not None
        assert isinstance(await home.calls.move(current, event, facts), Moved)
    assert await home.gate.end_calls_of("local:1") == 1
    ended = await home.ended(call)
    assert (ended.state, ended.note) == (State.REFUSED, "local:1 is switched off")


def authorization(home: House, call: Call) -> Facts:
    return Facts(
        jti="jti",
        decided_by=call.approvers[0],
        decided_at=home.calls.now(),
        execute_by=home.calls.now().replace(year=2100),
    )
