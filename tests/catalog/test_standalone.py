"""`from_openapi`: a spec as tools from Python, without a catalogue."""

from pathlib import Path

import pytest

from signoff.canonical import Json
from signoff.catalog.model import Risk, Upstream
from signoff.catalog.openapi.documents import DocumentError
from signoff.catalog.standalone import from_openapi
from signoff.catalog.wire import Server

SPEC: dict[str, Json] = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "description": "Sells **things**.", "version": "1"},
    "servers": [{"url": "https://{region}.example/v1", "variables": {"region": {"default": "eu"}}}],
    "paths": {
        "/things": {
            "get": {"operationId": "list", "responses": {}},
            "post": {"operationId": "add", "responses": {}, "deprecated": True},
        },
        "/files": {
            "post": {
                "operationId": "upload",
                "responses": {},
                "servers": [{"url": "https://files.example"}],
            }
        },
    },
}


@pytest.mark.seed("A44")
def test_a_mapping_is_enough() -> None:
    api = from_openapi(SPEC, allow_servers={"https://files.example": True})

    assert (api.name, api.description) == ("Shop", "Sells things.")
    assert api.upstream == Upstream(name="api", base_url="https://eu.example/v1")
    assert {tool.name: tool.risk for tool in api.tools} == {"list": Risk.LOW, "upload": Risk.HIGH}
    assert api.tools[1].server == Server(url="https://files.example", credentials=True)
    assert [one.operation for one in api.skipped] == ["add"]


def test_the_operators_word_wins_over_the_specs() -> None:
    api = from_openapi(
        SPEC,
        base_url="http://localhost:8080/",
        upstream="shop",
        deprecated=True,
        selected=lambda operation: operation.path == "/things",
    )

    assert api.upstream == Upstream(name="shop", base_url="http://localhost:8080")
    assert [tool.name for tool in api.tools] == ["list", "add"]
    assert {tool.upstream for tool in api.tools} == {"shop"}


def test_what_nobody_allowed_is_skipped_with_its_reason() -> None:
    [_, skipped] = from_openapi(SPEC).skipped

    assert "allow_servers" in skipped.reason


def test_a_path_may_refer_to_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(
        "openapi: 3.0.0\npaths: {/a: {get: {operationId: a, parameters: [{$ref: p.yaml}], "
        "responses: {}}}}\n"
    )
    (tmp_path / "p.yaml").write_text("{name: q, in: query, schema: {type: string}}\n")
    [tool] = from_openapi(tmp_path / "spec.yaml").tools

    assert [one.name for one in tool.parameters] == ["q"]
    assert from_openapi((tmp_path / "spec.yaml").read_bytes()).tools == ()


def test_variables_choose_the_server() -> None:
    assert from_openapi(SPEC, variables={"region": "us"}).upstream.base_url == (
        "https://us.example/v1"
    )


def test_a_spec_without_an_absolute_server_leaves_the_base_url_open() -> None:
    assert from_openapi({**SPEC, "servers": [{"url": "/v1"}]}).upstream.base_url == ""


def test_what_is_no_spec_is_an_error() -> None:
    with pytest.raises(DocumentError):
        from_openapi(b"hello")
