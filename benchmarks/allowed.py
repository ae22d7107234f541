"""A call that needs nobody: through us, and through a bare SDK server, in alternating rounds.

Both make the same upstream request from the same web server; the client is the same. Reported are
calls a second, and CPU of the server a call, whose ratio a busy machine disturbs less. Target:
at least 0.8 of the bare server's rate.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass, field

from benchmarks.house import Process, house
from benchmarks.wire import ERAS, Caller, Era

ROUNDS = 5
ROUND_S = 1.5
CONCURRENCY = (1, 8, 32)


@dataclass
class Side:
    """One of the two, with what was measured of it."""

    server: Process
    token: str = ""
    rates: list[float] = field(default_factory=list[float])
    cpu_ms: list[float] = field(default_factory=list[float])


async def one_round(side: Side, callers: list[Caller], seconds: float) -> None:
    """Call for a while with every caller, and keep rate and CPU."""
    calls = 0
    cpu, began = side.server.cpu_s(), time.perf_counter()
    until = began + seconds

    async def work(caller: Caller) -> None:
        nonlocal calls
        while time.perf_counter() < until:
            await caller.call("read_item", {"id": "42"})
            calls += 1

    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(work(caller))
    side.rates.append(calls / (time.perf_counter() - began))
    side.cpu_ms.append((side.server.cpu_s() - cpu) * 1000 / calls)


async def compare(ours: Side, bare: Side, era: Era, concurrency: int) -> None:
    """Run both in turns: A B A B …, after a short round that does not count."""
    callers = {
        id(side): [
            await Caller(side.server.port, era, token=side.token).open() for _ in range(concurrency)
        ]
        for side in (ours, bare)
    }
    for number in range(ROUNDS + 1):
        for side in (ours, bare):
            await one_round(side, callers[id(side)], ROUND_S if number else 0.5)
    for side in (ours, bare):
        del side.rates[0], side.cpu_ms[0]
        for caller in callers[id(side)]:
            caller.close()


async def run() -> None:
    """Measure and print medians of the rounds."""
    print("era     callers  signoff     bare       ratio   CPU a call: signoff   bare")
    async with house() as built:
        for era in ERAS:
            for concurrency in CONCURRENCY:
                ours = Side(built.signoff, built.signoff.tokens[0])
                bare = Side(built.bare)
                await compare(ours, bare, era, concurrency)
                pairs = zip(ours.rates, bare.rates, strict=True)
                ratio = statistics.median(mine / theirs for mine, theirs in pairs)
                print(
                    f"{era:7} {concurrency:7}  {statistics.median(ours.rates):6.0f}/s  "
                    f"{statistics.median(bare.rates):6.0f}/s  {ratio:8.2f}   "
                    f"{statistics.median(ours.cpu_ms):14.2f} ms "
                    f"{statistics.median(bare.cpu_ms):6.2f} ms"
                )
