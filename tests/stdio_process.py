"""A `--stdio` process for tests: a relay whose owner serves one tool that waits for a file.

Run as `python stdio_process.py DATA_DIR DIGEST`. The relay, the sockets and the stream server are
the real ones; only the tool stands in for a catalogue.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server

from signoff.assistant.auth import stdio_caller
from signoff.assistant.edge import StreamServer
from signoff.desk.frames import RESENT
from signoff.desk.lock import OwnerLock, private_dir
from signoff.desk.relay import RelayError, open_stdio, owner_socket, relay

POLL_S = 0.02


async def main(data_dir: Path, digest: str) -> None:
    async def call(
        context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        meta: dict[str, Any] = dict(context.params or {}).get("_meta", {})
        resent = RESENT in meta
        count = 0
        while not (data_dir / f"go-{params.name}").exists():
            count += 1
            await context.session.report_progress(count, None, f"waiting in {os.getpid()}")
            await asyncio.sleep(POLL_S)
        text = f"done by {os.getpid()}, resent {resent}"
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])

    async def listed(
        context: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        del context, params
        return types.ListToolsResult(tools=[types.Tool(name="a", input_schema={"type": "object"})])

    server: Server[Any] = Server("desk", version="1", on_call_tool=call, on_list_tools=listed)
    served = StreamServer(server)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await served(reader, writer, stdio_caller("alice"))

    @asynccontextmanager
    async def own(lock: OwnerLock) -> AsyncGenerator[None, None]:
        del lock
        async with owner_socket(data_dir, digest, serve):
            yield

    stdin, stdout = await open_stdio()
    print("a stray print of a library")  # noqa: T201 — must not reach the host
    await relay(data_dir, digest, stdin, stdout, own=own)


if __name__ == "__main__":
    try:
        asyncio.run(main(private_dir(Path(sys.argv[1])), sys.argv[2]))
    except RelayError as error:
        print(error, file=sys.stderr)  # noqa: T201 — what the operator sees
        sys.exit(3)
