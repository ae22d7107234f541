"""Connections that allowed calls share, one call at a time on each.

Owns which may be used again: one that is fit for it, not too old, and holds not a byte that nobody
asked for, else that byte would begin the next caller's answer. Knows no request and no client.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from signoff.upstream.exchange import Origin

IDLE_S: Final = 4.0  # less than the 5 s after which many servers close
_MOST: Final = 100
_MOST_IDLE: Final = 50


class Connection(Protocol):
    """One connection, of whichever client."""

    def is_fit(self) -> bool:
        """Tell, after an exchange, whether it was whole and not a byte more was read."""
        ...

    def has_expired(self) -> bool:
        """Tell, before the next one, whether it has been idle for too long, ended or spoke."""
        ...

    async def end(self) -> None:
        """Close it, and raise nothing."""
        ...


C = TypeVar("C", bound=Connection)


class _Place(Generic[C]):
    """The connections to one address of one origin."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(_MOST)
        self.idle: list[C] = []


class KeptConnections(Generic[C]):
    """Connections by origin and address: one verified for a name never serves another."""

    def __init__(self, make: Callable[[Origin, str], Awaitable[C]]) -> None:
        self._make = make
        self._places: dict[tuple[Origin, str], _Place[C]] = {}

    async def take(self, origin: Origin, address: str) -> tuple[C, bool]:
        """Return a connection for one exchange, and whether it was used before.

        What `make` raises comes out.
        """
        place = self._places.get((origin, address))
        if place is None:
            place = self._places.setdefault((origin, address), _Place())
        await place.free.acquire()
        try:
            while place.idle:
                connection = place.idle.pop()  # the last one used is the least likely to be gone
                if not connection.has_expired():
                    return connection, True
                await connection.end()
            return await self._make(origin, address), False
        except BaseException:
            place.free.release()
            raise

    async def give_back(self, origin: Origin, address: str, connection: C) -> None:
        """Keep a connection for the next exchange if it is fit for one, else close it."""
        place = self._places.get((origin, address))
        if place is not None:
            place.free.release()
            if len(place.idle) > 1 and place.idle[0].has_expired():
                await place.idle.pop(0).end()
            if connection.is_fit() and len(place.idle) < _MOST_IDLE:
                place.idle.append(connection)
                return
        await connection.end()

    async def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        places, self._places = tuple(self._places.values()), {}
        for place in places:
            for connection in place.idle:
                await connection.end()
