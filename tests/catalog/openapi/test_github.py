"""A real public API: GitHub's own description, 13 MB, more than a thousand operations.

Fetched with npm as its maintainers publish it, once per machine.
"""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest

from nodejs import installed
from signoff.catalog.loader import Loaded, load
from signoff.catalog.openapi.documents import METHODS
from signoff.catalog.openapi.names import ARGUMENT, TOOL
from signoff.catalog.wire import Server

MEASURE = """
import json, resource, sys, time
from pathlib import Path
from signoff.catalog.loader import Loaded, load
started = time.process_time()
result = load(Path(sys.argv[1]))
count = len(result.catalogue.tools)
seconds = time.process_time() - started
assert isinstance(result, Loaded)
status = Path("/proc/self/status")
if status.exists():  # what getrusage says on Linux may be the parent's peak
    [line] = [one for one in status.read_text().splitlines() if one.startswith("VmHWM")]
    peak = int(line.split()[1]) / 2**10
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"cpu_s": seconds, "peak_mib": peak}))
"""


@pytest.fixture(scope="module")
def spec() -> Path:
    return installed("@octokit/openapi@23.0.2") / "@octokit/openapi/generated/api.github.com.json"


@pytest.fixture(scope="module")
def catalogue_file(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("github") / "capabilities.yaml"
    path.write_text(f"""\
signoff: 1
upstreams:
  github:
    openapi: {spec}
    base_url: https://api.github.com
    deprecated: true
    allow_servers: [{{url: "https://uploads.github.com", credentials: true}}]
    headers: {{Authorization: "Bearer ${{env:GITHUB_TOKEN}}"}}
users: [{{id: alice}}]
""")
    return path


@pytest.fixture(scope="module")
def github(catalogue_file: Path) -> Loaded:
    result = load(catalogue_file)
    assert isinstance(result, Loaded)
    return result


def test_every_operation_is_listed(github: Loaded, spec: Path) -> None:
    paths = json.loads(spec.read_bytes())["paths"]
    written = {
        (method.upper(), path)
        for path, members in paths.items()
        for method in members
        if method in METHODS
    }

    assert {(tool.method, tool.path) for tool in github.catalogue.tools} == written
    assert len(written) == 1_223
    assert github.catalogue.skipped == ()


def test_uploads_go_to_their_own_host_which_the_operator_listed(github: Loaded) -> None:
    [upload] = [tool for tool in github.catalogue.tools if tool.server is not None]

    assert upload.name == "repos_upload_release_asset"
    assert upload.server == Server(url="https://uploads.github.com", credentials=True)
    assert (upload.body.kind, upload.body.format) == ("whole", "binary")


def test_every_name_is_legal_and_unique(github: Loaded) -> None:
    names = [tool.name for tool in github.catalogue.tools]

    assert len(set(names)) == len(names)
    assert all(TOOL.fullmatch(name) for name in names)
    assert "issues_create" in names


def test_every_schema_is_one_that_hosts_accept(github: Loaded) -> None:
    for tool in github.catalogue.tools:
        assert all(map(ARGUMENT.fullmatch, list(tool.input_schema["properties"]))), tool.name  # pyright: ignore[reportArgumentType, reportUnknownArgumentType]
        assert "additionalProperties" in tool.input_schema, tool.name
        for schema in (tool.input_schema, tool.output_schema):
            if schema is not None:
                assert jsonschema_rs.meta.is_valid(dict(schema)), tool.name
                assert schema["type"] == "object", tool.name
                assert not schema.keys() & {"anyOf", "oneOf", "allOf", "not"}, tool.name
                assert '"nullable"' not in json.dumps(schema).replace('"nullable": {', ""), (
                    tool.name
                )


def test_what_is_listed_stays_small(github: Loaded) -> None:
    listed = [
        {
            "name": tool.name,
            "description": tool.description,
            "inputSchema": tool.input_schema,
            "outputSchema": tool.output_schema,
        }
        for tool in github.catalogue.tools
    ]

    assert len(json.dumps(listed, separators=(",", ":"))) < 2_500_000
    assert all(len(tool.description) <= 600 for tool in github.catalogue.tools)


def test_no_reference_dangles(github: Loaded) -> None:
    for tool in github.catalogue.tools:
        for schema in (tool.input_schema, tool.output_schema or {}):
            text = json.dumps(schema)
            for name in schema.get("$defs", {}):  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable, reportUnknownVariableType]
                assert f'"#/$defs/{name}"' in text, f"{tool.name}: {name} is not needed"
            assert text.count('"#/$defs/') == 0 or "$defs" in schema, tool.name


def test_it_compiles_within_its_budget(catalogue_file: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(catalogue_file)],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    spent = json.loads(ran.stdout)

    assert spent["peak_mib"] < 150
    assert spent["cpu_s"] < 10  # about 1.2 s of this process's own time, on any machine in use
