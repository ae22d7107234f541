"""Choices of what goes in: what an API would take is not refused for fitting two branches."""

from typing import Any

import pytest

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.schema import Validator
from small_specs import json_body, only_tool, properties_of

CAT: Json = {"$ref": "#/components/schemas/Cat"}
DOG: Json = {"$ref": "#/components/schemas/Dog"}
TEXT: Json = {"type": "string"}


def pet(tag: Json = TEXT, **more: Json) -> Json:
    return {"type": "object", "properties": {"kind": tag}, **more}


def taking(
    schema: Json, *, cat: Json = None, dog: Json = None, version: str = "3.2.0"
) -> tuple[ToolSpec, dict[str, Any]]:
    components: dict[str, Json] = {"schemas": {"Cat": cat or pet(), "Dog": dog or pet()}}
    wrapped: Json = {"type": "object", "properties": {"pet": schema}}
    tool = only_tool(json_body(wrapped), components, version=version)
    argument: Any = properties_of(tool)["pet"]
    return tool, argument


def refused(tool: ToolSpec, value: Json) -> bool:
    return bool(Validator(tool.input_schema).violations({"pet": value}))


# Tags


def test_every_name_that_is_mapped_to_a_branch_is_a_tag_of_it() -> None:
    mapping: Json = {"cat": "#/components/schemas/Cat", "kitten": "Cat", "dog": "Dog"}
    discriminator: Json = {"propertyName": "kind", "mapping": mapping}
    tool, argument = taking({"oneOf": [CAT, DOG], "discriminator": discriminator})

    assert "oneOf" in argument
    assert not any(refused(tool, {"kind": kind}) for kind in ("cat", "kitten", "dog"))
    assert all(refused(tool, {"kind": kind}) for kind in ("Cat", "Dog", "cow"))
    assert refused(tool, {})


def test_the_branch_for_other_tags_takes_them_all() -> None:
    discriminator: Json = {"propertyName": "kind", "defaultMapping": "Dog"}
    dog = pet(properties={"bark": {"type": "integer"}})
    tool, _ = taking({"oneOf": [CAT, DOG], "discriminator": discriminator}, dog=dog)

    open_to: list[Json] = [{"kind": "Cat"}, {"kind": "wolf"}, {}]
    assert not any(refused(tool, value) for value in open_to)
    assert refused(tool, {"kind": "wolf", "bark": "loud"})


@pytest.mark.parametrize("tag", [{"enum": ["feline"]}, {"const": "feline"}])
def test_a_branch_that_limits_its_tag_is_not_told_another(tag: Json) -> None:
    """Its tag need not be required, nor be the name of its schema."""
    schema: Json = {"oneOf": [CAT, DOG], "discriminator": {"propertyName": "kind"}}
    tool, _ = taking(schema, cat=pet(tag))

    assert not refused(tool, {"kind": "feline"})
    assert not refused(tool, {"kind": "Dog"})
    assert refused(tool, {"kind": "Cat"})


# Exactly one, where that can be known


