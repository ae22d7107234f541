"""A whole signoff as its users meet it: the real command, a real bank, a real browser.

Owns starting and ending processes and the hands of the person who decides. Every server gets a
port and a data directory of its own.
"""

import asyncio
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import httpx2
import yaml
from playwright.async_api import BrowserContext, Error, Page

from ports import free_port
from scripted_person import ScriptedPerson
from signoff.canonical import Json
from signoff.client.session import CallOutcome, call_tool
from signoff.desk.admin import AdminClient

ROOT: Final = Path(__file__).parents[1]
SIGNOFF: Final = (sys.executable, "-m", "signoff")
_START_S: Final = 30.0
_CARD: Final = re.compile(r"/approvals/(apr_[\w-]+)")


async def until(holds: Callable[[], Awaitable[Any]], *, within_s: float = 20.0) -> Any:
    """Poll `holds` until it returns something true, and return that."""
    async with asyncio.timeout(within_s):
        while not (found := await holds()):  # noqa: ASYNC110 — another process
            await asyncio.sleep(0.02)
        return found


async def signoff(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run a `signoff` command to its end; return its exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *SIGNOFF, *arguments, cwd=ROOT, env={**os.environ, **environment, "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@dataclass
class Bank:
    """The sample bank as a process of its own; its ledger is a file a test can read."""

    url: str
    ledger: Path
    process: asyncio.subprocess.Process

    def count(self, amount: float) -> int:
        """Return how many transfers of this amount were booked."""
        return sum(cents == round(amount * 100) for _, _, cents in self.transfers())

    def transfers(self) -> list[tuple[Any, ...]]:
        """Return what the ledger booked, in cents."""
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as connection:
            return connection.execute(
                "SELECT from_account, to_account, amount FROM transfers ORDER BY seq"
            ).fetchall()


@dataclass
class Server:
    """One `signoff serve`."""

    port: int
    data_dir: Path
    config: Path
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    log: Path = field(default_factory=Path)
    role: str = "all"

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def token(self) -> str:
        return (self.data_dir / "local-token").read_text().strip()

    async def start(self, **environment: str) -> "Server":
        """Start it, and wait until it answers."""
        arguments = ("serve", "--config", self.config, "--port", self.port, "--role", self.role)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *SIGNOFF, *map(str, arguments), "--data-dir", str(self.data_dir),
                cwd=ROOT, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environment, **environment}, start_new_session=True,
            )  # fmt: skip
        process = self.process

        async def up() -> bool:
            if process.returncode is not None:
                raise AssertionError(f"signoff ended:\n{self.log.read_text()}")
            try:
                async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
                    return (await client.get(f"{self.url}/readyz")).status_code == 200
            except httpx2.TransportError:
                return False

        await until(up, within_s=_START_S)
        return self

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(30):
            return await self.process.wait()

    async def command(self, *arguments: str, check: bool = True) -> str:
        """Run another `signoff` command on this data directory; return its stdout."""
        code, out, err = await self.run(*arguments)
        assert code == 0 or not check, f"{arguments}: {code}\n{out}\n{err}"
        return out

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run another `signoff` command; return its exit code, stdout and stderr."""
        return await signoff(*arguments, "--data-dir", str(self.data_dir), **self.environment)

    async def login_link(self, user: str = "alice") -> str:
        """Return a fresh sign-in link, asked for as `signoff login` does."""
        members = await AdminClient(self.data_dir).call("login", {"user": user})
        return str(cast("Mapping[str, str]", members)["url"])

    async def operate(self, operation: str, **parameters: Json) -> Any:
        """Ask what a command asks the running server."""
        return await AdminClient(self.data_dir).call(operation, parameters)

    async def ask(
        self,
        arguments: Mapping[str, Json],
        *,
        tool: str = "transfer_funds",
        client_name: str = "signoff",
    ) -> "Asked":
        """Begin a call as an assistant; return once a person is being asked."""
        statuses: list[str] = []
        work = asyncio.create_task(
            call_tool(
                f"{self.url}/mcp", self.token, tool, arguments, statuses.append,
                token_from="test", client_name=client_name,
            )
        )  # fmt: skip

        async def shown() -> str | None:
            if work.done():
                raise AssertionError(work.result())
            found = _CARD.findall("\n".join(statuses))
            return found[-1] if found else None

        return Asked(work=work, card=await until(shown), statuses=statuses)

    async def call(
        self, arguments: Mapping[str, Json], *, tool: str = "transfer_funds", **options: Any
    ) -> CallOutcome:
        """Make a call as an assistant and follow it to its end."""
        return await call_tool(
            f"{self.url}/mcp", self.token, tool, arguments, list[str]().append,
            token_from="test", **options,
        )  # fmt: skip


@dataclass
class Asked:
    """A call that waits for a person."""

    work: asyncio.Task[CallOutcome]
    card: str
    """The id of its approval."""
    statuses: list[str]


class Person:
    """An approver in a browser of their own."""

    def __init__(self, server: Server, context: BrowserContext) -> None:
        self.server, self.context = server, context
        self.page: Page

    async def sign_in(self, user: str = "alice") -> "Person":
        """Open a sign-in link and press the button."""
        self.page = await self.context.new_page()
        await self.page.goto(await self.server.login_link(user))
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url(re.compile("/approvals"))
        return self

    async def open(self, approval_id: str) -> Page:
        """Open one card."""
        await self._go(f"/approvals/{approval_id}")
        return self.page

    async def open_first(self) -> Page:
        """Open the first waiting card from the list."""
        await self._go("/approvals")
        await self.page.locator("a[href*='/approvals/apr_']").first.click()
        await self.page.wait_for_url("**/approvals/apr_*")
        return self.page

    async def _go(self, path: str) -> None:
        async def arrived() -> bool:
            try:
                await self.page.goto(f"{self.server.url}{path}")
            except Error as error:
                # A live page reloads itself when something happens, also while it is left.
                if "interrupted by another navigation" not in error.message:
                    raise
                return False
            return True

        await until(arrived)

    async def approve(self) -> None:
        """Approve the card that is open."""
        button = self.page.locator("button[value=approve]")
        await button.wait_for()
        await button.click()
        await self.page.wait_for_function("!document.querySelector('button[value=approve]')")

    async def deny(self, reason: str = "") -> None:
        """Deny the card that is open."""
        if reason:
            field_ = self.page.locator("[name=reason]")
            if not await field_.is_visible():
                await self.page.locator("details:has([name=reason]) > summary").click()
            await field_.fill(reason)
        await self.page.locator("button[value=deny]").click()
        await self.page.wait_for_function("!document.querySelector('button[value=deny]')")


def catalogue(bank_url: str | None, **over: Any) -> dict[str, Any]:
    """Return the shipped catalogue, with the bank at `bank_url` and top-level members replaced."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "capabilities.yaml").read_text())
    for upstream in document["upstreams"].values():
        upstream["openapi"] = str(ROOT / upstream["openapi"])
        if bank_url is not None:
            upstream["base_url"] = bank_url
    return {**document, **over}


