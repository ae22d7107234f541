"""Leaving only detaches: the matrix of clients that cancel, vanish, come back or never read."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp_types import CallToolResult

from mcp_parts import (
    DEADLINE_S,
    ERAS,
    INITIALIZE,
    LEGACY,
    MODERN,
    PAY,
    TOKEN,
    Signoff,
    call,
    client,
    running,
    until,
)

in_both_eras = pytest.mark.parametrize("era", ERAS)


@asynccontextmanager
async def http(
    signoff: Signoff, *, era: str, token: str = TOKEN
) -> AsyncGenerator[httpx2.AsyncClient, None]:
    """Connect a raw HTTP client, hands shaken where the era has a handshake."""
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN if era == MODERN else "2025-11-25",
    }
    if era == MODERN:
        headers |= {"mcp-method": "tools/call", "mcp-name": "pay"}
    async with httpx2.AsyncClient(
        base_url=signoff.url.removesuffix("/mcp"),
        headers=headers,
        timeout=DEADLINE_S,
        trust_env=False,
    ) as raw:
        if era == LEGACY:
            answer = await raw.post("/mcp", json=INITIALIZE)
            raw.headers["mcp-session-id"] = answer.headers["mcp-session-id"]
            await raw.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield raw


async def events(response: httpx2.Response) -> AsyncGenerator[dict[str, Any], None]:
    async for line in response.aiter_lines():
        if line.startswith("data:") and line != "data: ":
            yield json.loads(line.removeprefix("data:"))


async def vanished(signoff: Signoff, *, era: str) -> str:
    """Ask for a payment, leave as soon as a person is asked, and return the call's id."""
    async with (
        http(signoff, era=era) as raw,
        raw.stream("POST", "/mcp", json=call(1, era=era)) as response,
    ):
        assert (await anext(events(response)))["method"] == "notifications/progress"
    return str((await signoff.card()).authorization_details[0]["call_id"])


@in_both_eras
async def test_a_client_that_vanishes_leaves_its_call_to_be_approved_and_run_once(
    tmp_path: Path, era: str
) -> None:
    async with running(tmp_path, beat_s=0.1) as signoff:
        call_id = await vanished(signoff, era=era)
        await signoff.decide()
        async with client(signoff.url, era=era) as session:
            ended = await session.call_tool("call_status", {"call_id": call_id})
            again = await session.call_tool("pay", PAY)
    assert ended.structured_content == {"paid": 1}
    assert again.structured_content is not None
    assert again.structured_content["repeat"] is True
    assert again.structured_content["call_id"] == call_id
    assert again.structured_content["result"] == {"paid": 1}
    assert signoff.bank.payments == [PAY]


@in_both_eras
async def test_who_asks_again_while_the_call_is_being_sent_gets_its_first_answer(
    tmp_path: Path, era: str
) -> None:
    async with running(tmp_path, beat_s=0.1) as signoff, client(signoff.url, era=era) as session:
        await vanished(signoff, era=era)
        signoff.bank.answers.clear()
        await signoff.decide()
        await until(lambda: signoff.bank.payments)

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            del progress, total
            if message is not None and "; sent" in message:
                signoff.bank.answers.set()

        again = await session.call_tool("pay", PAY, progress_callback=heard)
    assert again.structured_content == {"paid": 1}
    assert signoff.bank.payments == [PAY]


@in_both_eras
async def test_a_client_that_gives_up_and_returns_joins_its_call(tmp_path: Path, era: str) -> None:
    async with (
        running(tmp_path) as signoff,
        client(signoff.url, era=era) as session,
        asyncio.TaskGroup() as group,
    ):
        with pytest.raises(Exception, match=r"(?i)timed? ?out"):  # the SDK's, per era
            await session.call_tool("pay", PAY, read_timeout_seconds=0.5)
        again = group.create_task(session.call_tool("pay", PAY))
        await signoff.decide()
        assert (await again).structured_content == {"paid": 1}
    assert signoff.bank.payments == [PAY]


async def test_a_cancelled_legacy_request_ends_its_stream_and_not_its_call(tmp_path: Path) -> None:
    async with running(tmp_path, beat_s=0.1) as signoff, http(signoff, era=LEGACY) as raw:
        async with raw.stream("POST", "/mcp", json=call(1, era=LEGACY)) as response:
            heard = events(response)
            await anext(heard)
            cancel = {"method": "notifications/cancelled", "params": {"requestId": 1}}
            await raw.post("/mcp", json={"jsonrpc": "2.0", **cancel})
            async for event in heard:
                assert event.get("method") == "notifications/progress" or "error" in event
        await signoff.decide()
        await until(lambda: signoff.bank.payments)


async def test_a_posted_cancel_of_the_modern_era_changes_nothing(tmp_path: Path) -> None:
    async with (
        running(tmp_path, beat_s=0.1) as signoff,
        http(signoff, era=MODERN) as raw,
        raw.stream("POST", "/mcp", json=call(1, era=MODERN)) as response,
    ):
        heard = events(response)
        await anext(heard)
        cancel = {"method": "notifications/cancelled", "params": {"requestId": 1}}
        answer = await raw.post("/mcp", json={"jsonrpc": "2.0", **cancel})
        assert answer.status_code == 202
        await signoff.decide()
        results = [event async for event in heard if "result" in event]
    assert results[0]["result"]["structuredContent"] == {"paid": 1}


