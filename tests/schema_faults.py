"""What a host would not accept of a tool's schemas, whole, as listed and without references."""

import json

import jsonschema_rs

from signoff.catalog.model import ToolSpec
from signoff.catalog.openapi.names import ARGUMENT, TOOL
from signoff.catalog.shaping import fit, inlined

LIMIT = 8_192
HEAVY = 9_000  # `json.dumps` puts a space after each comma and colon


def faults_of(tool: ToolSpec) -> list[str]:
    """Return what is wrong, in words; nothing for a tool that every host takes."""
    found: list[str] = []
    listed, _ = fit(tool.input_schema, LIMIT)
    inline, _ = inlined(tool.input_schema, LIMIT)
    for name, schema in (
        ("input", dict(tool.input_schema)),
        ("output", dict(tool.output_schema or {"type": "object"})),
        ("listed", listed),
        ("inline", inline),
    ):
        text = json.dumps(schema)
        if not jsonschema_rs.meta.is_valid(schema):
            found.append(f"{name} is not valid")
        if schema.get("type") != "object" or schema.keys() & {"anyOf", "oneOf", "allOf", "not"}:
            found.append(f"{name} has no plain object at its root")
        if name == "inline" and '"$ref": "#' in text:
            found.append("the inlined schema refers")
        if name in ("listed", "inline") and len(text) > HEAVY:
            found.append(f"{name} weighs {len(text)}")
    properties = tool.input_schema["properties"]
    assert isinstance(properties, dict)
    found += [f"argument {name}" for name in properties if not ARGUMENT.fullmatch(name)]
    if not TOOL.fullmatch(tool.name):
        found.append("name")
    return found
