"""Exchanges that nobody waits for any more: what is kept of them, and what is asked anew."""

import asyncio
from datetime import UTC, datetime

import httpx2
import pytest
from pydantic import SecretStr

from signoff.gate.ciba import CibaClient, Granted, Pending
from signoff.gate.credentials import SharedSecret
from signoff.gate.introspection import Introspection, UnknownStandingError
from signoff.gate.link import Link
from signoff.gate.wire import Wire
from signoff.tokens.keys import KeySet

ISSUER = "https://sidecar.example"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOKENS = {"access_token": "a", "id_token": "i"}


class Sidecar(httpx2.AsyncBaseTransport):
    """Answers what it was told when it was asked, as soon as it may."""

    def __init__(self) -> None:
        self.says: tuple[int, object] | Exception = (200, {"active": True})
        self.may_answer, self.asked = asyncio.Event(), 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        says = self.says
        await self.may_answer.wait()
        if isinstance(says, Exception):
            raise says
        return httpx2.Response(says[0], json=says[1], request=request)

    async def left_by(self, asking: "asyncio.Task[object]") -> None:
        """Let whoever asks leave, and answer then."""
        while not self.asked:  # noqa: ASYNC110 — the exchange is a task that nobody here holds
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        exchanges = [task for task in asyncio.all_tasks() if task.get_name() == "ciba"]
        self.may_answer.set()
        await asyncio.gather(*exchanges, return_exceptions=True)


@pytest.fixture
def sidecar() -> Sidecar:
    return Sidecar()


@pytest.fixture
def wire(sidecar: Sidecar) -> Wire:
    credential = SharedSecret("gate-1", SecretStr("s" * 43))
    return Wire(issuer=ISSUER, credential=credential, transport=sidecar, now=lambda: NOW)


async def test_a_standing_that_nobody_waited_for_is_asked_anew(
    sidecar: Sidecar, wire: Wire
) -> None:
    introspection = Introspection(wire, closed=lambda: None)
    await sidecar.left_by(asyncio.create_task(introspection.stands("token")))
    sidecar.says = (200, {"active": False})  # it was taken back since
    assert not await introspection.stands("token")
    assert sidecar.asked == 2


async def test_who_asks_meanwhile_shares_the_exchange(sidecar: Sidecar, wire: Wire) -> None:
    introspection = Introspection(wire, closed=lambda: None)
    asking = [asyncio.create_task(introspection.stands("token")) for _ in range(3)]
    sidecar.may_answer.set()
    assert await asyncio.gather(*asking) == [True, True, True]
    assert sidecar.asked == 1


async def test_tokens_that_came_when_nobody_waited_are_there_for_the_next_poll(
    sidecar: Sidecar, wire: Wire
) -> None:
    client = CibaClient(wire, client_id="gate-1", hold_s=0)
    sidecar.says = (200, TOKENS)
    await sidecar.left_by(asyncio.create_task(client.poll("r1")))
    sidecar.says = (400, {"error": "invalid_grant"})
    assert isinstance(await client.poll("r1"), Granted)
    sidecar.says = (400, {"error": "authorization_pending"})
    assert await client.poll("r1") == Pending()
    assert sidecar.asked == 2


async def test_a_fault_nobody_foresaw_is_met_once(sidecar: Sidecar, wire: Wire) -> None:
    sidecar.may_answer.set()
    introspection = Introspection(wire, closed=lambda: None)
    sidecar.says = RuntimeError("a library's")
    with pytest.raises(RuntimeError):
        await introspection.stands("token")
    sidecar.says = (200, {"active": True})
    assert await introspection.stands("token")


async def test_a_fault_nobody_foresaw_does_not_end_the_looking(
    sidecar: Sidecar, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    sidecar.may_answer.set()
    sidecar.says = RuntimeError("a library's")

    def again(failures: int) -> float:
        if failures == 3:
            sidecar.says = (500, {})
        if failures == 5:
            raise _EnoughError
        return 0.0

    link = Link(wire, _Keys(), client_id="gate-1", pause_s=again)
    with pytest.raises(_EnoughError):
        await link.keep()
    assert sidecar.asked == 5
    assert caplog.text.count("could not be looked at") == 3
    assert caplog.text.count("no approvals yet") == 2


async def test_a_question_that_failed_stands_for_nobody(sidecar: Sidecar, wire: Wire) -> None:
    sidecar.may_answer.set()
    sidecar.says = httpx2.ConnectError("nobody there")
    with pytest.raises(UnknownStandingError):
        await Introspection(wire, closed=lambda: None).stands("token")


class _Keys:
    async def keys_for(self, kid: str | None) -> KeySet:
        del kid
        return KeySet([])


class _EnoughError(Exception):
    """The test has seen enough."""
