"""The same job through other people's clients: the SDK over stdio, the MCP Inspector both ways."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from assistants import Era, Said, inspector, over_http, over_stdio, text
from harness import House, StartBank, catalogue, transfer, until
from ports import free_port
from scripted_person import ScriptedPerson


async def decided(house: House, work: "asyncio.Task[Any]", *, approve: bool) -> None:
    """Decide the one card that comes up while `work` runs."""

    async def waiting() -> list[str]:
        assert not work.done(), work.result()
        return await house.alice.waiting()

    (card,) = await until(waiting, within_s=60)
    if approve:
        await house.alice.approve(card)
    else:
        await house.alice.deny(card, "Not this one.")


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_host_on_stdio_sees_the_status_and_gets_the_result(house: House, era: Era) -> None:
    amount = 30 if era == "legacy" else 31
    said = Said()
    async with over_stdio(house.server, era=era) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert {"transfer_funds", "call_status", "withdraw_call", "repeat_call"} <= tools
        work = asyncio.create_task(
            client.call_tool("transfer_funds", transfer(amount), progress_callback=said)
        )
        await decided(house, work, approve=True)
        result = await work
    assert not result.is_error
    assert house.bank.count(amount) == 1
    assert any("Waiting for alice to decide" in line for line in said.lines)


async def test_a_no_reaches_a_host_on_stdio_with_its_reason(house: House) -> None:
    async with over_stdio(house.server) as client:
        work = asyncio.create_task(client.call_tool("transfer_funds", transfer(32)))
        await decided(house, work, approve=False)
        result = await work
        again = await client.call_tool("transfer_funds", transfer(32))
    assert result.is_error
    assert "Not this one." in text(result)
    assert "Not this one." in text(again)
    assert house.bank.count(32) == 0


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_withdrawing_ends_the_card_and_nothing_is_sent(house: House, era: Era) -> None:
    amount = 33 if era == "legacy" else 34
    async with over_http(house.server, era=era, name="impatient") as client:
        pending = await client.call_tool("transfer_funds", transfer(amount))
        members = dict(pending.structured_content or {})
        assert members["status"] == "pending"
        card = str(members["approve_at"]).rsplit("/", 1)[-1]
        withdrawn = await client.call_tool("withdraw_call", {"call_id": members["call_id"]})
    assert "withdrawn" in text(withdrawn)

    async def ended() -> bool:
        return "The request was taken back" in await house.alice.page(card)

    await until(ended)
    assert house.bank.count(amount) == 0


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_gets_a_transfer_signed_off_over_http(house: House, era: str) -> None:
    amount = 35 if era == "legacy" else 36
    work = asyncio.create_task(
        inspector(house.server, "transfer_funds", transfer(amount), era=era, stdio=False)
    )
    await decided(house, work, approve=True)
    result = outcome(await work)
    assert not result.get("isError")
    assert result["structuredContent"]["amount"] == amount
    assert house.bank.count(amount) == 1


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_hears_the_no_over_stdio(house: House, era: str) -> None:
    amount = 37 if era == "legacy" else 38
    work = asyncio.create_task(
        inspector(house.server, "transfer_funds", transfer(amount), era=era, stdio=True)
    )
    await decided(house, work, approve=False)
    result = outcome(await work)
    assert result["isError"]
    assert "Not this one." in str(result["content"])
    assert house.bank.count(amount) == 0


async def test_a_host_on_stdio_brings_its_own_server_when_none_runs(
    bank: StartBank, launch: Any
) -> None:
    port = free_port()
    books = await bank(f"http://localhost:{port}")
    server = await launch(catalogue(books.url), port=port, up=False)
    async with over_stdio(server) as client:
        work = asyncio.create_task(client.call_tool("transfer_funds", transfer(39)))

        async def served() -> bool:
            assert not work.done(), work.result()
            return (server.data_dir / "admin.sock").exists()

        await until(served)
        alice = await ScriptedPerson(server.url).sign_in(await server.login_link())
        (card,) = await until(alice.waiting)
        await alice.approve(card)
        assert not (await work).is_error
        await alice.close()
    assert books.count(39) == 1


def outcome(printed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tool's result from what the Inspector printed around it."""
    found = printed.get("result", printed)
    assert "content" in found, printed
    return found
