"""Runs signoff until it is told to stop: as a server, behind stdio, or as the demo.

Owns signals, the banner and what is said to a person who starts it.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, cast

from signoff.app.address import at_port
from signoff.app.compose import Options, Server, running
from signoff.app.errors import CannotRunError
from signoff.app.http import listening
from signoff.app.inspect import loaded_at
from signoff.app.roles import fitting
from signoff.app.store import owned, prepared
from signoff.catalog.model import Catalogue
from signoff.client.session import ClientError
from signoff.demo.script import play
from signoff.desk.lock import OwnerLock
from signoff.desk.relay import RelayError, open_stdio, relay
from signoff.notify.browser import open_page
from signoff.notify.terminal import write_to_terminal
from signoff.settings import Settings

Say = Callable[[str], None]

__all__ = ["Options", "demo_until_stopped", "serve_stdio", "serve_until_stopped"]

_ANOTHER_CALL: Final = (
    "call transfer_funds --arg amount=40 --arg currency=EUR "
    "--arg from_account=checking --arg to_account=savings"
)
_EDGE: Final = (
    "Keep in mind: programs that run as this same OS user can read signoff's files and memory. "
    "Run assistants that execute code as another user."
)


async def serve_until_stopped(
    options: Options, settings: Settings, environment: Mapping[str, str]
) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        BadInputError: the catalogue does not check.
        CannotRunError: it cannot run here.
    """
    catalogue = _catalogue(options)
    with _stop_signal() as stop:
        async with _serving(catalogue, options, settings, environment) as server:
            _banner(server, options, say=_to_stderr)
            if options.role != "mcp":
                await _offer_sign_in(server)
            await stop.wait()


async def serve_stdio(options: Options, settings: Settings, environment: Mapping[str, str]) -> None:
    """Relay stdin and stdout to the one owner of the data directory, becoming it if need be.

    Raises:
        BadInputError: the catalogue does not check.
        CannotRunError: it cannot run here, or another catalogue is served.
    """
    catalogue = _catalogue(options)
    data_dir = prepared(options.data_dir)
    serving: list[Server] = []

    @asynccontextmanager
    async def own(lock: OwnerLock) -> AsyncGenerator[None, None]:
        del lock  # held by the relay for as long as we serve
        listener = listening(options.host, options.port)
        async with running(
            catalogue,
            options=options,
            settings=settings,
            environment=environment,
            data_dir=data_dir,
            listener=listener,
        ) as server:
            serving.append(server)
            yield

    with _stop_signal() as stop:
        try:
            reader, writer = await open_stdio()
            work = asyncio.create_task(relay(data_dir, catalogue.digest, reader, writer, own=own))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not work.done():
                for server in serving:
                    await server.drain()  # before the host's own conversation is closed
                work.cancel()
            try:
                await work
            except asyncio.CancelledError:
                return
        except RelayError as error:
            raise CannotRunError(str(error)) from error


