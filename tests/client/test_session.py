"""`signoff call` as a person meets it: status, the end, and one clear sentence when it fails."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

import gate_parts
from mcp_parts import TOKEN, running, until
from signoff.catalog.model import Policy
from signoff.client import session as client_session
from signoff.client.session import (
    INTERRUPTED,
    STOPPED,
    CallOutcome,
    ClientError,
    call_tool,
    connect,
)

PAY: dict[str, Any] = {"amount": 25, "to_account": "savings"}


async def make(url: str, tool: str = "pay", token: str = TOKEN, **options: Any) -> CallOutcome:
    heard = options.pop("heard", [])
    arguments = options.pop("arguments", PAY)
    return await call_tool(
        url, token, tool, arguments, heard.append, token_from="/data/local-token", **options
    )


async def test_status_streams_and_a_pending_result_is_followed_to_its_end(tmp_path: Path) -> None:
    heard: list[str] = []
    async with (
        running(tmp_path, beat_s=0.1, budgets_s={"signoff": 0.4}) as signoff,
        asyncio.TaskGroup() as group,
    ):
        call = group.create_task(make(signoff.url, heard=heard))
        await signoff.card()
        await until(lambda: len(heard) > 8)  # longer than one budget
        await signoff.decide()
        outcome = await call
    assert (outcome.state, outcome.structured) == ("done", {"paid": 1})
    assert signoff.bank.payments == [PAY]
    assert any("Waiting for alice" in word for word in heard)


async def test_without_waiting_the_outcome_is_pending_and_names_the_page(tmp_path: Path) -> None:
    async with running(tmp_path, budgets_s={"signoff": 0.2}) as signoff:
        outcome = await make(signoff.url, wait=False)
        card = await signoff.card()
    assert outcome.state == "pending"
    assert outcome.call_id is not None
    assert outcome.approve_at is not None
    assert outcome.approve_at.endswith(card.id)


async def test_a_denied_call_failed_and_gives_the_reason(tmp_path: Path) -> None:
    async with running(tmp_path) as signoff, asyncio.TaskGroup() as group:
        call = group.create_task(make(signoff.url))
        await signoff.decide("deny", reason="too much")
        outcome = await call
    assert outcome.state == "failed"
    assert "too much" in outcome.text


async def test_a_person_who_stops_waiting_is_told_that_the_request_stays(tmp_path: Path) -> None:
    heard: list[str] = []
    async with running(tmp_path, beat_s=0.1) as signoff:
        call = asyncio.create_task(make(signoff.url, heard=heard))
        await signoff.card()
        await until(lambda: heard)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert heard[-1] == INTERRUPTED
        await signoff.decide()
        await until(lambda: signoff.bank.payments)
        outcome = await make(signoff.url)
    assert outcome.structured is not None
    assert signoff.bank.payments == [PAY]


async def test_a_person_who_stops_a_call_that_needs_nobody_is_not_told_to_make_it_again(
    tmp_path: Path,
) -> None:
    heard: list[str] = []
    policy = Policy(defaults={"*": "allow"})
    async with running(tmp_path, tools=(gate_parts.NOTE,), policy=policy, beat_s=0.1) as signoff:
        signoff.bank.answers.clear()
        call = asyncio.create_task(make(signoff.url, "note", heard=heard))
        await until(lambda: signoff.bank.payments and heard)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        signoff.bank.answers.set()
    assert set(heard) == {"Waiting for bank to answer", STOPPED}
    assert heard[-1] == STOPPED
    assert signoff.bank.payments == [PAY]


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        ("pay", "a request that waits for approval stays open, so run the same command again"),
        ("note", "it may have been done all the same, so look before you run the command again"),
    ],
)
async def test_a_server_that_says_nothing_more_is_told_by_what_running_again_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, sentence: str
) -> None:
    tools, policy = (gate_parts.PAY, gate_parts.NOTE), Policy(defaults={"*": "allow"})
    async with running(tmp_path, tools=tools, policy=policy, beat_s=60.0) as signoff:
        async with connect(signoff.url, TOKEN, token_from="a file") as session:
            await session.tools()
            monkeypatch.setattr(client_session, "_SILENCE_S", 1.0)
            signoff.bank.answers.clear()
            with pytest.raises(ClientError, match=sentence) as told:
                await session.call(tool, PAY, on_status=list[str]().append)
        assert told.value.kind == "silent"
        signoff.bank.answers.set()


async def test_an_unknown_tool_gets_a_suggestion(tmp_path: Path) -> None:
    async with running(tmp_path) as signoff:
        with pytest.raises(ClientError, match="did you mean balance") as refused:
            await make(signoff.url, "balanse")
        assert refused.value.kind == "unknown_tool"
        with pytest.raises(ClientError, match="signoff tools"):
            await make(signoff.url, "zzzz")


async def test_a_refused_token_names_the_file_and_not_the_token(tmp_path: Path) -> None:
    async with running(tmp_path) as signoff:
        with pytest.raises(ClientError, match="/data/local-token") as refused:
            await make(signoff.url, token="sgl_" + "wrong" * 9)
    assert refused.value.kind == "unauthorized"
    assert "wrong" not in str(refused.value)


async def test_without_a_server_the_message_says_how_to_start_one() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ClientError, match="signoff serve") as refused:
            await make(f"http://127.0.0.1:{port}/mcp")
    assert refused.value.kind == "unreachable"


async def test_another_server_at_the_address_is_said_so(tmp_path: Path) -> None:
    async with running(tmp_path) as signoff:
        with pytest.raises(ClientError, match="refused") as refused:
            await make(signoff.url + "/elsewhere")
    assert refused.value.kind == "refused"


async def test_tools_are_listed_over_pages_with_their_schemas(tmp_path: Path) -> None:
    async with (
        running(tmp_path) as signoff,
        connect(signoff.url, TOKEN, token_from="f") as session,
    ):
        tools = await session.tools()
        tool = await session.tool("pay")
    assert {"pay", "balance", "call_status"} <= set(tools)
    assert "amount" in str(tool.input_schema)


async def test_an_error_of_the_caller_s_own_comes_out_as_it_is(tmp_path: Path) -> None:
    async with running(tmp_path) as signoff:
        with pytest.raises(ZeroDivisionError):
            async with connect(signoff.url, TOKEN, token_from="f"):
                raise ZeroDivisionError
