"""Connections that allowed calls share, one call at a time on each.

Owns which may be used again: one that is idle, not too old, and holds not a byte that nobody asked
for, else that byte would begin the next caller's answer. Knows no request.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

import httpcore2

from signoff.upstream.exchange import Origin
from signoff.upstream.network import Network

_MOST: Final = 100
_MOST_IDLE: Final = 50
_IDLE_S: Final = 4.0  # less than the 5 s after which many servers close
_NOTHING: Final = (b"", False)
_SILENT_FAILURES: Final = (OSError, httpcore2.NetworkError)

Connection: TypeAlias = httpcore2.AsyncHTTP11Connection


class _Place:
    """The connections to one address of one origin."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(_MOST)
        self.idle: list[Connection] = []


class KeptConnections:
    """Connections by origin and address: one verified for a name never serves another."""

    def __init__(self, network: Network, tls: Callable[[], ssl.SSLContext]) -> None:
        self._network = network
        self._tls = tls
        self._places: dict[tuple[Origin, str], _Place] = {}

    async def take(self, origin: Origin, address: str) -> tuple[Connection, bool]:
        """Return a connection for one exchange, and whether it was used before.

        Raises:
            httpcore2.ConnectError: none can be made.
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
                await _closed(connection)
            return await self._made(origin, address), False
        except BaseException:
            place.free.release()
            raise

    async def give_back(self, origin: Origin, address: str, connection: Connection) -> None:
        """Keep a connection for the next exchange if it is fit for one, else close it."""
        place = self._places.get((origin, address))
        if place is not None:
            place.free.release()
            if len(place.idle) > 1 and place.idle[0].has_expired():
                await _closed(place.idle.pop(0))
            if (
                connection.is_idle()
                and len(place.idle) < _MOST_IDLE
                and not _holds_more(connection)
            ):
                place.idle.append(connection)
                return
        await _closed(connection)

    async def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        places, self._places = tuple(self._places.values()), {}
        for place in places:
            for connection in place.idle:
                await _closed(connection)

    async def _made(self, origin: Origin, address: str) -> Connection:
        if origin.socket is not None:
            stream = await self._network.connect_unix_socket(str(origin.socket))
        else:
            stream = await self._network.connect_tcp(address, origin.port)
        if origin.scheme == "https":
            stream = await stream.start_tls(self._tls(), server_hostname=origin.host)
        target = httpcore2.Origin(origin.scheme.encode(), address.encode(), origin.port)
        return Connection(target, stream, keepalive_expiry=_IDLE_S)


def _holds_more(connection: Connection) -> bool:
    """Tell whether more was read than the answer.

    httpcore2 does not say it. Should its attribute ever be gone, no connection is used twice.
    """
    parser: object = getattr(connection, "_h11_state", None)
    return getattr(parser, "trailing_data", None) != _NOTHING


async def _closed(connection: Connection) -> None:
    with suppress(*_SILENT_FAILURES):
        await connection.aclose()
