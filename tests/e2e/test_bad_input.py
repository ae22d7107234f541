"""What an operator gets wrong: each in one clear sentence, with the exit code that fits."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from e2e_parts import launching
from harness import ROOT, Launch, Server, catalogue
from ports import free_port

WRONG = """\
signoff: 1
upstreams:
  bank:
    timout: 10s
    base_url: http://127.0.0.1:1
    openapi: missing.yaml
policy:
  defaults: {GET: alow}
users: []
"""


def desk(folder: Path, document: dict[str, Any] | str) -> Server:
    """Return a server that was never started."""
    config = folder / "capabilities.yaml"
    config.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return Server(
        port=free_port(), data_dir=folder / "data", config=config, environment={},
        log=folder / "log",
    )  # fmt: skip


async def serve(server: Server, *more: str) -> tuple[int, list[str]]:
    """Start it although it cannot start; return the exit code and the lines of stderr."""
    arguments = ("serve", "--config", str(server.config), "--port", str(server.port), *more)
    async with asyncio.timeout(60):
        code, out, err = await server.run(*arguments)
    assert out == ""
    assert "Traceback" not in err
    return code, err.strip().splitlines()


async def test_every_mistake_of_a_catalogue_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    server = desk(tmp_path, WRONG)
    code, lines = await serve(server)
    assert code == 1
    assert [line.removeprefix(str(server.config)) for line in lines] == [
        ':4:5: upstreams.bank.timout: unknown key, did you mean "timeout"?',
        ':6:14: upstreams.bank.openapi: "missing.yaml" cannot be read: No such file or directory',
        (
            ':8:19: policy.defaults.GET: must be one of allow, ask, deny, not "alow", '
            'did you mean "allow"?'
        ),
    ]
    assert not (server.data_dir / "signoff.db").exists()


async def test_an_unknown_approver_is_a_mistake_of_the_catalogue(tmp_path: Path) -> None:
    document = catalogue("http://127.0.0.1:1")
    operation = document["upstreams"]["bank"]["operations"]["createTransfer"]
    operation["approval"]["approver"] = "carol"
    code, lines = await serve(desk(tmp_path, document))
    assert code == 1
    assert lines[0].endswith('createTransfer.approval.approver: there is no user "carol"')


async def test_a_dangling_reference_of_a_tool_names_the_line_in_the_spec(tmp_path: Path) -> None:
    spec = tmp_path / "bank.yaml"
    text = (ROOT / "openapi_specs" / "bank.yaml").read_text()
    spec.write_text(text.replace("#/components/schemas/Transfer", "#/components/schemas/Nowhere"))
    document = catalogue("http://127.0.0.1:1")
    for upstream in document["upstreams"].values():
        upstream["openapi"] = str(spec)
    code, lines = await serve(desk(tmp_path, document))
    assert code == 1
    assert lines
    assert all(f"{spec}:" in line or "bank.yaml:" in line for line in lines), lines
    assert any("#/components/schemas/NowhereOrder" in line for line in lines)


async def test_a_catalogue_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    server = desk(tmp_path, "")
    server.config.unlink()
    code, lines = await serve(server)
    assert code == 1
    assert lines == [
        (
            f"there is no {server.config}: name your catalogue with --config, run this in its "
            "folder, or write a first one with signoff init SPEC"
        )
    ]


async def test_a_taken_port_is_named_and_nothing_was_begun(tmp_path: Path) -> None:
    server = desk(tmp_path, catalogue("http://127.0.0.1:1"))
    with socket.create_server(("127.0.0.1", server.port)):
        code, lines = await serve(server)
    assert code == 3
    assert lines == [
        f"port {server.port} is taken: stop what listens there, or choose another with --port"
    ]
    assert not (server.data_dir / "signoff.db").exists()


async def test_a_data_directory_that_cannot_be_used_is_told_in_one_sentence(
    tmp_path: Path,
) -> None:
    server = desk(tmp_path, catalogue("http://127.0.0.1:1"))
    (tmp_path / "file").touch()
    server.data_dir = tmp_path / "file" / "data"
    code, lines = await serve(server)
    assert code == 3
    assert lines == [
        (
            f"{server.data_dir} cannot be used as data directory: Not a directory; "
            "choose another --data-dir"
        )
    ]


async def test_a_database_that_is_none_is_left_as_it_is(tmp_path: Path) -> None:
    server = desk(tmp_path, catalogue("http://127.0.0.1:1"))
    server.data_dir.mkdir(mode=0o700)
    database = server.data_dir / "signoff.db"
    database.write_bytes(b"this is a letter to my mother, not a database" * 100)
    code, lines = await serve(server)
    assert code == 3
    assert len(lines) == 1
    assert str(database) in lines[0]
    assert database.read_bytes().startswith(b"this is a letter")


async def test_an_unset_variable_is_named_with_its_place(tmp_path: Path) -> None:
    document = catalogue("http://127.0.0.1:1")
    document["upstreams"]["bank"]["headers"]["Authorization"] = "Bearer ${env:NOBODY_SET_THIS}"
    code, lines = await serve(desk(tmp_path, document))
    assert code == 3
    assert len(lines) == 1
    assert "upstreams.bank.headers.Authorization" in lines[0]
    assert "the environment variable NOBODY_SET_THIS is not set" in lines[0]


async def test_another_host_than_loopback_is_refused(tmp_path: Path) -> None:
    code, lines = await serve(desk(tmp_path, catalogue("http://127.0.0.1:1")), "--host", "0.0.0.0")  # noqa: S104 — it is refused
    assert code == 3
    assert len(lines) == 1
    assert "stay on 127.0.0.1" in lines[0]


async def test_stdio_without_a_spelled_out_catalogue_is_a_usage_error(tmp_path: Path) -> None:
    server = desk(tmp_path, catalogue("http://127.0.0.1:1"))
    code, out, err = await server.run("serve", "--stdio")
    assert (code, out) == (2, "")
    assert "--stdio wants --config spelled out" in err


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    async with launching(tmp_path_factory.mktemp("running")) as launch:
        yield await launch(catalogue("http://127.0.0.1:1"))


async def test_a_second_server_on_the_same_directory_names_the_first(running: Server) -> None:
    assert running.process is not None
    second = Server(
        port=free_port(), data_dir=running.data_dir, config=running.config, environment={},
        log=running.log,
    )  # fmt: skip
    code, lines = await serve(second)
    assert code == 3
    assert lines == [
        (
            f"another signoff (process {running.process.pid}) uses {running.data_dir}; "
            "stop it, or choose another --data-dir"
        )
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("transfer_fund", "--arg=amount=1"), 1, "did you mean transfer_funds?"),
        (("transfer_funds", "--arg=amount"), 1, "amount"),
        (("transfer_funds", "--arg=amount=many"), 1, "amount"),
        (("transfer_funds", "--json", "{"), 1, "JSON"),
        (("list_accounts", "--url", "http://localhost:1/mcp"), 3, "no server answers at"),
        (("list_accounts", "--token-file", "/dev/null"), 3, "/dev/null is empty"),
        (("list_accounts", "--token-file", "/no/such/file"), 3, "no token in /no/such/file"),
    ],
)
async def test_a_call_from_the_terminal_that_cannot_be_says_why(
    running: Server, words: tuple[str, ...], code: int, said: str
) -> None:
    found, out, err = await running.run("call", *words)
    assert (found, out) == (code, ""), err
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


async def test_a_stopped_server_tells_a_waiting_terminal_what_to_do(launch: Launch) -> None:
    server = await launch(catalogue("http://127.0.0.1:1"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "signoff", "call", "transfer_funds", "--json",
        '{"amount": 1, "currency": "EUR", "from_account": "checking", "to_account": "savings"}',
        "--data-dir", str(server.data_dir), cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    async with asyncio.timeout(30):
        first = await process.stderr.readline()
    assert b"nobody can be asked" in first or b"Asking alice" in first
    await server.end()
    out, err = await process.communicate()
    assert process.returncode == 3
    assert out == b""
    assert b"Traceback" not in err
    last = err.decode().strip().splitlines()[-1]
    assert "went away while the call waited; the request stays open" in last
    assert "run the same command again" in last
