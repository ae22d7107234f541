"""Operations as odd documents write them: methods, answers and examples off the beaten track."""

from typing import Any

import pytest

from signoff.canonical import Json
from signoff.upstream.transport import Transports
from small_specs import OK, answering, compiled, fault, only_tool, properties_of
from upstream_parts import frozen, references, upstream
from wire import answer, listening, plain

OBJECT: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
PROMISED: Json = {"type": "object", "properties": {"a": {"type": "string"}}}


# Methods of 3.2


@pytest.mark.parametrize("method", ["COPY", "M-SEARCH", "VERSION-CONTROL", "Purge"])
async def test_a_method_of_its_own_is_sent(method: str, tmp_path: Any) -> None:
    paths: dict[str, Json] = {"/x": {"additionalOperations": {method: {"responses": OK}}}}
    [spec] = compiled(paths, version="3.2.0").tools
    async with listening(plain(answer())) as wire:
        to = upstream(wire.url)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            await transports.send(frozen(spec, {}, to=to), to, fresh=False)
    assert wire.head()[0] == f"{method.upper()} /x HTTP/1.1"


@pytest.mark.parametrize("method", ["CONNECT", "connect", "A B", "X\r\nY", "", "GET", "Post", "ä"])
def test_a_method_that_is_none_or_has_its_own_field_costs_its_operation(method: str) -> None:
    extra: Json = {method: {"responses": OK}, "COPY": {"responses": OK}}
    made = compiled({"/x": {"additionalOperations": extra}}, version="3.2.0")
    assert [one.method for one in made.tools] == ["COPY"]
    assert len(made.faulty) == 1


def test_a_method_that_is_written_twice_is_taken_once() -> None:
    extra: Json = {"COPY": {"responses": OK}, "Copy": {"responses": OK}, "get": {"responses": OK}}
    paths: dict[str, Json] = {"/x": {"get": {"responses": OK}, "additionalOperations": extra}}
    made = compiled(paths, version="3.2.0")
    assert [one.method for one in made.tools] == ["GET", "COPY"]
    assert sorted(one.reason for one in made.faulty) == [
        "its path has COPY twice",
        "its path has GET twice",
    ]


# Answers


@pytest.mark.parametrize("code", ["200", "206", "2XX", "2xx"])
def test_a_range_of_codes_may_be_written_small(code: str) -> None:
    tool = only_tool({"responses": answering(OBJECT, code)})
    assert tool.output_schema == PROMISED
    assert tool.accept == ("application/json",)


@pytest.mark.parametrize("code", ["20", "2000", "2X", "2Xx", "3XX", "x-200"])
def test_what_is_no_code_of_success_promises_nothing(code: str) -> None:
    tool = only_tool({"responses": answering(OBJECT, code)})
    assert tool.output_schema is None


def test_the_media_type_of_an_answer_may_be_a_reference() -> None:
    components: dict[str, Json] = {"mediaTypes": {"M": {"schema": OBJECT}}}
    content: Json = {"application/json": {"$ref": "#/components/mediaTypes/M"}}
    operation: dict[str, Json] = {"responses": {"200": {"description": "", "content": content}}}
    assert only_tool(operation, components, version="3.2.0").output_schema == PROMISED
    assert only_tool(operation, version="3.2.0").output_schema is None  # a broken one promises none


# Examples beside the schema


@pytest.mark.parametrize(
    "more",
    [
        {"example": "2026-01-01"},
        {"examples": {"first": {"value": "2026-01-01"}, "second": {"value": "x"}}},
        {"examples": {"gone": {"$ref": "#/none"}, "there": {"dataValue": "2026-01-01"}}},
        {"examples": {"ref": {"$ref": "#/components/examples/Day"}}},
    ],
)
def test_an_example_of_a_parameter_is_shown(more: dict[str, Json]) -> None:
    said: Json = {"name": "day", "in": "query", "schema": {"type": "string"}, **more}
    components: dict[str, Json] = {"examples": {"Day": {"value": "2026-01-01"}}}
    tool = only_tool({"parameters": [said]}, components)
    assert properties_of(tool)["day"] == {"type": "string", "examples": ["2026-01-01"]}


@pytest.mark.parametrize(
    ("schema", "more", "expected"),
    [
        ({"type": "string", "example": "a"}, {"example": "b"}, ["a"]),
        ({"type": "string"}, {"example": "x" * 200}, None),
        ({"type": "string"}, {"examples": {"e": {"externalValue": "https://x.example"}}}, None),
        ({"type": "string"}, {"examples": ["a"]}, None),
        ({"type": "string"}, {"examples": {"e": "a"}}, None),
    ],
)
def test_an_example_that_is_long_or_none_is_not(
    schema: Json, more: dict[str, Json], expected: Json
) -> None:
    said: Json = {"name": "day", "in": "query", "schema": schema, **more}
    argument: Any = properties_of(only_tool({"parameters": [said]}))["day"]
    assert argument.get("examples") == expected


# Parameters without a name


@pytest.mark.parametrize("place", ["query", "header", "cookie"])
def test_an_empty_row_of_an_editor_is_no_parameter(place: str) -> None:
    empty: Json = {"name": "", "in": place, "schema": {"type": "string", "example": ""}}
    named: Json = {"name": "a", "in": "query", "schema": {"type": "string"}}
    assert list(properties_of(only_tool({"parameters": [empty, named]}))) == ["a"]


@pytest.mark.parametrize(
    "said",
    [
        {"name": "", "in": "query", "required": True},
        {"in": "query"},
        {"name": None, "in": "query"},
        {"name": 1, "in": "query"},
    ],
)
def test_a_parameter_that_is_needed_has_a_name(said: Json) -> None:
    assert fault({"parameters": [said]}) == "a parameter has no name"


# A reference with words of its own


@pytest.mark.parametrize(
    ("version", "expected"), [("3.1.0", "Whose pets"), ("3.0.3", "An identifier")]
)
def test_a_description_beside_a_reference_speaks_since_3_1(version: str, expected: str) -> None:
    named: Json = {
        "name": "id", "in": "query", "description": "An identifier", "schema": {"type": "string"},
    }  # fmt: skip
    there: Json = {"$ref": "#/components/parameters/Id", "description": "Whose pets", "name": "x"}
    tool = only_tool({"parameters": [there]}, {"parameters": {"Id": named}}, version=version)
    assert properties_of(tool) == {"id": {"type": "string", "description": expected}}
