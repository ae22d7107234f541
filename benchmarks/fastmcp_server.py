"""FastMCP over the same API, made from the same spec: the peer of the proxied calls.

Runs in an environment of its own (`peer.py`) and imports nothing of this project: the client and
the server are made the way its documentation shows, with the web server's settings that ours has.
Run by the benchmarks: `python fastmcp_server.py PORT UPSTREAM_URL SPEC`.
"""

import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import Any


async def main(port: int, upstream: str, spec: Path) -> None:
    """Serve until killed."""
    library: Any = importlib.import_module("fastmcp")
    http: Any = importlib.import_module("httpx2")
    client = http.AsyncClient(base_url=upstream, trust_env=False)
    server = library.FastMCP.from_openapi(json.loads(spec.read_text()), client, name="peer")
    await server.run_http_async(
        port=port,
        show_banner=False,
        log_level="ERROR",
        uvicorn_config={
            "http": "httptools",
            "ws": "none",
            "log_config": None,
            "access_log": False,
            "server_header": False,
            "proxy_headers": False,
        },
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
