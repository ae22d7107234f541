"""A whole signoff for tests of the assistant's edge: real store, gate, authorization server, HTTP.

The human is played through the approvals service, and the bank is a small application of its own
that counts what arrives. Nothing of ours is faked.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import gate_parts
from as_parts import known_caller
from signoff.approvals.request import Approval, Status
from signoff.approvals.service import Approvals
from signoff.assistant.auth import AccessTokens, LocalToken, either
from signoff.assistant.edge import Edge, mcp_edge
from signoff.catalog.model import Catalogue, Policy, ToolSpec
from signoff.catalog.registry import Registry
from signoff.gate.ciba import CibaClient
from signoff.gate.credentials import SharedSecret
from signoff.gate.pipeline import Gate
from signoff.gate.policy import Ask, decide
from signoff.gate.wire import Wire
from signoff.oauth.clients import GATE_ID, Directory, gate_client
from signoff.oauth.profile import Profile
from signoff.oauth.server import authorization_server
from signoff.origin import App
from signoff.sealed import Sealer
from signoff.storage.approvals import SqliteApprovals
from signoff.storage.calls import SqliteCalls
from signoff.storage.clients import SqliteClients
from signoff.storage.keys import SqliteKeys
from signoff.storage.people import SqlitePeople
from signoff.storage.provider import provider_stores
from signoff.storage.sqlite import Database
from signoff.tokens.keyring import Keyring
from signoff.upstream.headers import References
from signoff.upstream.transport import Transports

TOKEN = "sgl_" + "x" * 43
LEGACY = "legacy"
MODERN = "2026-07-28"
ERAS = (LEGACY, MODERN)
DEADLINE_S = 30.0
OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"account": {"type": "string"}},
    "required": ["account"],
}
READ = replace(gate_parts.READ, output_schema=OUTPUT)
PAID: dict[str, Any] = {"type": "object", "required": ["paid"]}
TOOLS = (replace(gate_parts.PAY, output_schema=PAID), READ, gate_parts.BY_BOB)

PAY: dict[str, Any] = {"amount": 25, "to_account": "savings"}
ENVELOPE: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}
INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    },
}


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def served(app: App) -> AsyncGenerator[int, None]:
    """Serve `app` on a free port of loopback."""
    config = uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType] — our ASGI types are plain mappings
        port=0,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    server = _Uvicorn(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def until(holds: Callable[[], object]) -> None:
    """Return as soon as `holds()` does."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 — another part's condition has no event here
            await asyncio.sleep(0.005)


@dataclass
class Bank:
    """The upstream: what it got, and what it answers."""

    payments: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    headers: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])
    balance: Callable[[str], Any] = field(default=lambda account: {"account": account})
    events: Callable[[], AsyncGenerator[bytes, None]] | None = None
    """What is streamed in place of an answer."""
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, a payment is booked and its answer waits."""

    def __post_init__(self) -> None:
        self.answers.set()

    def app(self) -> Starlette:
        async def pay(request: Request) -> Response:
            self.headers.append(dict(request.headers))
            self.payments.append(await request.json())
            await self.answers.wait()
            if self.events is not None:
                return StreamingResponse(self.events(), media_type="text/event-stream")
            return JSONResponse({"paid": len(self.payments)}, status_code=201)

        async def read(request: Request) -> Response:
            self.headers.append(dict(request.headers))
            if self.events is not None:
                return StreamingResponse(self.events(), media_type="text/event-stream")
            return JSONResponse(self.balance(request.path_params["account"]))

        return Starlette(
            routes=[
                Route("/pay", pay, methods=["POST"]),
                Route("/accounts/{account}", read, methods=["GET"]),
            ]
        )


class SignedIn:
    """Who has a device: the human's side."""

    def __init__(self) -> None:
        self.users = {"alice", "bob"}

    async def signed_in(self, user_ids: Collection[str]) -> set[str]:
        return self.users & set(user_ids)


@dataclass
class Signoff:
    """A running server."""

    url: str
    edge: Edge
    gate: Gate
    approvals: Approvals
    database: Database
    keyring: Keyring
    bank: Bank
    people: SignedIn
    draining: asyncio.Event

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of an access token for this server."""
        at = int(self.database.now().timestamp())
        return {
            "iss": gate_parts.ISSUER,
            "aud": f"{gate_parts.ISSUER}/mcp",
            "sub": "alice",
            "client_id": "claude-code",
            "scope": "mcp",
            "jti": secrets.token_urlsafe(8),
            "iat": at,
            "exp": at + 300,
        } | changes

    async def card(self, user: str = "alice") -> Approval:
        """Return the one request that waits for `user`, as soon as it is there."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                waiting = [
                    one for one in await self.approvals.inbox(user) if one.status is Status.PENDING
                ]
                if waiting:
                    assert len(waiting) == 1
                    return waiting[0]
                await asyncio.sleep(0.005)

    async def decide(
        self, verdict: Any = "approve", *, user: str = "alice", reason: str | None = None
    ) -> None:
        """Decide on the one request that waits, as a person does."""
        card = await self.card(user)
        await self.approvals.decide(
            card.id,
            user_id=user,
            digest=card.digest,
            verdict=verdict,
            reason=reason,
            acr="session",
        )


