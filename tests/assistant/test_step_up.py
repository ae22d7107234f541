"""Tools that need a scope of their own: 403 with the scope to ask for, whichever way one calls."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

import gate_parts
from mcp_parts import LEGACY, MODERN, PAID, TOKEN, Signoff, client, running

PAY = replace(gate_parts.PAY, output_schema=PAID, scopes=("payments", "payments.high"))
METADATA = f"{gate_parts.ISSUER}/.well-known/oauth-protected-resource/mcp"
CHALLENGE = (
    'Bearer error="insufficient_scope", '
    'error_description="this tool needs a scope that the token does not have", '
    f'resource_metadata="{METADATA}", scope="mcp payments payments.high"'
)
ARGUMENTS = dict(gate_parts.ARGUMENTS)


def here(tmp_path: Path) -> AbstractAsyncContextManager[Signoff]:
    return running(tmp_path, tools=(PAY, gate_parts.READ))


def token(signoff: Signoff, scope: str, **changed: Any) -> str:
    return signoff.keyring.mint_access_token(signoff.claims(scope=scope, **changed))


def call(tool: str, arguments: Any, *, id_: int = 1) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": id_,
        "method": "tools/call",
        "params": {
            "name": tool,
            "arguments": arguments,
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }


async def post(signoff: Signoff, bearer: str, message: Any, **headers: str) -> httpx2.Response:
    sent = {
        "authorization": f"Bearer {bearer}",
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        **headers,
    }
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        return await http.post(signoff.url, content=json.dumps(message), headers=sent)


def refused(answer: httpx2.Response) -> None:
    assert answer.status_code == 403, answer.text
    assert answer.headers["www-authenticate"] == CHALLENGE
    assert answer.json()["error"] == "insufficient_scope"


def modern(name: str) -> dict[str, str]:
    return {
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
        "mcp-name": name,
    }


async def test_the_first_challenge_asks_for_the_door_alone_whatever_tools_there_are(
    tmp_path: Path,
) -> None:
    """MCP authorization, scope selection: a host asks for what the challenge names, and no more.

    Naming every tool's scopes there would ask each person for all of them, at each sign-in.
    """
    async with here(tmp_path) as signoff:
        message, headers = call(PAY.name, ARGUMENTS), modern(PAY.name)
        ended = token(signoff, "mcp payments", exp=int(signoff.database.now().timestamp()) - 60)
        for bearer in ("no-token-of-ours", ended):
            answer = await post(signoff, bearer, message, **headers)
            assert asked_for(answer, status=401) == "mcp"
        assert await signoff.approvals.inbox("alice") == []


async def test_the_challenge_names_every_scope_the_call_needs(tmp_path: Path) -> None:
    async with here(tmp_path) as signoff:
        for scope in ("mcp", "mcp payments", "payments.high mcp", "offline_access mcp"):
            answer = await post(
                signoff, token(signoff, scope), call(PAY.name, ARGUMENTS), **modern(PAY.name)
            )
            refused(answer)
        assert signoff.bank.payments == []
        assert await signoff.approvals.inbox("alice") == []


def asked_for(answer: httpx2.Response, *, status: int = 403) -> str:
    """Return what a host asks for that takes the challenge at its word."""
    assert answer.status_code == status
    return answer.headers["www-authenticate"].partition('scope="')[2].partition('"')[0]


async def test_a_host_that_asks_for_what_it_is_told_loses_nothing_that_it_had(
    tmp_path: Path,
) -> None:
    """MCP authorization, scope selection: each challenge asks for the old scopes with the new."""
    look = replace(gate_parts.READ, scopes=("accounts",))
    async with running(tmp_path, tools=(PAY, look)) as signoff:
        reads, pays = call(look.name, {"account": "a"}), call(PAY.name, ARGUMENTS)
        first = asked_for(await post(signoff, token(signoff, "mcp openid"), reads))
        assert first == "mcp accounts openid"
        second = asked_for(await post(signoff, token(signoff, first), pays))
        assert second == "mcp accounts openid payments payments.high"
        async with client(signoff.url, token=token(signoff, second)) as it:
            assert not (await it.call_tool(look.name, {"account": "a"})).is_error
            work = asyncio.create_task(it.call_tool(PAY.name, ARGUMENTS))
            await signoff.decide()
            assert not (await work).is_error
        # What a batch needs is asked for at once, so that nobody is asked twice.
        both = await post(signoff, token(signoff, "mcp"), [reads, {**pays, "id": 2}])
        assert asked_for(both) == "mcp accounts payments payments.high"


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_a_token_with_the_scopes_calls_the_tool(tmp_path: Path, era: str) -> None:
    async with here(tmp_path) as signoff:
        bearer = token(signoff, "mcp payments payments.high")
        async with client(signoff.url, era=era, token=bearer) as it:
            work = asyncio.create_task(it.call_tool(PAY.name, ARGUMENTS))
            await signoff.decide()
            assert not (await work).is_error
        assert len(signoff.bank.payments) == 1
        assert bearer not in str(signoff.bank.headers)  # a host's token goes no further


async def test_a_tool_that_needs_nothing_more_is_called_with_the_doors_scope(
    tmp_path: Path,
) -> None:
    async with (
        here(tmp_path) as signoff,
        client(signoff.url, token=token(signoff, "mcp")) as it,
    ):
        tools = {tool.name for tool in (await it.list_tools()).tools}
        assert {PAY.name, gate_parts.READ.name} <= tools
        result = await it.call_tool(gate_parts.READ.name, {"account": "a"})
        assert not result.is_error


async def test_the_body_decides_whatever_the_headers_say(tmp_path: Path) -> None:
    async with here(tmp_path) as signoff:
        bearer = token(signoff, "mcp")
        for name in (gate_parts.READ.name, "call_status", ""):
            refused(await post(signoff, bearer, call(PAY.name, ARGUMENTS), **modern(name)))
        refused(await post(signoff, bearer, call(PAY.name, ARGUMENTS)))


async def test_a_batch_is_refused_for_any_of_its_calls(tmp_path: Path) -> None:
    async with here(tmp_path) as signoff:
        batch = [call(gate_parts.READ.name, {"account": "a"}), call(PAY.name, ARGUMENTS, id_=2)]
        refused(await post(signoff, token(signoff, "mcp"), batch))
        assert signoff.bank.headers == []


async def test_repeating_a_call_needs_what_the_call_needed(tmp_path: Path) -> None:
    async with here(tmp_path) as signoff:
        async with client(signoff.url, token=token(signoff, "mcp payments payments.high")) as it:
            work = asyncio.create_task(it.call_tool(PAY.name, ARGUMENTS))
            card = await signoff.card()
            await signoff.decide()
            await work
        repeat = call("repeat_call", {"call_id": card.call_id})
        refused(await post(signoff, token(signoff, "mcp"), repeat, **modern("repeat_call")))
        assert len(signoff.bank.payments) == 1


async def test_a_tool_inside_execute_tool_needs_what_it_needs_alone(tmp_path: Path) -> None:
    tools = (PAY, gate_parts.READ)
    async with running(tmp_path, tools=tools, max_tools=1) as signoff:
        bearer = token(signoff, "mcp")
        inside = call("execute_tool", {"name": PAY.name, "arguments": ARGUMENTS})
        refused(await post(signoff, bearer, inside, **modern("execute_tool")))
        refused(await post(signoff, bearer, [inside]))
        assert signoff.bank.payments == []
        assert await signoff.approvals.inbox("alice") == []
        other = {"name": gate_parts.READ.name, "arguments": {"account": "a"}}
        async with client(signoff.url, token=bearer) as it:
            assert not (await it.call_tool("execute_tool", other)).is_error


async def test_repeating_inside_execute_tool_needs_what_the_call_needed(tmp_path: Path) -> None:
    async with running(tmp_path, tools=(PAY, gate_parts.READ), max_tools=1) as signoff:
        async with client(signoff.url, token=token(signoff, "mcp payments payments.high")) as it:
            inside = {"name": PAY.name, "arguments": ARGUMENTS}
            work = asyncio.create_task(it.call_tool("execute_tool", inside))
            card = await signoff.card()
            await signoff.decide()
            await work
        again = {"name": "repeat_call", "arguments": {"call_id": card.call_id}}
        message = call("execute_tool", again)
        refused(await post(signoff, token(signoff, "mcp"), message, **modern("execute_tool")))
        assert len(signoff.bank.payments) == 1


@pytest.mark.parametrize(
    "message",
    [
        call("execute_tool", {}),
        call("execute_tool", {"name": 7}),
        call("execute_tool", {"name": "execute_tool", "arguments": {"name": PAY.name}}),
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": [PAY.name]},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 7}},
        call("no_such_tool", {}),
        call("repeat_call", {"call_id": "call_unknown"}),
        call("repeat_call", {"call_id": {"x": 1}}),
        call(PAY.name.upper(), ARGUMENTS),
        "text",
        None,
    ],
)
async def test_what_calls_no_such_tool_is_left_to_the_protocol(
    tmp_path: Path, message: Any
) -> None:
    async with here(tmp_path) as signoff:
        answer = await post(signoff, token(signoff, "mcp"), message)
        assert answer.status_code != 403
        assert signoff.bank.payments == []


async def test_the_local_secret_is_limited_by_no_scope(tmp_path: Path) -> None:
    async with here(tmp_path) as signoff, client(signoff.url, token=TOKEN) as it:
        work = asyncio.create_task(it.call_tool(PAY.name, ARGUMENTS))
        await signoff.decide("deny")
        assert (await work).is_error


async def test_a_token_without_the_doors_scope_does_not_get_as_far(tmp_path: Path) -> None:
    async with here(tmp_path) as signoff:
        answer = await post(
            signoff, token(signoff, "payments payments.high"), call(PAY.name, ARGUMENTS)
        )
        assert answer.status_code == 403
        assert 'scope="mcp"' in answer.headers["www-authenticate"]
