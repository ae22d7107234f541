"""Puts every concrete object together: one process, one data directory, one origin.

Owns the order in which parts start and stop. Decides nothing: what a part does stands in it.
"""

import asyncio
import gc
import logging
import os
import secrets
import signal
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, Router

from signoff.app.domain import over
from signoff.app.errors import CannotRunError
from signoff.app.hosting import host_scopes, hosting
from signoff.app.http import Listener, serving
from signoff.app.operations import Operations
from signoff.app.store import Store, opened
from signoff.assistant.auth import (
    AccessTokens,
    LocalToken,
    either,
    only_active,
    stdio_caller,
)
from signoff.assistant.edge import StreamServer, mcp_edge
from signoff.assistant.local_secret import LocalTokenError, local_token
from signoff.catalog.model import Capability, Catalogue
from signoff.catalog.registry import Registry
from signoff.desk.admin import AdminServer
from signoff.desk.relay import owner_socket
from signoff.gate.ciba import CibaClient
from signoff.gate.credentials import SharedSecret
from signoff.gate.failpoints import Reach as FailpointReach
from signoff.gate.failpoints import only_at, pass_by
from signoff.gate.in_process import InProcess
from signoff.gate.pipeline import Gate
from signoff.gate.policy import Ask, decide
from signoff.gate.wire import Wire
from signoff.notify.terminal import Terminal, on_terminal_or_log
from signoff.oauth.callbacks import KIND as CALLBACKS
from signoff.oauth.callbacks import Callbacks
from signoff.oauth.clients import GATE_ID, Directory, gate_client
from signoff.oauth.delivery import LOOPBACK_HOSTS
from signoff.oauth.draining import Draining
from signoff.oauth.exchange import Exchange
from signoff.oauth.outside import Outside
from signoff.oauth.profile import Profile
from signoff.oauth.server import authorization_server
from signoff.origin import OriginGuard
from signoff.settings import Settings
from signoff.storage.audit_log import HeadFile
from signoff.storage.outbox import Outbox
from signoff.storage.provider import provider_stores
from signoff.storage.sqlite import Database, StorageError
from signoff.upstream.headers import References
from signoff.upstream.target import UpstreamError
from signoff.upstream.transport import Transports
from signoff.web.approver_api import ApproverApi
from signoff.web.machine_clients import AdminApi
from signoff.web.session import SignIn
from signoff.web.site import SiteConfig, pages

_SWEEP_S: Final = 1.0
_HOUR_S: Final = 3600.0
_KEEP_CALLS: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    config: Path
    host: str
    port: int
    data_dir: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running signoff."""

    url: str
    token: str
    operations: Operations
    drain: Callable[[], Awaitable[None]]
    """Answer every held poll, hand every waiting assistant a pending result they then have."""


@asynccontextmanager
async def running(
    catalogue: Catalogue,
    *,
    options: Options,
    settings: Settings,
    environment: Mapping[str, str],
    data_dir: Path,
    listener: Listener,
) -> AsyncGenerator[Server, None]:
    """Run everything while the body runs. The data directory's lock is held by the caller.

    Raises:
        CannotRunError: something it needs is missing; one sentence says what.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened(data_dir, settings))
        parts = await _start(stack, store, catalogue, options, settings, environment)
        await stack.enter_async_context(_background(parts.tasks))
        await stack.enter_async_context(parts.admin.running())
        # The page must be up before a relay is let in: a call would point at it.
        await stack.enter_async_context(serving(parts.app, listener))
        caller = stdio_caller(catalogue.server.local_user)

        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await parts.serve_stream(reader, writer, caller)

        await stack.enter_async_context(owner_socket(data_dir, catalogue.digest, served))
        # What the start made stays. Left to it, every full collection would walk it all again,
        # and every request would wait for that.
        gc.collect()
        gc.freeze()
        stack.callback(gc.unfreeze)
        # The last to be entered: waiting requests are handed back before anything else stops.
        stack.push_async_callback(parts.server.drain)
        yield parts.server


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    app: OriginGuard
    admin: AdminServer
    serve_stream: StreamServer
    server: Server
    tasks: tuple[tuple[str, Coroutine[Any, Any, Any]], ...]


