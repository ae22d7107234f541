"""The tools as an assistant meets them, in both protocol eras, over real HTTP."""

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

import gate_parts
from mcp_parts import ERAS, LEGACY, MODERN, OUTPUT, READ, TOOLS, client, running, until
from signoff.catalog.model import ToolSpec

PAY: dict[str, Any] = {"amount": 25, "to_account": "savings"}
BUILTINS = ["call_status", "repeat_call", "withdraw_call"]

in_both_eras = pytest.mark.parametrize("era", ERAS)


def text(result: Any) -> str:
    return "\n".join(block.text for block in result.content)


class Ear:
    """Hears progress."""

    def __init__(self) -> None:
        self.numbers: list[float] = []
        self.words: list[str] = []

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        self.numbers.append(progress)
        self.words.append(message or "")


@in_both_eras
async def test_an_allowed_call_answers_with_the_upstream_s_json(tmp_path: Path, era: str) -> None:
    async with running(tmp_path) as signoff, client(signoff.url, era=era) as session:
        result = await session.call_tool("balance", {"account": "checking"})
    assert (result.structured_content, result.is_error) == ({"account": "checking"}, False)


@in_both_eras
async def test_an_approved_call_streams_status_and_pays_once(tmp_path: Path, era: str) -> None:
    ear = Ear()
    async with (
        running(tmp_path, beat_s=0.1) as signoff,
        client(signoff.url, era=era) as session,
        asyncio.TaskGroup() as group,
    ):
        call = group.create_task(session.call_tool("pay", PAY, progress_callback=ear))
        await signoff.card()
        await until(lambda: len(ear.words) > 2)
        await signoff.decide()
        result = await call
    assert (result.structured_content, result.is_error) == ({"paid": 1}, False)
    assert signoff.bank.payments == [PAY]
    assert ear.numbers == sorted(set(ear.numbers)), "progress strictly rises"
    assert any("Waiting for alice to decide, 14 min left" in word for word in ear.words)
    assert all(len(word) <= 200 and "savings" not in word for word in ear.words)


@in_both_eras
async def test_while_the_store_is_slow_nobody_is_told_that_the_upstream_was_asked(
    tmp_path: Path, era: str
) -> None:
    ear, go_on = Ear(), threading.Event()
    async with (
        running(tmp_path, beat_s=0.02) as signoff,
        client(signoff.url, era=era) as session,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(signoff.database.write(lambda _: go_on.wait(30)))
        call = group.create_task(session.call_tool("pay", PAY, progress_callback=ear))
        asyncio.get_running_loop().call_later(0.5, go_on.set)  # 25 beats without a stored call
        await signoff.decide()
        assert not (await call).is_error
    assert ear.words, "the wait beside the call is told"
    assert all("bank" not in word for word in ear.words)
    assert ear.numbers == sorted(set(ear.numbers))


@in_both_eras
async def test_at_the_budget_the_call_is_handed_back_and_call_status_delivers(
    tmp_path: Path, era: str
) -> None:
    async with (
        running(tmp_path, budgets_s={"sdk": 0.3}) as signoff,
        client(signoff.url, era=era) as session,
    ):
        result = await session.call_tool("pay", PAY)
        card = await signoff.card()
        pending = result.structured_content
        assert pending is not None
        assert not result.is_error
        assert pending["status"] == "pending"
        assert pending["approve_at"].endswith(f"/approvals/{card.id}")
        assert 0 < pending["expires_in"] <= 900
        assert json.loads(text(result).splitlines()[0]) == pending
        again = await session.call_tool("call_status", {"call_id": pending["call_id"]})
        assert again.structured_content is not None
        assert again.structured_content["status"] == "pending"
        await signoff.decide()
        done = await session.call_tool("call_status", {"call_id": pending["call_id"]})
        assert (done.structured_content, done.is_error) == ({"paid": 1}, False)
    assert signoff.bank.payments == [PAY]


@in_both_eras
async def test_a_no_comes_back_with_its_reason_and_nothing_is_sent(
    tmp_path: Path, era: str
) -> None:
    async with (
        running(tmp_path) as signoff,
        client(signoff.url, era=era) as session,
        asyncio.TaskGroup() as group,
    ):
        call = group.create_task(session.call_tool("pay", PAY))
        await signoff.decide("deny", reason="not this month")
        result = await call
        assert result.is_error
        assert "not this month" in text(result)
        assert "Nothing was sent" in text(result)
        again = await session.call_tool("pay", PAY)
        assert "not this month" in text(again)
    assert signoff.bank.payments == []


async def test_the_same_call_again_is_told_its_outcome_and_a_repeat_asks_anew(
    tmp_path: Path,
) -> None:
    async with (
        running(tmp_path) as signoff,
        client(signoff.url) as session,
        asyncio.TaskGroup() as group,
    ):
        call = group.create_task(session.call_tool("pay", PAY))
        await signoff.decide()
        await call
        again = await session.call_tool("pay", PAY)
        told = again.structured_content
        assert told is not None
        assert (told["repeat"], told["result"]) == (True, {"paid": 1})
        assert signoff.bank.payments == [PAY]
        second = group.create_task(session.call_tool("repeat_call", {"call_id": told["call_id"]}))
        await signoff.decide()
        assert (await second).structured_content == {"paid": 2}
    assert signoff.bank.payments == [PAY, PAY]


async def test_a_withdrawn_call_ends_for_every_listener(tmp_path: Path) -> None:
    async with (
        running(tmp_path, budgets_s={"sdk": 0.3}) as signoff,
        client(signoff.url) as session,
    ):
        pending = (await session.call_tool("pay", PAY)).structured_content
        assert pending is not None
        result = await session.call_tool("withdraw_call", {"call_id": pending["call_id"]})
        assert result.is_error
        assert "withdrawn" in text(result)
    assert signoff.bank.payments == []


@pytest.mark.parametrize("tool", BUILTINS)
async def test_arguments_of_the_built_in_tools_are_checked(tmp_path: Path, tool: str) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "required"),
        ({"call_id": 7}, "type"),
        ({"call_id": ""}, "minLength"),
        ({"call_id": "x" * 129}, "maxLength"),
        ({"call_id": "x", "force": True}, "additionalProperties"),
    ]
    async with running(tmp_path) as signoff, client(signoff.url) as session:
        for arguments, rule in wrong:
            result = await session.call_tool(tool, arguments)
            assert result.is_error
            assert f"({rule})" in text(result)


