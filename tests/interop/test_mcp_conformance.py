"""The MCP conformance suite, unmodified: its authorization-server scenarios, and our tools' edge.

What stands in `PASSED` and `CALLED` passes whole, `CALLED` against tools whose answers come from an
upstream over HTTP. `NOT_OURS` says of every other scenario why it is not passed.
"""

import asyncio
import base64
import json
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import nodejs
from e2e_parts import launching, open_house
from harness import House
from host_house import ConsentingPerson, registration
from mcp_parts import READ, TOKEN, TOOLS, running, served
from ports import free_port
from signoff.origin import App, OriginGuard, Receive, Scope, Send

SUITE: Final = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
PROGRAM: Final = "@modelcontextprotocol/conformance/dist/index.js"
AUTHORIZE: Final = re.compile(r"https?://\S+/oauth2/authorize\?\S+")

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House, None]:
    async with open_house(tmp_path_factory.mktemp("conformance")) as here:
        yield here


async def started(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    program = await asyncio.to_thread(lambda: nodejs.installed(SUITE) / PROGRAM)
    return await asyncio.create_subprocess_exec(
        nodejs.NODE, str(program), *arguments,
        env={**nodejs.environment(), **environment}, stdin=asyncio.subprocess.DEVNULL,
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
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
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
        "http-custom-header-server-validation",
        "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods",
        "input-required-result-ignore-extra-params",
        "input-required-result-missing-input-response",
        "input-required-result-validate-input",
    },
}
"""Every scenario that asks for nothing but tools of any name."""
CALLED: Final = frozenset({
    *("tools-call-simple-text", "tools-call-image", "tools-call-audio", "tools-call-error"),
    "tools-call-with-progress",
})
"""Those that call tools by name, and ask for nothing that an API over HTTP cannot answer."""
NOT_OURS: Final[Mapping[str, frozenset[str]]] = {
    "there are tools here, and neither prompts nor resources nor completions": frozenset({
        *("prompts-list", "prompts-get-simple", "prompts-get-with-args", "prompts-get-with-image"),
        *("prompts-get-embedded-resource", "resources-list", "resources-read-text"),
        *("resources-read-binary", "resources-templates-read", "resources-subscribe"),
        *("resources-unsubscribe", "completion-complete", "logging-set-level"),
        *("caching", "input-required-result-non-tool-request"),
    }),
    "a tool asks through the host; here people are asked on a page of its own": frozenset({
        *("tools-call-sampling", "tools-call-elicitation", "elicitation-sep1034-defaults"),
        *("elicitation-sep1330-enums", "input-required-result-basic-elicitation"),
        *("input-required-result-basic-sampling", "input-required-result-basic-list-roots"),
        *("input-required-result-request-state", "input-required-result-multi-round"),
        *("input-required-result-multiple-input-requests", "input-required-result-result-type"),
        *("input-required-result-tampered-state", "input-required-result-capability-check"),
    }),
    "one answer of an API is one content block and no log line": frozenset({
        *("tools-call-embedded-resource", "tools-call-mixed-content", "tools-call-with-logging"),
    }),
    "it wants a schema with allOf and if at the top, which hosts refuse and so do we": frozenset({
        "json-schema-2020-12",
    }),
    "21 of its 26 checks pass; the rest need diagnostic tools that change the list": frozenset({
        "server-stateless",
    }),
}
BY_REGION: Final = replace(
    READ,
    name="by_region",
    title="By region",
    path="/accounts/{region}",
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["region"],
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    },
    parameters=tuple(replace(one, name="region", argument="region") for one in READ.parameters),
)
"""Mirrors an argument in a header, as a scenario asks for."""


def by_outcome(folder: Path) -> tuple[set[str], set[str]]:
    """Return the names of the scenarios that passed whole, and of the others."""
    found = checks(folder)

    def named(folders: set[str]) -> set[str]:
        return {re.split(r"-2026-\d\d-\d\dT", one.removeprefix("server-"))[0] for one in folders}

    passed = {name for name, members in found.items() if not failed({name: members})}
    return named(passed), named(set(found) - passed)


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
    tools = (*TOOLS, BY_REGION)
    async with running(tmp_path, tools=tools) as signoff, served(door) as port:
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
    passed, others = by_outcome(folder)
    assert passed >= PASSED[revision], said.decode()
    assert others <= CALLED.union(*NOT_OURS.values()), others


PIXEL: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SILENCE: Final = bytes.fromhex(
    "524946462400000057415645666d74201000000001000100401f0000803e0000020010006461746100000000"
)


def _upstream() -> Starlette:
    """Return an API that answers as the suite wants its tools to."""

    async def events() -> AsyncGenerator[bytes, None]:
        for done in (0, 50, 100):
            yield f"data: {done} of 100\n\n".encode()

    async def answer(request: Request) -> Response:
        match request.path_params["kind"]:
            case "test_simple_text":
                return PlainTextResponse("This is a simple text response for testing.")
            case "test_image_content":
                return Response(PIXEL, media_type="image/png")
            case "test_audio_content":
                return Response(SILENCE, media_type="audio/wav")
            case "test_tool_with_progress":
                return StreamingResponse(events(), media_type="text/event-stream")
            case _:
                said = "This tool intentionally returns an error for testing"
                return JSONResponse({"error": said}, status_code=400)

    return Starlette(routes=[Route("/{kind}", answer)])


def _catalogue(port: int) -> dict[str, Any]:
    names = (
        *("test_simple_text", "test_image_content", "test_audio_content"),
        *("test_error_handling", "test_tool_with_progress"),
    )
    return {
        "signoff": 1,
        "server": {"name": "conformance"},
        "auth": {"local_user": "alice"},
        "upstreams": {"fixture": {"base_url": f"http://127.0.0.1:{port}"}},
        "capabilities": [
            {
                "name": name,
                "description": "What the suite calls.",
                "upstream": "fixture",
                "request": {"method": "GET", "path": f"/{name}"},
                "input": {"type": "object", "additionalProperties": False, "properties": {}},
            }
            for name in names
        ],
        "users": [{"id": "alice", "name": "Alice"}],
    }


SENDS_BEARER: Final = """
const plain = globalThis.fetch;
globalThis.fetch = (address, options = {}) => {
  const headers = new Headers(options.headers);
  headers.set("authorization", `Bearer ${process.env.BEARER}`);
  return plain(address, { ...options, headers });
};
"""
"""Loaded before the suite, which has no way to be given a credential."""


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_text_pictures_sound_errors_and_progress_of_an_api_arrive_as_the_suite_wants(
    tmp_path: Path, revision: str
) -> None:
    folder, preload = tmp_path / "out", tmp_path / "bearer.mjs"
    preload.write_text(SENDS_BEARER)
    async with served(_upstream()) as port, launching(tmp_path) as start:  # pyright: ignore[reportArgumentType] — as in `mcp_parts`
        server = await start(_catalogue(port))
        process = await started(
            "server", "--url", f"{server.url}/mcp", "--suite", "all",
            "--spec-version", revision, "--output-dir", str(folder), "--timeout", "15000",
            BEARER=server.token, NODE_OPTIONS=f"--import={preload}",
        )  # fmt: skip
        async with asyncio.timeout(110):
            said, _ = await process.communicate()
    passed, _ = by_outcome(folder)
    assert passed >= CALLED, said.decode()
