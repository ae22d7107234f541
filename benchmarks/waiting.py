"""A thousand calls that wait for a person and stream their status, in one process.

200 callers with 5 calls each, 50 approvers with 20 each: the shipped limits, none raised. Measured
are memory a call, CPU while they wait with their status and without it, the delay of other calls
beside them (against a second, quiet server, in alternating rounds) and how long stopping takes.
Targets: at most 100 KiB a call, under 2 % of a core between ticks, p99 of other calls under twice
the quiet one.
"""

import asyncio
import statistics
import time
from contextlib import AsyncExitStack

from benchmarks.house import Process, Signoff, house, signoff, stop
from benchmarks.person import CARD, Person
from benchmarks.wire import Caller, result_of

APPROVERS = 50
CALLERS_EACH = 4
CALLS_EACH = 5
CALLS = APPROVERS * CALLERS_EACH * CALLS_EACH
OPENERS = 16
SETTLE_S = 5.0
LEAVE_S = 10.0
WATCH_S = 30.0
PROBES = 100
PROBE_EVERY_S = 0.02
ROUNDS = 6


class Waiters:
    """The calls that wait, and what they hear."""

    def __init__(self, server: Signoff) -> None:
        self._server = server
        self._openers = asyncio.Semaphore(OPENERS)
        self._tasks: list[asyncio.Task[None]] = []
        self.asked = 0
        self.ticks = 0

    async def open(self) -> None:
        """Make every call, and return once each has heard whom it waits for."""
        for number, token in enumerate(self._server.tokens):
            for count in range(CALLS_EACH):
                await self._openers.acquire()
                work = self._wait(token, f"{number}-{count}")
                self._tasks.append(asyncio.create_task(work))
        async with asyncio.timeout(60):
            while self.asked < CALLS:
                await asyncio.sleep(0.05)
                for task in self._tasks:
                    if task.done():
                        task.result()

    async def _wait(self, token: str, name: str) -> None:
        caller = Caller(self._server.port, "modern", token=token)
        is_asked = False
        try:
            async for message in caller.stream("pay_item", {"id": name, "amount": 1}):
                self.ticks += 1
                if not is_asked and CARD.search(str(message)):
                    is_asked = True
                    self.asked += 1
                    self._openers.release()
        finally:
            caller.close()

    def close(self) -> None:
        """Leave."""
        for task in self._tasks:
            task.cancel()


async def cpu(server: Process, seconds: float) -> float:
    """Return the share of a core used over `seconds`."""
    before, began = server.cpu_s(), time.perf_counter()
    await asyncio.sleep(seconds)
    return (server.cpu_s() - before) / (time.perf_counter() - began)


async def delays(caller: Caller) -> list[float]:
    """Return the seconds that allowed calls took, one every few milliseconds."""
    took: list[float] = []
    for _ in range(PROBES):
        began = time.perf_counter()
        await caller.call("read_item", {"id": "42"})
        took.append(time.perf_counter() - began)
        await asyncio.sleep(PROBE_EVERY_S)
    return took


async def warm_up(server: Signoff) -> None:
    """Take a few calls all the way, so that what follows pays for no import."""
    async with AsyncExitStack() as stack:
        person = await Person(server.port).sign_in(await server.login_link("u0"))
        caller = Caller(server.port, "modern", token=server.tokens[0])
        stack.callback(person.close)
        stack.callback(caller.close)
        for count in range(20):
            await caller.call("read_item", {"id": "42"})
            async for message in caller.stream("pay_item", {"id": "warm", "amount": count}):
                if found := CARD.search(str(message.get("params", ""))):
                    await person.approve(found[1])
                elif "result" in message:
                    result_of(message)
    for number in range(1, APPROVERS):
        person = Person(server.port)
        await person.sign_in(await server.login_link(f"u{number}"))
        person.close()


async def run() -> None:
    """Measure and print."""
    async with (
        house(users=APPROVERS, callers_each=CALLERS_EACH) as built,
        signoff(built.directory, built.upstream) as quiet,
    ):
        busy = built.signoff
        await warm_up(busy)
        idle = await cpu(busy, 5)
        before = busy.memory_kib()
        waiters = Waiters(busy)
        began = time.perf_counter()
        await waiters.open()
        print(f"{CALLS} calls opened in {time.perf_counter() - began:.1f} s")
        await asyncio.sleep(SETTLE_S)
        print(f"memory a call      {(busy.memory_kib() - before) / CALLS:6.1f} KiB")
        ticks, began = waiters.ticks, time.perf_counter()
        total = await cpu(busy, WATCH_S)
        rate = (waiters.ticks - ticks) / (time.perf_counter() - began)
        print(f"CPU with no call   {idle:6.1%} of a core")
        print(f"CPU while waiting  {total:6.1%} of a core, {rate:.0f} status messages a second")
        probes = {
            server.port: await Caller(server.port, "modern", token=server.tokens[0]).open()
            for server in (quiet, busy)
        }
        took: dict[int, list[float]] = {quiet.port: [], busy.port: []}
        for number in range(ROUNDS + 1):
            for port, caller in probes.items():
                found = await delays(caller)
                took[port] += found if number else []
        for name, server in (("quiet", quiet), ("beside them", busy)):
            cuts = statistics.quantiles(took[server.port], n=100)
            p50, p99 = cuts[49] * 1000, cuts[98] * 1000
            print(f"other calls, {name:11}  p50 {p50:5.1f} ms  p99 {p99:5.1f} ms")
        slow = [statistics.quantiles(took[one.port], n=100)[98] for one in (busy, quiet)]
        print(f"p99, ratio         {slow[0] / slow[1]:6.2f}")
        waiters.close()
        await asyncio.sleep(LEAVE_S)
        between = await cpu(busy, WATCH_S)
        print(f"CPU, no status     {between:6.1%} of a core (still waiting, nobody listens)")
        print(f"stopping took      {await stop(busy.process):6.1f} s")
