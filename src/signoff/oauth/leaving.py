"""A client that leaves while its answer is held: nothing is given to nobody.

Owns noticing it. What was waiting ends then, as if it had been cancelled: a yes stays for the next
poll of that client, and no held poll goes on without anybody to hear it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request


@asynccontextmanager
async def while_there(http: Request) -> AsyncGenerator[None, None]:
    """Run the body for as long as the sender of `http` is there; its body has been read.

    Raises:
        ClientDisconnect: it left.
    """
    presence = asyncio.timeout(None)
    try:
        async with presence:
            watching = asyncio.create_task(_watch(http, presence), name="presence")
            try:
                yield
            finally:
                watching.cancel()
    except TimeoutError:
        if not presence.expired():
            raise
        raise ClientDisconnect from None


async def _watch(http: Request, presence: asyncio.Timeout) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
    presence.reschedule(asyncio.get_running_loop().time())
