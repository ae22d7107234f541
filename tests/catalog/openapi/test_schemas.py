"""OpenAPI schemas as JSON Schema 2020-12: converted, finite, valid, loose on the way out."""

import json
from typing import cast

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.schema import Validator
from small_specs import answering, compiled, fault, json_body, only_tool, properties_of


def converted(
    schema: Json, components: dict[str, Json] | None = None, version: str = "3.0.3"
) -> Json:
    """The schema of one body member after conversion."""
    body: Json = {"type": "object", "properties": {"it": schema}}
    return properties_of(only_tool(json_body(body), components, version=version))["it"]


@pytest.mark.parametrize(
    ("schema", "result"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "string", "nullable": True, "enum": ["a"]},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        (
            {"nullable": True, "allOf": [{"type": "string"}]},
            {"anyOf": [{"allOf": [{"type": "string"}]}, {"type": "null"}]},
        ),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            {"type": "integer", "exclusiveMinimum": 1},
        ),
        (
            {"type": "integer", "maximum": 9, "exclusiveMaximum": False},
            {"type": "integer", "maximum": 9},
        ),
        ({"type": "string", "example": "x"}, {"type": "string", "examples": ["x"]}),
        (
            {"type": "string", "format": "byte"},
            {"type": "string", "contentEncoding": "base64"},
        ),
        ({"type": "string", "xml": {}, "x-a": 1, "externalDocs": {}}, {"type": "string"}),
        ({"type": "any", "required": True, "minLength": "1", "enum": []}, {}),
        ({"type": "string", "pattern": "^(?=a)b$"}, {"type": "string"}),
        ({"type": "string", "pattern": "^a+$"}, {"type": "string", "pattern": "^a+$"}),
        ({"type": "object", "properties": {"$ref": {"type": "string"}}},) * 2,
    ],
)
def test_a_schema_is_converted(schema: Json, result: Json) -> None:
    assert converted(schema) == result


def test_3_1_keeps_what_stands_beside_a_reference() -> None:
    components: dict[str, Json] = {"schemas": {"Name": {"type": "string"}}}
    schema: Json = {"$ref": "#/components/schemas/Name", "maxLength": 5, "description": "Short"}

    assert converted(schema, components, "3.1.0") == {
        "allOf": [{"type": "string"}],
        "maxLength": 5,
        "description": "Short",
    }
    assert converted(schema, components, "3.0.3") == {"type": "string", "description": "Short"}


NODE: dict[str, Json] = {
    "type": "object",
    "properties": {
        "next": {"$ref": "#/components/schemas/Node"},
        "all": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
    },
}


@pytest.mark.seed("T65")
def test_a_recursive_schema_stays_a_reference_and_checks_values() -> None:
    tool = only_tool(
        json_body({
            "type": "object",
            "properties": {"root": {"$ref": "#/components/schemas/Node"}},
        }),
        {"schemas": {"Node": NODE, "Unused": {"type": "string"}}},
    )

    assert list(cast("dict[str, Json]", tool.input_schema["$defs"])) == ["Node"]
    validator = Validator(tool.input_schema)
    assert validator.violations({"root": {"next": {"next": {"all": []}}}}) == []
    assert validator.violations({"root": {"next": {"next": 5}}}) != []


