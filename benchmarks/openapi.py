"""From a spec to a list of tools: time, memory and size, for real APIs and 20,000 operations.

Each spec is measured in a fresh process, twice: with an empty cache of parsed specs, and with a
warm one; then FastMCP 4 with the same one, which is given `_PATIENCE_S`. `SIGNOFF_BENCH_SPECS`
names more specs to measure, separated like PATH. Seconds are of CPU.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks import peer

_PATIENCE_S: Final = 60.0
_OPERATIONS: Final = 20_000
_MEASURE: Final = """
import asyncio, json, sys, time
from pathlib import Path
from signoff.app.garbage import collected
from signoff.assistant.listing import Listing
from signoff.catalog.loader import Loaded, load
from signoff.catalog.registry import Registry
from signoff.catalog.search import Index
from signoff.gate.policy import Ask, decide
from signoff.identity import Caller

def peak_mb():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024

clock = time.process_time
started = clock()
loaded = load(Path(sys.argv[1]), Path(sys.argv[2]))
assert isinstance(loaded, Loaded), loaded
catalogue = loaded.catalogue
registry = Registry(catalogue)
caller = Caller(kind="local", issuer="local", client_id="local:1", sub="alice")
indexed, index_mb = clock() - started, peak_mb()
begun = clock()
index = Index(registry.visible(caller))
built = clock() - begun
begun = clock()
for query in ("create an issue", "list customers", "delete a pod", "get the sub resource 4711"):
    index.search(query)
found = (clock() - begun) / 4
facts = {
    "operations": len(registry.visible(caller)), "index_s": indexed, "index_mb": index_mb,
    "search_build_s": built, "search_ms": found * 1000,
}
async def listed():
    async with collected():  # as a server keeps it
        begun = clock()
        return pages(), clock() - begun

def pages():
    listing = Listing(registry, asks=lambda tool: isinstance(decide(catalogue.policy, tool), Ask))
    found, cursor = [], None
    while True:
        page = listing.page(caller, cursor)
        found.append(page["tools"])
        cursor = page.get("nextCursor")
        if cursor is None:
            return found

if facts["operations"] < 5_000:
    made, list_s = asyncio.run(listed())
    peak = peak_mb()
    size = sum(len(json.dumps(tools, separators=(",", ":"))) for tools in made)
    facts |= {
        "list_s": list_s, "list_mb": size / 1e6, "peak_mb": peak,
        "skipped": len(catalogue.skipped),
    }
print(json.dumps(facts))
"""
_CATALOGUE: Final = """\
signoff: 1
server: {{max_tools: 10000}}
upstreams:
  api:
    openapi: {spec}
    base_url: https://api.example.com
    deprecated: true
users: [{{id: alice}}]
"""


async def run() -> None:
    """Measure every spec and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        specs = [("20,000 operations", _large(Path(folder)))]
        more = os.environ.get("SIGNOFF_BENCH_SPECS", "")
        specs += [(Path(one).name, Path(one).resolve()) for one in more.split(os.pathsep) if one]
        print(
            f"  {'spec':28} {'cache':7} {'ops':>6} {'ready s':>8} {'MB':>5} {'list s':>7} "
            f"{'list MB':>8} {'MB':>5} {'search ms':>10} {'skipped':>8}"
        )
        for name, spec in specs:
            for state in ("cold", "warm"):
                print(f"  {name[:28]:28} {state:7} {_row(await _measured(spec, Path(folder)))}")
            print(f"  {name[:28]:28} {'FastMCP':7} {await _peer(spec)}")


async def _peer(spec: Path) -> str:
    """Return FastMCP's row."""
    python = await asyncio.to_thread(peer.interpreter)
    process = await asyncio.create_subprocess_exec(
        python,
        Path(__file__).with_name("fastmcp_list.py"),
        spec,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            written, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"no list within {_PATIENCE_S:g} s"
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        return f"refuses it: {''.join(last)[:70]}"
    return _row(json.loads(written))


async def _measured(spec: Path, folder: Path) -> dict[str, Any]:
    catalogue = folder / "capabilities.yaml"
    catalogue.write_text(_CATALOGUE.format(spec=json.dumps(str(spec))))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _MEASURE,
        str(catalogue),
        str(folder / "cache"),
        stdout=asyncio.subprocess.PIPE,
    )
    written, _ = await process.communicate()
    return json.loads(written)


def _row(facts: dict[str, Any]) -> str:
    listed = f"{facts['list_s']:7.2f} {facts['list_mb']:8.2f}" if "list_s" in facts else f"{'':16}"
    search = f"{facts['search_ms']:.1f}" if "search_ms" in facts else ""
    peak = f"{facts['peak_mb']:5.0f}" if "peak_mb" in facts else f"{'':5}"
    return (
        f"{facts['operations']:6} {facts['index_s']:8.2f} {facts['index_mb']:5.0f} {listed} "
        f"{peak} {search:>10} {facts.get('skipped', ''):>8}"
    )


def _large(folder: Path) -> Path:
    thing = {"$ref": "#/components/schemas/Thing"}
    content = {"application/json": {"schema": thing}}
    paths: dict[str, Any] = {}
    for number in range(_OPERATIONS // 2):
        shared: dict[str, Any] = {
            "summary": f"Works on the sub resource number {number}",
            "description": "A description.\n\nWith **paragraphs** that nobody reads twice.",
            "tags": [f"tag{number // 200}"],
            "parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}}],
            "responses": {"200": {"description": "ok", "content": content}},
        }
        paths[f"/v1/resource{number // 20}/{{id}}/sub{number}"] = {
            "get": {**shared, "operationId": f"getResource{number // 20}Sub{number}"},
            "post": {
                **shared,
                "operationId": f"postResource{number // 20}Sub{number}",
                "requestBody": {"content": content},
            },
        }
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "child": thing}}
    whole: dict[str, Any] = {
        "openapi": "3.0.3",
        "info": {"title": "Large", "version": "1"},
        "paths": paths,
        "components": {"schemas": {"Thing": schema}},
    }
    path = folder / "large.json"
    path.write_text(json.dumps(whole))
    return path
