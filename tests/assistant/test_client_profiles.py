"""What each host is listed: schemas with references, or written out as far as its budget allows."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest

import gate_parts
from mcp_parts import ERAS, client, running

MEMBERS = {f"member{at}": {"$ref": "#/$defs/Leaf"} for at in range(40)}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"account": {"type": "string"}, "tree": {"$ref": "#/$defs/Tree"}},
    "required": ["account"],
    "$defs": {
        "Tree": {
            "type": "object",
            "properties": {"left": {"$ref": "#/$defs/Tree"}, "other": {"$ref": "#/$defs/Wide"}},
        },
        "Wide": {"type": "object", "properties": {**MEMBERS, "up": {"$ref": "#/$defs/Tree"}}},
        "Leaf": {
            "type": "object",
            "properties": {"a": {"type": "string", "description": "x" * 90}},
        },
    },
}
READ = replace(gate_parts.READ, input_schema=SCHEMA)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("name", "refers"),
    [
        ("claude-code", True),
        ("Visual Studio Code", False),
        ("Visual Studio Code - Insiders", False),
        ("visual studio code", True),
        ("", True),
    ],
)
async def test_a_host_is_listed_schemas_as_it_takes_them(
    name: str, refers: bool, era: str, tmp_path: Path
) -> None:
    async with (
        running(tmp_path, tools=(READ,)) as signoff,
        client(signoff.url, era=era, name=name) as session,
    ):
        listed = {tool.name: tool for tool in (await session.list_tools()).tools}
        text = json.dumps(listed["balance"].input_schema)
        assert ('"$ref"' in text, '"$defs"' in text) == (refers, refers)
        assert len(text) <= 8_192
        if not refers:
            # A cycle ends in its bare type, and the description says that there is more.
            assert "describe_tool shows all of it" in str(listed["balance"].description)
            found = await session.call_tool("describe_tool", {"name": "balance"})
            assert isinstance(found, types.CallToolResult)
            described = json.dumps(found.structured_content)
            assert '"$ref"' not in described
            assert len(described) <= 8 * 8_192
        result = await session.call_tool("balance", {"account": "a"})
        assert isinstance(result, types.CallToolResult)
        assert not result.is_error


async def test_what_was_listed_to_one_host_is_not_what_the_next_gets(tmp_path: Path) -> None:
    async with running(tmp_path, tools=(READ,)) as signoff:
        for name, refers in (("sdk", True), ("Visual Studio Code", False), ("sdk", True)):
            async with client(signoff.url, name=name) as session:
                tools = {tool.name: tool for tool in (await session.list_tools()).tools}
                assert ('"$ref"' in json.dumps(tools["balance"].input_schema)) == refers
