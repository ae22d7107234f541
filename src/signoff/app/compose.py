"""Starts one process in its role: everything, the sidecar alone, or the gate alone.

Owns the order in which parts start and stop, and which of them a role has. What stands in a part
is `sidecar.py`'s and `gating.py`'s.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.applications import Starlette

from signoff.app.background import Task, background, every, health
from signoff.app.counterpart import Counterpart, elsewhere, in_this_process
from signoff.app.domain import Domain, over
from signoff.app.errors import CannotRunError
from signoff.app.garbage import collected
from signoff.app.gating import Gating, gating
from signoff.app.http import Listener, serving
from signoff.app.operations import Operations
from signoff.app.roles import Role, settled_role
from signoff.app.sidecar import Sidecar, sidecar
from signoff.app.store import Store, opened
from signoff.approvals.request import Approval
from signoff.assistant.auth import stdio_caller
from signoff.catalog.model import Catalogue
from signoff.desk.admin import AdminServer
from signoff.desk.relay import owner_socket
from signoff.oauth.clients import GATE_ID, gate_client
from signoff.origin import OriginGuard
from signoff.peer import BehindProxy
from signoff.settings import Settings
from signoff.storage.audit_log import HeadFile
from signoff.storage.settlements import SqliteSettlements
from signoff.storage.sqlite import StorageError

_HOUR_S: Final = 3600.0
_NO_ASSISTANT: Final = "the sidecar serves no assistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    config: Path
    host: str
    port: int
    data_dir: Path
    role: Role = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running signoff. `token` opens the assistants' door; empty at a sidecar, which has none."""

    url: str
    token: str
    operations: Operations
    drain: Callable[[], Awaitable[None]]
    """Answer every held poll, hand every waiting assistant a pending result they then have."""
    trouble: Callable[[], str | None]
    """Why no approval can be asked for now."""


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
        await settled_role(store, options.role)
        parts = await _start(stack, store, catalogue, options, settings, environment)
        await stack.enter_async_context(background(parts.tasks))
        await stack.enter_async_context(parts.admin.running())
        # The page must be up before a relay is let in: a call would point at it.
        await stack.enter_async_context(serving(parts.app, listener))
        await stack.enter_async_context(_relays(parts.gating, catalogue, data_dir))
        await stack.enter_async_context(collected())
        # The last to be entered: waiting requests are handed back before anything else stops.
        stack.push_async_callback(parts.server.drain)
        yield parts.server


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    app: OriginGuard
    admin: AdminServer
    gating: Gating | None
    server: Server
    tasks: tuple[Task, ...]


async def _start(
    stack: AsyncExitStack,
    store: Store,
    catalogue: Catalogue,
    options: Options,
    settings: Settings,
    environment: Mapping[str, str],
) -> _Parts:
    domain = await over(store, catalogue)
    if options.role != "mcp":
        await _let_go(domain)
    server, counterpart = await _authorization_server(domain, options)
    gate: Gating | None = None
    if counterpart is not None:
        gate = await gating(
            stack,
            domain,
            counterpart,
            root=options.config.resolve().parent,
            environment=environment,
            failpoint=settings.failpoint,
        )

    def trouble() -> str | None:
        # Within one process there is nobody who could be away.
        return counterpart.client.trouble if counterpart is not None and server is None else None

    async def drain() -> None:
        if server is not None:
            server.held_polls.begin()
        if gate is not None:
            await gate.edge.drain()

    operations = Operations(domain, role=options.role, gate=None if gate is None else gate.gate)
    return _Parts(
        app=_application(domain, server, gate, trouble=trouble, port=options.port),
        admin=AdminServer(store.data_dir, operations.handlers()),
        gating=gate,
        server=Server(
            url=catalogue.server.public_url,
            token="" if gate is None else gate.token,
            operations=operations,
            drain=drain,
            trouble=trouble,
        ),
        tasks=(
            ("keys", every(_HOUR_S, domain.keyring.maintain)),
            ("audit-head", HeadFile(store.data_dir, store.database, domain.keyring).keep()),
            *(() if server is None else server.tasks()),
            *(() if gate is None else gate.tasks()),
        ),
    )


async def _let_go(domain: Domain) -> None:
    """End what people have who are in the catalogue no more, before anybody is served."""
    try:
        await domain.people.keep_only(domain.catalogue.users)
    except StorageError as error:
        raise CannotRunError(
            f"people were taken out of the catalogue, and what they have cannot be ended: {error}"
        ) from error


async def _authorization_server(
    domain: Domain, options: Options
) -> tuple[Sidecar | None, Counterpart | None]:
    """Return the sidecar of this process, and whom its gate asks; a role has one, or both."""
    match options.role:
        case "sidecar":
            return sidecar(domain, gate=None, edge=None), None
        case "mcp":
            return None, await elsewhere(domain, root=options.config.resolve().parent)
        case "all":
            secret = secrets.token_urlsafe(32)
            edge = f"{domain.catalogue.server.public_url}/mcp"
            server = sidecar(domain, gate=gate_client(secret), edge=edge)
            return server, in_this_process(domain, server, secret=secret)


def _application(
    domain: Domain,
    server: Sidecar | None,
    gate: Gating | None,
    *,
    trouble: Callable[[], str | None],
    port: int,
) -> OriginGuard:
    config, database = domain.catalogue.server, domain.store.database
    routes = health(database, trouble=trouble)
    if gate is not None:
        routes += gate.edge.routes
    if server is not None:
        settlements = SqliteSettlements(database)

        async def reconcile(approval: Approval, *, done: bool, by: str) -> bool:
            if gate is not None and approval.client_id == GATE_ID and approval.call_id is not None:
                return await gate.gate.reconcile(approval.call_id, done=done, by=by)
            return await settlements.settle(approval.id, done=done, by=by)

        draining = asyncio.Event() if gate is None else gate.draining
        end_calls_of = None if gate is None else gate.gate.end_calls_of
        site = server.site(reconcile=reconcile, draining=draining, end_calls_of=end_calls_of)
        routes += [*server.routes, *site]
    starlette = Starlette(routes=routes)
    # A redirect for a slash too many would send whoever posts a secret to plain http, behind TLS.
    starlette.router.redirect_slashes = False
    header = config.client_address_header
    return OriginGuard(
        starlette if header is None else BehindProxy(starlette, header=header),
        public_url=config.public_url,
        port=port,
        hosts=config.allowed_hosts,
        origins=config.allowed_origins,
    )


@asynccontextmanager
async def _relays(
    gate: Gating | None, catalogue: Catalogue, data_dir: Path
) -> AsyncGenerator[None, None]:
    """Take in the hosts of this machine that speak over stdio."""
    caller = stdio_caller(catalogue.server.local_user)

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if gate is not None:
            await gate.edge.serve_stream(reader, writer, caller)

    digest = _NO_ASSISTANT if gate is None else catalogue.digest
    async with owner_socket(data_dir, digest, served):
        yield
