"""Schemas that name themselves by `$id`, and what `#/…` means inside of them."""

from typing import Any

import pytest

from signoff.canonical import Json
from signoff.catalog.openapi.documents import MappingError
from signoff.schema import Validator
from small_specs import document, json_body, only_tool, properties_of

TREE: Json = {
    "$id": "https://schemas.example/tree",
    "$dynamicAnchor": "node",
    "type": "object",
    "properties": {
        "leaf": {"$ref": "#/$defs/leaf"},
        "kids": {"type": "array", "items": {"$dynamicRef": "#node"}},
    },
    "$defs": {"leaf": {"$anchor": "leaf", "type": "integer"}},
}


@pytest.mark.parametrize("ref", ["#/components/schemas/Tree", "https://schemas.example/tree"])
def test_a_reference_inside_begins_at_the_schema_itself(ref: str) -> None:
    spec = only_tool(json_body({"$ref": ref}), {"schemas": {"Tree": TREE}}, version="3.1.0")

    check = Validator(spec.input_schema)
    assert not check.violations({"leaf": 1, "kids": [{"leaf": 2, "kids": []}]})
    assert check.violations({"leaf": "x"})
    assert check.violations({"kids": [{"kids": [{"leaf": "x"}]}]})


@pytest.mark.parametrize(
    ("ref", "type_"),
    [
        ("https://schemas.example/a/one", "object"),
        ("https://schemas.example/a/one#/$defs/Deep", "boolean"),
        ("https://schemas.example/a/one#named", "boolean"),
        ("https://schemas.example/a/two", "string"),
    ],
)
def test_an_id_within_another_is_relative_to_it(ref: str, type_: str) -> None:
    schemas: dict[str, Json] = {
        "One": {
            "$id": "https://schemas.example/a/one",
            "type": "object",
            "$defs": {
                "Deep": {"type": "boolean", "$anchor": "named"},
                "Two": {"$id": "two", "type": "string"},
            },
        }
    }
    found: Any = document({}, {"schemas": schemas}, "3.1.0").resolve(ref)
    assert found["type"] == type_


def test_a_relative_id_is_found_from_its_neighbours() -> None:
    schemas: dict[str, Json] = {
        "Leaf": {"$id": "leaf.json", "type": "integer"},
        "Branch": {"type": "object", "properties": {"leaf": {"$ref": "leaf.json#"}}},
    }
    branch: Json = {"$ref": "#/components/schemas/Branch"}
    spec = only_tool(json_body(branch), {"schemas": schemas}, version="3.1.0")
    assert properties_of(spec)["leaf"] == {"type": "integer"}


def test_what_is_not_inside_is_what_the_document_has() -> None:
    """Many write an `$id` for a name and go on referring to components."""
    schemas: dict[str, Json] = {
        "Pet": {
            "$id": "Pet",
            "type": "object",
            "properties": {"owner": {"$ref": "#/components/schemas/Owner"}},
        },
        "Owner": {"$id": "#owner", "type": "string", "maxLength": 3},
    }
    spec = only_tool(
        json_body({"$ref": "#/components/schemas/Pet"}), {"schemas": schemas}, version="3.1.0"
    )
    assert properties_of(spec)["owner"] == {"type": "string", "maxLength": 3}


@pytest.mark.parametrize(
    "ref",
    [
        "https://schemas.example/tree#/$defs/none",
        "https://schemas.example/tree#none",
        "https://schemas.example/trees",
        "http://[",
    ],
)
def test_what_nothing_calls_itself_is_not_found(ref: str) -> None:
    with pytest.raises(MappingError):
        document({}, {"schemas": {"Tree": TREE}}, "3.1.0").resolve(ref)


def test_before_3_1_an_id_is_a_word_like_any_other() -> None:
    with pytest.raises(MappingError):
        document({}, {"schemas": {"Tree": TREE}}, "3.0.3").resolve("https://schemas.example/tree")


def test_a_property_that_is_called_id_names_nothing() -> None:
    schema: Json = {"type": "object", "properties": {"$id": {"type": "string"}, "a": {}}}
    spec = only_tool(json_body(schema), version="3.1.0")
    assert list(properties_of(spec)) == ["id", "a"]
