"""Serves one ASGI application on one loopback port.

Owns the listening sockets and the uvicorn server; signals stay with whoever runs the process.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self, cast

import uvicorn

from signoff.app.errors import CannotRunError
from signoff.app.wire import BoundedHttp
from signoff.origin import App

_GRACE_S: Final = 5
_BACKLOG: Final = 2_048
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class _Server(uvicorn.Server):
    """A uvicorn that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Listener:
    """One port on every loopback address there is. Closed by `close` or the end of its block."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self.sockets = tuple(sockets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for one in self.sockets:
            one.close()


def listening(host: str, port: int) -> Listener:
    """Listen on `port` of 127.0.0.1 and of ::1.

    A browser takes `localhost` for either. Whoever else listened on the one we left free would be
    the same origin to it, and get the sign-in, the cookie and the device key.

    Raises:
        CannotRunError: the host is not loopback, or the port is taken.
    """
    if host not in _LOOPBACK:
        raise CannotRunError(
            f"--host {host} would let the network in, and no `auth` provider is built yet: "
            "stay on 127.0.0.1, and put a reverse proxy with its own sign-in in front"
        )
    opened: list[socket.socket] = []
    try:
        opened.append(_open(socket.AF_INET, "127.0.0.1", port))
        try:
            opened.append(_open(socket.AF_INET6, "::1", port))
        except OSError as error:
            # Without IPv6 nobody else can listen there either.
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    except OSError as error:
        Listener(opened).close()
        raise CannotRunError(f"{_why(error, port)}, or choose another with --port") from error
    return Listener(opened)


def _open(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    opened = socket.create_server((address, port), family=family, backlog=_BACKLOG)
    # asyncio does it only for sockets that were made with a protocol number, which these are not.
    # Without it an answer's second part waits 40 ms for the client's acknowledgement of its first.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def _why(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken: stop what listens there"
    if error.errno == errno.EACCES:
        return f"port {port} is not for this user: run as one who may use it"
    reason = os.strerror(error.errno) if error.errno else "no reason given"
    return f"port {port} cannot be used ({reason}): mend that"


@asynccontextmanager
async def serving(
    app: App, listener: Listener, *, protocol: type[BoundedHttp] = BoundedHttp
) -> AsyncGenerator[None, None]:
    """Serve `app` on `listener` while the body runs.

    At the end streams that are open are given a few seconds, then closed.
    """
    config = uvicorn.Config(
        cast("Any", app),
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=list(listener.sockets)), name="http")
    try:
        yield
    finally:
        server.should_exit = True
        await task
