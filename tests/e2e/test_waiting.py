"""A client that gives up or vanishes loses nothing: the call waits, runs once, and is told."""

import asyncio
import os
import re
import signal

import pytest
from mcp.shared.exceptions import MCPError

from assistants import Era, over_http, text
from harness import ROOT, SIGNOFF, House, Server, SignIn, transfer, until


async def signoff_call(server: Server, amount: int, *more: str) -> asyncio.subprocess.Process:
    """Start `signoff call` for one transfer."""
    words = [f"--arg={name}={value}" for name, value in transfer(amount).items()]
    return await asyncio.create_subprocess_exec(
        *SIGNOFF, "call", "transfer_funds", *words,
        "--data-dir", str(server.data_dir), *more, cwd=ROOT, env=dict(os.environ),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


async def card_of(process: asyncio.subprocess.Process) -> str:
    """Read the status lines until they name the card."""
    assert process.stderr is not None
    async with asyncio.timeout(30):
        async for line in process.stderr:
            if found := re.search(rb"/approvals/(apr_[\w-]+)", line):
                return found[1].decode()
    raise AssertionError("the client ended without a card")


async def test_the_terminal_streams_the_status_and_prints_the_result(house: House) -> None:
    process = await signoff_call(house.server, 40)
    await house.alice.approve(await card_of(process))
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert b'"amount": 40' in out
    assert house.bank.count(40) == 1


async def test_the_terminal_prints_the_reason_of_a_no_and_fails(house: House) -> None:
    process = await signoff_call(house.server, 41)
    await house.alice.deny(await card_of(process), "Ask me tomorrow.")
    out, _ = await process.communicate()
    assert process.returncode == 1
    assert b"Ask me tomorrow." in out
    assert house.bank.count(41) == 0


async def test_a_client_that_vanishes_leaves_a_call_that_runs_once_and_a_card_that_says_so(
    house: House, person: SignIn
) -> None:
    alice = await person(house.server)
    process = await signoff_call(house.server, 42)
    await alice.open(await card_of(process))
    gone = alice.page.get_by_text("The assistant stopped listening")
    assert not await gone.is_visible()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await gone.wait_for()  # the open page hears of it by itself
    assert house.bank.count(42) == 0
    await alice.approve()
    await alice.page.get_by_role("heading", name="Done").wait_for()
    assert house.bank.count(42) == 1
    result = await house.server.call(transfer(42))
    assert result.state == "done"
    assert house.bank.count(42) == 1


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_client_that_times_out_and_returns_gets_the_result(house: House, era: Era) -> None:
    amount = 43 if era == "legacy" else 44
    async with over_http(house.server, era=era) as client:
        with pytest.raises(MCPError, match=r"[Tt]imed out"):
            await client.call_tool("transfer_funds", transfer(amount), read_timeout_seconds=0.5)
        (card,) = await until(house.alice.waiting)

        async def alone() -> bool:
            return 'id="listener" hidden' not in await house.alice.page(card)

        await until(alone)
        work = asyncio.create_task(client.call_tool("transfer_funds", transfer(amount)))

        async def listened() -> bool:
            return not await alone()

        await until(listened)
        assert await house.alice.waiting() == [card]
        await house.alice.approve(card)
        result = await work
    assert not result.is_error
    assert dict(result.structured_content or {})["amount"] == amount
    assert house.bank.count(amount) == 1


async def test_a_result_that_came_while_nobody_listened_is_there_on_return(house: House) -> None:
    async with over_http(house.server) as client:
        with pytest.raises(MCPError, match=r"[Tt]imed out"):
            await client.call_tool("transfer_funds", transfer(45), read_timeout_seconds=0.5)
    (card,) = await until(house.alice.waiting)
    await house.alice.approve(card)

    async def booked() -> bool:
        return house.bank.count(45) == 1

    await until(booked)
    again = await house.server.call(transfer(45))
    assert again.state == "done"
    assert house.bank.count(45) == 1


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_without_a_progress_token_a_call_is_handed_back_pending_and_followed_by_its_id(
    house: House, era: Era
) -> None:
    amount = 46 if era == "legacy" else 47
    async with over_http(house.server, era=era, name="impatient") as client:
        handed_back = await client.call_tool("transfer_funds", transfer(amount))
        assert not handed_back.is_error
        members = dict(handed_back.structured_content or {})
        assert members["status"] == "pending"
        assert 0 < members["expires_in"] <= 900
        assert str(members["call_id"]) in str(members["next"])
        work = asyncio.create_task(client.call_tool("call_status", {"call_id": members["call_id"]}))
        await house.alice.approve(str(members["approve_at"]).rsplit("/", 1)[-1])
        result = await work
    assert dict(result.structured_content or {})["amount"] == amount, text(result)
    assert house.bank.count(amount) == 1


async def test_nobody_signed_in_is_told_to_the_assistant_with_what_to_do(house: House) -> None:
    await house.server.operate("users.disable", user="alice")
    await house.server.operate("users.enable", user="alice")  # her sessions have ended
    try:
        async with over_http(house.server, name="impatient") as client:
            pending = await client.call_tool("transfer_funds", transfer(48))
        members = dict(pending.structured_content or {})
        assert "nobody can be asked" in str(members["next"])
        assert "signoff login alice" in str(members["next"])
        await house.server.operate("calls.deny", call_id=members["call_id"])
    finally:
        await house.alice.sign_in(await house.server.login_link())
