"""`signoff hosts`, over a data directory that no server owns."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from signoff.cli.main import main

ROOT = Path(__file__).parents[2]
URI = "http://127.0.0.1/callback"


@pytest.fixture
def run(tmp_path: Path) -> Any:
    (tmp_path / "data").mkdir()

    def invoke(*arguments: str) -> Result:
        where = ("--data-dir", str(tmp_path / "data"), "--config", str(ROOT / "capabilities.yaml"))
        return CliRunner().invoke(main, [*arguments, *where])

    return invoke


def test_a_host_is_created_listed_shown_and_deleted(run: Any) -> None:
    result = run("hosts", "create", "Claude Code", "--redirect-uri", URI, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    made = json.loads(result.stdout)
    assert "client_secret" not in made
    assert json.loads(run("hosts", "list", "--json").stdout) == [made]
    assert json.loads(run("hosts", "show", made["client_id"], "--json").stdout) == made
    assert (made["name"], made["source"], made["redirect_uris"]) == ("Claude Code", "operator", URI)
    assert "Claude Code" in run("hosts", "list").stdout
    assert run("hosts", "delete", made["client_id"]).exit_code == 0
    assert run("hosts", "list").stderr.startswith("No hosts yet")
    result = run("hosts", "delete", made["client_id"])
    assert result.exit_code == 1
    assert "there is no host" in result.stderr


def test_a_secret_is_shown_once_and_only_where_there_is_one(run: Any) -> None:
    result = run("hosts", "create", "A server", "--redirect-uri", URI, "--confidential", "--json")
    made = json.loads(result.stdout)
    assert len(made["client_secret"]) >= 43
    assert result.stderr.startswith("Keep the secret now")
    shown = run("hosts", "show", made["client_id"])
    assert made["client_secret"] not in shown.stdout
    assert run("clients", "rotate", made["client_id"]).exit_code == 0


def test_what_a_public_host_has_not_is_named(run: Any) -> None:
    made = json.loads(run("hosts", "create", "Host", "--redirect-uri", URI, "--json").stdout)
    result = run("clients", "rotate", made["client_id"])
    assert result.exit_code == 1
    assert f"{made['client_id']} is a public host and has no secret" in result.stderr
    result = run("clients", "update", made["client_id"], "--name", "New")
    assert result.exit_code == 1
    assert "is a host: signoff hosts delete, and create it anew" in result.stderr


@pytest.mark.parametrize("uri", ["http://app.example/cb", "javascript:alert(1)", "nowhere"])
def test_a_place_where_no_code_may_go_is_refused(run: Any, uri: str) -> None:
    result = run("hosts", "create", "Host", "--redirect-uri", uri)
    assert result.exit_code == 1
    assert "redirect" in result.stderr or "loopback" in result.stderr


def test_a_host_needs_a_place_for_its_answers(run: Any) -> None:
    assert run("hosts", "create", "Host").exit_code == 2
