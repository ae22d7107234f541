"""What a caller does not see is for it as if it were not there, whichever way it asks."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

import gate_parts
from mcp_parts import ERAS, TOKEN, Signoff, client, running
from signoff.catalog.model import Visibility

OURS = Visibility(users=frozenset({"alice"}), scopes=frozenset({"admin"}))
SECRET = replace(
    gate_parts.READ, name="secret_ledger", title="Canary ledger", visible_to=OURS, scopes=("deep",)
)
TOOLS = (gate_parts.PAY, gate_parts.READ, SECRET)
in_both_eras = pytest.mark.parametrize("era", ERAS)


def bobs(signoff: Signoff, scope: str = "mcp") -> str:
    return signoff.keyring.mint_access_token(signoff.claims(sub="bob", scope=scope))


async def answer(session: Any, tool: str, arguments: dict[str, Any]) -> str:
    """Return all that a client is told, with the name of the tool taken out."""
    try:
        found = await session.call_tool(tool, arguments)
        assert isinstance(found, types.CallToolResult)
        told = found.model_dump_json()
    except MCPError as error:
        told = f"{error.error.code} {error.error.message}"
    return told.replace("secret_ledger", "NAME").replace("secret_nothing", "NAME")


@in_both_eras
async def test_a_hidden_tool_is_not_listed(tmp_path: Path, era: str) -> None:
    async with running(tmp_path, tools=TOOLS) as signoff:
        async with client(signoff.url, era=era, token=bobs(signoff)) as session:
            names = [tool.name for tool in (await session.list_tools()).tools]
        assert "balance" in names
        assert "secret_ledger" not in names
        for token in (TOKEN, bobs(signoff, "mcp admin")):
            async with client(signoff.url, era=era, token=token) as session:
                names = [tool.name for tool in (await session.list_tools()).tools]
                assert "secret_ledger" in names


@in_both_eras
async def test_a_call_of_a_hidden_tool_is_answered_as_that_of_none(
    tmp_path: Path, era: str
) -> None:
    async with (
        running(tmp_path, tools=TOOLS) as signoff,
        client(signoff.url, era=era, token=bobs(signoff)) as session,
    ):
        for arguments in ({"account": "a"}, {}, {"wrong": 1}):
            told = await answer(session, "secret_ledger", arguments)
            assert told == await answer(session, "secret_nothing", arguments)
            assert "unknown tool" in told
        assert signoff.bank.headers == []


@in_both_eras
async def test_a_hidden_tool_is_neither_found_nor_described_nor_executed(
    tmp_path: Path, era: str
) -> None:
    async with (
        running(tmp_path, tools=TOOLS, max_tools=1) as signoff,
        client(signoff.url, era=era, token=bobs(signoff)) as session,
    ):
        found = await session.call_tool("search_tools", {"query": "secret canary ledger"})
        assert isinstance(found, types.CallToolResult)
        assert "ledger" not in json.dumps(found.structured_content)
        assert found.structured_content is not None
        assert found.structured_content["of"] == 2
        asked: list[tuple[str, dict[str, Any]]] = [
            ("describe_tool", {}),
            ("execute_tool", {"arguments": {"account": "a"}}),
            ("execute_tool", {"arguments": {}}),
        ]
        for tool, arguments in asked:
            said = [
                await answer(session, tool, {**arguments, "name": name})
                for name in ("secret_ledger", "secret_nothing")
            ]
            assert said[0] == said[1]
            assert "no tool" in said[0]
        assert signoff.bank.headers == []


async def test_no_scope_is_asked_for_what_a_caller_does_not_see(tmp_path: Path) -> None:
    async with running(tmp_path, tools=TOOLS) as signoff:
        async with client(signoff.url, token=bobs(signoff)) as session:
            assert "unknown tool" in await answer(session, "secret_ledger", {"account": "a"})
        bearer = bobs(signoff, "mcp admin")
        async with client(signoff.url, token=bearer) as session:
            with pytest.raises(Exception, match="error response"):
                await session.call_tool("secret_ledger", {"account": "a"})
        async with client(signoff.url, token=bobs(signoff, "mcp admin deep")) as session:
            assert not (await session.call_tool("secret_ledger", {"account": "a"})).is_error


async def test_what_one_caller_saw_is_not_listed_to_the_next(tmp_path: Path) -> None:
    async with running(tmp_path, tools=TOOLS) as signoff:
        for token, sees in ((TOKEN, True), (bobs(signoff), False), (TOKEN, True)):
            async with client(signoff.url, token=token) as session:
                names = [tool.name for tool in (await session.list_tools()).tools]
                assert ("secret_ledger" in names) == sees


async def test_a_call_that_was_approved_stays_its_callers(tmp_path: Path) -> None:
    pay = replace(gate_parts.PAY, visible_to=Visibility(scopes=frozenset({"admin"})))
    async with running(tmp_path, tools=(pay,)) as signoff:
        token = signoff.keyring.mint_access_token(signoff.claims(scope="mcp admin"))
        async with client(signoff.url, token=token) as session:
            work = asyncio.create_task(session.call_tool("pay", dict(gate_parts.ARGUMENTS)))
            await signoff.decide()
            assert not (await work).is_error
        assert len(signoff.bank.payments) == 1


async def test_the_resources_metadata_names_the_scopes_of_tools(tmp_path: Path) -> None:
    paying = replace(gate_parts.PAY, scopes=("payments", "deep"))
    async with running(tmp_path, tools=(paying, SECRET)) as signoff:
        url = signoff.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
            document = (await http.get(url)).json()
    assert document["scopes_supported"] == ["mcp", "deep", "payments"]