@pytest.mark.parametrize("tool", BUILTINS)
async def test_a_call_of_nobody_or_somebody_else_is_unknown(tmp_path: Path, tool: str) -> None:
    async with running(tmp_path, budgets_s={"sdk": 0.2}) as signoff:
        async with client(signoff.url) as session:
            pending = (await session.call_tool("pay", PAY)).structured_content
        assert pending is not None
        mine = pending["call_id"]
        other = signoff.keyring.mint_access_token(signoff.claims(sub="bob", client_id="other"))
        async with client(signoff.url, token=other) as session:
            theirs = await session.call_tool(tool, {"call_id": mine})
            nobodys = await session.call_tool(tool, {"call_id": "call_" + "x" * 22})
        assert theirs.is_error
        assert text(theirs) == text(nobodys)
        assert (await signoff.card()).authorization_details[0]["call_id"] == mine


@in_both_eras
async def test_a_schema_error_is_a_result_that_names_field_and_rule(
    tmp_path: Path, era: str
) -> None:
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"amount": "25", "to_account": "x"}, "amount", "type"),
        ({"amount": 25}, "to_account", "required"),
        ({"amount": 0, "to_account": "x"}, "amount", "exclusiveMinimum"),
        ({**PAY, "extra": 1}, "extra", "additionalProperties"),
        ({**PAY, "signoff_note": "x" * 501}, "signoff_note", "maxLength"),
        ({**PAY, "signoff_note": 7}, "signoff_note", "type"),
        ({}, "amount", "required"),
    ]
    async with running(tmp_path) as signoff, client(signoff.url, era=era) as session:
        for arguments, field, rule in wrong:
            result = await session.call_tool("pay", arguments)
            assert result.is_error
            assert field in text(result)
            assert rule in text(result)
        assert await signoff.approvals.inbox("alice") == [], "nobody was asked"


@in_both_eras
async def test_an_unknown_tool_is_an_error_with_a_hint(tmp_path: Path, era: str) -> None:
    async with running(tmp_path) as signoff, client(signoff.url, era=era) as session:
        for name in ("balanc", "x" * 5000, "../pay", "\x00", ""):
            with pytest.raises(MCPError) as refused:
                await session.call_tool(name, {})
            assert refused.value.code == -32602
            assert len(refused.value.message) < 200
        with pytest.raises(MCPError, match="did you mean balance"):
            await session.call_tool("balanc", {})


async def test_the_note_reaches_the_card_as_the_assistants_words_and_not_the_bank(
    tmp_path: Path,
) -> None:
    async with (
        running(tmp_path) as signoff,
        client(signoff.url) as session,
        asyncio.TaskGroup() as group,
    ):
        note = {"signoff_note": "The rent is due."}
        call = group.create_task(session.call_tool("pay", PAY | note))
        card = await signoff.card()
        assert card.authorization_details[0]["said"] == "The rent is due."
        assert card.authorization_details[0]["arguments"] == PAY
        await signoff.decide()
        assert not (await call).is_error
    assert signoff.bank.payments == [PAY]


