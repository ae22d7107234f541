"""A call that needs nobody: through us, through FastMCP and through a bare SDK server, in turns.

All make the same upstream request from the same web server, ours and FastMCP's from the same
spec; the client is the same. Reported are calls a second, and CPU of the server a call, whose
ratio a busy machine disturbs less. Targets: at least 0.8 of the bare server's rate, and with 32
callers twice FastMCP's.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from benchmarks.house import Process, fastmcp, house
from benchmarks.wire import ERAS, Caller, Era

ROUNDS = 5
ROUND_S = 1.0
CONCURRENCY = (1, 8, 32)


@dataclass
class Side:
    """One of the servers, with what was measured of it."""

    name: str
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


async def compare(sides: Sequence[Side], era: Era, concurrency: int) -> None:
    """Run all in turns: A B C A B C …, after a short round that does not count."""
    callers = [
        [await Caller(side.server.port, era, token=side.token).open() for _ in range(concurrency)]
        for side in sides
    ]
    for number in range(ROUNDS + 1):
        for side, its in zip(sides, callers, strict=True):
            await one_round(side, its, ROUND_S if number else 0.5)
    for side, its in zip(sides, callers, strict=True):
        del side.rates[0], side.cpu_ms[0]
        for caller in its:
            caller.close()


async def run() -> None:
    """Measure and print medians of the rounds; a ratio is the median of each round's."""
    async with AsyncExitStack() as stack:
        built = await stack.enter_async_context(house())
        peer = await stack.enter_async_context(fastmcp(built.directory, built.upstream))
        made: Sequence[Callable[[], Side]] = (
            lambda: Side("signoff", built.signoff, built.signoff.tokens[0]),
            lambda: Side("bare", built.bare),
            lambda: Side("FastMCP", peer),
        )
        print(f"  {'era':8}{'callers':>7}  {'server':9}{'rate':>8}  {'CPU a call':>10}   signoff's")
        for era in ERAS:
            for concurrency in CONCURRENCY:
                sides = [one() for one in made]
                await compare(sides, era, concurrency)
                for side in sides:
                    print(f"  {era:8}{concurrency:7}  {_row(side, sides[0])}")


def _row(side: Side, ours: Side) -> str:
    rate, cpu = statistics.median(side.rates), statistics.median(side.cpu_ms)
    row = f"{side.name:9}{rate:6.0f}/s  {cpu:7.2f} ms"
    if side is ours:
        return row
    faster = _ratio(ours.rates, side.rates)
    return f"{row}   {faster:.2f} of its rate, {_ratio(ours.cpu_ms, side.cpu_ms):.2f} of its CPU"


def _ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(mine, theirs, strict=True))
