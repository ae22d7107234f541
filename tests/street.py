"""What tests of the pages share: a real server on a loopback port, and cards to put on it.

Everything behind the page is real: SQLite, the approvals service, the sessions. Only the human is
played, by a browser, and the wall clock is turned by hand.
"""

import asyncio
import hashlib
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from conftest import TurnedClock
from signoff.approvals.details import details_digest
from signoff.approvals.request import Approval
from signoff.approvals.service import Acknowledged, Approvals, Request
from signoff.canonical import Json, sha256_hex
from signoff.catalog.model import User
from signoff.oauth.authorize import Authorizations
from signoff.oauth.clients import AUTHORIZATION_CODE, REFRESH_TOKEN, Directory
from signoff.oauth.device import Devices
from signoff.oauth.host_tokens import Consent, NewCode
from signoff.oauth.hosts import Hosts
from signoff.oauth.pacing import Recorded
from signoff.oauth.profile import Profile
from signoff.oauth.register import Claims
from signoff.sealed import Sealer
from signoff.storage.approvals import SqliteApprovals
from signoff.storage.clients import SqliteClients
from signoff.storage.codes import SqliteCodes
from signoff.storage.connections import SqliteConnections
from signoff.storage.devices import SqliteDevices
from signoff.storage.hosts import SqliteHosts
from signoff.storage.sessions import Sessions
from signoff.storage.sqlite import Database
from signoff.web.connecting import connecting_pages
from signoff.web.site import SiteConfig, pages

GATE = "signoff-gate"
USERS = {
    "alice": User(id="alice", name="Alice", email="alice@example.com"),
    "bob": User(id="bob", name="Bob"),
    "mallory": User(id="mallory", name="Mallory"),
}
BODY = (
    '{"from_account":"checking","to_account":"savings","amount":25,"currency":"EUR",'
    '"note":"November"}'
)
EARLIER: dict[str, Json] = {
    "call_id": "call_0", "outcome": "succeeded", "at": "2026-11-22T13:42:00+00:00"
}  # fmt: skip


def request(**changes: Json) -> dict[str, Json]:
    """Return the `request` member of a transfer, with its hashes right."""
    members: dict[str, Json] = {
        "method": "POST",
        "url": "https://bank.example/api/transfers",
        "template": "/transfers",
        "headers": {
            "Accept": "application/json",
            "Authorization": {"reference": "Bearer ${env:BANK_TOKEN}", "fingerprint": "ab" * 32},
            "Content-Type": "application/json",
            "Idempotency-Key": "K3V7QZ2M5T4XNHRD",
            "X-On-Behalf-Of": "alice",
        },
        "body": BODY,
        "body_media_type": "application/json",
        "masked": [],
        **changes,
    }
    body = str(members["body"] or "").encode()
    members.setdefault("url_sha256", sha256_hex(str(members["url"]).encode()))
    members.setdefault("body_sha256", sha256_hex(body))
    members.setdefault("body_bytes", len(body))
    return members


def tool_call(call_id: str = "call_1", **changes: Json) -> dict[str, Json]:
    """Return the details of a transfer, `changes` put over them and the digest right."""
    members: dict[str, Json] = {
        "type": "tool_call",
        "version": 1,
        "call_id": call_id,
        "nonce": f"nonce-{call_id}",
        "tool": "transfer_funds",
        "title": [
            {"text": "Transfer "},
            {"argument": "amount", "value": "25"},
            {"text": " "},
            {"argument": "currency", "value": "EUR"},
            {"text": " from "},
            {"argument": "from_account", "value": "checking"},
            {"text": " to "},
            {"argument": "to_account", "value": "savings"},
        ],
        "risk": "high",
        "catalogue_digest": "sha-256:" + "c" * 64,
        "caller": {
            "kind": "local", "issuer": "local", "client_id": "local:claude-code", "sub": "alice"
        },
        "client_info": {"name": "claude-code", "version": "2.1.4"},
        "approvers": ["alice"],
        "acr": "session",
        "arguments": {"amount": 25, "currency": "EUR"},
        "said": None,
        "repeat_of": None,
        "again": False,
        "request": request(),
        **changes,
    }  # fmt: skip
    members["digest"] = details_digest(members)
    return members


