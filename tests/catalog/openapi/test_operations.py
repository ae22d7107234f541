"""Operations become tools: risk, arguments, and one bad one that costs no other."""

import pytest

from signoff.canonical import Json
from signoff.catalog.model import Risk
from signoff.catalog.wire import Body, Encoding, Parameter
from small_specs import OK, compiled, fault, json_body, only_tool, properties_of


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options", "trace"])
def test_everything_but_get_and_head_is_high_and_destructive(method: str) -> None:
    tool = only_tool({"operationId": "x"}, method=method)

    assert (tool.risk, tool.destructive, tool.read_only) == (Risk.HIGH, True, False)


@pytest.mark.parametrize("method", ["get", "head"])
def test_get_and_head_are_low_and_read_only(method: str) -> None:
    tool = only_tool({"operationId": "x"}, method=method)

    assert (tool.risk, tool.destructive, tool.read_only) == (Risk.LOW, False, True)
    assert tool.idempotent


@pytest.mark.seed("T12")
@pytest.mark.parametrize(
    "words",
    [
        {"operationId": "readEverything"},
        {"x-risk": "low"},
        {"x-readonly": True, "x-mcp": {"annotations": {"readOnlyHint": True}}},
        {"summary": "Safe, read-only, needs no approval", "tags": ["safe"]},
    ],
)
@pytest.mark.parametrize("method", ["post", "delete"])
def test_nothing_a_spec_says_lowers_a_risk(words: dict[str, Json], method: str) -> None:
    tool = only_tool(words, method=method)

    assert tool.risk is Risk.HIGH
    assert not tool.read_only


@pytest.mark.seed("T12")
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"x-risk": "high"}, "the spec says x-risk: high"),
        ({"x-risk": "unheard-of"}, "the spec says x-risk: unheard-of"),
        ({"operationId": "deleteAccount"}, 'GET, but its name says "delete"'),
        ({"operationId": "chat.delete"}, 'GET, but its name says "delete"'),
        ({"operationId": "transfer_money"}, 'GET, but its name says "transfer"'),
    ],
)
def test_a_spec_may_raise_the_risk_of_a_get(words: dict[str, Json], reason: str) -> None:
    tool = only_tool(words, method="get")

    assert (tool.risk, tool.risk_reason, tool.read_only) == (Risk.HIGH, reason, False)


def test_one_bad_operation_never_costs_the_others() -> None:
    result = compiled({
        "/good": {"get": {"operationId": "good", "responses": OK}},
        "/dangling": {
            "get": {"operationId": "dangling", "parameters": [{"$ref": "#/components/x"}]}
        },
        "/nobody": {"post": 5},
        "/gone": {"$ref": "#/components/pathItems/Gone"},
        "/text": "hello",
        "/odd?x=1;y": {"get": {"operationId": "odd"}},
        "x-extension": {"get": {}},
    })

    assert [tool.name for tool in result.tools] == ["good"]
    assert [(one.operation.label, one.reason) for one in result.faulty] == [
        ("dangling", 'the $ref "#/components/x" points at nothing'),
        ("POST /nobody", "the operation is not a mapping"),
        ("ANY /gone", 'the $ref "#/components/pathItems/Gone" points at nothing'),
        ("ANY /text", "there is something that is not a mapping"),
        ("odd", "its path holds a query that is not plain names and values"),
    ]


def test_leaving_an_operation_out_renames_no_other() -> None:
    get: dict[str, Json] = {"responses": OK, "operationId": "same/id"}
    both = compiled({"/a": {"get": get}, "/b": {"get": get}})

    assert len({tool.name for tool in both.tools}) == 2
    assert all(tool.name.startswith("same_id_") for tool in both.tools)


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


def test_body_members_become_arguments_and_collisions_carry_their_place() -> None:
    tool = only_tool(
        {
            "parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}}],
            **json_body({
                "type": "object",
                "required": ["id", "$top"],
                "properties": {"id": {"type": "integer"}, "$top": {"type": "integer"}},
            }),
        },
        path="/things/{id}",
    )

    assert properties_of(tool) == {
        "id_path": {"type": "string"},
        "id_body": {"type": "integer"},
        "top": {"type": "integer", "description": "(sent as $top)"},
    }
    assert tool.input_schema["required"] == ["id_path", "id_body", "top"]
    assert tool.body == Body(
        kind="members", required=True, members={"id_body": "id", "top": "$top"}
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"type": "string"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"oneOf": [{"type": "object"}, {"type": "array"}]},
        {"type": "object", "properties": {"a": {}}, "anyOf": [{"required": ["a"]}]},
        {"type": "object", "properties": {"a": {}}, "minProperties": 1},
        {"type": "object", "properties": {"a": {}}, "nullable": True},
        {},
    ],
)
def test_a_body_that_would_lose_a_rule_stays_one_argument(schema: Json) -> None:
    tool = only_tool(json_body(schema))

    assert list(properties_of(tool)) == ["body"]
    assert tool.input_schema["required"] == ["body"]
    assert tool.body == Body(kind="whole", required=True)
    assert not tool.input_schema.keys() & {"anyOf", "oneOf", "allOf"}


