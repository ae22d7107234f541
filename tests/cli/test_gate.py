"""`signoff gate key` and the roles: over data directories that no server owns."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from signoff.app.errors import BadInputError
from signoff.app.roles import Role, fitting
from signoff.catalog.loader import Loaded, parse
from signoff.catalog.model import Catalogue
from signoff.cli.main import main
from signoff.tokens.keys import KeySet

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def invoke(*arguments: str, data_dir: str = "data") -> Result:
        return CliRunner().invoke(main, [*arguments, "--data-dir", str(tmp_path / data_dir)])

    return invoke


def kids(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    assert '"d"' not in result.stdout
    assert len(KeySet.parse(result.stdout)) == len(json.loads(result.stdout)["keys"])
    return [key["kid"] for key in json.loads(result.stdout)["keys"]]


def test_the_key_is_made_once_and_its_public_half_printed(run: Run, tmp_path: Path) -> None:
    (kid,) = kids(run("gate", "key"))
    assert kids(run("gate", "key")) == [kid]
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_key_is_replaced_in_two_steps(run: Run) -> None:
    (old,) = kids(run("gate", "key"))
    new, kept = kids(run("gate", "key", "--new"))
    assert kept == old
    assert kids(run("gate", "key", "--remove", old)) == [new]


@pytest.mark.parametrize("kid", ["", "other", "the only one"])
def test_a_key_that_is_not_there_or_the_only_one_is_not_removed(run: Run, kid: str) -> None:
    (only,) = kids(run("gate", "key"))
    result = run("gate", "key", "--remove", only if kid == "the only one" else kid)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert kids(run("gate", "key")) == [only]


def test_making_and_removing_are_two_commands(run: Run) -> None:
    result = run("gate", "key", "--new", "--remove", "x")
    assert result.exit_code == 2
    assert "two steps" in result.output


def test_a_directory_that_has_a_role_keeps_it(run: Run, tmp_path: Path) -> None:
    kids(run("gate", "key"))
    config = tmp_path / "capabilities.yaml"
    config.write_text(yaml.safe_dump({"signoff": 1, "users": [{"id": "alice"}]}))
    result = run("serve", "--config", str(config), "--port", "8499")
    assert result.exit_code == 3
    assert "is the data directory of a gate in a process of its own: start it with --role mcp" in (
        result.output
    )


def test_a_gate_with_its_own_process_does_not_start_without_a_key(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "capabilities.yaml"
    approvals = {"issuer": "http://localhost:8498", "client_id": "client_1"}
    config.write_text(yaml.safe_dump({"signoff": 1, "approvals": approvals}))
    result = run("serve", "--role", "mcp", "--config", str(config), "--port", "8499")
    assert result.exit_code == 3
    assert "this gate has no key yet: run `signoff gate key > gate.jwks`" in result.output


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_authorities_that_are_none_are_refused(
    run: Run, tmp_path: Path, content: str | None
) -> None:
    kids(run("gate", "key"))
    config = tmp_path / "capabilities.yaml"
    approvals = {"issuer": "https://sidecar.example", "client_id": "client_1", "ca": "ca.pem"}
    config.write_text(yaml.safe_dump({"signoff": 1, "approvals": approvals}))
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    result = run("serve", "--role", "mcp", "--config", str(config), "--port", "8499")
    assert result.exit_code == 3
    assert f"approvals.ca: {tmp_path / 'ca.pem'} cannot be used" in result.output


@pytest.mark.parametrize(
    "arguments",
    [("--role", "both"), ("--role", ""), ("--stdio", "--role", "sidecar", "--config", "c.yaml")],
)
def test_a_role_that_is_none_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("serve", *arguments).exit_code == 2


def catalogue(text: str) -> Catalogue:
    loaded = parse(f"signoff: 1\n{text}".encode(), file="c.yaml", read_spec=lambda s: (s, b""))
    assert isinstance(loaded, Loaded), loaded
    return loaded.catalogue


def test_check_says_where_approvals_are_asked_for(tmp_path: Path) -> None:
    config = tmp_path / "capabilities.yaml"
    config.write_text(f"signoff: 1\n{ELSEWHERE}")
    result = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert result.exit_code == 0
    assert (
        "approvals are asked for at https://sidecar.example, as client_1: start it with --role mcp"
    ) in result.output


PEOPLE = "users: [{id: alice}]\n"
ELSEWHERE = 'approvals: {issuer: "https://sidecar.example", client_id: client_1}\n'
SHOP = "upstreams: {shop: {base_url: 'https://shop.example'}}\n"


@pytest.mark.parametrize(
    ("role", "text", "sentence"),
    [
        ("mcp", PEOPLE, "--role mcp asks a sidecar elsewhere: name it"),
        ("all", PEOPLE + ELSEWHERE, "approvals are asked for there: start this with --role mcp"),
        ("sidecar", PEOPLE + ELSEWHERE, "start this with --role mcp"),
        ("sidecar", "", "users: a sidecar asks people, and the catalogue names none"),
        (
            "mcp",
            "server: {public_url: 'https://sidecar.example'}\n" + ELSEWHERE,
            "the gate has an address of its own",
        ),
    ],
)
def test_a_catalogue_for_another_role_is_refused(role: Role, text: str, sentence: str) -> None:
    with pytest.raises(BadInputError, match=sentence):
        fitting(catalogue(text), role)


def test_a_catalogue_fits_its_role_and_what_counts_for_nothing_is_said() -> None:
    assert fitting(catalogue(PEOPLE), "all") == ()
    assert fitting(catalogue(PEOPLE), "sidecar") == ()
    assert fitting(catalogue(PEOPLE + ELSEWHERE + SHOP), "mcp") == ()
    (note,) = fitting(catalogue(PEOPLE + SHOP), "sidecar")
    assert "a sidecar calls no upstream" in note
