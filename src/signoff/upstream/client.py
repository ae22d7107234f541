"""Connections to origins: made, kept while idle, handed out one exchange at a time.

Owns the pool and how a connection is made: over a Unix socket, or TCP with TLS whose certificate
is always verified for the name that was asked for, wherever it resolved to. Reads no proxy
setting, follows no redirect, never repeats a request.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from signoff.upstream.connection import Connection, ExchangeError, Incoming, Outgoing, Watch
from signoff.upstream.guard import Guard, resolved

_MOST: Final = 100
_MOST_IDLE: Final = 50
_IDLE_S: Final = 4.0  # below the 5 s after which many servers close
_ADDRESS_S: Final = 2.0  # then the next address of the same name is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where to connect. `guard` is set for an origin that the operator did not write."""

    scheme: str
    host: str
    port: int
    socket: Path | None = None
    guard: Guard | None = None


class Client(Protocol):
    """What sending needs of an HTTP client."""

    async def exchange(
        self, origin: Origin, outgoing: Outgoing, watch: Watch, *, fresh: bool
    ) -> Incoming:
        """Send once; `watch.leave` is awaited right before the first byte.

        Raises:
            ExchangeError: there is no whole answer.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class Pool:
    """The client: connections by origin. `tls` gives what verifies certificates and names."""

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._idle: dict[Origin, deque[Connection]] = {}
        self._rooms: dict[Origin, asyncio.Semaphore] = {}
        self._open: set[Connection] = set()

    async def exchange(
        self, origin: Origin, outgoing: Outgoing, watch: Watch, *, fresh: bool
    ) -> Incoming:
        """Send once; `fresh` makes a connection for this exchange alone.

        Raises:
            ExchangeError: there is no whole answer.
        """
        if fresh:
            connection = await self._connected(origin)
            try:
                return await connection.exchange(outgoing, watch)
            finally:
                connection.close()
        async with self._rooms.setdefault(origin, asyncio.Semaphore(_MOST)):
            connection = self._kept(origin) or await self._connected(origin)
            answered = await connection.exchange(outgoing, watch)
            self._keep(origin, connection)
            return answered

    async def close(self) -> None:
        """Close every connection and wait until they are gone."""
        left = tuple(self._open)
        self._idle.clear()
        for connection in left:
            connection.close()
        if left:
            await asyncio.wait([connection.gone for connection in left])

    def _kept(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        oldest = asyncio.get_running_loop().time() - _IDLE_S
        while idle:
            connection = idle.pop()  # the one used last is the one least likely to be stale
            if connection.is_open and connection.since > oldest:
                return connection
            connection.close()
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        if not connection.is_open:
            return
        idle = self._idle.setdefault(origin, deque())
        connection.since = asyncio.get_running_loop().time()
        idle.append(connection)
        if len(idle) > _MOST_IDLE:
            idle.popleft().close()

    async def _connected(self, origin: Origin) -> Connection:
        try:
            connection = await self._connect(origin)
        except (OSError, UnicodeError) as error:  # sockets and TLS; names that are none
            raise ExchangeError("connect") from error
        self._open.add(connection)
        connection.gone.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    async def _connect(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        if origin.socket is not None:
            _, connection = await loop.create_unix_connection(Connection, str(origin.socket))
            return connection
        tls = self._tls() if origin.scheme == "https" else None
        name = origin.host if tls is not None else None
        find = resolved if origin.guard is None else partial(origin.guard.addresses, origin.scheme)
        addresses = await find(origin.host, origin.port)
        failed: OSError | None = None
        for count, address in enumerate(addresses, start=1):
            # One after the other: a race of addresses loses sockets when it is called off.
            limit_s = _ADDRESS_S if count < len(addresses) else None
            try:
                async with asyncio.timeout(limit_s):
                    _, connection = await loop.create_connection(
                        Connection, address, origin.port, ssl=tls, server_hostname=name
                    )
            except OSError as error:  # a timeout is one too
                failed = error
            else:
                return connection
        raise failed or OSError("no address")