@asynccontextmanager
async def running(
    tmp_path: Path,
    *,
    tools: tuple[ToolSpec, ...] = TOOLS,
    budgets_s: Mapping[str, float] | None = None,
    beat_s: float = 10.0,
    instructions: str = "",
    policy: Policy | None = None,
    max_tools: int = 1_000,
) -> AsyncGenerator[Signoff, None]:
    """Run a whole signoff on a free port."""
    async with AsyncExitStack() as stack:
        bank = Bank()
        bank_port = await stack.enter_async_context(served(bank.app()))  # pyright: ignore[reportArgumentType]
        catalogue = gate_parts.catalogue(
            base_url=f"http://127.0.0.1:{bank_port}",
            tools=tools,
            policy=policy,
            max_tools=max_tools,
        )
        server = replace(
            catalogue.server, wait_budgets_s=budgets_s or {}, instructions=instructions
        )
        catalogue = replace(catalogue, server=server)
        database = await stack.enter_async_context(Database(tmp_path / "signoff.db").running())
        await known_caller(database)
        signoff = await _composed(
            stack, tmp_path, catalogue, database=database, bank=bank, beat_s=beat_s
        )
        await stack.enter_async_context(signoff.edge.lifespan())
        app = Starlette(routes=list(signoff.edge.routes))
        port = await stack.enter_async_context(served(app))  # pyright: ignore[reportArgumentType]
        signoff.url = f"http://127.0.0.1:{port}/mcp"
        stack.callback(signoff.draining.set)
        yield signoff


async def _composed(
    stack: AsyncExitStack,
    tmp_path: Path,
    catalogue: Catalogue,
    *,
    database: Database,
    bank: Bank,
    beat_s: float,
) -> Signoff:
    sealer, issuer = Sealer(b"k" * 32), catalogue.server.public_url
    keyring = Keyring(SqliteKeys(database, sealer), now=database.now)
    await keyring.maintain()
    approvals = Approvals(SqliteApprovals(database, sealer), database.changes)
    secret = secrets.token_urlsafe(32)
    routes = authorization_server(
        Profile(issuer=issuer, mcp_resource=f"{issuer}/mcp"),
        approvals=approvals,
        clients=Directory(SqliteClients(database), gate=gate_client(secret)),
        keyring=keyring,
        users=catalogue.users,
        people=SqlitePeople(database),
        stores=provider_stores(database, sealer),
        now=database.now,
    )
    references = References(sealer, environment={}, root=tmp_path)
    upstreams = catalogue.upstreams.values()
    transports = await stack.enter_async_context(
        Transports(upstreams, data_dir=tmp_path, references=references)
    )
    registry, people = Registry(catalogue), SignedIn()
    transport = httpx2.ASGITransport(
        Starlette(routes=routes), raise_app_exceptions=False, client=("gate", 0)
    )
    gate = Gate(
        registry=registry,
        calls=SqliteCalls(database, sealer),
        client=CibaClient(
            Wire(
                issuer=issuer,
                credential=SharedSecret(GATE_ID, SecretStr(secret)),
                transport=transport,
                now=database.now,
            ),
            client_id=GATE_ID,
        ),
        keys=keyring,
        transports=transports,
        references=references,
        sealer=sealer,
        changes=database.changes,
        people=people,
    )
    await stack.enter_async_context(gate.running())
    draining = asyncio.Event()
    tokens = AccessTokens(keyring, issuer=issuer, resource=f"{issuer}/mcp", now=database.now)
    edge = mcp_edge(
        gate,
        registry,
        catalogue.server,
        authenticate=either(LocalToken(TOKEN, local_user="alice"), tokens),
        draining=draining,
        changes=database.changes,
        now=database.now,
        asks=lambda tool: isinstance(decide(catalogue.policy, tool), Ask),
        beat_s=beat_s,
    )
    return Signoff(
        url="",
        edge=edge,
        gate=gate,
        approvals=approvals,
        database=database,
        keyring=keyring,
        bank=bank,
        people=people,
        draining=draining,
    )


@asynccontextmanager
async def client(
    url: str, *, era: str = MODERN, token: str = TOKEN, name: str = "sdk"
) -> AsyncGenerator[Client, None]:
    """Connect the SDK's own client, which says that it is `name`."""
    http = httpx2.AsyncClient(
        headers={"authorization": f"Bearer {token}"}, timeout=DEADLINE_S, trust_env=False
    )
    transport = streamable_http_client(url, http_client=http)
    info = types.Implementation(name=name, version="1")
    async with http, Client(transport, mode=era, client_info=info) as session:
        yield session


def call(request_id: int, *, era: str, tool: str = "pay", **arguments: Any) -> dict[str, Any]:
    """Return a raw request that calls a tool, and wants to hear how far it is."""
    meta = {"progressToken": f"t{request_id}", **(ENVELOPE if era == MODERN else {})}
    params = {"name": tool, "arguments": arguments or PAY, "_meta": meta}
    return {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
