"""Handing out the tokens of a yes, to a client that may be cut off at that very moment.

Serves the grants that hold a poll: those are cancelled when their client leaves. Owns the tokens
that were minted and may not have arrived, for a minute and in memory only. They are handed out once
to every client but one: a gate in a process of its own, which signs each of its requests, gets the
same tokens again, however often a network swallows the answer. It sends once whatever it gets
twice.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from signoff.oauth.clients import Client

T = TypeVar("T")

_KEPT_S: Final = 60.0


class HandingOut(Generic[T]):
    """The exchanges that are under way, and what came of those that just were."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._exchanges: dict[tuple[str, str], asyncio.Task[T]] = {}
        self._kept: dict[tuple[str, str], tuple[float, T]] = {}

    def kept(self, client: Client, auth_req_id: str) -> T | None:
        """Return tokens that may not have arrived when they were handed out."""
        key = (client.id, auth_req_id)
        found = self._kept.get(key) if _is_far(client) else self._kept.pop(key, None)
        return found[1] if found is not None and found[0] > self._monotonic() else None

    async def settled(self, client: Client, auth_req_id: str) -> bool:
        """Wait for the exchange of another poll for this id; False: there is none.

        The store knows that it is done before that poll does. What stands in between is neither
        a yes nor an id that was used again.
        """
        exchange = self._exchanges.get((client.id, auth_req_id))
        if exchange is None:
            return False
        await asyncio.wait({exchange})
        return True

    async def once(self, client: Client, auth_req_id: str, exchange: Coroutine[Any, Any, T]) -> T:
        """Exchange the yes in a task of its own: a poll that is cancelled does not tear it apart.

        The tokens of a cancelled poll are kept for the next one of the same client. Two polls of a
        gate far away may be one that is cut off and the one after it: both get the tokens.
        """
        key = (client.id, auth_req_id)
        task = self._exchanges.get(key) if _is_far(client) else None
        if task is None:
            task = asyncio.create_task(exchange)
            self._exchanges[key] = task
            task.add_done_callback(lambda done: self._over(client, key, done))
        else:
            exchange.close()
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(lambda done: self._keep(key, done))
            raise

    def _over(self, client: Client, key: tuple[str, str], done: "asyncio.Task[T]") -> None:
        if self._exchanges.get(key) is done:
            del self._exchanges[key]
        if _is_far(client):
            self._keep(key, done)

    def _keep(self, key: tuple[str, str], done: "asyncio.Task[T]") -> None:
        now = self._monotonic()
        self._kept = {key: kept for key, kept in self._kept.items() if kept[0] > now}
        if not done.cancelled() and done.exception() is None:
            self._kept[key] = (now + _KEPT_S, done.result())


def _is_far(client: Client) -> bool:
    return client.role == "gate" and client.auth_method == "private_key_jwt"
