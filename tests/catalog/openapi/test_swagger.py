"""Swagger 2.0, read as 3.0: bodies, forms, collections, answers, security, servers."""

import json

import pytest

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.openapi.compiler import compile_document
from signoff.catalog.openapi.documents import Document
from signoff.catalog.openapi.security import schemes_of
from signoff.catalog.openapi.servers import Places, root_urls
from signoff.catalog.wire import Encoding, SecurityScheme
from small_specs import properties_of

OK: Json = {"200": {"description": "ok"}}


def swagger(operation: dict[str, Json], **top: Json) -> Document:
    root: dict[str, Json] = {
        "swagger": "2.0",
        "info": {"title": "t", "version": "1"},
        "paths": {"/things/{id}": {"post": {"responses": OK, **operation}}},
        **top,
    }
    return Document(json.dumps(root).encode(), name="spec.json")


def only_tool(operation: dict[str, Json], **top: Json) -> ToolSpec:
    compiled = compile_document(swagger(operation, **top), upstream="up")
    assert [one.reason for one in compiled.faulty] == []
    return compiled.tools[0]


def fault(operation: dict[str, Json], **top: Json) -> str:
    compiled = compile_document(swagger(operation, **top), upstream="up")
    assert compiled.tools == ()
    return compiled.faulty[0].reason


def test_a_body_parameter_is_the_body() -> None:
    schema: Json = {"$ref": "#/definitions/Thing"}
    thing: Json = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string"},
            "note": {"type": "string", "x-nullable": True},
            "id": {"type": "string", "readOnly": True},
        },
    }
    tool = only_tool(
        {"parameters": [{"in": "body", "name": "thing", "required": True, "schema": schema}]},
        definitions={"Thing": thing},
    )

    assert (tool.body.kind, tool.body.format) == ("members", "json")
    assert tool.body.members == {"name": "name", "note": "note"}
    assert tool.input_schema["required"] == ["id", "name"]
    assert properties_of(tool)["note"] == {"type": ["string", "null"]}


def test_an_operations_body_wins_over_its_paths_whatever_they_are_called() -> None:
    shared: Json = [{"in": "body", "name": "old", "schema": {"type": "string"}}]
    root: dict[str, Json] = {
        "swagger": "2.0",
        "info": {"title": "t", "version": "1"},
        "paths": {
            "/t": {
                "parameters": shared,
                "post": {
                    "responses": OK,
                    "parameters": [{"in": "body", "name": "new", "schema": {"type": "integer"}}],
                },
            }
        },
    }
    document = Document(json.dumps(root).encode(), name="s")
    [tool] = compile_document(document, upstream="up").tools

    assert properties_of(tool) == {"body": {"type": "integer"}}


@pytest.mark.parametrize(
    ("collection", "style", "explode"),
    [
        ("csv", "form", False),
        ("ssv", "spaceDelimited", False),
        ("tsv", "tabDelimited", False),
        ("pipes", "pipeDelimited", False),
        ("multi", "form", True),
        (None, "form", False),
    ],
)
def test_a_collection_format_is_a_style(collection: str | None, style: str, explode: bool) -> None:
    parameter: dict[str, Json] = {
        "in": "query",
        "name": "tag",
        "type": "array",
        "items": {"type": "string"},
    }
    if collection is not None:
        parameter["collectionFormat"] = collection

    tags = [one for one in only_tool({"parameters": [parameter]}).parameters if one.name == "tag"]
    assert [(one.style, one.explode) for one in tags] == [(style, explode)]


def test_an_unknown_collection_format_costs_the_operation() -> None:
    parameter: Json = {"in": "query", "name": "tag", "type": "array", "collectionFormat": "xml"}

    assert fault({"parameters": [parameter]}) == "the collectionFormat 'xml' is not known"


def test_form_fields_are_a_form() -> None:
    tool = only_tool({
        "consumes": ["application/x-www-form-urlencoded"],
        "parameters": [
            {"in": "formData", "name": "title", "type": "string", "required": True},
            {"in": "formData", "name": "tags", "type": "array", "collectionFormat": "multi"},
            {"in": "formData", "name": "ids", "type": "array", "collectionFormat": "pipes"},
        ],
    })

    assert (tool.body.format, tool.body.content_type) == (
        "form",
        "application/x-www-form-urlencoded",
    )
    assert tool.body.required
    assert tool.body.encodings == {
        "tags": Encoding(style="form", explode=True),
        "ids": Encoding(style="pipeDelimited", explode=False),
    }


def test_a_file_makes_the_form_multipart() -> None:
    tool = only_tool({
        "parameters": [
            {"in": "formData", "name": "photo", "type": "file", "required": True},
            {"in": "formData", "name": "caption", "type": "string"},
        ],
    })

    assert (tool.body.format, tool.body.content_type) == ("multipart", "multipart/form-data")
    assert tool.body.encodings == {"photo": Encoding(is_file=True)}


def test_consumes_and_produces_of_the_document_count_where_an_operation_says_nothing() -> None:
    body: Json = [{"in": "body", "name": "b", "schema": {"type": "object"}}]
    answer: Json = {"200": {"description": "ok", "schema": {"type": "string"}}}
    tool = only_tool(
        {"parameters": body, "responses": answer},
        consumes=["application/merge-patch+json"],
        produces=["application/vnd.x+json"],
    )

    assert tool.body.content_type == "application/merge-patch+json"
    assert tool.accept == ("application/vnd.x+json",)


def test_security_definitions_are_security_schemes() -> None:
    document = swagger(
        {},
        securityDefinitions={
            "key": {"type": "apiKey", "in": "query", "name": "k"},
            "user": {"type": "basic"},
            "oauth": {"type": "oauth2", "flow": "application", "tokenUrl": "https://a/t"},
        },
    )

    assert schemes_of(document) == {
        "key": SecurityScheme(name="key", kind="api_key", carrier="query", key="k"),
        "user": SecurityScheme(name="user", kind="basic"),
        "oauth": SecurityScheme(name="oauth", kind="oauth2", token_url="https://a/t"),
    }


def test_a_credential_of_the_definitions_is_no_argument() -> None:
    tool = only_tool(
        {"parameters": [{"in": "query", "name": "k", "type": "string"}]},
        securityDefinitions={"key": {"type": "apiKey", "in": "query", "name": "k"}},
    )

    assert set(properties_of(tool)) == {"id"}


def test_host_base_path_and_schemes_are_servers() -> None:
    document = swagger({}, host="api.example", basePath="/v2", schemes=["http", "https"])

    assert root_urls(document, Places()) == ["https://api.example/v2", "http://api.example/v2"]
    assert root_urls(swagger({}, basePath="/v2"), Places()) == ["/v2"]
