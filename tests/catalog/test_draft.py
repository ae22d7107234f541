"""A first catalogue from a spec: it checks, it only raises risks, and it says what it guessed."""

import json
from pathlib import Path

import pytest

from signoff.app import inspect
from signoff.app.errors import BadInputError
from signoff.canonical import Json
from signoff.catalog.draft import draft
from signoff.catalog.loader import Loaded, load, parse
from signoff.catalog.model import Risk
from signoff.catalog.openapi.compiler import compile_document
from signoff.catalog.openapi.documents import Document


def operation(id_: str) -> Json:
    return {"operationId": id_, "responses": {}, "tags": ["all"]}


SPEC: dict[str, Json] = {
    "openapi": "3.0.0",
    "info": {"title": "Ünïcode & Sons: API\n# not a comment", "version": "1"},
    "servers": [{"url": "https://api.example/v1/"}],
    "security": [{"token": []}],
    "components": {
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
            "user": {"type": "http", "scheme": "basic"},
        }
    },
    "paths": {
        "/accounts": {"get": operation("listAccounts")},
        "/messages": {"get": operation("listMessages")},
        "/api-keys": {"get": operation("listApiKeys")},
        "/refunds": {"post": operation("createRefund")},
        "/mail": {"post": operation("sendMail")},
        "/things/{id}": {"delete": operation("dropThing"), "get": operation("getThing")},
        "/roles": {"put": operation("setRole")},
        "/releases": {"post": operation("newRelease")},
        "/notes": {"post": operation("addNote")},
    },
}


def written(spec: dict[str, Json], folder: Path) -> Path:
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    return path


async def made(folder: Path, spec: dict[str, Json] | None = None) -> Loaded:
    config = folder / "capabilities.yaml"
    await inspect.init(written(spec or SPEC, folder), config, user="alice")
    result = load(config)
    assert isinstance(result, Loaded), result
    return result


async def test_the_draft_checks_as_it_is(tmp_path: Path) -> None:
    result = await made(tmp_path)

    upstream = result.catalogue.upstreams["n-code-sons-api-not-a"]
    assert upstream.base_url == "https://api.example/v1"
    assert set(upstream.credentials) == {"token"}
    assert list(result.catalogue.users) == ["alice"]


async def test_no_risk_is_lower_than_the_methods_own(tmp_path: Path) -> None:
    document = Document(json.dumps(SPEC).encode(), name="s")
    plain = {tool.name: tool.risk for tool in compile_document(document, upstream="u").tools}
    drafted = {tool.name: tool.risk for tool in (await made(tmp_path)).catalogue.tools}

    assert {name for name, risk in drafted.items() if risk is Risk.LOW} == {
        "listAccounts",
        "listMessages",
        "getThing",
    }
    assert all(drafted[name] is Risk.HIGH for name, risk in plain.items() if risk is Risk.HIGH)


def test_every_guess_says_what_it_was_made_from() -> None:
    document = Document(json.dumps(SPEC).encode(), name="s")
    guesses = draft(document, spec="spec.json", user="alice").guesses

    assert {(one.operation, one.group, one.word, one.is_raised) for one in guesses} == {
        ("listApiKeys", "admin", "key", True),
        ("createRefund", "money", "refund", False),
        ("sendMail", "e-mail", "send", False),
        ("dropThing", "delete", "delete", False),
        ("setRole", "admin", "role", False),
        ("newRelease", "publish", "release", False),
    }


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Stripe API", "stripe-api"),
        ("GitHub's official OpenAPI spec + Octokit extension", "github-official-openapi"),
        ("Bob\u2019s Shop", "bob-shop"),
        ("x" * 60, "x" * 24),
        ("a " + "x" * 60, "a"),
        ("", "api"),
        ("***", "api"),
        ("日本語", "api"),
    ],
)
def test_an_api_is_named_by_whole_words_of_its_title(title: str, name: str) -> None:
    titled: dict[str, Json] = {**SPEC, "info": {"title": title, "version": "1"}}
    text = draft(Document(json.dumps(titled).encode(), name="s"), spec="s", user="a").text
    assert f"upstreams:\n  {name}:\n" in text


def test_nothing_a_spec_is_called_breaks_out_of_the_text() -> None:
    evil: dict[str, Json] = {
        **SPEC,
        "info": {"title": 'x"}\nusers: [{id: mallory}]\n#', "version": "1"},
        "servers": [
            {"url": "https://a.example"},
            {"url": 'https://b.example/"x'},
            {"url": "https://c.example/\nusers: [{id: eve}]"},
        ],
        "paths": {'/refunds"}: {': {"post": operation('a"}\nusers: [{id: eve}]\nrefund')}},
    }
    text = draft(Document(json.dumps(evil).encode(), name="s"), spec='a"b', user="alice").text

    assert [line for line in text.splitlines() if line.startswith("users")] == ["users:"]
    spec = json.dumps(evil).encode()
    result = parse(text.encode(), file="c", read_spec=lambda name: (name, spec))
    assert isinstance(result, Loaded)
    assert list(result.catalogue.users) == ["alice"]


def test_what_the_operator_has_to_do_is_said() -> None:
    without: dict[str, Json] = {**SPEC, "servers": []}
    todo = draft(Document(json.dumps(without).encode(), name="s"), spec="s", user="a").todo

    assert todo == (
        "base_url: the spec names no server; say where the API is",
        "set N_CODE_SONS_TOKEN in the environment: the key or token of token",
    )


async def test_a_catalogue_that_is_there_is_not_touched(tmp_path: Path) -> None:
    config = tmp_path / "capabilities.yaml"
    config.write_text("mine")

    with pytest.raises(BadInputError, match=r"there is a .* already"):
        await inspect.init(written(SPEC, tmp_path), config, user="alice")
    assert config.read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"hello: there", "1:1: not an OpenAPI document"), (None, "cannot be read: No such file")],
)
async def test_a_spec_that_cannot_be_used_writes_nothing(
    tmp_path: Path, text: bytes | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "spec.yaml").write_bytes(text)

    with pytest.raises(BadInputError, match=message):
        await inspect.init(tmp_path / "spec.yaml", tmp_path / "c.yaml", user="alice")
    assert not (tmp_path / "c.yaml").exists()


async def test_a_large_draft_names_only_what_was_raised(tmp_path: Path) -> None:
    paths: dict[str, Json] = {f"/refunds/{n}": {"post": operation(f"refund{n}")} for n in range(80)}
    paths["/secrets"] = {"get": operation("listSecrets")}
    spec: dict[str, Json] = {**SPEC, "paths": paths}
    result = await made(tmp_path, spec)
    text = (tmp_path / "capabilities.yaml").read_text()

    assert len(result.catalogue.tools) == 81
    assert '"listSecrets": {risk: high}  # admin: secret' in text
    assert "refund0" not in text
    assert '# expose: [{tags: ["all"]}]' in text


def test_a_client_certificate_is_something_to_do() -> None:
    spec: dict[str, Json] = {
        "openapi": "3.1.0",
        "servers": [{"url": "https://a.example"}],
        "paths": {"/a": {"get": {"responses": {}, "security": [{"cert": []}]}}},
        "components": {"securitySchemes": {"cert": {"type": "mutualTLS"}}},
    }
    todo = draft(Document(json.dumps(spec).encode(), name="s"), spec="s", user="a").todo

    [line] = todo
    assert line.startswith("client_certificate: the spec has operations that want one")
