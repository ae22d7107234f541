"""What we are measured against: the SDK's low-level server with one tool and one HTTP request.

No catalogue, no bearer, no policy, no checks: the least that makes the same upstream request, on
the same web server with the same settings. Run by the benchmarks:
`python -m benchmarks.bare PORT UPSTREAM_URL`.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server

SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}


def server(upstream: str) -> Server[httpx2.AsyncClient]:
    """Return the server."""

    @asynccontextmanager
    async def lifespan(_: Server[Any]) -> AsyncGenerator[httpx2.AsyncClient, None]:
        async with httpx2.AsyncClient(base_url=upstream, trust_env=False) as client:
            yield client

    async def list_tools(
        context: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        del context, params
        return types.ListToolsResult(tools=[types.Tool(name="read_item", input_schema=SCHEMA)])

    async def call_tool(
        context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        client: httpx2.AsyncClient = context.lifespan_context
        response = await client.get(f"/items/{(params.arguments or {})['id']}")
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=response.text)],
            structured_content=response.json(),
        )

    return Server(
        "bare",
        lifespan=lifespan,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        # Else the SDK walks the listing on every modern call.
        get_tool_input_schema=lambda name: SCHEMA if name == "read_item" else None,
    )


async def main(port: int, upstream: str) -> None:
    """Serve until killed."""
    config = uvicorn.Config(
        server(upstream).streamable_http_app(),
        port=port,
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