@in_both_eras
async def test_what_fails_inside_says_nothing_but_a_reference(
    tmp_path: Path, era: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("password hunter2")

    async with running(tmp_path) as signoff, client(signoff.url, era=era) as session:
        monkeypatch.setattr(signoff.gate, "call", broken)
        result = await session.call_tool("pay", PAY)
    assert result.is_error
    assert text(result).startswith("internal error, reference ")
    assert text(result).removeprefix("internal error, reference ") in caplog.text
    assert "hunter2" not in text(result)


@in_both_eras
async def test_the_listing_is_sorted_annotated_and_private(tmp_path: Path, era: str) -> None:
    async with running(tmp_path) as signoff, client(signoff.url, era=era) as session:
        page = await session.list_tools()
    names = [tool.name for tool in page.tools]
    assert names == sorted(["balance", "pay", "pay_by_bob", *BUILTINS])
    for tool in page.tools:
        hints = tool.annotations
        assert hints is not None
        assert None not in (
            hints.read_only_hint,
            hints.destructive_hint,
            hints.idempotent_hint,
            hints.open_world_hint,
        )
    if era == MODERN:
        assert (page.ttl_ms, page.cache_scope) == (60_000, "private")
    listed = {tool.name: tool for tool in page.tools}
    assert "signoff_note" in listed["pay"].input_schema["properties"]
    assert "signoff_note" not in listed["balance"].input_schema["properties"]
    assert listed["balance"].output_schema == OUTPUT
    assert listed["pay"].output_schema is None, "a pending result would break its promise"


async def test_a_tool_with_its_own_signoff_note_keeps_it(tmp_path: Path) -> None:
    own: dict[str, Any] = {"type": "object", "properties": {"signoff_note": {"type": "integer"}}}
    noted = replace(gate_parts.PAY, name="noted", input_schema=own)
    async with running(tmp_path, tools=(noted,)) as signoff, client(signoff.url) as session:
        (tool,) = [one for one in (await session.list_tools()).tools if one.name == "noted"]
        assert tool.input_schema == own
        result = await session.call_tool("noted", {"signoff_note": "words"})
        assert result.is_error
        assert "(type)" in text(result)


@in_both_eras
async def test_a_large_listing_comes_in_pages_and_whole(tmp_path: Path, era: str) -> None:
    tools = tuple(many(700))
    async with running(tmp_path, tools=tools) as signoff, client(signoff.url, era=era) as session:
        names: list[str] = []
        cursor: str | None = None
        pages = 0
        while cursor is not None or not pages:
            page = await session.list_tools(cursor=cursor)
            assert len(page.model_dump_json(exclude_none=True)) < 1_000_000
            names += [tool.name for tool in page.tools]
            cursor, pages = page.next_cursor, pages + 1
        assert pages == 2
        assert names == sorted([*(tool.name for tool in tools), *BUILTINS])
        for wrong in ("page-3", "page-1", "page-0", "page--1", "page-²", "2", "", "x" * 999):
            with pytest.raises(MCPError, match="unknown cursor"):
                await session.list_tools(cursor=wrong, cache_mode="bypass")


def many(count: int) -> list[ToolSpec]:
    described = replace(READ, description="d" * 1_800, output_schema=None)
    return [replace(described, name=f"tool_{number:04}") for number in range(count)]


@in_both_eras
async def test_an_answer_that_breaks_its_documented_schema_still_reaches_the_assistant(
    tmp_path: Path, era: str
) -> None:
    async with running(tmp_path) as signoff, client(signoff.url, era=era) as session:
        signoff.bank.balance = lambda _: {"drift": None}
        result = await session.call_tool("balance", {"account": "checking"})
    assert result.is_error
    assert "does not fit the schema" in text(result)
    assert "drift" in text(result)


async def test_nulls_in_an_answer_survive(tmp_path: Path) -> None:
    for era in ERAS:
        (tmp_path / era).mkdir()
        async with running(tmp_path / era) as signoff, client(signoff.url, era=era) as session:
            signoff.bank.balance = lambda account: {"account": account, "note": None, "l": [None]}
            result = await session.call_tool("balance", {"account": "a"})
        assert result.structured_content == {"account": "a", "note": None, "l": [None]}


async def test_when_nobody_is_signed_in_status_and_hand_back_say_what_to_run(
    tmp_path: Path,
) -> None:
    ear = Ear()
    async with (
        running(tmp_path, budgets_s={"sdk": 0.5}) as signoff,
        client(signoff.url) as session,
    ):
        signoff.people.users.clear()
        result = await session.call_tool("pay", PAY, progress_callback=ear)
    assert any("signoff login alice" in word for word in ear.words)
    assert "signoff login alice" in text(result)


@pytest.mark.parametrize("era", [LEGACY, "auto"])
async def test_the_instructions_speak_of_pending_results(tmp_path: Path, era: str) -> None:
    async with (
        running(tmp_path, instructions="Banking tools.") as signoff,
        client(signoff.url, era=era) as session,
    ):
        said = session.instructions
    assert said is not None
    assert said.startswith("Banking tools.\n\n")
    assert "call_status" in said


def test_no_tool_of_the_tests_collides_with_a_built_in() -> None:
    assert not {tool.name for tool in TOOLS} & set(BUILTINS)
