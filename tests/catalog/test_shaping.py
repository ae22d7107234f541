"""Schemas as they are listed: small, with or without references, and never stricter."""

import json
from typing import cast

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.catalog.shaping import Schema, fit, inlined, size_of

LONG = "word " * 100


def a_schema(**more: Json) -> Schema:
    properties: dict[str, Json] = {
        "name": {"type": "string", "description": LONG, "examples": ["x" * 50]},
        "inner": {
            "type": "object",
            "description": LONG,
            "properties": {"deep": {"type": "string", "description": LONG}},
        },
        **more,
    }
    return {
        "type": "object",
        "properties": properties,
        "required": ["name"],
        "additionalProperties": False,
    }


def at(schema: Schema, *steps: str) -> Schema:
    for step in steps:
        schema = cast("Schema", schema[step])
    return schema


def test_what_fits_is_left_as_it_is() -> None:
    schema = a_schema()

    assert fit(schema, 8_192) == (schema, False)


def test_words_go_first_and_the_structure_stays() -> None:
    fitted, was_cut = fit(a_schema(), 700)

    assert not was_cut
    assert size_of(fitted) <= 700
    assert len(str(at(fitted, "properties", "name")["description"])) <= 80
    assert at(fitted, "properties", "inner", "properties", "deep")["type"] == "string"


def test_examples_go_after_words() -> None:
    schema = a_schema(more={"type": "string", "examples": ["y" * 300]})
    fitted, was_cut = fit(schema, 600)

    assert not was_cut
    assert "examples" not in json.dumps(fitted)


def test_what_lies_deep_becomes_its_bare_type_last() -> None:
    deep: Json = {"type": "object", "properties": {f"m{n}": {"type": "string"} for n in range(90)}}
    fitted, was_cut = fit(a_schema(big={"type": "object", "properties": {"in": deep}}), 900)

    assert was_cut
    assert size_of(fitted) <= 900
    assert at(fitted, "properties", "big", "properties")["in"] == {"type": "object"}
    assert fitted["required"] == ["name"]
    assert fitted["additionalProperties"] is False


def test_too_many_arguments_leave_the_required_and_the_first_and_any_may_be_passed() -> None:
    many: dict[str, Json] = {f"argument_{n}": {"type": "string"} for n in range(300)}
    schema: Schema = {**a_schema(**many), "required": ["name", "argument_299"]}
    fitted, was_cut = fit(schema, 1_000)
    members = at(fitted, "properties")

    assert was_cut
    assert 900 < size_of(fitted) <= 1_000
    assert list(members)[:-1] == list(at(schema, "properties"))[: len(members) - 1]
    assert list(members)[-1] == "argument_299"
    assert fitted["description"] == f"and {302 - len(members)} more arguments"
    assert fitted["required"] == ["name", "argument_299"]
    assert "additionalProperties" not in fitted


def test_what_arguments_need_beside_them_goes_before_any_argument_does() -> None:
    names = [f"argument_{n}" for n in range(40)]
    many: dict[str, Json] = {name: {"type": "string"} for name in names}
    together: Json = {name: [*names] for name in names}
    fitted, was_cut = fit({**a_schema(**many), "dependentRequired": together}, 2_000)

    assert was_cut
    assert "dependentRequired" not in fitted
    assert set(at(fitted, "properties")) == {"name", "inner", *names}


def test_required_arguments_are_never_lost_however_many_there_are() -> None:
    many: dict[str, Json] = {f"argument_{n}": {"type": "string"} for n in range(300)}
    needed: Json = [*many]
    fitted, was_cut = fit({**a_schema(**many), "required": needed}, 1_000)

    assert was_cut
    assert list(at(fitted, "properties")) == list(many)


TREE: Schema = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/Node", "description": "the top"}},
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "string"},
                "left": {"$ref": "#/$defs/Node"},
                "right": {"$ref": "#/$defs/Node"},
            },
            "additionalProperties": False,
        }
    },
}


def test_without_references_a_circle_ends_in_a_bare_type() -> None:
    made, was_cut = inlined(TREE, 8_192)

    assert was_cut
    assert "$ref" not in json.dumps(made)
    assert "$defs" not in made
    root = at(made, "properties", "root")
    assert root["description"] == "the top"
    assert at(root, "properties")["left"] == {"type": "object"}


def test_definitions_that_are_cut_are_written_out_as_far_as_they_fit() -> None:
    unused: Json = {"enum": ["x" * 2_000]}
    padded: Schema = {**TREE, "$defs": {**cast("Schema", TREE["$defs"]), "Unused": unused}}
    fitted, was_cut = fit(padded, 1_000)

    assert was_cut
    assert "$ref" not in json.dumps(fitted)
    assert size_of(fitted) <= 1_000


