"""The MCP conformance suite, unmodified: its authorization-server scenarios, and our tools' edge.

What stands in `PASSED` passes whole. The other scenarios need tools made for the suite, prompts or
resources, which a server of other people's APIs has not.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from starlette.applications import Starlette

import nodejs
from e2e_parts import open_house
from harness import House, free_port
from host_house import ConsentingPerson, registration
from mcp_parts import TOKEN, running, served
from signoff.origin import App, OriginGuard, Receive, Scope, Send

SUITE: Final = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
PROGRAM: Final = "@modelcontextprotocol/conformance/dist/index.js"
AUTHORIZE: Final = re.compile(r"https?://\S+/oauth2/authorize\?\S+")

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House, None]:
    async with open_house(tmp_path_factory.mktemp("conformance")) as here:
        yield here


async def started(*arguments: str) -> asyncio.subprocess.Process:
    program = await asyncio.to_thread(lambda: nodejs.installed(SUITE) / PROGRAM)
    return await asyncio.create_subprocess_exec(
        nodejs.NODE, str(program), *arguments,
        env=nodejs.environment(), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def checks(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what the suite checked, by the folder of each scenario."""
    return {path.parent.name: json.loads(path.read_text()) for path in folder.rglob("checks.json")}


def failed(found: dict[str, list[dict[str, Any]]]) -> list[Any]:
    return [
        (name, check["id"], check.get("errorMessage"))
        for name, members in found.items()
        for check in members
        if check["status"] == "FAILURE"
    ]


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_the_authorization_server_passes_the_suite(
    house: House, tmp_path: Path, revision: str
) -> None:
    url, port = house.server.url, free_port()
    callback = f"http://127.0.0.1:{port}/callback"
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"{url}/oauth2/register", json=registration(redirect_uris=[callback])
        )
        assert answer.status_code == 201, answer.text
        link = await house.server.login_link()
        person = ConsentingPerson(url)
        await person.sign_in(link)
        process = await started(
            "authorization", "--url", url, "--spec-version", revision,
            "--client-id", answer.json()["client_id"], "--resource", f"{url}/mcp",
            "--port", str(port), "--output-dir", str(tmp_path),
        )  # fmt: skip
        assert process.stdout is not None
        said: list[str] = []
        async with asyncio.timeout(60):
            async for line in process.stdout:
                said.append(line.decode())
                if found := AUTHORIZE.search(said[-1]):
                    await http.get(await person.answer(found[0].partition("?")[2]))
            await process.wait()
        await person.close()
    found_checks = checks(tmp_path)
    assert failed(found_checks) == [], "".join(said)
    assert process.returncode == 0, "".join(said)
    passed = {name.split("-2026")[0] for name in found_checks}
    assert passed == {
        "authorization-server-authorization-server-metadata-endpoint",
        "authorization-server-authorization-code-grant",
    }
    statuses = {check["status"] for members in found_checks.values() for check in members}
    assert "SUCCESS" in statuses
    assert "SKIPPED" not in statuses


COMMON: Final = frozenset({"tools-list", "server-sse-multiple-streams", "dns-rebinding-protection"})
PASSED: Final = {
    "2025-11-25": COMMON
    | {"server-initialize", "server-session-lifecycle", "ping", "server-sse-polling"},
    "2026-07-28": COMMON
    | {
        "http-header-validation",
        "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods",
        "input-required-result-ignore-extra-params",
        "input-required-result-missing-input-response",
        "input-required-result-validate-input",
    },
}
"""Every scenario that asks for nothing but tools of any name."""


class WithBearer:
    """ASGI: the suite cannot send a credential of its own."""

    def __init__(self) -> None:
        self.inner: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.inner is not None
        headers = [*scope.get("headers", []), (b"authorization", f"Bearer {TOKEN}".encode())]
        await self.inner({**scope, "headers": headers}, receive, send)


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_the_assistants_door_passes_what_a_catalogue_can(
    tmp_path: Path, revision: str
) -> None:
    folder, door = tmp_path / "out", WithBearer()
    async with running(tmp_path) as signoff, served(door) as port:
        door.inner = OriginGuard(
            Starlette(routes=list(signoff.edge.routes)),
            public_url=f"http://localhost:{port}",
            port=port,
        )
        process = await started(
            "server", "--url", f"http://localhost:{port}/mcp", "--suite", "all",
            "--spec-version", revision, "--output-dir", str(folder), "--timeout", "15000",
        )  # fmt: skip
        async with asyncio.timeout(110):
            said, _ = await process.communicate()
    found = checks(folder)
    passed = {name for name, members in found.items() if not failed({name: members})}
    named = {re.split(r"-2026-\d\d-\d\dT", name.removeprefix("server-"))[0] for name in passed}
    assert named >= PASSED[revision], said.decode()
