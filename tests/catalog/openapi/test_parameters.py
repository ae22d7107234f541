"""Parameters become arguments with place, style and schema; what carries credentials never does."""

import pytest

from signoff.canonical import Json
from signoff.catalog.wire import Parameter
from small_specs import compiled, fault, only_tool, properties_of


def test_parameters_keep_place_style_and_explode() -> None:
    tool = only_tool(
        {
            "parameters": [
                {"name": "id", "in": "path", "style": "matrix", "schema": {"type": "string"}},
                {"name": "tags", "in": "query", "explode": False, "schema": {"type": "array"}},
                {"name": "where", "in": "query", "style": "deepObject", "explode": True},
                {"name": "q", "in": "query", "content": {"application/json": {"schema": {}}}},
                {"name": "raw", "in": "query", "allowReserved": True, "schema": {}},
                {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                {"name": "theme", "in": "cookie", "schema": {"type": "string"}},
            ]
        },
        path="/things/{id}",
        method="get",
    )

    assert {one.argument: one for one in tool.parameters} == {
        "id": Parameter(
            argument="id", name="id", place="path", style="matrix", explode=False, required=True
        ),
        "tags": Parameter(argument="tags", name="tags", place="query", style="form", explode=False),
        "where": Parameter(
            argument="where", name="where", place="query", style="deepObject", explode=True
        ),
        "q": Parameter(
            argument="q",
            name="q",
            place="query",
            style="form",
            explode=True,
            content_type="application/json",
        ),
        "raw": Parameter(
            argument="raw",
            name="raw",
            place="query",
            style="form",
            explode=True,
            allow_reserved=True,
        ),
        "X-Trace": Parameter(
            argument="X-Trace", name="X-Trace", place="header", style="simple", explode=False
        ),
        "theme": Parameter(
            argument="theme", name="theme", place="cookie", style="form", explode=True
        ),
    }
    assert tool.input_schema["required"] == ["id"]
    assert tool.input_schema["additionalProperties"] is False


@pytest.mark.parametrize(
    "name",
    [
        "Accept",
        "content-type",
        "AUTHORIZATION",
        "Cookie",
        "Host",
        "Idempotency-Key",
        "Transfer-Encoding",
        "Proxy-Authorization",
        "X_Forwarded_For",
    ],
)
def test_a_header_of_http_or_of_ours_is_never_an_argument(name: str) -> None:
    tool = only_tool({"parameters": [{"name": name, "in": "header", "required": True}]})

    assert properties_of(tool) == {}
    assert tool.parameters == ()


def test_what_carries_credentials_is_never_an_argument() -> None:
    tool = only_tool(
        {
            "parameters": [
                {"name": "x-api-key", "in": "header", "schema": {}},
                {"name": "key", "in": "query", "schema": {}},
                {"name": "sid", "in": "cookie", "schema": {}},
                {"name": "kept", "in": "query", "schema": {}},
            ]
        },
        {
            "securitySchemes": {
                "a": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                "b": {"type": "apiKey", "in": "query", "name": "key"},
                "c": {"type": "apiKey", "in": "cookie", "name": "sid"},
                "broken": {"$ref": "#/nowhere"},
            }
        },
    )

    assert list(properties_of(tool)) == ["kept"]


def test_an_operations_parameter_overrides_its_path_items() -> None:
    shared: Json = {"name": "n", "in": "query", "schema": {"type": "string"}}
    own: Json = {"name": "n", "in": "query", "schema": {"type": "integer"}}
    result = compiled({"/x": {"parameters": [shared], "get": {"parameters": [own]}}})

    assert properties_of(result.tools[0]) == {"n": {"type": "integer"}}


def test_a_placeholder_nobody_declares_is_a_required_text() -> None:
    tool = only_tool({}, path="/a/{x}/b/{y}", method="get")

    assert properties_of(tool) == {"x": {"type": "string"}, "y": {"type": "string"}}
    assert tool.input_schema["required"] == ["x", "y"]


def test_a_path_parameter_without_a_placeholder_is_left_out() -> None:
    assert only_tool({"parameters": [{"name": "gone", "in": "path"}]}).parameters == ()


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ({"in": "query"}, "a parameter has no name"),
        ({"name": "a", "in": "body"}, "the parameter \"a\" is in 'body'"),
        (
            {"name": "a", "in": "header", "style": "form"},
            "the header parameter \"a\" has style 'form'",
        ),
        ("text", "there is something that is not a mapping"),
    ],
)
def test_a_parameter_that_cannot_be_read_skips_the_operation(parameter: Json, reason: str) -> None:
    assert fault({"parameters": [parameter]}) == reason
