"""Serves one ASGI application on one loopback port.

Owns the listening socket and the uvicorn server; signals stay with whoever runs the process.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import uvicorn

from signoff.app.errors import CannotRunError
from signoff.origin import App

_GRACE_S: Final = 5
_BACKLOG: Final = 2_048
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class _Server(uvicorn.Server):
    """A uvicorn that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listening(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        CannotRunError: the host is not loopback, or the port is taken.
    """
    if host not in _LOOPBACK:
        raise CannotRunError(
            f"--host {host} would let the network in, and no `auth` provider is built yet: "
            "stay on 127.0.0.1, and put a reverse proxy with its own sign-in in front"
        )
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotRunError(f"{_why(error, port)}, or choose another with --port") from error
    # asyncio does it only for sockets that were made with a protocol number, which these are not.
    # Without it an answer's second part waits 40 ms for the client's acknowledgement of its first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _why(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken: stop what listens there"
    if error.errno == errno.EACCES:
        return f"port {port} is not for this user: run as one who may use it"
    reason = os.strerror(error.errno) if error.errno else "no reason given"
    return f"port {port} cannot be used ({reason}): mend that"


@asynccontextmanager
async def serving(app: App, listener: socket.socket) -> AsyncGenerator[None, None]:
    """Serve `app` on `listener` while the body runs.

    At the end streams that are open are given a few seconds, then closed.
    """
    config = uvicorn.Config(
        cast("Any", app),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        yield
    finally:
        server.should_exit = True
        await task
