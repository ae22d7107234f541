"""A large catalogue: searched, described, executed; the approver still sees the real tool."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

import gate_parts
from mcp_parts import ERAS, READ, TOKEN, TOOLS, client, running
from signoff.assistant.listing import Listing
from signoff.canonical import Json
from signoff.catalog.model import Capability, ServerConfig, ToolSpec
from signoff.catalog.registry import Registry
from signoff.client.session import ClientError, connect
from signoff.gate.policy import Ask, decide
from signoff.identity import Caller

LARGE = ["call_status", "describe_tool", "execute_tool", "repeat_call", "search_tools",
         "withdraw_call"]  # fmt: skip
PAY: dict[str, Any] = {"amount": 25, "to_account": "savings"}
CALLER = Caller(kind="local", issuer="local", client_id="local:1", sub="alice")

in_both_eras = pytest.mark.parametrize("era", ERAS)


def text(result: Any) -> str:
    return "\n".join(block.text for block in result.content)


@in_both_eras
async def test_above_the_limit_three_tools_stand_for_all(tmp_path: Path, era: str) -> None:
    async with running(tmp_path, max_tools=2) as signoff, client(signoff.url, era=era) as session:
        listed = (await session.list_tools()).tools

        assert [tool.name for tool in listed] == LARGE
        for tool in listed:
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is not None


async def test_at_the_limit_everything_is_listed(tmp_path: Path) -> None:
    async with running(tmp_path, max_tools=3) as signoff, client(signoff.url) as session:
        names = [tool.name for tool in (await session.list_tools()).tools]

    assert {"balance", "pay", "pay_by_bob"} <= set(names)
    assert "search_tools" not in names


@in_both_eras
async def test_a_tool_is_found_described_and_executed(tmp_path: Path, era: str) -> None:
    async with running(tmp_path, max_tools=2) as signoff, client(signoff.url, era=era) as session:
        found = await session.call_tool("search_tools", {"query": "read my balance"})
        assert found.structured_content is not None
        hit = found.structured_content["hits"][0]
        assert hit == {"name": "balance", "call": "GET /accounts/{account}"}
        assert json.loads(text(found)) == found.structured_content

        described = await session.call_tool("describe_tool", {"name": hit["name"]})
        assert described.structured_content is not None
        schema = described.structured_content["inputSchema"]
        assert schema["required"] == ["account"]

        arguments = {"name": "balance", "arguments": {"account": "checking"}}
        result = await session.call_tool("execute_tool", arguments)
        assert (result.structured_content, result.is_error) == ({"account": "checking"}, False)


@in_both_eras
async def test_the_approver_of_an_executed_tool_sees_the_tool_itself(
    tmp_path: Path, era: str
) -> None:
    async with (
        running(tmp_path, max_tools=2) as signoff,
        client(signoff.url, era=era) as session,
        asyncio.TaskGroup() as group,
    ):
        arguments = {"name": "pay", "arguments": {**PAY, "signoff_note": "rent is due"}}
        call = group.create_task(session.call_tool("execute_tool", arguments))
        card = await signoff.card()
        details = cast("dict[str, Any]", card.authorization_details[0])
        assert details["tool"] == "pay"
        assert {"argument": "to_account", "value": "savings"} in details["title"]
        assert details["request"]["method"] == "POST"
        assert "execute_tool" not in json.dumps(details)
        assert signoff.bank.payments == []
        await signoff.decide()
        result = await call
    assert (result.structured_content, result.is_error) == ({"paid": 1}, False)
    assert signoff.bank.payments == [PAY]


async def test_a_tool_is_still_called_by_its_own_name(tmp_path: Path) -> None:
    async with running(tmp_path, max_tools=2) as signoff, client(signoff.url) as session:
        result = await session.call_tool("balance", {"account": "checking"})

    assert result.structured_content == {"account": "checking"}


async def test_the_same_call_by_either_way_is_one_call(tmp_path: Path) -> None:
    async with (
        running(tmp_path, max_tools=2) as signoff,
        client(signoff.url) as session,
        asyncio.TaskGroup() as group,
    ):
        direct = group.create_task(session.call_tool("pay", PAY))
        await signoff.card()
        arguments = {"name": "pay", "arguments": PAY}
        through = group.create_task(session.call_tool("execute_tool", arguments))
        await signoff.decide()
        await direct
        await through
    assert signoff.bank.payments == [PAY], "one card, one payment"


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("execute_tool", {"name": "pays"}, "There is no tool 'pays'."),
        ("execute_tool", {"name": "execute_tool"}, "There is no tool 'execute_tool'."),
        ("execute_tool", {"name": "search_tools"}, "There is no tool 'search_tools'."),
        ("execute_tool", {"name": "pay", "arguments": {"amount": "1"}}, "pay was not called"),
        ("execute_tool", {"name": "pay", "arguments": []}, "not valid"),
        ("execute_tool", {"name": "pay", "arguments": PAY, "approve": True}, "not valid"),
        ("execute_tool", {}, "not valid"),
        ("execute_tool", {"name": "call_status", "arguments": {"call_id": "x"}}, "no call"),
        ("describe_tool", {"name": "nobody"}, "There is no tool 'nobody'."),
        ("search_tools", {"query": ""}, "not valid"),
        ("search_tools", {"query": "x" * 401}, "not valid"),
        ("search_tools", {"query": 5}, "not valid"),
    ],
)
async def test_what_is_not_there_or_not_valid_is_an_error_that_helps(
    tmp_path: Path, tool: str, arguments: dict[str, Any], message: str
) -> None:
    async with running(tmp_path, max_tools=2) as signoff, client(signoff.url) as session:
        result = await session.call_tool(tool, arguments)

    assert result.is_error
    assert message in text(result)
    assert signoff.bank.payments == []


def listing(tools: tuple[ToolSpec, ...], **server: Any) -> Listing:
    catalogue = gate_parts.catalogue(tools=tools)
    catalogue = replace(catalogue, server=replace(ServerConfig(max_tools=10_000), **server))

    def asks(tool: Capability) -> bool:
        return isinstance(decide(catalogue.policy, tool), Ask)

    return Listing(Registry(catalogue), asks=asks)


def everything(listing: Listing, host: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = listing.page(CALLER, cursor, host)
        found += cast("list[dict[str, Any]]", page["tools"])
        if "nextCursor" not in page:
            return found
        cursor = str(page["nextCursor"])


async def test_a_long_list_is_made_while_others_have_their_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signoff.assistant.listing._SLICE_S", 0.0)
    many = tuple(replace(READ, name=f"read_{number}") for number in range(200))
    listed, turns = listing(many), 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(others())
    one, two = await asyncio.gather(
        listed.page_in_slices(CALLER, None), listed.page_in_slices(CALLER, None)
    )
    beside.cancel()
    assert turns >= 2 * len(many)
    assert one["tools"] is two["tools"]
    assert one == listing(many).page(CALLER, None)


async def test_a_list_that_nobody_waits_for_any_more_is_made_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signoff.assistant.listing._SLICE_S", 0.0)
    listed = listing(tuple(replace(READ, name=f"read_{number}") for number in range(50)))
    left = asyncio.create_task(listed.page_in_slices(CALLER, None))
    await asyncio.sleep(0)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    page = await listed.page_in_slices(CALLER, None)
    assert len(cast("list[Json]", page["tools"])) == 53


def with_argument(name: str, schema: Json, **more: Json) -> ToolSpec:
    return replace(
        READ,
        name=name,
        output_schema=None,
        input_schema={"type": "object", "properties": {"account": schema}, **more},
    )


DEEP: dict[str, Json] = {
    "type": "object",
    "properties": {f"member{n}": {"type": "string", "description": "d" * 200} for n in range(60)},
}


def test_a_schema_too_large_for_the_list_is_cut_there_and_whole_on_describe() -> None:
    tool = with_argument(
        "big", {"type": "array", "items": {"type": "object", "properties": {"in": DEEP}}}
    )
    made = listing((tool,), tool_bytes=1_024)
    entries = {entry["name"]: entry for entry in everything(made)}

    assert len(json.dumps(entries["big"]["inputSchema"])) <= 1_100
    assert "describe_tool shows all of it" in entries["big"]["description"]
    assert "describe_tool" in entries
    described = made.described(CALLER, "big")
    assert described is not None
    assert described["inputSchema"] == tool.input_schema


def test_without_a_cut_there_is_nothing_to_describe() -> None:
    names = {entry["name"] for entry in everything(listing(TOOLS))}

    assert "describe_tool" not in names


def test_a_list_over_its_budget_shortens_the_largest_first() -> None:
    small = with_argument("small", {"type": "string", "description": "kept"})
    tools = [replace(with_argument("x", DEEP), name=f"big{n}") for n in range(30)]
    made = everything(listing((*tools, small), list_bytes=60_000))
    entries = {entry["name"]: entry for entry in made}

    assert len(json.dumps(made, separators=(",", ":"))) <= 60_000
    assert entries["small"]["inputSchema"] == small.input_schema


SHARED: Json = {"Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}}


@pytest.mark.parametrize(
    ("server", "host", "refers"),
    [
        ({}, "claude-code", True),
        ({}, "Visual Studio Code", False),
        ({"refs": "inline"}, "claude-code", False),
        ({"client_refs": {"claude-code": "inline"}}, "claude-code", False),
        ({"client_refs": {"Visual Studio Code": "keep"}}, "Visual Studio Code", True),
        ({"refs": "inline", "client_refs": {"claude-code": "keep"}}, "claude-code", True),
    ],
)
def test_hosts_that_do_not_follow_references_get_none(
    server: dict[str, Any], host: str, refers: bool
) -> None:
    tool = with_argument("tree", {"$ref": "#/$defs/Tree"}, **{"$defs": SHARED})
    made = listing((tool,), **server)
    [entry] = [one for one in everything(made, host) if one["name"] == "tree"]

    assert ('"$ref"' in json.dumps(entry)) == refers
    assert ('"$ref"' in json.dumps(made.described(CALLER, "tree", host))) == refers


async def test_the_terminals_client_finds_a_tool_that_is_not_listed(tmp_path: Path) -> None:
    async with (
        running(tmp_path, max_tools=2) as signoff,
        connect(signoff.url, TOKEN, token_from="test") as session,
    ):
        tool = await session.tool("balance")
        with pytest.raises(ClientError, match=r"has no tool balanse; it says: .*mean balance\?"):
            await session.tool("balanse")

    assert tool.input_schema == READ.input_schema