def transfer(amount: float, **over: Json) -> dict[str, Json]:
    """Return the arguments of one transfer; its amount tells it from the others of a test file."""
    return {
        "amount": amount, "currency": "EUR", "from_account": "checking", "to_account": "savings",
        **over,
    }  # fmt: skip


@dataclass
class House:
    """One server with its bank, and Alice signed in without a browser."""

    server: Server
    bank: Bank
    alice: ScriptedPerson


Launch = Callable[..., Awaitable[Server]]
StartBank = Callable[[str], Awaitable[Bank]]
SignIn = Callable[..., Awaitable[Person]]


@asynccontextmanager
async def bank_process(
    folder: Path, issuer: str, *, gate: str = "signoff-gate"
) -> AsyncGenerator[Bank, None]:
    port, ledger = free_port(), folder / "bank.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "signoff.demo.bank", "--port", str(port),
        "--data-dir", str(folder), "--issuer", issuer, "--gate", gate,
        cwd=ROOT, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"

        async def up() -> bool:
            try:
                async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
                    return (await client.get(f"{url}/accounts")).status_code < 500
            except httpx2.TransportError:
                return False

        await until(up, within_s=_START_S)
        yield Bank(url=url, ledger=ledger, process=process)
    finally:
        process.kill()
        await process.wait()
