"""Operations become tools: risk, arguments, and one bad one that costs no other."""

import pytest

from signoff.canonical import Json
from signoff.catalog.model import Risk
from signoff.catalog.wire import Body
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


@pytest.mark.parametrize("media_type", ["multipart/alternative", "nonsense", ""])
def test_a_body_that_cannot_be_sent_skips_the_operation(media_type: str) -> None:
    reason = fault({"requestBody": {"content": {media_type: {}}}})

    assert reason == f"its body is {media_type}, which cannot be sent"


def test_a_deprecated_operation_says_so() -> None:
    tool = only_tool({"summary": "Old", "deprecated": True})

    assert tool.description == "[deprecated] Old"


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