@pytest.mark.parametrize(
    "branches",
    [
        [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": TEXT}],
        [{"type": ["string", "null"]}, {"type": "object"}],
        [{"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["b", "c"]}],
        [pet({"const": "a"}, required=["kind"]), pet({"enum": ["b"]}, required=["kind"])],
        [{"required": ["a"]}, {"required": ["b"]}],
        [{"required": ["a"]}, {"not": {"required": ["a"]}, "description": "or nothing"}],
    ],
)
def test_branches_that_shut_each_other_out_stay_exactly_one(branches: list[Json]) -> None:
    _, argument = taking({"oneOf": branches})
    assert len(argument["oneOf"]) == len(branches)
    assert "anyOf" not in argument


@pytest.mark.parametrize(
    ("branches", "value"),
    [
        # Formats are not checked, so only one of these is ever meant.
        ([{"type": "string", "format": "date"}, {"type": "string", "format": "uri"}], "2026-01-01"),
        # Nor is what a pattern looks ahead for.
        ([{"type": "string", "pattern": "^(?!a)"}, {"type": "string", "pattern": "^a"}], "ab"),
        ([{"type": "integer"}, {"type": "number"}], 5),
        ([{"type": "string", "nullable": True}, {"type": "null"}], None),
        ([{}, {"type": "string"}], "x"),
        ([True, {"type": "string"}], "x"),
        ([pet(), pet()], {"kind": "a"}),
        ([pet(required=["kind"]), {"type": "object"}], {"kind": "a"}),
        # A tag that need not be there, or that never goes in, tells nothing apart.
        ([pet({"const": "a"}), pet({"const": "b"})], {}),
        (
            [
                pet({"const": "a", "readOnly": True}, required=["kind"]),
                pet({"const": "b", "readOnly": True}, required=["kind"]),
            ],
            {},
        ),
        (
            [
                pet({"enum": ["a"], "nullable": True, "type": "string"}, required=["kind"]),
                pet({"enum": ["b"], "nullable": True, "type": "string"}, required=["kind"]),
            ],
            {"kind": None},
        ),
        ([CAT, DOG], {"kind": "a"}),
    ],
)
def test_branches_that_may_overlap_are_any(branches: list[Json], value: Json) -> None:
    version = "3.0.3" if "nullable" in str(branches) else "3.2.0"
    tool, argument = taking({"oneOf": branches}, version=version)
    assert "oneOf" not in argument
    assert not refused(tool, value)


def test_a_broken_list_of_names_costs_nothing() -> None:
    branches: list[Json] = [pet(required=[{"a": 1}, None]), pet(required="kind")]
    _, argument = taking({"oneOf": branches})
    assert len(argument["anyOf"]) == len(branches)


def test_a_value_that_fits_no_branch_is_refused_all_the_same() -> None:
    tool, _ = taking({"oneOf": [{"type": "integer"}, {"type": "number"}]})
    assert refused(tool, "5")


def test_two_choices_at_once_must_both_be_made() -> None:
    anyone: list[Json] = [{"required": ["a"]}, {"type": "object", "required": ["b"]}]
    numbers: list[Json] = [pet(required=["c"]), pet(required=["d"])]
    tool, argument = taking({"anyOf": anyone, "oneOf": numbers})

    assert argument.keys() == {"anyOf", "allOf"}
    assert not refused(tool, {"a": 1, "c": 1, "d": 1})
    assert refused(tool, {"a": 1})
    assert refused(tool, {"c": 1})


# A base without a choice


def base(tag: Json = TEXT, **discriminator: Json) -> Any:
    said: Json = {"propertyName": "kind", **discriminator}
    schema: Any = {"type": "object", "properties": {"kind": tag}, "discriminator": said}
    return taking(schema)[1]["properties"]["kind"]


def test_the_tags_of_a_base_are_told_and_not_demanded() -> None:
    mapping: Json = {"cat": "#/components/schemas/Cat", "dog": "#/components/schemas/Dog"}
    assert base(mapping=mapping) == {"type": "string", "description": "One of: cat, dog"}
    told = base({"type": "string", "description": "Which."}, mapping=mapping)
    assert told["description"] == "Which. One of: cat, dog"


@pytest.mark.parametrize(
    ("tag", "discriminator"),
    [
        (TEXT, {}),
        (TEXT, {"mapping": ["cat"]}),
        (TEXT, {"propertyName": "other", "mapping": {"cat": "Cat"}}),
        ({"enum": ["cat"]}, {"mapping": {"cat": "Cat"}}),
        ({"const": "cat"}, {"mapping": {"cat": "Cat"}}),
    ],
)
def test_nothing_is_told_that_is_known_or_leads_nowhere(tag: Json, discriminator: Any) -> None:
    assert base(tag, **discriminator) == tag


def test_ever_so_many_tags_are_told_in_short() -> None:
    mapping: Json = {f"kind-{number}": "Cat" for number in range(500)}
    assert len(base(mapping=mapping)["description"]) < 220
