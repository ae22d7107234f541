"""What runs beside the server, and the two addresses that say whether it is well.

Owns starting and stopping background tasks. Knows nothing of what they do.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from signoff.storage.sqlite import Database

Task: TypeAlias = tuple[str, Coroutine[Any, Any, Any]]


async def every(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do `work` now and then; what it meets is logged and tried again."""
    while True:
        try:
            await work()
        except Exception:
            logging.getLogger(__name__).exception("a background task failed; it goes on")
        await asyncio.sleep(seconds)


@asynccontextmanager
async def background(tasks: Iterable[Task]) -> AsyncGenerator[None, None]:
    """Run tasks beside the body and stop them after it.

    None of them is begun twice: one that fails is said in the log at once, not at the stop.
    """
    running = [asyncio.create_task(work, name=name) for name, work in tasks]
    for task in running:
        task.add_done_callback(_tell_failure)
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _tell_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        words = "the background task %s has failed and runs no more; restart signoff"
        logging.getLogger(__name__).error(words, task.get_name(), exc_info=error)


def health(database: Database, *, trouble: Callable[[], str | None]) -> list[BaseRoute]:
    """Return the routes for those who watch. In `trouble`, what asks nobody still goes."""

    async def alive(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(_: Request) -> Response:
        if database.failure is not None:
            return PlainTextResponse("the store takes no more writes; see the log", 503)
        why = trouble()
        return PlainTextResponse("ready" if why is None else f"ready, without approvals: {why}")

    return [Route("/healthz", alive, methods=["GET"]), Route("/readyz", ready, methods=["GET"])]
