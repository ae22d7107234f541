"""Hands to drive a real authorization server: real routes, real SQLite, only the human is ours."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from starlette.applications import Starlette

from signoff.approvals.details import details_digest
from signoff.approvals.ports import Decided
from signoff.approvals.request import Approval
from signoff.approvals.service import Approvals, Limits
from signoff.canonical import Json, sha256_hex
from signoff.catalog.model import User
from signoff.oauth.clients import CIBA, Directory, Issued, gate_client
from signoff.oauth.draining import Draining
from signoff.oauth.machine_clients import MachineClients
from signoff.oauth.profile import Profile
from signoff.oauth.server import authorization_server
from signoff.schema import Validator
from signoff.sealed import Sealer
from signoff.storage.approvals import SqliteApprovals
from signoff.storage.clients import SqliteClients
from signoff.storage.keys import SqliteKeys
from signoff.storage.people import SqlitePeople
from signoff.storage.provider import provider_stores
from signoff.storage.sqlite import Database, StorageBusyError, Tx
from signoff.tokens.keyring import Keyring

ISSUER = "http://localhost:8420"
GATE_SECRET = "the-gate's secret:with%signs"
GATE = httpx2.BasicAuth("signoff-gate", GATE_SECRET)
BANK = "https://bank.example/api"
USERS = {
    user.id: user
    for user in (
        User(
            id="alice",
            name="Alice",
            email="alice@example.com",
            subjects={"https://idp.example": "a-1"},
        ),
        User(id="bob", name="Bob", email="bob@example.com"),
        User(id="carol", name="Carol"),
    )
}
PAYMENT = Validator({
    "type": "object",
    "properties": {"type": {}, "amount": {"type": "integer"}},
    "required": ["amount"],
    "additionalProperties": False,
})


CALLER = "claude-code"


async def known_caller(database: Database, client_id: str = CALLER) -> None:
    """Let a client be one that the server knows: that of `tool_call`, if no other."""

    def job(tx: Tx) -> None:
        tx.execute(
            "INSERT INTO client_documents (client_id, name, redirect_uris, grant_types, dpop_bound,"
            " first_seen_at, fetched_at, fresh_until)"
            " VALUES (:id, 'Claude Code', '[]', 'authorization_code', 0, :now, :now, :now)"
            " ON CONFLICT (client_id) DO NOTHING",
            {"id": client_id, "now": tx.now_us},
        )

    await database.write(job)


def tool_call(call_id: str = "call_1", **changed: Any) -> dict[str, Json]:
    """Return `tool_call` details that hold."""
    url, body = "https://bank.example/api/transfers", '{"amount":25}'
    details: dict[str, Json] = {
        "type": "tool_call",
        "version": 1,
        "call_id": call_id,
        "nonce": f"nonce of {call_id}",
        "tool": "transfer_funds",
        "title": [{"text": "Transfer "}, {"argument": "amount", "value": "25"}],
        "risk": "high",
        "catalogue_digest": sha256_hex(b"catalogue"),
        "caller": {
            "kind": "oauth",
            "issuer": ISSUER,
            "client_id": CALLER,
            "sub": "alice",
        },
        "client_info": {"name": "Claude Code", "version": "2.1"},
        "approvers": ["alice"],
        "acr": "session",
        "arguments": {"amount": 25},
        "said": None,
        "repeat_of": None,
        "again": False,
        "request": {
            "method": "POST",
            "url": url,
            "url_sha256": sha256_hex(url.encode()),
            "template": "/transfers",
            "headers": {"content-type": "application/json"},
            "body": body,
            "body_sha256": sha256_hex(body.encode()),
            "body_bytes": len(body),
            "body_media_type": "application/json",
            "masked": [],
        },
    }
    details.update(changed)
    details["digest"] = details_digest(details)
    return details


class Provider:
    """A running authorization server, and what stands behind it."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        profile: Profile,
        *,
        limits: Limits,
        monotonic: Callable[[], float],
    ) -> None:
        self.database, self.profile = database, profile
        self.store = SqliteApprovals(database, sealer)
        self.approvals = Approvals(self.store, database.changes, limits=limits)
        self.people = SqlitePeople(database)
        self.keyring = Keyring(SqliteKeys(database, sealer), now=database.now)
        clients = SqliteClients(database)
        self.clients = MachineClients(
            clients,
            user_ids=USERS.keys(),
            now=database.now,
            details_types=profile.details_types.keys(),
        )
        self.directory = Directory(clients, gate=gate_client(GATE_SECRET))
        self.draining = Draining()
        self.stores = provider_stores(database, sealer)
        routes = authorization_server(
            profile,
            approvals=self.approvals,
            clients=self.directory,
            keyring=self.keyring,
            users=USERS,
            people=self.people,
            stores=self.stores,
            now=database.now,
            monotonic=monotonic,
            unavailable=(StorageBusyError,),
            draining=self.draining,
        )
        self.routes = routes
        transport = httpx2.ASGITransport(Starlette(routes=routes), raise_app_exceptions=True)
        self.http = httpx2.AsyncClient(transport=transport, base_url=ISSUER)

    async def post(
        self,
        path: str,
        form: Mapping[str, Any],
        *,
        auth: httpx2.BasicAuth | None = GATE,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        data = {name: value for name, value in form.items() if value is not None}
        if auth is None:
            return await self.http.post(path, data=data, headers=headers)
        return await self.http.post(path, data=data, headers=headers, auth=auth)

    async def ask(
        self,
        details: Mapping[str, Json] | None = None,
        *,
        auth: httpx2.BasicAuth | None = GATE,
        **changed: Any,
    ) -> httpx2.Response:
        """Send what the gate sends."""
        form: dict[str, Any] = {
            "scope": "openid",
            "login_hint": "alice",
            "binding_message": "W4SCT",
            "requested_expiry": "900",
            "acr_values": "session",
            "resource": f"{ISSUER}/gate",
            "authorization_details": json.dumps([details or tool_call()]),
        }
        return await self.post("/oauth2/bc-authorize", {**form, **changed}, auth=auth)

    async def asked(self, details: Mapping[str, Json] | None = None, **changed: Any) -> str:
        """Ask and return the auth_req_id."""
        response = await self.ask(details, **changed)
        assert response.status_code == 200, response.text
        return response.json()["auth_req_id"]

    async def poll(
        self,
        auth_req_id: str,
        *,
        wait: int | None = None,
        auth: httpx2.BasicAuth | None = GATE,
        **changed: Any,
    ) -> httpx2.Response:
        headers = {} if wait is None else {"Prefer": f"wait={wait}"}
        form = {"grant_type": CIBA, "auth_req_id": auth_req_id, **changed}
        return await self.post("/oauth2/token", form, auth=auth, headers=headers)

    async def card(self, auth_req_id: str, *, client_id: str = "signoff-gate") -> Approval:
        ticket = await self.approvals.find(auth_req_id, client_id=client_id)
        assert ticket is not None
        approval = await self.approvals.load(ticket.approval_id)
        assert approval is not None
        return approval

    async def decide(
        self,
        auth_req_id: str,
        verdict: Any = "approve",
        *,
        client_id: str = "signoff-gate",
        user_id: str = "alice",
        reason: str | None = None,
    ) -> Approval:
        """Decide as the page would."""
        card = await self.card(auth_req_id, client_id=client_id)
        decision = await self.approvals.decide(
            card.id,
            user_id=user_id,
            digest=card.digest,
            verdict=verdict,
            reason=reason,
            acr="session",
        )
        assert isinstance(decision, Decided), decision
        return decision.approval

    async def until_held(self, *, polls: int = 1) -> None:
        """Wait until that many polls are held."""
        async with asyncio.timeout(30):
            while len(self._held()) < polls:  # noqa: ASYNC110 — nothing announces a held poll
                await asyncio.sleep(0)

    def wake(self) -> None:
        """Wake every held poll, as a change of something else about its approval would."""
        self.database.changes.publish(self._held())

    def _held(self) -> list[tuple[str, str]]:
        watches = self.database.changes._watches  # pyright: ignore[reportPrivateUsage] — no one else knows
        return [key for key, found in watches.items() for _ in found]

    async def other_client(self, **changed: Any) -> Issued:
        """Register a client that is not the gate and may ask people."""
        settings: dict[str, Any] = {
            "name": "Another application",
            "by": "operator",
            "grant_types": [CIBA, "client_credentials"],
            "scopes": ["payments", "reports"],
            "audiences": [BANK],
        }
        settings |= changed
        if CIBA in settings["grant_types"] and settings.get("role") != "gate":
            settings.setdefault("details_types", sorted(self.profile.details_types))
        return await self.clients.create(**settings)


class Monotonic:
    """A stopwatch that moves only when a test says so."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def basic(issued: Issued) -> httpx2.BasicAuth:
    assert issued.secret is not None
    return httpx2.BasicAuth(issued.client.id, issued.secret)


@asynccontextmanager
async def running_provider(
    database: Database,
    sealer: Sealer,
    *,
    limits: Limits | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    **profile: Any,
) -> AsyncGenerator[Provider, None]:
    settings: dict[str, Any] = {
        "issuer": ISSUER,
        "gate_audiences": frozenset({BANK}),
        "mcp_resource": f"{ISSUER}/mcp",
        "details_types": {"payment": PAYMENT},
    }
    provider = Provider(
        database,
        sealer,
        Profile(**{**settings, **profile}),
        limits=limits or Limits(),
        monotonic=monotonic,
    )
    await provider.keyring.maintain()
    await known_caller(database)
    async with provider.http:
        yield provider


def refused(response: httpx2.Response, code: str, *, status: int = 400) -> str:
    """Assert a whole error answer and return its description."""
    assert (response.status_code, response.json().get("error")) == (status, code), response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error", "error_description"}
    return response.json()["error_description"]