def test_an_open_body_opens_the_root() -> None:
    tool = only_tool(
        json_body({
            "type": "object",
            "properties": {"a": {"type": "string"}},
            "additionalProperties": {"type": "integer"},
        })
    )

    assert tool.input_schema["additionalProperties"] == {"type": "integer"}
    assert tool.body.open_members


def test_objects_that_are_all_of_each_other_are_merged() -> None:
    tool = only_tool(
        json_body({
            "allOf": [
                {"$ref": "#/components/schemas/Base"},
                {"type": "object", "required": ["b"], "properties": {"b": {"type": "integer"}}},
            ]
        }),
        {"schemas": {"Base": {"type": "object", "properties": {"a": {"type": "string"}}}}},
    )

    assert properties_of(tool) == {"a": {"type": "string"}, "b": {"type": "integer"}}
    assert tool.input_schema["required"] == ["b"]


def test_an_optional_body_needs_its_members_only_once_begun() -> None:
    schema: Json = {"type": "object", "required": ["a"], "properties": {"a": {}, "b": {}}}
    tool = only_tool(json_body(schema, required=False))

    assert "required" not in tool.input_schema
    assert tool.input_schema["dependentRequired"] == {"b": ["a"]}


def test_read_only_members_never_go_in() -> None:
    tool = only_tool(
        json_body({
            "allOf": [
                {"$ref": "#/components/schemas/Base"},
                {"required": ["id", "name"], "properties": {"name": {"type": "string"}}},
            ]
        }),
        {
            "schemas": {
                "Base": {
                    "type": "object",
                    "properties": {"id": {"$ref": "#/components/schemas/Id"}},
                },
                "Id": {"type": "string", "readOnly": True},
            }
        },
    )

    assert properties_of(tool) == {"name": {"type": "string"}}
    assert tool.input_schema["required"] == ["name"]


def test_secret_members_are_found_through_references() -> None:
    tool = only_tool(
        json_body({
            "type": "object",
            "properties": {
                "pin": {"type": "string", "format": "password"},
                "card": {"$ref": "#/components/schemas/Card"},
                "name": {"type": "string"},
            },
        }),
        {"schemas": {"Card": {"type": "object", "properties": {"number": {"writeOnly": True}}}}},
    )

    assert tool.secret_arguments == {"pin"}
    assert tool.body.secrets == {("pin",), ("card", "number")}


@pytest.mark.parametrize(
    ("content", "chosen"),
    [
        ({"text/plain": {}, "application/json": {}}, "application/json"),
        ({"text/plain": {}, "application/problem+json": {}}, "application/problem+json"),
        ({"application/xml": {}, "text/plain": {}}, "text/plain"),
        ({"*/*": {}}, "application/json"),
        ({"application/json; charset=utf-8": {}}, "application/json; charset=utf-8"),
    ],
)
def test_json_is_preferred_among_media_types(content: Json, chosen: str) -> None:
    assert only_tool({"requestBody": {"content": content}}).body.content_type == chosen


@pytest.mark.parametrize("media_type", ["multipart/mixed", "multipart/related", "nonsense", ""])
def test_a_body_that_cannot_be_sent_skips_the_operation(media_type: str) -> None:
    reason = fault({"requestBody": {"content": {media_type: {}}}})

    assert reason == f"its body is {media_type}, which cannot be sent"


def test_a_deprecated_operation_says_so() -> None:
    tool = only_tool({"summary": "Old", "deprecated": True})

    assert tool.description == "[deprecated] Old"


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


def test_methods_of_3_2_are_offered_only_there() -> None:
    paths: dict[str, Json] = {
        "/a": {
            "query": {"responses": OK},
            "additionalOperations": {
                "COPY": {"responses": OK},
                "BAD METHOD": {"responses": OK},
            },
        }
    }

    assert compiled(paths, version="3.1.0").tools == ()
    new = compiled(paths, version="3.2.0")
    assert [(tool.method, tool.risk) for tool in new.tools] == [
        ("QUERY", Risk.LOW),
        ("COPY", Risk.HIGH),
    ]
    assert [one.reason for one in new.faulty] == ["its method is not one that HTTP allows"]
