"""The shipped catalogue as it runs: an assistant asks, alice decides, the bank books once."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from ports import free_port
from signoff.app.address import at_port
from signoff.app.compose import Options, Server, running
from signoff.app.http import listening
from signoff.app.inspect import catalogue_at
from signoff.app.store import prepared
from signoff.approvals.request import Status
from signoff.approvals.service import Approvals
from signoff.canonical import Json
from signoff.client.session import CallOutcome, call_tool
from signoff.demo.script import play
from signoff.sealed import Sealer
from signoff.settings import Settings
from signoff.storage.approvals import SqliteApprovals
from signoff.storage.seal_key import load_or_create

Read = Callable[[str], list[tuple[Any, ...]]]
ORDER: dict[str, Json] = {
    "amount": 19.99,
    "currency": "EUR",
    "from_account": "checking",
    "to_account": "bob-checking",
}


@asynccontextmanager
async def shipped(directory: Path) -> AsyncGenerator[Server, None]:
    """Serve the shipped catalogue. No fixture: it must end in the task that began it."""
    port = free_port()
    config = Path("capabilities.yaml")
    data_dir = prepared(directory / "data")
    with pytest.MonkeyPatch.context() as environment, listening("127.0.0.1", port) as listener:
        environment.setenv("BANK_LEDGER", str(directory / "bank.db"))
        environment.setenv("SIGNOFF_ISSUER", f"http://localhost:{port}")
        environment.setenv("SIGNOFF_DATA_DIR", str(data_dir))
        async with running(
            at_port(catalogue_at(config), port),
            options=Options(config=config, host="127.0.0.1", port=port, data_dir=data_dir),
            settings=Settings(data_dir=data_dir),
            environment={},
            data_dir=data_dir,
            listener=listener,
        ) as up:
            yield up


async def decide(server: Server, data_dir: Path, verdict: Literal["approve", "deny"]) -> None:
    """Decide the one request that comes, as the page would for alice."""
    database = server.operations.database
    key = load_or_create(data_dir, database=database.path)
    approvals = Approvals(SqliteApprovals(database, Sealer(key)), database.changes)
    with database.changes.watch("approval", "*") as watch:
        while True:
            for one in await approvals.inbox("alice"):
                if one.status is Status.PENDING:
                    await approvals.decide(
                        one.id,
                        user_id="alice",
                        digest=one.digest,
                        verdict=verdict,
                        reason="not today" if verdict == "deny" else None,
                        acr="session",
                    )
                    return
            assert await watch.changed(60)


@asynccontextmanager
async def deciding(
    server: Server, tmp_path: Path, verdict: Literal["approve", "deny"]
) -> AsyncGenerator[None, None]:
    person = asyncio.create_task(decide(server, tmp_path / "data", verdict))
    yield
    await person


def call(server: Server, tool: str, arguments: Mapping[str, Json]) -> Awaitable[CallOutcome]:
    return call_tool(
        f"{server.url}/mcp",
        server.token,
        tool,
        arguments,
        lambda _: None,
        token_from="local-token",
    )


async def test_the_demo_moves_the_money_once_alice_has_approved(
    tmp_path: Path, read_books: Read
) -> None:
    said: list[str] = []
    async with shipped(tmp_path) as server, deciding(server, tmp_path, "approve"):
        outcome = await play(url=f"{server.url}/mcp", token=server.token, say=said.append)

    assert outcome is not None
    assert outcome.state == "done"
    assert read_books("SELECT ordered_by, amount, to_account FROM transfers") == [
        ("alice", 2500, "savings")
    ]
    assert said[0] == "assistant calls   list_accounts()"
    assert any(line.startswith("assistant reads   ") for line in said)
    assert '"balance": 1225.0' in said[-1]


async def test_the_demo_moves_nothing_when_alice_denies(tmp_path: Path, read_books: Read) -> None:
    said: list[str] = []
    async with shipped(tmp_path) as server, deciding(server, tmp_path, "deny"):
        outcome = await play(url=f"{server.url}/mcp", token=server.token, say=said.append)

    assert outcome is not None
    assert outcome.state == "failed"
    assert "not today" in said[-1]
    assert read_books("SELECT * FROM transfers") == []


async def test_a_verified_transfer_carries_a_proof_the_bank_accepts(
    tmp_path: Path, read_books: Read
) -> None:
    async with shipped(tmp_path) as server, deciding(server, tmp_path, "approve"):
        outcome = await call(server, "transfer_verified", ORDER)

    assert outcome.state == "done", outcome.text
    assert read_books("SELECT ordered_by, amount, to_account FROM transfers") == [
        ("alice", 1999, "bob-checking")
    ]
    assert len(read_books("SELECT jti FROM used_tokens")) == 1


async def test_closing_an_account_is_denied_without_asking_anybody(
    tmp_path: Path, read_books: Read
) -> None:
    async with shipped(tmp_path) as server:
        outcome = await call(server, "close_account", {"account_id": "dollars"})

    assert outcome.state == "failed"
    assert "Accounts are closed at the branch." in outcome.text
    assert read_books("SELECT count(*) FROM accounts WHERE open = 0") == [(0,)]
