"""Waiting beside a call: status while it lasts, its outcome, or a hand-back in good time.

Owns how long a request waits, when it speaks and what it says. A wait that is cancelled or cut off
only detaches: the call goes on without it. Never changes a call. Status carries states, user ids
and our own URL; never an argument, a title or anything else an assistant or an upstream wrote.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeAlias

import anyio

from signoff.approvals.ports import Changes, Watch
from signoff.assistant.ports import Gate
from signoff.gate.answers import Answer, Finished, Refused, Waiting
from signoff.gate.call import Call, State
from signoff.identity import Caller

STATUS_MAX: Final = 200
WAIT_BUDGET_S: Final = 45.0
"""Clients give up at 60 s, also those that ask for progress."""
WAIT_BUDGETS_S: Final[Mapping[str, float]] = {"claude-code": 240.0}
BEAT_S: Final = 10.0

_JITTER: Final = 0.2
_SLOW_READER_S: Final = 5.0
_LOOK_EVERY: Final = 6
_LOOK_EVERY_UNREACHABLE: Final = 2
"""Beats between two reads of the store when nothing was announced. A sign-in is not announced."""
_MANY: Final = 3
_DRAIN_S: Final = 3.0
_LEAVING_S: Final = 0.05

Report: TypeAlias = Callable[[int, str], Awaitable[None]]


class Attachments:
    """The waits of this process."""

    def __init__(
        self,
        gate: Gate,
        changes: Changes,
        *,
        now: Callable[[], datetime],
        draining: asyncio.Event,
        budgets_s: Mapping[str, float],
        beat_s: float = BEAT_S,
    ) -> None:
        self._gate = gate
        self._changes = changes
        self._now = now
        self._draining = draining
        self._budgets_s = {**WAIT_BUDGETS_S, **budgets_s}
        self._beat_s = beat_s
        self._pauses: set[asyncio.Timeout] = set()
        self._waiting = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def waiting(self) -> int:
        """Return how many requests wait beside a call."""
        return self._waiting

    def budget_s(self, client_name: str) -> float:
        """Return how long a request of this client may wait."""
        return self._budgets_s.get(client_name, WAIT_BUDGET_S)

    async def drain(self) -> None:
        """Hand every waiter a pending result, and return once they have left, or in a while."""
        self._draining.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                await self._idle.wait()
        await asyncio.sleep(_LEAVING_S)  # the last results are with the transports by now

    async def hand_back_on_drain(self) -> None:
        """Wait for the drain, then end every pause, so that each waiter hands back at once."""
        await self._draining.wait()
        now = asyncio.get_running_loop().time()
        for pause in tuple(self._pauses):
            pause.reschedule(now)

    async def wait(
        self, caller: Caller, waiting: Waiting, *, report: Report, budget_s: float
    ) -> Answer | None:
        """Stay until the call has ended or the budget is spent; then `Waiting` is the answer."""
        self._waiting += 1
        self._idle.clear()
        try:
            return await self._wait(caller, waiting, report=report, budget_s=budget_s)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._idle.set()

    async def _wait(
        self, caller: Caller, waiting: Waiting, *, report: Report, budget_s: float
    ) -> Answer | None:
        call = waiting.call
        deadline = asyncio.get_running_loop().time() + budget_s
        voice = Voice(report)
        with self._changes.watch("call", call.id) as watch, self._gate.listening(call.id):
            nobody: str | None = None
            stale = True  # whatever happened before the watch began was not announced to it
            beat = 0
            while True:
                if stale:
                    match await self._gate.look(caller, call.id):
                        case Waiting(call=call):
                            waiting = replace(waiting, call=call)
                        case None:
                            return None
                        case Finished() | Refused() as ended:
                            return ended
                if self._draining.is_set() or _left_s(deadline) <= 0:
                    return waiting
                if stale:
                    nobody = await self._nobody(waiting.call)
                events = self._gate.arrived(waiting.call.id)
                text = _status(waiting.call, nobody, self._now(), events)
                if waiting.attached and beat == 0:
                    text = f"Already asked at {waiting.call.opened_at:%H:%M} UTC. {text}"
                await voice.say(text[:STATUS_MAX])
                changed = await self._pause(watch, min(self._beat(), _left_s(deadline)))
                beat += 1
                every = _LOOK_EVERY if nobody is None else _LOOK_EVERY_UNREACHABLE
                # Nobody announces that the authorization server cannot be reached.
                stale = changed or beat % every == 0 or waiting.call.state is State.OPENING

    async def _nobody(self, call: Call) -> str | None:
        return await self._gate.reachable(call) if call.is_undecided else None

    def _beat(self) -> float:
        return self._beat_s * (1 - _JITTER * random.random())  # noqa: S311 — spreads load

    async def _pause(self, watch: Watch, pause_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s) as pause:
                with self._paused(pause):
                    return await watch.changed(pause_s + 1)
        return False

    @contextmanager
    def _paused(self, pause: asyncio.Timeout) -> Generator[None, None, None]:
        self._pauses.add(pause)
        try:
            yield
        finally:
            self._pauses.discard(pause)


class Voice:
    """Progress of one request: rising numbers, and no wait for a reader that does not read."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._count = 0

    async def say(self, text: str) -> None:
        self._count += 1  # also for what is dropped: the next one must be higher than any sent
        with suppress(TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with asyncio.timeout(_SLOW_READER_S):
                await self._report(self._count, text)


def _left_s(deadline: float) -> float:
    return deadline - asyncio.get_running_loop().time()


def _status(call: Call, nobody: str | None, now: datetime, events: int) -> str:
    left = time_left(call, now)
    match call.state:
        case State.OPENING | State.WAITING if nobody is not None:
            text = f"{nobody[:140]} ({left} left)"
        case State.OPENING:
            text = f"Asking {asked(call)} to approve, {left} left"
        case State.WAITING:
            text = f"Waiting for {asked(call)} to decide, {left} left"
            if len(text) + len(call.approve_at) <= STATUS_MAX - 2:
                text = f"{text}: {call.approve_at}"
        case State.AUTHORIZED | State.CLAIMED:
            text = f"Approved by {call.decided_by or 'the approver'}; sending"
        case State.DISPATCHING:
            so_far = f"{events} events so far" if events > 1 else "1 event so far"
            how = so_far if events else "waiting for the answer"
            text = f"Approved by {call.decided_by or 'the approver'}; sent, {how}"
        case _:
            text = f"The call is {call.state.value.replace('_', ' ')}"
    return text


def asked(call: Call) -> str:
    """Return who may decide, in a few words: user ids of the operator's file."""
    names = call.approvers
    if len(names) > _MANY:
        return f"{names[0]} or {len(names) - 1} others"
    return " or ".join(names) or "nobody"


def time_left(call: Call, now: datetime) -> str:
    """Return the time until `call` expires, as a person says it."""
    seconds = max(0, int((call.expires_at - now).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