@in_both_eras
async def test_parallel_calls_with_the_same_arguments_share_one_card_and_one_effect(
    tmp_path: Path, era: str
) -> None:
    async with (
        running(tmp_path) as signoff,
        client(signoff.url, era=era) as session,
        asyncio.TaskGroup() as group,
    ):
        calls = [group.create_task(session.call_tool("pay", PAY)) for _ in range(5)]
        await signoff.decide()
        results = await asyncio.gather(*calls)
    assert all(result.structured_content == {"paid": 1} for result in results)
    assert signoff.bank.payments == [PAY]


@in_both_eras
async def test_a_drain_hands_every_waiter_a_pending_result_at_once(
    tmp_path: Path, era: str
) -> None:
    async with (
        running(tmp_path) as signoff,
        client(signoff.url, era=era) as session,
        asyncio.TaskGroup() as group,
    ):
        heard: dict[int, str] = {}

        async def make(amount: int) -> CallToolResult:
            async def hear(progress: float, total: float | None, message: str | None) -> None:
                del progress, total
                heard[amount] = message or ""

            arguments = {**PAY, "amount": amount}
            return await session.call_tool("pay", arguments, progress_callback=hear)

        waiting = [group.create_task(make(amount)) for amount in (1, 2, 3)]
        await until(lambda: sum("Waiting for" in words for words in heard.values()) == 3)
        signoff.draining.set()
        async with asyncio.timeout(20):
            results = await asyncio.gather(*waiting)
            late = await session.call_tool("pay", {**PAY, "amount": 4})
    for result in (*results, late):
        assert result.structured_content is not None
        assert result.structured_content["status"] == "pending"


async def test_a_reader_that_does_not_read_delays_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, beat_s=0.01) as signoff, http(signoff, era=MODERN) as raw:
        async with (
            raw.stream("POST", "/mcp", json=call(1, era=MODERN)),  # never read
            client(signoff.url) as session,
        ):
            await signoff.card()
            for _ in range(20):
                result = await session.call_tool("balance", {"account": "a"})
                assert not result.is_error
        await signoff.decide()
        await until(lambda: signoff.bank.payments)


@pytest.mark.seed("T10")
async def test_headers_that_name_another_tool_than_the_body_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as signoff, http(signoff, era=MODERN) as raw:
        for headers in (
            {"mcp-name": "balance"},
            {"mcp-method": "tools/list"},
            {"mcp-protocol-version": "2099-01-01"},
        ):
            answer = await raw.post("/mcp", json=call(1, era=MODERN), headers=headers)
            assert answer.status_code == 400
        assert await signoff.approvals.inbox("alice") == []


@in_both_eras
async def test_duplicate_keys_never_reach_the_gate(tmp_path: Path, era: str) -> None:
    async with running(tmp_path) as signoff, http(signoff, era=era) as raw:
        twice = json.dumps(call(7, era=era)).replace('"amount": 25', '"amount": 25, "amount": 9999')
        answer = await raw.post("/mcp", content=twice, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["id"] == 7
        assert answer.json()["error"]["code"] == -32700
        assert await signoff.approvals.inbox("alice") == []


@pytest.mark.seed("T04")
async def test_a_session_of_somebody_else_is_not_found(tmp_path: Path) -> None:
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    async with running(tmp_path) as signoff:
        mine = signoff.keyring.mint_access_token(signoff.claims())
        others = [
            signoff.keyring.mint_access_token(signoff.claims(**changes))
            for changes in ({"sub": "bob"}, {"client_id": "other"}, {"sub": "claude-code"})
        ]
        async with http(signoff, era=LEGACY, token=mine) as raw:
            for stolen in (*others, TOKEN):
                headers = {"authorization": f"Bearer {stolen}"}
                answer = await raw.post("/mcp", json=listing, headers=headers)
                assert answer.status_code == 404
                assert (await raw.delete("/mcp", headers=headers)).status_code == 404
            assert (await raw.post("/mcp", json=listing)).status_code == 200


@pytest.mark.seed("T01")
async def test_the_assistants_own_credential_never_reaches_the_upstream(tmp_path: Path) -> None:
    async with (
        running(tmp_path) as signoff,
        client(signoff.url) as session,
        asyncio.TaskGroup() as group,
    ):
        await session.call_tool("balance", {"account": "a"})
        paying = group.create_task(session.call_tool("pay", PAY))
        await signoff.decide()
        await paying
    assert len(signoff.bank.headers) == 2
    assert TOKEN not in json.dumps(list(map(dict, signoff.bank.headers)))


@pytest.mark.seed("T05")
@in_both_eras
async def test_equal_request_ids_of_two_clients_never_swap_their_answers(
    tmp_path: Path, era: str
) -> None:
    async with (
        running(tmp_path) as signoff,
        http(signoff, era=era) as first,
        http(signoff, era=era) as second,
    ):
        busy = asyncio.Semaphore(16)

        async def ask(raw: httpx2.AsyncClient, who: str, request_id: int) -> None:
            marker = f"{who}{request_id}"
            body = call(request_id, era=era, tool="balance", account=marker)
            async with busy:
                answer = await raw.post("/mcp", json=body, headers={"mcp-name": "balance"})
            text = answer.text
            if answer.headers["content-type"].startswith("text/event-stream"):
                text = [line for line in text.splitlines() if line.startswith("data: {")][-1][6:]
            message = json.loads(text)
            assert message["id"] == request_id
            assert message["result"]["structuredContent"] == {"account": marker}

        async with asyncio.TaskGroup() as group:
            for request_id in range(1, 101):
                group.create_task(ask(first, "a", request_id))
                group.create_task(ask(second, "b", request_id))