async def demo_until_stopped(
    options: Options,
    settings: Settings,
    environment: Mapping[str, str],
    *,
    say: Say,
    browser: bool,
) -> None:
    """Serve the catalogue, make one transfer as an assistant would, and stay up.

    Raises:
        BadInputError: the catalogue does not check.
        CannotRunError: it cannot run here.
    """
    catalogue = _catalogue(options)
    with _stop_signal() as stop:
        async with _serving(catalogue, options, settings, environment) as server:
            await _welcome(server, options, environment, say=say, browser=browser)
            script = asyncio.create_task(
                play(url=f"{server.url}/mcp", token=server.token, say=say), name="demo"
            )
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({script, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if script.done():
                try:
                    script.result()
                except ClientError as error:
                    say(f"The transfer did not work: {error}")
                say(_afterwards(server, options))
                await stopped
            script.cancel()
            stopped.cancel()


@asynccontextmanager
async def _serving(
    catalogue: Catalogue, options: Options, settings: Settings, environment: Mapping[str, str]
) -> AsyncGenerator[Server, None]:
    data_dir = prepared(options.data_dir)
    lock = owned(data_dir)
    try:
        # Before anything is opened: a taken port is the commonest reason not to start.
        with listening(options.host, options.port) as listener:
            server: AbstractAsyncContextManager[Server] = running(
                catalogue,
                options=options,
                settings=settings,
                environment=environment,
                data_dir=data_dir,
                listener=listener,
            )
            async with server as up:
                yield up
    finally:
        lock.release()


def _catalogue(options: Options) -> Catalogue:
    loaded = loaded_at(options.config, options.data_dir)
    catalogue = at_port(loaded.catalogue, options.port)
    for note in (*loaded.notes, *fitting(catalogue, options.role)):
        _to_stderr(f"note: {note}")
    if count := len(loaded.skipped):
        noun = "operation" if count == 1 else "operations"
        _to_stderr(f"note: {count} {noun} cannot become tools; `signoff check` says why")
    return catalogue


@contextmanager
def _stop_signal() -> Generator[asyncio.Event, None, None]:
    """An event that SIGINT and SIGTERM set; a second signal ends the process as usual."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def order() -> None:
        stop.set()
        for one in signals:
            loop.remove_signal_handler(one)

    for one in signals:
        loop.add_signal_handler(one, order)
    try:
        yield stop
    finally:
        for one in signals:
            loop.remove_signal_handler(one)


async def _link(server: Server, user: str) -> str:
    members = cast("Mapping[str, str]", await server.operations.login({"user": user}))
    return members["url"]


async def _offer_sign_in(server: Server) -> None:
    """Give the link to the person at the terminal; it never goes to stderr or a log."""
    users = server.operations.catalogue.users
    if not users or await server.operations.reach.signed_in(users.keys()):
        return
    user = server.operations.catalogue.server.local_user
    if user is None:
        # Who sits here is one of several, and a link is for one.
        _to_stderr(f"Nobody is signed in to approve yet: {_program()} login {'|'.join(users)}")
        return
    link = await _link(server, user)
    if not write_to_terminal(f"Sign in as {user} to approve (once, within 10 minutes): {link}"):
        _to_stderr(f"Nobody is signed in to approve yet: run `{_program()} login {user}`.")


def _banner(server: Server, options: Options, *, say: Say) -> None:
    config = server.operations.catalogue.server
    say(f"signoff is up: {server.url}")
    if options.role != "sidecar":
        say(f"  MCP        {server.url}/mcp")
    if options.role == "mcp":
        say(f"  approvals  at {config.approvals.issuer}, as {config.approvals.client_id}")
        if (trouble := server.trouble()) is not None:
            say(f"  No approval can be asked for yet: {trouble}. Trying again.")
    else:
        say(f"  approvals  {server.url}/approvals")
    for resource in config.resources:
        say(f"  signs in   for {resource}")
    if options.role != "sidecar":
        say(f"  token      {options.data_dir / 'local-token'}  (Authorization: Bearer …)")
        say(f"  Claude Code: {_claude(server, options)}")
    say(_EDGE)


async def _welcome(
    server: Server, options: Options, environment: Mapping[str, str], *, say: Say, browser: bool
) -> None:
    """Say what happens next, and bring the sign-in link to the person and nowhere else."""
    catalogue = server.operations.catalogue
    user = catalogue.server.local_user or next(iter(catalogue.users), "")
    say(f"signoff is up at {server.url}, with a sample bank behind it.\n")
    say("An assistant now asks the bank to move 25 EUR. It cannot: you decide.")
    link = await _link(server, user)
    if await open_page(link, asked=browser, environment=environment):
        say(f"Your browser opens: sign in there as {user}, then decide.\n")
    elif write_to_terminal(
        f"Open this in a browser, sign in as {user}, then decide:\n\n    {link}\n"
    ):
        return
    else:
        # Without a terminal the link would end in a log: it is made on demand instead.
        where = "" if options.data_dir == Path(".signoff") else f" --data-dir {options.data_dir}"
        say(f"To decide, run this and open the link it prints: {_program()} login {user}{where}\n")


def _afterwards(server: Server, options: Options) -> str:
    return "\n".join([
        "",
        "signoff stays up; stop it with Ctrl-C. Try, in another terminal:",
        f"    {_program()} {_ANOTHER_CALL}",
        f"    {_program()} calls list --all",
        f"    {_program()} audit tail",
        "or connect an assistant:",
        f"    {_claude(server, options)}",
    ])


def _program() -> str:
    """Return what a person here types for signoff: it may stand in a folder that PATH lacks."""
    started = Path(sys.argv[0])
    if shutil.which("signoff") or started.name != "signoff":
        return "signoff"
    return os.path.relpath(started)


def _claude(server: Server, options: Options) -> str:
    header = f"Authorization: Bearer $(cat {options.data_dir / 'local-token'})"
    return f'claude mcp add --transport http signoff {server.url}/mcp --header "{header}"'


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