async def _start(
    stack: AsyncExitStack,
    store: Store,
    catalogue: Catalogue,
    options: Options,
    settings: Settings,
    environment: Mapping[str, str],
) -> _Parts:
    domain = await over(store, catalogue)
    database, sealer, data_dir = store.database, store.sealer, store.data_dir
    config, issuer = catalogue.server, catalogue.server.public_url
    approvals, keyring, people = domain.approvals, domain.keyring, domain.people

    gate_secret = secrets.token_urlsafe(32)
    audiences = {one.audience for one in catalogue.upstreams.values() if one.audience is not None}
    held_polls = Draining()
    profile = Profile(
        issuer=issuer,
        gate_audiences=frozenset(audiences),
        mcp_resource=f"{issuer}/mcp",
        hosts=True,
        host_scopes=host_scopes(catalogue.tools),
        registration=config.registration,
        client_documents=config.client_documents,
    )
    hosts = hosting(database, sealer, config)
    directory = Directory(domain.client_store, gate=gate_client(gate_secret), documents=hosts.hosts)
    stores = provider_stores(database, sealer)
    callbacks = Callbacks(
        stores.callbacks,
        approvals,
        directory,
        Exchange(profile, approvals, keyring, now=database.now),
        # A client of this computer is called back only by a server that is nowhere else.
        post=Outside(loopback=urlsplit(issuer).hostname in LOOPBACK_HOSTS).post,
        now=database.now,
    )
    as_routes = authorization_server(
        profile,
        approvals=approvals,
        clients=directory,
        keyring=keyring,
        people=people,
        stores=stores,
        users=catalogue.users,
        now=database.now,
        unavailable=(StorageError,),
        draining=held_polls,
        hosts=hosts.parts,
    )

    references = References(sealer, environment=environment, root=options.config.resolve().parent)
    if unset := references.check(catalogue.upstreams.values()):
        raise CannotRunError("\n".join(unset))
    # What an `app:` upstream finds in its environment, as the README says.
    stack.enter_context(_told(SIGNOFF_ISSUER=issuer, SIGNOFF_DATA_DIR=str(data_dir)))
    try:
        transports = await stack.enter_async_context(
            Transports(catalogue.upstreams.values(), data_dir=data_dir, references=references)
        )
        token = local_token(data_dir)
    except (UpstreamError, LocalTokenError) as error:
        raise CannotRunError(str(error)) from error

    registry = Registry(catalogue)
    gate = Gate(
        registry=registry,
        calls=domain.calls,
        client=CibaClient(
            Wire(
                issuer=issuer,
                credential=SharedSecret(GATE_ID, SecretStr(gate_secret)),
                transport=InProcess(Router(routes=as_routes)),
            ),
            client_id=GATE_ID,
        ),
        keys=keyring,
        transports=transports,
        references=references,
        sealer=sealer,
        changes=database.changes,
        people=domain.reach,
        reach=_failpoint(settings.failpoint),
    )
    await stack.enter_async_context(gate.running())

    async def switched_off(ids: Iterable[str]) -> bool:
        return not (await people.disabled()).isdisjoint(ids)

    draining = asyncio.Event()
    edge = mcp_edge(
        gate,
        registry,
        config,
        authenticate=only_active(
            either(
                LocalToken(token, local_user=config.local_user),
                AccessTokens(
                    keyring,
                    issuer=issuer,
                    resource=f"{issuer}/mcp",
                    now=database.now,
                    standing=hosts.standing(stores.revocations),
                ),
            ),
            switched_off,
        ),
        draining=draining,
        changes=database.changes,
        now=database.now,
        asks=lambda tool: _asks(catalogue, tool),
    )
    await stack.enter_async_context(edge.lifespan())
    site_config = SiteConfig(public_url=issuer, name=config.name, users=catalogue.users)
    site = pages(
        site_config,
        approvals=approvals,
        sessions=domain.sessions,
        changes=database.changes,
        reconcile=gate.reconcile,
        now=database.now,
        draining=draining,
    )
    site += hosts.pages(site_config, profile, directory, domain.sessions)
    sign_in = SignIn(domain.sessions, public_url=issuer)
    site += ApproverApi(approvals=approvals, sign_in=sign_in, now=database.now).routes()
    site += AdminApi(
        issuer=issuer,
        clients=domain.clients,
        people=people,
        users=catalogue.users,
        sign_in=sign_in,
        keys=keyring,
        revocations=stores.revocations,
        now=database.now,
    ).routes()
    operations = Operations(domain, end_calls_of=gate.end_calls_of)

    async def drain() -> None:
        held_polls.begin()
        await edge.drain()

    routes: list[BaseRoute] = [*as_routes, *edge.routes, *site, *_health(database)]
    port = options.port
    starlette = Starlette(routes=routes)
    # A redirect for a slash too many would send whoever posts a secret to plain http, behind TLS.
    starlette.router.redirect_slashes = False
    app = OriginGuard(starlette, public_url=issuer, port=port, hosts=config.allowed_hosts)
    terminal = Terminal(link=lambda id_: f"{issuer}/approvals/{id_}", show=on_terminal_or_log)
    tasks = (
        ("sweep", _every(_SWEEP_S, approvals.sweep)),
        ("keys", _every(_HOUR_S, keyring.maintain)),
        ("forget", _every(_HOUR_S, lambda: domain.calls.forget(database.now() - _KEEP_CALLS))),
        ("outbox", Outbox(database).drain("approval.opened", terminal.deliver)),
        ("callbacks", Outbox(database).drain(CALLBACKS, callbacks.deliver)),
        ("revoked", _every(_HOUR_S, stores.revocations.forget)),
        ("audit-head", HeadFile(data_dir, database, keyring).keep()),
    )
    return _Parts(
        app=app,
        admin=AdminServer(data_dir, operations.handlers()),
        serve_stream=edge.serve_stream,
        server=Server(url=issuer, token=token, operations=operations, drain=drain),
        tasks=tasks,
    )


