"""Queries: in an operation's own path, and as one whole parameter (OpenAPI 3.2)."""

import pytest

from signoff.canonical import Json
from signoff.catalog.model import Risk
from signoff.catalog.wire import Encoding, Parameter
from small_specs import OK, compiled, fault, only_tool, properties_of


def test_a_query_in_the_path_is_sent_with_every_call_and_is_no_argument() -> None:
    parameters: Json = [
        {"name": "beta", "in": "query", "schema": {}},
        {"name": "limit", "in": "query", "schema": {}},
    ]
    tool = only_tool({"parameters": parameters}, path="/things?beta=true&x", method="get")

    assert (tool.path, tool.query) == ("/things", "beta=true&x")
    assert set(properties_of(tool)) == {"limit"}


@pytest.mark.parametrize(
    "parameters",
    [
        [],
        [{"name": "until", "in": "path", "required": True, "schema": {"type": "string"}}],
        [{"name": "until", "in": "query", "required": True, "schema": {"type": "string"}}],
        [{"name": "to", "in": "query", "required": True, "schema": {"type": "string"}}],
    ],
    ids=["undeclared", "in path", "in query", "by its name"],
)
def test_a_placeholder_in_the_paths_query_is_a_query_parameter(parameters: Json) -> None:
    tool = only_tool({"parameters": parameters}, path="/a/{id}?v=2&to={until}", method="get")

    assert (tool.path, tool.query) == ("/a/{id}", "v=2")
    assert {(one.place, one.name, one.required) for one in tool.parameters} == {
        ("path", "id", True),
        ("query", "to", True),
    }


def test_a_placeholder_in_the_paths_query_for_a_credential_is_no_argument() -> None:
    schemes: dict[str, Json] = {
        "securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "key"}}
    }
    tool = only_tool({}, schemes, path="/a?key={APIKEY}&q={q}", method="get")

    assert (set(properties_of(tool)), tool.query) == ({"q"}, "")


@pytest.mark.parametrize(
    "path",
    [
        "/a?", "/a?x=1 2", "/a?&", "/a?x=1\r\n", "?x=1", "/a?ä=1", "/a?x={y", "/a?x={}", "/a?{x}",
        "/a?x={y}z", "/a?x={y}?z={w}", "/a?x={y}&z={y}", "/{y}?x={y}", "/a?x={y}}&z=1",
    ],
)  # fmt: skip
def test_a_query_in_the_path_that_is_not_plain_costs_the_operation(path: str) -> None:
    assert "path" in fault({}, path=path)


def test_a_fragment_in_the_path_only_tells_operations_apart() -> None:
    result = compiled({
        "/a": {"get": {"responses": OK}},
        "/a#other": {"get": {"responses": OK}},
    })

    assert [(tool.name, tool.path) for tool in result.tools] == [
        ("get_a", "/a"),
        ("get_a_other", "/a"),
    ]


def test_a_whole_query_string_of_3_2_keeps_how_its_members_are_written() -> None:
    schema: Json = {"type": "object", "properties": {"a": {"type": "array"}, "b": {}}}
    content: Json = {
        "application/x-www-form-urlencoded": {
            "schema": schema,
            "encoding": {"a": {"style": "pipeDelimited"}},
        }
    }
    parameter: Json = {"in": "querystring", "name": "q", "required": True, "content": content}
    tool = only_tool({"parameters": [parameter]}, method="query", version="3.2.0")

    assert tool.parameters == (
        Parameter(
            argument="q",
            name="q",
            place="querystring",
            style="form",
            explode=True,
            required=True,
            content_type="application/x-www-form-urlencoded",
            encodings={"a": Encoding(style="pipeDelimited", explode=False)},
        ),
    )
    assert (tool.method, tool.risk, tool.read_only) == ("QUERY", Risk.LOW, True)


def test_a_whole_query_string_stands_alone() -> None:
    whole: Json = {"in": "querystring", "name": "q", "content": {"text/plain": {}}}
    one: Json = {"in": "query", "name": "a", "schema": {}}

    assert fault({"parameters": [whole, one]}, path="/a") == (
        "it has a whole query string and query parameters beside it"
    )
    assert "without content" in fault({"parameters": [{"in": "querystring", "name": "q"}]})
    assert "whole query string beside it" in fault({"parameters": [whole]}, path="/a?x=1")
