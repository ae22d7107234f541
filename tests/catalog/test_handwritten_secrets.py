"""A capability written by hand hides every argument that holds a marked value, however deep."""

import json
from pathlib import Path

import pytest

from signoff.canonical import Json
from signoff.catalog.loader import Loaded, load

PIN: Json = {"type": "string", "secret": True}


def hidden(folder: Path, **properties: Json) -> set[str]:
    schema: Json = {
        "type": "object",
        "properties": {**properties, "plain": {"type": "string"}},
        "$defs": {
            "Pin": PIN,
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}},
            "Odd/Name": PIN,
        },
    }
    path = folder / "capabilities.yaml"
    path.write_text(
        json.dumps({
            "signoff": 1,
            "upstreams": {"api": {"base_url": "https://api.example.com"}},
            "capabilities": [
                {
                    "name": "act",
                    "description": "Act.",
                    "upstream": "api",
                    "request": {"method": "POST", "path": "/act"},
                    "input": schema,
                }
            ],
            "users": [{"id": "alice"}],
        })
    )
    result = load(path)
    assert isinstance(result, Loaded), result
    [tool] = result.catalogue.tools
    return set(tool.secret_arguments)


@pytest.mark.parametrize(
    "schema",
    [
        PIN,
        {"type": "string", "format": "password"},
        {"type": "string", "writeOnly": True},
        {"anyOf": [{"type": "string", "format": "password"}, {"type": "null"}]},
        {"type": "object", "properties": {"pin": PIN}},
        {"type": "array", "items": {"type": "object", "properties": {"pin": PIN}}},
        {"type": "object", "additionalProperties": PIN},
        {"$ref": "#/$defs/Pin"},
        {"$ref": "#/$defs/Odd~1Name"},
        {"type": "object", "properties": {"deep": {"allOf": [{"$ref": "#/$defs/Pin"}]}}},
    ],
)
def test_an_argument_that_holds_a_mark_is_hidden(tmp_path: Path, schema: Json) -> None:
    assert hidden(tmp_path, it=schema) == {"it"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "string", "secret": False},
        {"type": "object", "properties": {"password": {"type": "string"}}},
        {"$ref": "#/$defs/Node"},
    ],
)
def test_other_arguments_are_shown(tmp_path: Path, schema: Json) -> None:
    assert hidden(tmp_path, it=schema) == set()
