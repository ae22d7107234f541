"""`signoff clients` and `signoff users code`, over a data directory that no server owns."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import ECKey

from signoff.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    (tmp_path / "data").mkdir()

    def invoke(*arguments: str, typed: str | None = None) -> Result:
        where = ("--data-dir", str(tmp_path / "data"), "--config", str(ROOT / "capabilities.yaml"))
        return CliRunner().invoke(main, [*arguments, *where], input=typed)

    return invoke


def made(run: Any, *arguments: str) -> dict[str, Any]:
    result = run("clients", "create", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def shown(run: Any, client_id: str) -> dict[str, Any]:
    return json.loads(run("clients", "show", client_id, "--json").stdout)


@pytest.mark.seed("C6")
@pytest.mark.seed("CIBA-8")
def test_update_changes_what_is_given_and_leaves_the_rest(run: Any) -> None:
    client = made(run, "nightly", "--scope", "a", "--audience", "https://x.example", "--days", "3")
    before = shown(run, client["client_id"])
    changed = ("--scope", "b", "--delivery", "ping", "--notify", "https://c.example/cb", "--dpop")
    result = run("clients", "update", client["client_id"], *changed, "--json")
    expected = {
        **before,
        "scopes": "b",
        "delivery": "ping",
        "notification_endpoint": "https://c.example/cb",
        "dpop": True,
    }
    assert json.loads(result.stdout) == expected
    result = run("clients", "update", client["client_id"], "--delivery", "poll", "--no-dpop")
    assert result.exit_code == 0
    assert shown(run, client["client_id"]) == {**before, "scopes": "b"}


def test_a_client_that_may_ask_for_access_that_lasts_has_both_grants(run: Any) -> None:
    client = made(run, "payroll", "--grant", "ciba", "--grant", "refresh_token")
    assert shown(run, client["client_id"])["grants"] == "ciba refresh_token"
    refused = run("clients", "create", "payroll", "--grant", "refresh_token")
    assert refused.exit_code == 1
    assert "give that grant too" in refused.output


def test_a_client_asks_only_for_details_of_types_that_the_catalogue_has(run: Any) -> None:
    refused = run("clients", "create", "shop", "--grant", "ciba", "--details-type", "payment")
    assert refused.exit_code == 1
    assert "there is no authorization_details type payment; there is none" in refused.output


def test_a_client_is_switched_off_and_on(run: Any) -> None:
    client_id = made(run, "nightly")["client_id"]
    assert run("clients", "disable", client_id).exit_code == 0
    assert shown(run, client_id)["disabled"] is True
    assert run("clients", "disable", client_id).exit_code == 1
    assert run("clients", "enable", client_id).exit_code == 0
    assert shown(run, client_id)["disabled"] is False
    assert run("clients", "enable", client_id).exit_code == 1
    assert run("clients", "disable", "nobody").exit_code == 1


def test_a_host_known_by_its_documents_address_is_switched_off_and_on(run: Any) -> None:
    address = "https://host.example/client.json"
    assert run("clients", "disable", address).exit_code == 0
    assert run("clients", "disable", address).exit_code == 1
    assert run("clients", "enable", address).exit_code == 0
    assert run("clients", "disable", "host_unknown").exit_code == 1


def test_a_gate_registers_its_key_and_gets_no_secret(run: Any, tmp_path: Path) -> None:
    public = tmp_path / "gate.jwks"
    public.write_text(json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}))
    gate = made(run, "remote", "--role", "gate", "--jwks", str(public))
    assert (gate["role"], gate["client_secret"]) == ("gate", None)
    assert shown(run, gate["client_id"])["grants"] == "ciba"


def test_the_keys_of_a_gate_are_replaced_and_a_secret_is_not_by_keys(
    run: Any, tmp_path: Path
) -> None:
    public = tmp_path / "gate.jwks"
    public.write_text(json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}))
    gate = made(run, "remote", "--role", "gate", "--jwks", str(public))
    assert run("clients", "update", gate["client_id"], "--jwks", str(public)).exit_code == 0
    public.write_text('{"keys": []}')
    refused = run("clients", "update", gate["client_id"], "--jwks", str(public))
    assert (refused.exit_code, refused.output) == (1, "the key set holds no key that can sign\n")
    secret = made(run, "nightly")["client_id"]
    refused = run("clients", "update", secret, "--jwks", str(public))
    assert refused.exit_code == 1
    assert "has a secret, and brings no keys" in refused.output


def test_a_gate_without_a_public_key_is_refused(run: Any, tmp_path: Path) -> None:
    assert run("clients", "create", "remote", "--role", "gate").exit_code == 1
    key = tmp_path / "private.jwks"
    key.write_text(json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=True)]}))
    result = run("clients", "create", "remote", "--role", "gate", "--jwks", str(key))
    assert result.exit_code == 1
    assert "public keys only" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--delivery", "ping"),
        ("--notify", "https://c.example/"),
        ("--delivery", "push", "--notify", "http://c.example/"),
        ("--sign", "ES256"),
        ("--audience", "nowhere"),
    ],
)
def test_settings_that_cannot_work_are_refused(run: Any, arguments: tuple[str, ...]) -> None:
    result = run("clients", "create", "nightly", *arguments)
    assert result.exit_code == 1
    assert "Traceback" not in result.output


def test_a_rotation_shows_the_new_secret_and_its_start(run: Any) -> None:
    client = made(run, "nightly")
    result = run("clients", "rotate", client["client_id"], "--overlap-hours", "2", "--json")
    secret = json.loads(result.stdout)["client_secret"]
    assert secret != client["client_secret"]
    assert shown(run, client["client_id"])["secret_starts"] == secret[:6]
    assert run("clients", "rotate", client["client_id"], "--overlap-hours", "999").exit_code == 2


@pytest.mark.seed("CIBA-25")
@pytest.mark.filterwarnings("ignore::getpass.GetPassWarning")
def test_a_user_code_is_typed_twice_and_never_printed(run: Any) -> None:
    result = run("users", "code", "alice", typed="4711-x\n4711-x\n")
    assert result.exit_code == 0, result.output
    assert "4711" not in result.output
    assert run("users", "code", "alice", typed="no\nno\n").exit_code == 1
    assert run("users", "code", "nobody", typed="4711-x\n4711-x\n").exit_code == 1
    assert run("users", "code", "alice", "--remove").exit_code == 0
    assert run("users", "code", "alice", "--remove").exit_code == 1
