"""Serves an `app:module:attribute` upstream: a Python ASGI app on a Unix socket of ours.

Owns the socket (0600, in the data directory) and the uvicorn server behind it, so that such an
app is called like any other upstream: over a connection, with deadlines and broken pipes.
"""

import asyncio
import contextlib
import importlib
import socket
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import uvicorn

from signoff.catalog.model import Upstream
from signoff.upstream.target import UpstreamError

_SOCKET_PATH_BYTES: Final = 100  # sockaddr_un holds 104 on macOS, 108 on Linux
_GRACE_S: Final = 1  # by now every send has ended; only handlers nobody waits for are left


class _Server(uvicorn.Server):
    """A uvicorn that leaves the process's signals alone and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # uvicorn leaves the process when the app's lifespan fails
            self.should_exit = True
        finally:
            self.settled.set()


@asynccontextmanager
async def served(upstream: Upstream, *, data_dir: Path) -> AsyncGenerator[Path, None]:
    """Serve the upstream's app; yields the path of its socket.

    Raises:
        UpstreamError: the app cannot be imported or does not start.
    """
    app = _imported(upstream)
    with _place(upstream, data_dir) as path, _listening(path) as listener:
        config = uvicorn.Config(
            cast("Any", app),
            http="httptools",
            ws="none",
            lifespan="auto",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listener]), name=f"app {upstream.name}")
        try:
            await server.settled.wait()
            if not server.started:
                raise UpstreamError(f"upstreams.{upstream.name}.base_url: the app did not start")
            yield path
        finally:
            server.should_exit = True
            await asyncio.wait({serving})


def _imported(upstream: Upstream) -> object:
    where = f"upstreams.{upstream.name}.base_url"
    _, _, target = upstream.base_url.partition(":")
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise UpstreamError(f"{where}: write app:module:attribute")
    try:
        found: object = importlib.import_module(module_name)
    except ImportError as error:
        raise UpstreamError(f"{where}: cannot import {module_name}: {error}") from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise UpstreamError(f"{where}: {module_name} has no {attribute}")
        found = getattr(found, name)
    return found


@contextlib.contextmanager
def _place(upstream: Upstream, data_dir: Path) -> Generator[Path, None, None]:
    path = data_dir / f"upstream-{upstream.name}.sock"
    if len(str(path).encode()) <= _SOCKET_PATH_BYTES:
        yield path
        return
    # The kernel's limit on socket paths: a private directory (0700) elsewhere.
    with tempfile.TemporaryDirectory(prefix="signoff-") as directory:
        yield Path(directory) / "upstream.sock"


@contextlib.contextmanager
def _listening(path: Path) -> Generator[socket.socket, None, None]:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        try:
            # The server listens later: nobody connects before the mode is this narrow.
            path.chmod(0o600)
            yield listener
        finally:
            path.unlink(missing_ok=True)
