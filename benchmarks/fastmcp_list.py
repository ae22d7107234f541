"""FastMCP from a spec to a list of tools, in a fresh process: what `openapi.py` sets beside ours.

Runs in an environment of its own (`peer.py`) and imports nothing of this project. Prints one JSON
object: seconds of CPU until the server is there and until its client has the list, the bytes of
that list, and the peak of memory. Run by the benchmarks: `python fastmcp_list.py SPEC`.
"""

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any


def peak_mb() -> float:
    """Return the most memory this process has held."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM in /proc")


async def main(spec: Path) -> None:
    """Measure and print."""
    library: Any = importlib.import_module("fastmcp")
    http: Any = importlib.import_module("httpx2")
    clock = time.process_time
    began = clock()
    text = spec.read_text()
    if spec.suffix == ".json":
        document = json.loads(text)
    else:
        yaml: Any = importlib.import_module("yaml")
        document = yaml.load(text, Loader=yaml.CSafeLoader)
    client = http.AsyncClient(base_url="https://api.example.com", trust_env=False)
    server = library.FastMCP.from_openapi(document, client, name="peer")
    ready, index_mb, listing = clock() - began, peak_mb(), clock()
    async with library.Client(server) as session:
        tools = await session.list_tools()
    listed = clock() - listing
    written = [one.model_dump_json(by_alias=True, exclude_none=True) for one in tools]
    facts = {
        "operations": len(tools),
        "index_s": ready,
        "index_mb": index_mb,
        "list_s": listed,
        "list_mb": sum(map(len, written)) / 1e6,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
