"""Marked values are found wherever a schema can hold them; the rest is hidden whole."""

import pytest

from signoff.canonical import Json
from signoff.catalog.openapi.schemas import Converter
from signoff.catalog.openapi.secrets import Marks
from small_specs import document, only_tool

PIN: dict[str, Json] = {"type": "string", "format": "password"}
TEXT: dict[str, Json] = {"type": "string"}


def an_object(**properties: Json) -> dict[str, Json]:
    return {"type": "object", "properties": properties}


def a_list(items: Json) -> dict[str, Json]:
    return {"type": "array", "items": items}


def marks(**schemas: Json) -> Marks:
    components: dict[str, Json] = {"schemas": {**schemas, "Always": PIN}}
    return Marks(Converter(document({}, components, "3.1.0"), "input"))


def paths(schema: Json, **schemas: Json) -> set[str]:
    return {"/".join(path) for path in marks(**schemas).paths((schema,))}


def ref(name: str) -> dict[str, Json]:
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (PIN, {""}),
        (ref("Always"), {""}),
        ({"anyOf": [PIN, {"type": "null"}]}, {""}),
        ({"oneOf": [TEXT, ref("Always")]}, {""}),
        ({"allOf": [TEXT, {"writeOnly": True}]}, {""}),
        (an_object(pin=PIN, name=TEXT), {"pin"}),
        (an_object(pin={"anyOf": [PIN, {"type": "null"}]}), {"pin"}),
        (an_object(card=an_object(number={"x-secret": True})), {"card/number"}),
        (a_list(PIN), {""}),
        (a_list(an_object(pin=PIN)), {"pin"}),
        (an_object(pins=a_list(PIN)), {"pins"}),
        (an_object(people=a_list(an_object(pin=PIN, name=TEXT))), {"people/pin"}),
        ({"type": "array", "prefixItems": [TEXT, PIN]}, {""}),
        ({"type": "array", "contains": an_object(pin=PIN)}, {"pin"}),
        ({"type": "object", "additionalProperties": PIN}, {"*"}),
        (an_object(keys={"additionalProperties": an_object(pin=PIN)}), {"keys/*/pin"}),
        (an_object(keys={"patternProperties": {"^k": PIN}}), {"keys/*"}),
        ({"if": an_object(a=TEXT), "then": an_object(pin=PIN)}, {"pin"}),
        ({"dependentSchemas": {"a": an_object(pin=PIN)}}, {"pin"}),
    ],
)
def test_a_mark_is_found_wherever_a_schema_may_hold_it(schema: Json, found: set[str]) -> None:
    assert paths(schema) == found


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        TEXT,
        an_object(password=TEXT, writeOnly=TEXT),
        an_object(pin={"type": "string", "format": "passwords"}),
        an_object(pin={"type": "string", "writeOnly": "true"}),
        {"examples": [{"$ref": "#/nowhere"}], "type": "string"},
        {"examples": [an_object(pin=PIN)], **an_object(name=TEXT)},
    ],
)
def test_what_is_not_marked_is_shown(schema: Json) -> None:
    assert paths(schema) == set()


def test_a_circle_ends_and_what_lies_too_deep_is_hidden_whole() -> None:
    node = an_object(pin=PIN, name=TEXT, next=ref("Node"))
    found = paths(ref("Node"), Node=node)

    assert {"pin", "next/pin", "next/next/pin"} < found
    assert "/".join(["next"] * 9) in found


def test_a_circle_without_marks_hides_nothing() -> None:
    assert paths(ref("Node"), Node=an_object(name=TEXT, next=ref("Node"))) == set()


def test_definitions_that_refer_to_each_other_are_known_after_any_of_them() -> None:
    held = marks(
        A=an_object(b=ref("B"), c=ref("C")), B=an_object(a=ref("A")), C=an_object(pin=PIN),
        D=an_object(e=ref("E")), E=an_object(d=ref("D")),
    )  # fmt: skip

    assert [held.holds(ref(name)) for name in "ABCDE"] == [True, True, True, False, False]


def test_more_members_than_can_be_looked_through_are_hidden_whole() -> None:
    many = {f"m{n}": an_object(deep=an_object(pin=PIN)) for n in range(700)}
    found = paths(an_object(**many))

    for name in many:
        assert found & {name, f"{name}/deep", f"{name}/deep/pin"}


def test_members_of_a_body_that_is_secret_as_a_whole_are_each_secret() -> None:
    schema = {**an_object(a=TEXT, b=TEXT), "writeOnly": True}
    content: Json = {"application/json": {"schema": schema}}
    tool = only_tool({"requestBody": {"content": content}})

    assert tool.body.secrets == {("a",), ("b",)}


def test_a_parameter_that_holds_a_secret_is_hidden_whole() -> None:
    filtered: Json = {"name": "filter", "in": "query", "schema": an_object(pin=PIN, name=TEXT)}
    tool = only_tool({"parameters": [filtered]}, method="get")

    assert tool.secret_arguments == {"filter"}


def test_a_list_of_people_hides_each_ones_secret() -> None:
    schema = a_list(an_object(name=TEXT, password=PIN))
    tool = only_tool({"requestBody": {"content": {"application/json": {"schema": schema}}}})

    assert (tool.body.kind, tool.body.secrets) == ("whole", {("password",)})
