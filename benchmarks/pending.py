"""Memory of the authorization server while 10,000 requests wait for a person.

Run by `authorization`, on a server of its own: as many as one client may have, each polled once,
and then nobody decides. What the process keeps of them must be next to nothing: they are rows.
"""

import asyncio
import time
from typing import Protocol

from benchmarks.house import Process
from benchmarks.wire import Connection

WARM = 1_000
PENDING = 10_000 - WARM
EXPIRY_S = 40
SWEPT_S = 5.0


class Provider(Protocol):
    """What is measured; `authorization.Provider`."""

    server: Process

    async def ask(self, connection: Connection, *, expiry_s: int) -> str:
        """Ask the next user and return the auth_req_id."""
        ...

    async def poll(self, connection: Connection, auth_req_id: str) -> bool:
        """Poll once; return whether there are tokens."""
        ...


async def measure(provider: Provider) -> None:
    """Measure and print."""
    await _ask_and_poll(provider, WARM)
    before = provider.server.memory_kib()
    began = time.perf_counter()
    await _ask_and_poll(provider, PENDING)
    asked = time.perf_counter()
    waiting = provider.server.memory_kib()
    # From the last answer on all of them have as long; then the sweep takes a second or two.
    await asyncio.sleep(EXPIRY_S + SWEPT_S)
    after = provider.server.memory_kib()
    print(f"{WARM + PENDING} requests pending: asked and polled in {asked - began:.1f} s")
    print(f"memory with {WARM:6}     {before / 1024:6.1f} MiB")
    print(f"memory with {WARM + PENDING:6}     {waiting / 1024:6.1f} MiB, ", end="")
    print(f"{(waiting - before) / PENDING:.2f} KiB a request more")
    print(f"memory after expiry    {after / 1024:6.1f} MiB")


async def _ask_and_poll(provider: Provider, count: int) -> None:
    left = [None] * count

    async def run(connection: Connection) -> None:
        while left:
            left.pop()
            await provider.poll(connection, await provider.ask(connection, expiry_s=EXPIRY_S))
        connection.close()

    await asyncio.gather(*(run(Connection(provider.server.port)) for _ in range(16)))
