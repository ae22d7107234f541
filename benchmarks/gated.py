"""Gated calls a second: opened, approved by a scripted person, sent, and their result delivered.

Every worker is a caller and a person of its own. Beside it, in the same run on the same disk: bare
upstream requests by the same client, and the rate of the store's group commit alone, both of which
bound it. SQLite flushes every commit (`synchronous=FULL`).
"""

import asyncio
import time
from pathlib import Path

from benchmarks import storage
from benchmarks.house import House, Signoff, house
from benchmarks.person import CARD, Person
from benchmarks.wire import Caller, Connection, WireError, result_of

WORKERS = (1, 8, 32)
SEATS = 4  # people a worker: nobody is asked more often than 60 times a minute
CALLS = 160
BARE_CALLS = 2_000
COMMITS = 64


class Worker:
    """Callers, and the people they act for, in turns."""

    def __init__(self, server: Signoff, number: int) -> None:
        self._server = server
        self._users = range(number * SEATS, (number + 1) * SEATS)
        tokens = [server.tokens[user] for user in self._users]
        self._callers = [Caller(server.port, "modern", token=token) for token in tokens]
        self._people = [Person(server.port) for _ in tokens]

    async def sign_in(self) -> None:
        """Give each person a session."""
        for user, person in zip(self._users, self._people, strict=True):
            await person.sign_in(await self._server.login_link(f"u{user}"))

    async def call(self, name: str, amount: int) -> None:
        """Make a call, approve it as soon as its card is told of, and take the result."""
        is_approved = False
        caller, person = self._callers[amount % SEATS], self._people[amount % SEATS]
        async for message in caller.stream("pay_item", {"id": name, "amount": amount}):
            if "result" in message:
                result_of(message)
            elif not is_approved and (found := CARD.search(str(message))):
                is_approved = True
                await person.approve(found[1])
        if not is_approved:
            raise WireError("a call ended without an approval")

    def close(self) -> None:
        """Leave."""
        for one in (*self._callers, *self._people):
            one.close()


async def gated(server: Signoff, workers: list[Worker], run_id: str) -> tuple[float, float]:
    """Return calls a second, and CPU milliseconds of the server a call."""
    each = CALLS // len(workers)

    async def work(number: int, worker: Worker) -> None:
        for count in range(each):
            await worker.call(f"{run_id}-{number}", count)

    cpu, began = server.cpu_s(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, worker in enumerate(workers):
            group.create_task(work(number, worker))
    calls = each * len(workers)
    rate = calls / (time.perf_counter() - began)
    return rate, (server.cpu_s() - cpu) * 1000 / calls


async def upstream_alone(built: House, workers: int) -> float:
    """Return requests a second to the API itself, by the same client."""

    async def work() -> None:
        connection = Connection(built.upstream.port)
        for _ in range(BARE_CALLS // workers):
            await connection.request("POST", "/items/1/pay", {}, b'{"amount": 1}')
        connection.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    return BARE_CALLS // workers * workers / (time.perf_counter() - began)


async def run() -> None:
    """Measure and print."""
    print("workers  gated calls  CPU a call  upstream alone")
    async with house(users=max(WORKERS) * SEATS) as built:
        everybody = [Worker(built.signoff, number) for number in range(max(WORKERS))]
        for worker in everybody:
            await worker.sign_in()
        await gated(built.signoff, everybody[8:12], "warm")
        for workers in WORKERS:
            rate, cpu_ms = await gated(built.signoff, everybody[:workers], f"w{workers}")
            bare = await upstream_alone(built, workers)
            print(f"{workers:7}  {rate:9.1f}/s  {cpu_ms:7.1f} ms  {bare:12.0f}/s")
        for worker in everybody:
            worker.close()
        commits = await storage.grouped(Path(built.directory) / "alone.db", COMMITS)
        print(f"group commit alone, {COMMITS} writers: {commits:.0f}/s")
