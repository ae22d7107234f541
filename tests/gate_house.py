"""The gate with everything real around it: store, authorization server, transports, an upstream.

Only the person, the clock and the upstream are ours.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx2
from pydantic import SecretStr
from starlette.applications import Starlette

from gate_parts import ALICE, ARGUMENTS, INFO, ISSUER, catalogue
from signoff.approvals.request import Approval
from signoff.approvals.service import Approvals
from signoff.catalog.model import Catalogue
from signoff.catalog.registry import Registry
from signoff.gate.answers import Answer, Finished, Refused, Waiting
from signoff.gate.call import Call, State
from signoff.gate.ciba import CibaClient
from signoff.gate.credentials import SharedSecret
from signoff.gate.failpoints import Failpoint, Reach, pass_by
from signoff.gate.pipeline import Gate
from signoff.gate.ports import Limits
from signoff.gate.wire import Wire
from signoff.identity import Caller
from signoff.oauth.clients import Directory, gate_client
from signoff.oauth.profile import Profile
from signoff.oauth.server import authorization_server
from signoff.resource import RemoteKeys
from signoff.sealed import Sealer
from signoff.storage.approvals import SqliteApprovals
from signoff.storage.calls import SqliteCalls
from signoff.storage.clients import SqliteClients
from signoff.storage.keys import SqliteKeys
from signoff.storage.people import SqlitePeople
from signoff.storage.provider import provider_stores
from signoff.storage.sqlite import Database, Tx
from signoff.tokens.keyring import Keyring
from signoff.upstream.headers import References
from signoff.upstream.transport import Transports


class Everybody:
    """Says that all are signed in, but for those in `away`."""

    def __init__(self) -> None:
        self.away: set[str] = set()

    async def signed_in(self, user_ids: object) -> set[str]:
        return set(user_ids) - self.away  # pyright: ignore[reportArgumentType, reportUnknownVariableType]


@dataclass
class Bank:
    """An upstream on loopback that remembers every request and answers as it is told."""

    status: int = 200
    body: bytes = b'{"id":"t1"}'
    fault: Literal["none", "close", "hang"] = "none"
    faults_left: int = 1_000
    heads: list[str] = field(default_factory=list[str])
    bodies: list[bytes] = field(default_factory=list[bytes])
    port: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["Bank", None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.go_on.set()
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        lengths = {name.lower(): value for name, value in fields.items()}
        body = await reader.readexactly(int(lengths.get("content-length", "0")))
        self.heads.append(head)
        self.bodies.append(body)
        self.arrived.set()
        if self.fault != "none" and self.faults_left > 0:
            self.faults_left -= 1
            if self.fault == "close":
                return False
            await self.go_on.wait()
        lines = (
            f"HTTP/1.1 {self.status} Told",
            "Content-Type: application/json",
            f"Content-Length: {len(self.body)}",
        )
        writer.write("\r\n".join((*lines, "", "")).encode() + self.body)
        await writer.drain()
        return "connection: close" not in head.lower()


@dataclass
class House:
    """Everything of one process."""

    gate: Gate
    calls: SqliteCalls
    approvals: Approvals
    database: Database
    client: CibaClient
    people: Everybody
    bank: Bank
    catalogue: Catalogue

    async def pay(self, caller: Caller = ALICE, tool: str = "pay", **arguments: object) -> Call:
        answer = await self.call(caller, tool, **arguments)
        assert isinstance(answer, Waiting), answer
        return answer.call

    async def call(self, caller: Caller = ALICE, tool: str = "pay", **arguments: object) -> Answer:
        given = {**ARGUMENTS, **arguments}
        return await self.gate.call(caller, INFO, tool, given, said=None)  # pyright: ignore[reportArgumentType]

    async def card(self, call: Call, user_id: str = "alice") -> Approval:
        """Wait until the person has the card of `call`."""
        with self.approvals.changes.watch("approval", "*") as watch:
            while True:
                for approval in await self.approvals.inbox(user_id):
                    if approval.call_id == call.id:
                        return approval
                assert await watch.changed(30), "no card came"

    async def decide(
        self,
        call: Call,
        verdict: Literal["approve", "deny"] = "approve",
        *,
        user_id: str = "alice",
        reason: str | None = None,
    ) -> None:
        card = await self.card(call, user_id)
        await self.approvals.decide(
            card.id,
            user_id=user_id,
            digest=card.digest,
            verdict=verdict,
            reason=reason,
            acr="session",
        )

    async def until(
        self, call: Call, holds: Callable[[Call], bool], *, timeout_s: float = 30
    ) -> Call:
        """Wait until the stored call is as `holds` says."""
        with self.database.changes.watch("call", call.id) as watch:
            while True:
                current = await self.calls.load(call.id)
                assert current is not None
                if holds(current):
                    return current
                assert await watch.changed(timeout_s), f"still {current.state}: {current.note}"

    async def ended(self, call: Call) -> Call:
        return await self.until(call, lambda current: not current.is_open)

    async def finished(self, call: Call, caller: Caller = ALICE) -> Finished:
        await self.ended(call)
        answer = await self.gate.look(caller, call.id)
        assert isinstance(answer, Finished)
        return answer


@asynccontextmanager
async def house(
    database: Database,
    bank: Bank,
    *,
    data_dir: Path,
    sealer: Sealer,
    served: Catalogue | None = None,
    calls: SqliteCalls | None = None,
    limits: Limits | None = None,
    reach: Reach = pass_by,
    grace_s: float = 5.0,
    wrap: Callable[[Starlette], object] = lambda app: app,
    before_start: Callable[[SqliteCalls], Awaitable[None]] | None = None,
) -> AsyncGenerator[House, None]:
    """Put one process together around an open database."""
    served = served or catalogue(base_url=bank.base_url)
    approvals = Approvals(SqliteApprovals(database, sealer), database.changes)
    keyring = Keyring(SqliteKeys(database, sealer), now=database.now)
    await keyring.maintain()
    audiences = {one.audience for one in served.upstreams.values() if one.audience is not None}
    app = Starlette(
        routes=authorization_server(
            Profile(issuer=ISSUER, gate_audiences=frozenset(audiences)),
            approvals=approvals,
            clients=Directory(SqliteClients(database), gate=gate_client("s" * 43)),
            keyring=keyring,
            users=served.users,
            people=SqlitePeople(database),
            stores=provider_stores(database, sealer),
            now=database.now,
        )
    )
    transport = httpx2.ASGITransport(
        wrap(app),  # pyright: ignore[reportArgumentType] — an ASGI app
        raise_app_exceptions=False,
        client=("gate", 0),
    )
    client = CibaClient(
        Wire(
            issuer=ISSUER,
            credential=SharedSecret("signoff-gate", SecretStr("s" * 43)),
            transport=transport,
            now=database.now,
        ),
        client_id="signoff-gate",
    )
    references = References(sealer, environment={"BANK_TOKEN": "bank-token"}, root=data_dir)
    calls = calls or SqliteCalls(database, sealer)
    people = Everybody()
    if before_start is not None:
        await before_start(calls)
    async with Transports(
        served.upstreams.values(), data_dir=data_dir, references=references
    ) as transports:
        gate = Gate(
            registry=Registry(served),
            calls=calls,
            client=client,
            keys=RemoteKeys(f"{ISSUER}/oauth2/jwks", transport=transport),
            transports=transports,
            references=references,
            sealer=sealer,
            changes=database.changes,
            people=people,
            limits=limits or Limits(),
            reach=reach,
            grace_s=grace_s,
            pause_s=lambda _: 0.02,
        )
        async with gate.running():
            yield House(
                gate=gate,
                calls=calls,
                approvals=approvals,
                database=database,
                client=client,
                people=people,
                bank=bank,
                catalogue=served,
            )


Build = Callable[..., AbstractAsyncContextManager[House]]


async def stored(database: Database, sql: str, **params: object) -> None:
    def job(tx: Tx) -> None:
        tx.execute(sql, params)

    await database.write(job)


async def last_event(home: House) -> dict[str, object]:
    rows = await home.database.fetch_all("SELECT body FROM audit ORDER BY seq")
    bodies = [json.loads(row["body"]) for row in rows]
    return [body for body in bodies if body["event"].startswith(("call.", "capability."))][-1]


def flipped(sealed: bytes) -> bytes:
    return sealed[:-1] + bytes([sealed[-1] ^ 1])


async def authorized(build: Build, tool: str = "pay", **parts: object) -> Call:
    """Return a call that is authorized and whose process stopped before it could claim."""

    def halt(failpoint: Failpoint) -> None:
        if failpoint == "after_authorized":
            raise asyncio.CancelledError

    async with build(reach=halt, **parts) as home:
        call = await home.pay(ALICE, tool)
        await home.decide(call)
        return await home.until(call, lambda current: current.state is State.AUTHORIZED)


def refusal(answer: Answer | None) -> str:
    """Return code and words of a refusal."""
    assert isinstance(answer, Refused), answer
    return f"{answer.code}: {answer.message}"


def text(finished: Finished) -> str:
    """Return the texts of a result."""
    return " ".join(str(block["text"]) for block in finished.result.content)


async def audit(home: House) -> list[str]:
    """Return what was audited of calls, in order."""
    rows = await home.database.fetch_all("SELECT body FROM audit ORDER BY seq")
    events = [str(json.loads(row["body"])["event"]) for row in rows]
    return [event for event in events if event.startswith(("call.", "capability."))]


async def no_audit(database: Database) -> None:
    """Let no audit row be written any more."""

    def job(tx: Tx) -> None:
        tx.execute(
            "CREATE TEMP TRIGGER no_audit BEFORE INSERT ON audit "
            "BEGIN SELECT RAISE(FAIL, 'disk full'); END"
        )

    await database.write(job)