def _asks(catalogue: Catalogue, tool: Capability) -> bool:
    return isinstance(decide(catalogue.policy, tool), Ask)


@contextmanager
def _told(**variables: str) -> Generator[None]:
    """Set variables of this process's environment while the body runs."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _failpoint(name: str | None) -> FailpointReach:
    if name is None:
        return pass_by
    return only_at(name, lambda: os.kill(os.getpid(), signal.SIGKILL))


async def _every(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do `work` now and then; what it meets is logged and tried again."""
    while True:
        try:
            await work()
        except Exception:
            logging.getLogger(__name__).exception("a background task failed; it goes on")
        await asyncio.sleep(seconds)


@asynccontextmanager
async def _background(
    tasks: Iterable[tuple[str, Coroutine[Any, Any, object]]],
) -> AsyncGenerator[None, None]:
    """Run tasks beside the body and stop them after it."""
    running_tasks = [asyncio.create_task(work, name=name) for name, work in tasks]
    try:
        yield
    finally:
        for task in running_tasks:
            task.cancel()
        await asyncio.gather(*running_tasks, return_exceptions=True)


def _health(database: Database) -> list[BaseRoute]:
    async def alive(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(_: Request) -> Response:
        if database.failure is not None:
            return PlainTextResponse("the store takes no more writes; see the log", 503)
        return PlainTextResponse("ready")

    return [Route("/healthz", alive, methods=["GET"]), Route("/readyz", ready, methods=["GET"])]
