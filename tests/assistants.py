"""Other people's MCP clients for the end-to-end tests: the SDK's own, and the MCP Inspector's CLI.

Owns how each is started. `signoff call` is tested as what it is, a command.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

import nodejs
from harness import ROOT, SIGNOFF, Server
from signoff.canonical import Json

Era = Literal["legacy", "2026-07-28"]
INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"


@dataclass
class Said:
    """What a client was told while it waited."""

    lines: list[str] = field(default_factory=list[str])

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        self.lines.append(message or "")


@asynccontextmanager
async def over_http(
    server: Server, *, era: Era = "2026-07-28", name: str = "sdk", token: str | None = None
) -> AsyncGenerator[Client, None]:
    """Connect the SDK's client over streamable HTTP."""
    http = httpx2.AsyncClient(
        headers={"authorization": f"Bearer {token or server.token}"}, timeout=60, trust_env=False
    )
    info = types.Implementation(name=name, version="1")
    transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
    async with http, Client(transport, mode=era, client_info=info) as client:
        yield client


def stdio_arguments(server: Server) -> list[str]:
    """Return the command line of a host that starts signoff itself."""
    return [
        *SIGNOFF, "serve", "--stdio", "--config", str(server.config), "--port", str(server.port),
        "--data-dir", str(server.data_dir), "--role", server.role,
    ]  # fmt: skip


@asynccontextmanager
async def over_stdio(
    server: Server, *, era: Era = "2026-07-28", name: str = "sdk"
) -> AsyncGenerator[Client, None]:
    """Connect the SDK's client to a `serve --stdio` that it starts."""
    command, *arguments = stdio_arguments(server)
    process = StdioServerParameters(
        command=command, args=arguments, env={**os.environ, **server.environment}, cwd=ROOT
    )
    info = types.Implementation(name=name, version="1")
    async with Client(process, mode=era, client_info=info) as client:
        yield client


def text(result: types.CallToolResult) -> str:
    """Return what the assistant reads."""
    return "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))


async def inspector(
    server: Server, tool: str, arguments: Mapping[str, Json], *, era: str, stdio: bool
) -> Mapping[str, Any]:
    """Call a tool with the MCP Inspector's CLI and return the result it prints."""
    program = nodejs.installed(INSPECTOR) / ".bin" / "mcp-inspector"
    options = [
        "--cli", "--method", "tools/call", "--tool-name", tool,
        "--tool-args-json", json.dumps(arguments), "--protocol-era", era, "--format", "json", "-q",
        "--connect-timeout", "60000",
    ]  # fmt: skip
    if stdio:
        config = server.config.with_name("mcp.json")
        command, *rest = stdio_arguments(server)
        # The Inspector gives a server little of its own environment.
        env = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        entry = {"command": command, "args": rest, "env": env}
        config.write_text(json.dumps({"mcpServers": {"bank": entry}}))
        options += ["--config", str(config), "--server", "bank"]
    else:
        options += ["--server-url", f"{server.url}/mcp"]
        options += ["--header", f"Authorization: Bearer {server.token}"]
    process = await asyncio.create_subprocess_exec(
        nodejs.NODE, str(program), *options,
        cwd=ROOT, env=nodejs.environment(), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    out, err = await process.communicate()
    assert out, err.decode()  # it ends with an exit code of its own when the tool says isError
    printed: Mapping[str, Any] = json.loads(out)
    return printed
