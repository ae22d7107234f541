"""The processes of a benchmark: `signoff serve`, the bare server, FastMCP, the API behind them.

Owns starting and stopping them, the catalogue they serve, the callers' tokens and the reading of
their memory and CPU (Linux). Every house has its own ports and a directory that goes with it.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from benchmarks import peer
from benchmarks.wire import Connection

from signoff.app.store import opened
from signoff.desk.admin import AdminClient
from signoff.desk.lock import private_dir
from signoff.oauth.machine_clients import MachineClients
from signoff.settings import Settings
from signoff.storage.clients import SqliteClients
from signoff.storage.keys import SqliteKeys
from signoff.tokens.keyring import Keyring

ROOT: Final = Path(__file__).parents[1]
_START_S: Final = 30.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_ITEM: Final = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "owner": {"type": "string"},
        "balance": {"type": "number"},
        "currency": {"type": "string"},
    },
    "required": ["id", "balance"],
}
SPEC: Final[dict[str, Any]] = {
    "openapi": "3.0.3",
    "info": {"title": "Items", "version": "1"},
    "paths": {
        "/items/{id}": {
            "get": {
                "operationId": "read_item",
                "summary": "Read an item.",
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
                "responses": {
                    "200": {"description": "ok", "content": {"application/json": {"schema": _ITEM}}}
                },
            }
        }
    },
}
"""What the servers that take one are made from."""


@dataclass(frozen=True)
class Process:
    """A started server."""

    port: int
    process: asyncio.subprocess.Process

    def cpu_s(self) -> float:
        """Return the CPU time it has used, all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_kib(self) -> int:
        """Return its resident memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise RuntimeError("no VmRSS in /proc")


@dataclass(frozen=True)
class Signoff(Process):
    """A `signoff serve` with tokens for callers, each acting for one user."""

    data_dir: Path
    tokens: Sequence[str]

    async def login_link(self, user: str) -> str:
        """Return a fresh sign-in link, asked for as `signoff login` does."""
        members: Any = await AdminClient(self.data_dir).call("login", {"user": user})
        return str(members["url"])


@dataclass(frozen=True)
class House:
    """What runs, and where."""

    directory: Path
    signoff: Signoff
    bare: Process
    upstream: Process


@asynccontextmanager
async def fastmcp(directory: Path, upstream: Process) -> AsyncGenerator[Process, None]:
    """Run FastMCP over `upstream`, made from the same spec."""
    spec = directory / "fastmcp-spec.json"
    spec.write_text(json.dumps(SPEC))
    python = await asyncio.to_thread(peer.interpreter)
    port = _free_port()
    program = str(Path(__file__).with_name("fastmcp_server.py"))
    url = f"http://127.0.0.1:{upstream.port}"
    arguments = (program, str(port), url, str(spec))
    async with _started(port, *arguments, python=str(python)) as process:
        yield Process(port, process)


@asynccontextmanager
async def house(*, users: int = 1, callers_each: int = 1) -> AsyncGenerator[House, None]:
    """Run all three. `tokens[n]` of signoff acts for user `u{n // callers_each}`."""
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as name:
        directory = Path(name)
        async with (
            _python("benchmarks.upstream") as upstream,
            _python("benchmarks.bare", f"http://127.0.0.1:{upstream.port}") as bare,
            signoff(directory, upstream, users=users, callers_each=callers_each) as server,
        ):
            yield House(directory, server, bare, upstream)


@asynccontextmanager
async def signoff(
    directory: Path, upstream: Process, *, users: int = 1, callers_each: int = 1
) -> AsyncGenerator[Signoff, None]:
    """Run `signoff serve` over `upstream`, with a data directory of its own."""
    port = _free_port()
    data_dir = private_dir(Path(tempfile.mkdtemp(dir=directory)))
    config = data_dir.with_suffix(".yaml")
    data_dir.with_suffix(".json").write_text(json.dumps(SPEC))
    config.write_text(yaml.safe_dump(_catalogue(port, upstream, users, f"{data_dir.name}.json")))
    tokens = await _tokens(data_dir, f"http://localhost:{port}", users, callers_each)
    arguments = ("signoff", "serve", "--config", config, "--port", port, "--data-dir", data_dir)
    async with _started(port, "-m", *map(str, arguments)) as process:
        yield Signoff(port, process, data_dir, tokens)


def _catalogue(port: int, upstream: Process, users: int, spec: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "amount": {"type": "integer"}},
        "required": ["id"],
    }
    return {
        "signoff": 1,
        "server": {
            "name": "bench",
            "public_url": f"http://localhost:{port}",
            "wait_budgets": {"bench": "600s"},
        },
        "auth": {"local_user": "u0"},
        "upstreams": {
            "api": {
                "openapi": spec,
                "base_url": f"http://127.0.0.1:{upstream.port}",
                "timeout": "10s",
            }
        },
        "capabilities": [
            {
                "name": "pay_item",
                "description": "Pay for an item.",
                "upstream": "api",
                "request": {"method": "POST", "path": "/items/{id}/pay"},
                "input": item,
                "approval": {"title": "Pay {amount} for {id}"},
            },
        ],
        "users": [{"id": f"u{number}", "name": f"User {number}"} for number in range(users)],
        "approvals": {"issuer": "embedded"},
    }


async def _tokens(data_dir: Path, issuer: str, users: int, callers_each: int) -> list[str]:
    """Return access tokens of the server that is about to start, signed with its own key."""
    async with opened(data_dir, Settings()) as store:
        keyring = Keyring(SqliteKeys(store.database, store.sealer), now=store.database.now)
        await keyring.maintain()
        now, count = store.database.now, users * callers_each
        clients = MachineClients(SqliteClients(store.database), user_ids=(), now=now)
        for number in range(count):
            await clients.create(name="bench", by="bench", client_id=f"caller-{number}")
        at = now()
        return [
            keyring.mint_access_token({
                "iss": issuer,
                "aud": f"{issuer}/mcp",
                "sub": f"u{number // callers_each}",
                "client_id": f"caller-{number}",
                "scope": "mcp",
                "jti": f"bench-{number}",
                "iat": int(at.timestamp()),
                "exp": int((at + timedelta(hours=1)).timestamp()),
            })
            for number in range(count)
        ]


@asynccontextmanager
async def _python(module: str, *arguments: str) -> AsyncGenerator[Process, None]:
    port = _free_port()
    async with _started(port, "-m", module, str(port), *arguments) as process:
        yield Process(port, process)


@asynccontextmanager
async def _started(
    port: int, *arguments: str, python: str = sys.executable
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    process = await asyncio.create_subprocess_exec(
        python, *arguments, cwd=ROOT, start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=None if os.environ.get("BENCH_VERBOSE") else asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _answers(port, process)
        yield process
    finally:
        await stop(process)


async def stop(process: asyncio.subprocess.Process) -> float:
    """End a process as an operator does; return how long that took."""
    began = time.perf_counter()
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(30):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    return time.perf_counter() - began


async def _answers(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_START_S):
        while True:
            if process.returncode is not None:
                sys.exit("a server did not start; run with BENCH_VERBOSE=1 to see why")
            connection = Connection(port)
            try:
                await connection.request("GET", "/readyz", {})
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return
            finally:
                connection.close()


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