@dataclass
class Street:
    """A running site, and doors to what stands behind it."""

    url: str
    approvals: Approvals
    sessions: Sessions
    database: Database
    clock: TurnedClock
    settled: list[tuple[str, bool, str]] = field(default_factory=list[tuple[str, bool, str]])
    tickets: dict[str, str] = field(default_factory=dict[str, str])

    async def open(
        self,
        details: Mapping[str, Json] | None = None,
        *,
        expires_in_s: float = 900,
        client_id: str = GATE,
        **request_members: Any,
    ) -> Approval:
        """Open an approval as the backchannel endpoint does."""
        shown = tool_call() if details is None else details
        approvers = cast("list[str]", shown.get("approvers", ["alice"]))
        opened = await self.approvals.open(
            Request(
                client_id=client_id,
                eligible=tuple(approvers),
                scope="openid",
                acr=str(shown.get("acr", "session")),
                resources=("http://localhost/gate",),
                expires_in=timedelta(seconds=expires_in_s),
                authorization_details=(shown,),
                **request_members,
            )
        )
        assert isinstance(opened, Acknowledged), opened
        self.tickets[opened.approval.id] = opened.auth_req_id
        return opened.approval

    async def redeem(self, approval: Approval) -> None:
        """Fetch the yes, as the gate does."""
        seen = await self.approvals.load(approval.id)
        assert seen is not None
        assert seen.decided_at is not None
        redeemed = await self.approvals.redeem(
            self.tickets[approval.id],
            client_id=GATE,
            jti=f"jti-{approval.id}",
            decided_at=seen.decided_at,
        )
        assert redeemed is not None

    async def tell(self, approval: Approval, state: str, note: str | None = None) -> None:
        """Report how the call went, as the gate does."""
        assert await self.approvals.note(
            self.tickets[approval.id], client_id=GATE, state=state, at=self.clock(), note=note
        )

    async def status(self, approval: Approval) -> str:
        """Return the status in the store."""
        seen = await self.approvals.load(approval.id)
        assert seen is not None
        return seen.status

    async def link(self, user_id: str = "alice") -> str:
        """Return a fresh sign-in link."""
        return f"{self.url}/login/{await self.sessions.create_login_code(user_id)}"

    async def connect(
        self,
        client_id: str,
        *,
        user_id: str = "alice",
        name: str = "A desk host",
        redirect_uri: str = "http://127.0.0.1/callback",
        scope: str = "mcp",
    ) -> str:
        """Let a host that registered itself act for somebody; return the id of the consent."""
        claims = Claims(
            name=name,
            redirect_uris=(redirect_uri,),
            grant_types=frozenset({AUTHORIZATION_CODE, REFRESH_TOKEN}),
            auth_method="none",
            scopes=("mcp",),
        )
        hosts, codes = SqliteHosts(self.database), SqliteCodes(self.database)
        token = hashlib.sha256(client_id.encode()).digest()
        if await hosts.host(client_id) is None:
            kept = await hosts.register(client_id, claims, secret=None, token=token, network="")
            assert kept == Recorded()
        consent = Consent(
            id=f"consent_{client_id}_{user_id}",
            client_id=client_id,
            user_id=user_id,
            scope=scope,
            resource=f"{self.url}/mcp",
            acr="session",
            decided_at=self.clock(),
        )
        code = NewCode(
            code=f"code_{consent.id}",
            request_id=f"ask_{consent.id}",
            redirect_uri=redirect_uri,
            code_challenge="x" * 43,
            nonce=None,
            expires_in=timedelta(seconds=60),
        )
        assert await codes.consent(consent, code)
        assert await codes.redeem(code.code, client_id=client_id, refresh_token=f"rt_{consent.id}")
        return consent.id


@asynccontextmanager
async def serving(routes: list[BaseRoute], listener: socket.socket) -> AsyncGenerator[None, None]:
    """Run uvicorn on the socket until the block ends."""
    config = uvicorn.Config(
        Starlette(routes=routes), log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals  # pyright: ignore[reportAttributeAccessIssue] # a test keeps its own handlers
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True


def loopback() -> tuple[socket.socket, int]:
    """Return a listening socket on a free loopback port, and the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, listener.getsockname()[1]


@asynccontextmanager
async def street(
    database: Database,
    sealer: Sealer,
    clock: TurnedClock,
    *,
    public_url: str | None = None,
    users: Mapping[str, User] = USERS,
    draining: asyncio.Event | None = None,
) -> AsyncGenerator[Street, None]:
    """Run the pages on a free port. `public_url` plays a proxy that ends TLS."""
    listener, port = loopback()
    approvals = Approvals(SqliteApprovals(database, sealer), database.changes)
    here = Street(
        url=f"http://localhost:{port}",
        approvals=approvals,
        sessions=Sessions(database),
        database=database,
        clock=clock,
    )

    async def reconcile(approval: Approval, *, done: bool, by: str) -> bool:
        # The gate answers through the authorization server, as its own tests show.
        here.settled.append((str(approval.call_id), done, by))
        if approval.id in here.tickets:
            clock.turn(1)
            await here.tell(approval, "succeeded" if done else "failed", f"marked by {by}")
        return True

    config = SiteConfig(public_url=public_url or here.url, name="acme-bank", users=users)
    routes = pages(
        config,
        approvals=approvals,
        sessions=here.sessions,
        changes=database.changes,
        reconcile=reconcile,
        now=database.now,
        draining=draining,
    )
    profile = Profile(issuer=config.public_url, mcp_resource=f"{here.url}/mcp", hosts=True)
    hosts = Hosts(SqliteHosts(database), None)
    directory = Directory(SqliteClients(database), gate=None)
    routes += connecting_pages(
        config,
        profile,
        authorizations=Authorizations(profile, hosts, SqliteCodes(database), now=database.now),
        devices=Devices(SqliteDevices(database, sealer), directory, now=database.now),
        connections=SqliteConnections(database),
        sessions=here.sessions,
        now=database.now,
    )
    async with serving(routes, listener):
        yield here


class _NoSignals:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def _no_signals() -> _NoSignals:
    return _NoSignals()