@pytest.mark.seed("T65")
@pytest.mark.parametrize(
    "schemas",
    [
        {"A": {"$ref": "#/components/schemas/A"}},
        {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}},
        {"A": {"not": {"$ref": "#/components/schemas/A"}}},
    ],
)
def test_a_schema_that_is_only_itself_skips_the_operation(schemas: dict[str, Json]) -> None:
    member: Json = {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/A"}}}

    assert "only points at itself" in fault(json_body(member), {"schemas": schemas})


def test_a_base_that_lists_its_children_keeps_its_members_in_them() -> None:
    components: dict[str, Json] = {
        "schemas": {
            "Pet": {
                "type": "object",
                "required": ["kind"],
                "properties": {"kind": {"type": "string"}},
                "oneOf": [{"$ref": "#/components/schemas/Cat"}],
            },
            "Cat": {
                "allOf": [
                    {"$ref": "#/components/schemas/Pet"},
                    {"properties": {"lives": {"type": "integer"}}},
                ]
            },
        }
    }
    for first in ("Pet", "Cat"):
        other = "Cat" if first == "Pet" else "Pet"
        tool = only_tool(
            json_body({
                "type": "object",
                "properties": {
                    "a": {"$ref": f"#/components/schemas/{first}"},
                    "b": {"$ref": f"#/components/schemas/{other}"},
                },
            }),
            components,
        )
        cat = "a" if first == "Cat" else "b"
        validator = Validator(tool.input_schema)
        assert validator.violations({cat: {"kind": "cat", "lives": 9}}) == []
        assert validator.violations({cat: {"lives": 9}}) != []
        assert validator.violations({cat: {"kind": "cat", "lives": "nine"}}) != []


@pytest.mark.seed("T65")
def test_a_choice_that_leads_back_through_all_of_ends() -> None:
    ref: Json = {"$ref": "#/components/schemas/Cat"}
    tool = only_tool(
        json_body({"type": "object", "properties": {"pet": ref}}),
        {
            "schemas": {
                "Pet": {
                    "type": "object",
                    "properties": {"kind": {"type": "string"}},
                    "oneOf": [{"allOf": [ref, {"required": ["kind"]}]}],
                },
                "Cat": {"allOf": [{"$ref": "#/components/schemas/Pet"}]},
            }
        },
    )

    assert Validator(tool.input_schema).violations({"pet": {"kind": "cat"}}) == []
    assert Validator(tool.input_schema).violations({"pet": {"kind": 5}}) != []
    definitions = cast("dict[str, Json]", tool.input_schema["$defs"])
    assert '"#/$defs/Cat"' not in json.dumps(definitions["Pet"])


@pytest.mark.seed("T65")
def test_choices_that_only_lead_to_each_other_end() -> None:
    def choice_of(name: str) -> Json:
        return {
            "properties": {name.lower(): {"type": "string", "maxLength": 400}},
            "anyOf": [{"$ref": f"#/components/schemas/{name}"}, {"required": [name.lower()]}],
        }

    tool = only_tool(
        json_body({"type": "object", "properties": {"a": {"$ref": "#/components/schemas/A"}}}),
        {"schemas": {"A": choice_of("B"), "B": choice_of("A")}},
    )

    text = json.dumps(tool.input_schema["$defs"])
    assert "$ref" not in text
    assert Validator(tool.input_schema).violations({"a": {"b": 5}}) != []


@pytest.mark.seed("T65")
def test_doubling_references_stay_small() -> None:
    schemas: dict[str, Json] = {"S0": {"type": "object", "properties": {"a": {"type": "string"}}}}
    for level in range(1, 40):
        ref: Json = {"$ref": f"#/components/schemas/S{level - 1}"}
        schemas[f"S{level}"] = {"allOf": [ref, ref]}
    member: Json = {"type": "object", "properties": {"x": {"$ref": "#/components/schemas/S39"}}}

    tool = only_tool(json_body(member), {"schemas": schemas})

    assert len(str(tool.input_schema)) < 10_000


def test_a_schema_nested_without_end_skips_the_operation() -> None:
    schema: Json = {"type": "string"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}

    assert fault(json_body(schema)) == "its schema is nested deeper than 48"


@pytest.mark.parametrize(
    ("responses", "schema"),
    [
        (
            answering({"type": "object", "properties": {"a": {"type": "string"}}}),
            {"type": "object", "properties": {"a": {"type": "string"}}},
        ),
        (
            answering({"type": "array", "items": {"type": "integer"}}, "201"),
            {
                "type": "object",
                "properties": {"result": {"type": "array", "items": {"type": "integer"}}},
            },
        ),
        (answering({"type": "string"}, media_type="text/plain"), None),
        ({"204": {"description": "gone"}}, None),
        (
            {
                **cast("dict[str, Json]", answering({"type": "object"})),
                "204": {"description": "gone"},
            },
            None,
        ),
        (answering({"oneOf": [{"type": "object"}, {"type": "array"}]}), None),
        (answering({"type": "object"}, "default"), {"type": "object", "properties": {}}),
        (answering({"$ref": "#/nowhere"}), None),
        (
            answering({
                "type": "object",
                "required": ["a", "secret"],
                "additionalProperties": False,
                "properties": {
                    "a": {"type": "string", "enum": ["x"], "minLength": 1},
                    "secret": {"type": "string", "writeOnly": True},
                },
            }),
            {"type": "object", "properties": {"a": {"type": "string"}}},
        ),
    ],
)
def test_an_output_schema_promises_only_what_drift_does_not_break(
    responses: Json, schema: Json
) -> None:
    assert only_tool({"responses": responses}, method="get").output_schema == schema


def test_an_output_schema_beyond_its_budget_is_dropped() -> None:
    wide: Json = {
        "type": "object",
        "properties": {f"member_{n}": {"type": "string"} for n in range(500)},
    }

    assert only_tool({"responses": answering(wide)}, method="get").output_schema is None


def test_definitions_count_toward_the_budget() -> None:
    wide: Json = {
        "type": "object",
        "properties": {f"member_{n}": {"type": "string"} for n in range(500)},
    }
    answer: Json = {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/Wide"}}}

    tool = only_tool({"responses": answering(answer)}, {"schemas": {"Wide": wide}}, method="get")

    assert tool.output_schema is None


keywords = st.dictionaries(
    st.sampled_from([
        "type",
        "properties",
        "items",
        "required",
        "enum",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "$ref",
        "nullable",
        "format",
        "pattern",
        "minimum",
        "exclusiveMinimum",
        "additionalProperties",
        "default",
        "example",
        "readOnly",
        "writeOnly",
        "description",
        "minLength",
        "uniqueItems",
    ]),
    st.deferred(lambda: anything),
    max_size=5,
)
anything: st.SearchStrategy[object] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([
        "object",
        "string",
        "array",
        "integer",
        "null",
        "password",
        "(",
        "^a$",
        "#/components/schemas/A",
        "#/components/schemas/B",
        "#/nowhere",
    ]),
    st.lists(st.deferred(lambda: anything), max_size=3),
    keywords,
    st.dictionaries(st.sampled_from(["a", "b", "$ref"]), keywords, max_size=3),
)


@given(keywords, keywords, keywords)
@settings(max_examples=150)
def test_whatever_a_spec_says_the_input_schema_is_valid_and_closed_or_the_operation_is_skipped(
    body: dict[str, Json], a: dict[str, Json], b: dict[str, Json]
) -> None:
    operation: dict[str, Json] = {"responses": answering(a), **json_body(body)}
    result = compiled({"/x": {"post": operation}}, {"schemas": {"A": a, "B": b}})

    assert len(result.tools) + len(result.faulty) == 1
    for tool in result.tools:
        for schema in (tool.input_schema, tool.output_schema):
            if schema is not None:
                assert jsonschema_rs.meta.is_valid(dict(schema))
                assert schema["type"] == "object"
                assert isinstance(schema["properties"], dict)
                assert not schema.keys() & {"anyOf", "oneOf", "allOf", "not", "$ref"}
        assert "additionalProperties" in tool.input_schema
        Validator(tool.input_schema).violations({"body": {"a": {"b": [1]}}, "a": 1})