def test_two_definitions_may_stand_for_each_other() -> None:
    schema: Schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}},
    }

    assert inlined(schema, 8_192)[0]["properties"] == {"a": {}}
    assert fit({**schema, "description": "x" * 900}, 200)[1]


def test_a_reference_beside_other_rules_keeps_both() -> None:
    schema: Schema = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/A", "properties": {"kind": {"const": "a"}}, "required": ["kind"]}
        },
        "$defs": {"A": {"type": "object", "properties": {"x": {"type": "integer"}}}},
    }
    made, _ = inlined(schema, 8_192)
    valid = jsonschema_rs.validator_for(made)

    assert valid.is_valid({"a": {"kind": "a", "x": 1}})
    assert not valid.is_valid({"a": {"kind": "b"}})
    assert not valid.is_valid({"a": {"kind": "a", "x": "1"}})


def cut_to(schema: Schema, limit: int, argument: Json) -> bool:
    """Say whether the shortened schema takes an argument that the whole one takes."""
    fitted, was_cut = fit(schema, limit)
    assert was_cut
    assert jsonschema_rs.validator_for(schema).is_valid({"a": argument})
    return jsonschema_rs.validator_for(fitted).is_valid({"a": argument})


MANY: Json = {"type": "object", "properties": {f"m{n}": {"type": "string"} for n in range(60)}}
LARGE: Json = {
    "type": "object",
    "properties": {"b": {"type": "object", "properties": {"c": MANY}}},
}
"""Too large only at its fourth level, so that what stands beside it is cut there too."""


@pytest.mark.parametrize("limit", [60, 120, 200, 300, 400, 600])
def test_a_cut_of_what_is_excluded_excludes_no_more(limit: int) -> None:
    excluded: Json = {
        "type": "object",
        "properties": {"kind": {"type": "object", "properties": {"x": {"const": 1}}}},
        "required": ["kind"],
    }
    schema: Schema = {
        "type": "object",
        "properties": {"a": {"type": "object", "not": excluded}, "large": LARGE},
    }

    assert cut_to(schema, limit, {"kind": {"x": 2}})


@pytest.mark.parametrize("limit", [60, 120, 200, 300, 400, 600])
def test_a_cut_of_a_closed_definition_keeps_the_members_of_both(limit: int) -> None:
    schema: Schema = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/A", "properties": {"kind": {"const": "a"}}},
            "large": LARGE,
        },
        "$defs": {
            "A": {
                "type": "object",
                "properties": {"kind": {"type": "string"}, "x": {"type": "integer"}},
                "additionalProperties": False,
            }
        },
    }

    assert cut_to(schema, limit, {"kind": "a", "x": 1})


names = st.sampled_from(["a", "b", "c"])
leaves = st.sampled_from(
    cast(
        "list[Json]",
        [
            {"type": "string", "maxLength": 3},
            {"type": "integer", "minimum": 2},
            {"enum": ["x", 1, None]},
            {"const": "a"},
            {"$ref": "#/$defs/D"},
            {"not": {"type": "string"}},
            {},
        ],
    )
)


def an_object(members: dict[str, Json], closed: bool) -> Json:
    return {"type": "object", "properties": members, "additionalProperties": not closed}


def a_list(items: Json) -> Json:
    return {"type": "array", "items": items}


def a_choice(key: str, some: list[Json]) -> Json:
    return {key: some}


def branches(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    keywords = st.sampled_from(["anyOf", "oneOf", "allOf"])
    return st.one_of(
        st.builds(an_object, st.dictionaries(names, inner, max_size=3), st.booleans()),
        st.builds(a_list, inner),
        st.builds(a_choice, keywords, st.lists(inner, min_size=1, max_size=3)),
    )


schemas = st.recursive(leaves, branches, max_leaves=8)
values = st.recursive(
    st.sampled_from(cast("list[Json]", ["a", "x", "long text", 1, 5, None, True])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)


@given(schema=schemas, definition=schemas, value=values, limit=st.sampled_from([10, 80, 200, 400]))
def test_a_shortened_schema_never_refuses_what_the_whole_one_allows(
    schema: Json, definition: Json, value: Json, limit: int
) -> None:
    whole: Schema = {
        "type": "object",
        "properties": {"argument": schema},
        "$defs": {"D": definition},
    }
    try:
        allows = jsonschema_rs.validator_for(whole).is_valid({"argument": value})
    except ValueError:
        return  # a definition that only refers to itself
    if not allows:
        return
    for shorten in (fit, inlined):
        made, _ = shorten(whole, limit)
        assert jsonschema_rs.meta.is_valid(made)
        assert jsonschema_rs.validator_for(made).is_valid({"argument": value}), made


@pytest.mark.parametrize("big", [2**70, -(2**70)])
def test_integers_beyond_64_bits_are_weighed_too(big: int) -> None:
    assert size_of({"const": big}) > 20
