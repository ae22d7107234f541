"""From the approver's yes to the assistant's result: one gated call at a time.

Measures the time between the answer to the approver's POST and the result at the SDK's own client,
in both protocol eras. In between lie: redeem, two token checks, claim, the upstream request over a
fresh connection with its intent, the outcome; each stored with a flush. Target: median < 50 ms.
"""

import asyncio
import statistics
import time
from typing import Any

import httpx2
import mcp_types as types
from benchmarks.house import Signoff, house
from benchmarks.person import CARD, Person
from benchmarks.wire import ERAS, Era
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

CALLS = 60
APPROVERS = 4  # nobody is asked more often than 60 times a minute
WARM_UP = 5
_MODES = {"modern": "2026-07-28", "legacy": "legacy"}


async def measure(server: Signoff, era: Era) -> tuple[list[float], list[float]]:
    """Return seconds from the POST's answer, and from the POST itself, to the result."""
    answered: list[float] = []
    posted: list[float] = []
    for number, token in enumerate(server.tokens):
        found = await _by(server, era, f"u{number}", token)
        answered += found[0]
        posted += found[1]
    return answered, posted


async def _by(server: Signoff, era: Era, user: str, token: str) -> tuple[list[float], list[float]]:
    person = await Person(server.port).sign_in(await server.login_link(user))
    http = httpx2.AsyncClient(
        headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False
    )
    url = f"http://localhost:{server.port}/mcp"
    transport = streamable_http_client(url, http_client=http)
    info = types.Implementation(name="bench", version="1")
    answered: list[float] = []
    posted: list[float] = []
    async with http, Client(transport, mode=_MODES[era], client_info=info) as client:
        for count in range(WARM_UP + CALLS // APPROVERS):
            card: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            async def heard(
                progress: float,
                total: float | None,
                message: str | None,
                card: asyncio.Future[str] = card,
            ) -> None:
                del progress, total
                found = CARD.search(message or "")
                if found and not card.done():
                    card.set_result(found[1])

            arguments: dict[str, Any] = {"id": era, "amount": count}
            call = asyncio.create_task(_timed(client, arguments, heard))
            async with asyncio.timeout(30):
                sent_at, answered_at = await person.approve(await card)
                done_at = await call
            if count >= WARM_UP:
                answered.append(done_at - answered_at)
                posted.append(done_at - sent_at)
    person.close()
    return answered, posted


async def _timed(client: Client, arguments: dict[str, Any], heard: Any) -> float:
    result = await client.call_tool("pay_item", arguments, progress_callback=heard)
    if result.is_error:
        raise RuntimeError(str(result))
    return time.perf_counter()


async def run() -> None:
    """Measure and print."""
    print("era     POST answered → result, p50     p95     POST sent → result, p50     p95")
    async with house(users=APPROVERS) as built:
        for era in ERAS:
            answered, posted = await measure(built.signoff, era)
            print(
                f"{era:7} {_ms(answered, 50):26.1f} ms {_ms(answered, 95):5.1f} ms "
                f"{_ms(posted, 50):23.1f} ms {_ms(posted, 95):5.1f} ms"
            )


def _ms(seconds: list[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100)[percent - 1] * 1000
