"""A developer's first minutes with a spec: each wrong step is told with the thing and the fix."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from signoff.canonical import Json
from signoff.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def spec(name: str = "spec.json", **members: Json) -> str:
    document: dict[str, Json] = {
        "openapi": "3.1.0",
        "info": {"title": "Pet Shop API", "version": "1"},
        "servers": [{"url": "https://pets.example/v1/"}],
        "paths": {"/pets": {"get": {"operationId": "listPets", "responses": {}}}},
        **members,
    }
    Path(name).write_text(json.dumps(document))
    return name


def drafted(name: str) -> tuple[dict[str, Any], str]:
    """Return the upstream that `init` writes, and what it says."""
    made = typed("init", name)
    assert made.exit_code == 0, made.output
    text = Path("capabilities.yaml").read_text()
    [upstream] = yaml.safe_load(text)["upstreams"].values()
    return upstream, made.stderr


@pytest.mark.parametrize("command", ["check", "tools", "serve"])
def test_without_a_catalogue_the_way_to_one_is_named(command: str) -> None:
    said = typed(command)

    assert said.exit_code == 1
    assert "capabilities.yaml" in said.output
    assert "signoff init SPEC" in said.output


def test_a_spec_is_a_file_and_no_address() -> None:
    said = typed("init", "https://pets.example/openapi.json")

    assert said.exit_code == 1
    assert said.stderr == (
        "https://pets.example/openapi.json: is an address; download it first "
        "(curl -O https://pets.example/openapi.json) and name the file\n"
    )
    assert not Path("capabilities.yaml").exists()


def test_a_spec_at_an_address_is_named_wherever_it_is_written() -> None:
    Path("capabilities.yaml").write_text(
        'signoff: 1\nupstreams:\n  a: {openapi: "https://a.example/s.json", base_url: "https://a"}\n'
    )
    for words in (["check"], ["check", "https://a.example/s.json"]):
        said = typed(*words)
        assert said.exit_code == 1
        assert "is an address; download it" in said.stdout


@pytest.mark.parametrize(
    ("servers", "said", "example"),
    [
        ([{"url": "/api/v3/"}], "only the path /api/v3", "https://api.example.com/api/v3"),
        ([], "no server", "https://api.example.com"),
        ([{"url": "//pets.example/v1"}], "no server", "https://api.example.com"),
        ([{"url": "/a\nusers: []"}], "no server", "https://api.example.com"),
    ],
)
def test_where_the_api_is_is_never_invented(servers: Json, said: str, example: str) -> None:
    upstream, told = drafted(spec(servers=servers))

    assert "base_url" not in upstream
    assert f"to do: base_url: the spec names {said}; say where the API is\n" in told
    assert f'# base_url: "{example}"' in Path("capabilities.yaml").read_text()
    checked = typed("check")
    assert checked.exit_code == 1
    assert "base_url: is needed" in checked.stdout


@pytest.mark.parametrize(
    ("url", "doubt"),
    [
        ("http://169.254.169.254/latest", "is a number and no name"),
        ("https://0x7f.0.0.1", "is a number and no name"),
        ("https://2852039166", "is on this computer or inside a network"),
        ("https://[fd00:ec2::254]", "is on this computer or inside a network"),
        ("http://localhost:3000", "is on this computer or inside a network"),
        ("https://metadata.google.internal/v1", "is on this computer or inside a network"),
        ("https://printer.local.", "is on this computer or inside a network"),
        ("http://pets.example", "is not https, so credentials go in clear"),
        ("https://pets.example:8443/v1", None),
        ("https://xn--pts-qla.xn--p1ai", None),
    ],
)
def test_an_address_that_only_the_spec_named_is_doubted(url: str, doubt: str | None) -> None:
    _, told = drafted(spec(servers=[{"url": url}]))

    wanted = f"to do: base_url: {url} {doubt}; keep it only if it is yours\n" if doubt else ""
    assert told == wanted


def test_a_swagger_base_path_without_a_host_is_no_address() -> None:
    Path("old.yaml").write_text(
        'swagger: "2.0"\ninfo: {title: Old, version: "1"}\nbasePath: /v2\n'
        "paths: {/a: {get: {operationId: a, responses: {}}}}\n"
    )
    _, told = drafted("old.yaml")

    assert "the spec names only the path /v2; say where the API is" in told


def test_further_servers_are_shown_and_defaults_are_told() -> None:
    server: dict[str, Json] = {
        "url": "https://{region}.pets.example",
        "variables": {"region": {"default": "eu"}},
    }
    upstream, told = drafted(spec(servers=[server, {"url": "https://test.pets.example"}]))

    assert upstream["base_url"] == "https://eu.pets.example"
    assert "https://eu.pets.example has the spec's default variables in it" in told
    assert '# or: "https://test.pets.example"' in Path("capabilities.yaml").read_text()


def test_another_host_of_single_operations_is_left_to_the_operator() -> None:
    upload: dict[str, Json] = {
        "operationId": "upload",
        "servers": [{"url": "https://files.example/"}],
        "responses": {},
    }
    path = spec(paths={"/files": {"post": upload}, "/pets": {"get": {"responses": {}}}})
    upstream, told = drafted(path)

    assert "allow_servers" not in upstream
    assert "allow_servers: 1 operation goes to https://files.example; list it if you trust" in told
    assert "left out: upload: its server" in told
    assert '# allow_servers: ["https://files.example"]' in Path("capabilities.yaml").read_text()


def secured(name: str, scheme: Json) -> str:
    return spec(security=[{name: []}], components={"securitySchemes": {name: scheme}})


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("bearerAuth", "PET_SHOP_BEARER_AUTH"),
        ("APIKey", "PET_SHOP_API_KEY"),
        ("x-api-key", "PET_SHOP_X_API_KEY"),
        ("OAuth2", "PET_SHOP_O_AUTH_2"),
        ("ключ", "PET_SHOP_API"),
    ],
)
def test_a_variable_is_named_after_the_api_and_its_scheme(name: str, variable: str) -> None:
    upstream, told = drafted(secured(name, {"type": "http", "scheme": "bearer"}))

    assert upstream["credentials"] == {name: f"${{env:{variable}}}"}
    assert f"to do: set {variable} in the environment" in told


def flows(**more: Json) -> Json:
    return {"type": "oauth2", "flows": {"clientCredentials": {"scopes": {}, **more}}}


def test_a_program_that_may_fetch_its_own_token_is_drafted_to() -> None:
    upstream, told = drafted(secured("app", flows(tokenUrl="https://login.pets.example/token")))

    assert upstream["credentials"] == {
        "app": {
            "client_id": "${env:PET_SHOP_APP_ID}",
            "client_secret": "${env:PET_SHOP_APP_SECRET}",
            "token_url": "https://login.pets.example/token",
        }
    }
    assert "set PET_SHOP_APP_ID and PET_SHOP_APP_SECRET in the environment" in told
    assert "the secret of app goes to https://login.pets.example/token; check it" in told
    assert typed("check").exit_code == 0


@pytest.mark.parametrize(
    "url",
    ["http://login.example/token", "https://u:p@login.example/token", "/token", "https://x/\n", 7],
)
def test_a_secret_is_drafted_to_no_address_that_is_none(url: Json) -> None:
    upstream, _ = drafted(secured("app", flows(tokenUrl=url)))

    assert upstream["credentials"] == {"app": "${env:PET_SHOP_APP}"}


def test_a_scheme_with_other_ways_to_a_token_is_given_one() -> None:
    scheme: dict[str, Json] = {
        "type": "oauth2",
        "flows": {
            "clientCredentials": {"tokenUrl": "https://login.example/token", "scopes": {}},
            "authorizationCode": {"tokenUrl": "https://login.example/token", "scopes": {}},
        },
    }
    upstream, _ = drafted(secured("app", scheme))

    assert upstream["credentials"] == {"app": "${env:PET_SHOP_APP}"}


def test_a_spec_of_nothing_says_so() -> None:
    _, told = drafted(spec(paths={}))

    assert "to do: the spec has no operation that can be a tool" in told


def test_many_guesses_are_summed_up_but_for_those_that_raise() -> None:
    paths: dict[str, Json] = {
        f"/pets/{n}": {"delete": {"operationId": f"drop{n}", "responses": {}}} for n in range(30)
    }
    paths["/keys"] = {"get": {"operationId": "listKeys", "responses": {}}}
    _, told = drafted(spec(paths=paths))

    assert [line for line in told.splitlines() if line.startswith("guessed")] == [
        "guessed: listKeys: admin, for the word 'key': raised to high",
        "guessed: 30 delete: high, as their methods say (--json names each)",
    ]


def test_a_large_spec_without_tags_says_how_to_offer_fewer() -> None:
    paths: dict[str, Json] = {f"/p{n}": {"get": {"responses": {}}} for n in range(61)}
    drafted(spec(paths=paths))
    text = Path("capabilities.yaml").read_text()

    fewer = next(line for line in text.splitlines() if "# expose:" in line)
    assert fewer == '    # expose: [{methods: [GET]}, {paths: ["/…/*"]}]'


def test_check_notes_what_is_not_set_and_shows_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PET_SHOP_KEY", raising=False)
    drafted(secured("key", {"type": "http", "scheme": "bearer"}))

    unset = typed("check")
    assert unset.exit_code == 0
    assert (
        "note: capabilities.yaml: PET_SHOP_KEY is not set in this environment; signoff serve needs "
        "it for upstreams.pet-shop-api.credentials.key\n"
    ) in unset.stdout

    monkeypatch.setenv("PET_SHOP_KEY", "s3cret-value")
    for words in (["check"], ["check", "--json"]):
        assert "PET_SHOP_KEY" not in typed(*words).output
        assert "s3cret-value" not in typed(*words).output


def test_a_catalogue_in_place_of_a_spec_is_told_apart() -> None:
    drafted(spec())
    for words in (["check", "capabilities.yaml"], ["init", "capabilities.yaml", "--config", "b"]):
        said = typed(*words)
        assert said.exit_code == 1
        assert "capabilities.yaml: is a catalogue and no spec: signoff check --config" in (
            said.output
        )
    assert not Path("b").exists()


def test_a_spec_in_place_of_a_catalogue_is_one_mistake() -> None:
    said = typed("check", "--config", spec())

    assert said.stdout == (
        "spec.json:1:1: is an OpenAPI document and no catalogue; draft one with signoff init "
        "spec.json\n1 to mend\n"
    )


@pytest.mark.parametrize("config", ["nowhere/capabilities.yaml", "spec.json/capabilities.yaml"])
def test_a_place_that_cannot_be_written_is_named(config: str) -> None:
    said = typed("init", spec(), "--config", config)

    assert said.exit_code == 1
    assert f"{config}: cannot be written: N" in said.stderr


@pytest.mark.parametrize(
    ("command", "meant"), [("tool", "tools"), ("chek", "check"), ("sevre", "serve"), ("x", None)]
)
def test_a_command_that_is_none_suggests_the_nearest(command: str, meant: str | None) -> None:
    said = typed(command)

    assert said.exit_code == 2
    assert f"No such command '{command}'." in said.stderr
    assert ("Did you mean" in said.stderr) == (meant is not None)
    assert meant is None or f'Did you mean "{meant}"?' in said.stderr
