"""What a client hears while an upstream streams: events as progress, and an end when it leaves."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest

from gate_parts import NOTE, PAY, READ
from mcp_parts import DEADLINE_S, ERAS, LEGACY, MODERN, Signoff, client, running, until
from signoff.assistant.attach import STATUS_MAX
from signoff.assistant.telling import telling
from signoff.catalog.model import Policy

TOOLS = (PAY, READ, replace(NOTE, name="note"))
in_both_eras = pytest.mark.parametrize("era", ERAS)


@dataclass
class Stream:
    """An upstream's stream that a test holds in its hands."""

    first: list[bytes]
    last: list[bytes] = field(default_factory=list[bytes])
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.first:
                yield piece
            await self.go_on.wait()
            for piece in self.last:
                yield piece
        finally:
            self.left.set()


@dataclass
class Heard:
    """What a client was told, and when something was."""

    lines: list[str] = field(default_factory=list[str])
    numbers: list[float] = field(default_factory=list[float])

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        del total
        self.numbers.append(progress)
        self.lines.append(message or "")


async def call(
    signoff: Signoff, era: str, heard: Heard | None, tool: str = "balance", **arguments: Any
) -> types.CallToolResult:
    async with client(signoff.url, era=era) as session:
        found = await session.call_tool(
            tool, arguments or {"account": "a"}, progress_callback=heard
        )
        assert isinstance(found, types.CallToolResult)
        return found


@in_both_eras
async def test_events_are_heard_while_the_call_runs(tmp_path: Path, era: str) -> None:
    stream = Stream([b'data: {"at": 1}\n\n', b"data: two\n\n"], [b"data: 3\n\n"])
    heard = Heard()
    async with running(tmp_path, tools=TOOLS) as signoff, asyncio.timeout(DEADLINE_S):
        signoff.bank.events = stream
        calling = asyncio.create_task(call(signoff, era, heard))
        await until(lambda: len(heard.lines) == 2)
        assert not calling.done()
        stream.go_on.set()
        result = await calling
    assert heard.lines == [
        'Event 1 from bank: {"at":1}',
        'Event 2 from bank: "two"',
        "Event 3 from bank: 3",
    ]
    assert heard.numbers == sorted(set(heard.numbers))
    assert result.structured_content == {"result": [{"at": 1}, "two", 3]}
    assert not result.is_error


@in_both_eras
async def test_an_allowed_change_tells_its_events_too(tmp_path: Path, era: str) -> None:
    stream, heard = Stream([b"data: 1\n\n"]), Heard()
    stream.go_on.set()
    policy = Policy(defaults={"POST": "allow"})
    async with running(tmp_path, tools=TOOLS, policy=policy) as signoff:
        signoff.bank.events = stream
        result = await call(signoff, era, heard, "note", amount=1, to_account="x")
    assert heard.lines == ["Event 1 from bank: 1"]
    assert result.structured_content == {"result": [1]}


@in_both_eras
async def test_nothing_an_upstream_says_is_progress_of_a_call_that_a_person_approves(
    tmp_path: Path, era: str
) -> None:
    stream, heard = Stream([b": ping\n\n", b"event: canary\ndata: canary\n\n"]), Heard()
    async with running(tmp_path, tools=TOOLS, beat_s=0.05) as signoff:
        signoff.bank.events = stream
        calling = asyncio.create_task(
            call(signoff, era, heard, "pay", amount=1, to_account="canary-account")
        )
        await signoff.decide()
        await until(lambda: any("sent, 1 event so far" in line for line in heard.lines))
        stream.go_on.set()
        result = await calling
    assert "canary" not in " ".join(heard.lines)
    assert result.structured_content == {"result": [{"event": "canary", "data": "canary"}]}


async def test_without_a_listener_the_result_is_the_same(tmp_path: Path) -> None:
    stream = Stream([b"data: 1\n\n"])
    stream.go_on.set()
    async with running(tmp_path, tools=TOOLS) as signoff:
        signoff.bank.events = stream
        result = await call(signoff, MODERN, None)
    assert result.structured_content == {"result": [1]}


@in_both_eras
async def test_a_client_that_cancels_a_read_ends_the_upstreams_stream(
    tmp_path: Path, era: str
) -> None:
    stream, heard = Stream([b"data: 1\n\n"]), Heard()
    async with running(tmp_path, tools=TOOLS) as signoff, asyncio.timeout(DEADLINE_S):
        signoff.bank.events = stream
        async with client(signoff.url, era=era) as session:
            calling = asyncio.create_task(
                session.call_tool("balance", {"account": "a"}, progress_callback=heard)
            )
            await until(lambda: heard.lines)
            calling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await calling
            await stream.left.wait()
            assert not stream.go_on.is_set()


@in_both_eras
async def test_a_stream_that_never_ends_is_cut_and_what_came_is_the_result(
    tmp_path: Path, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signoff.upstream.transport._STREAM_PART", 0.1)
    stream, heard = Stream([b": ping\n\n", b"data: 1\n\n"]), Heard()
    async with running(tmp_path, tools=TOOLS) as signoff:
        signoff.bank.events = stream
        result = await call(signoff, era, heard)
        await stream.left.wait()
    assert heard.lines == ["Event 1 from bank: 1"]
    assert result.structured_content == {"result": [1]}
    assert result.meta is not None
    assert result.meta["truncated"] is True
    assert "did not end in time" in json.dumps([block.model_dump() for block in result.content])


async def test_a_line_of_progress_is_never_long(tmp_path: Path) -> None:
    stream, heard = Stream([b"data: " + b"x" * 5_000 + b"\n\n"]), Heard()
    stream.go_on.set()
    async with running(tmp_path, tools=TOOLS) as signoff:
        signoff.bank.events = stream
        await call(signoff, LEGACY, heard)
    assert len(heard.lines) == 1
    assert len(heard.lines[0]) <= STATUS_MAX


async def test_lines_are_dropped_before_anybody_waits_for_a_slow_reader() -> None:
    reading, sent = asyncio.Event(), list[tuple[int, str]]()

    async def report(count: int, text: str) -> None:
        await reading.wait()
        sent.append((count, text))

    async with telling(report) as say:
        say("first")
        await asyncio.sleep(0)
        for at in range(5_000):
            say(str(at))
        reading.set()
    assert sent[0] == (1, "first")
    assert len(sent) == 65
    assert [count for count, _ in sent] == list(range(1, 66))


async def test_nothing_is_said_once_the_call_is_over() -> None:
    sent = list[str]()

    async def report(_: int, text: str) -> None:
        await asyncio.sleep(0)
        sent.append(text)

    async with telling(report) as say:
        say("during")
    say("after")
    await asyncio.sleep(0)
    assert sent == ["during"]


async def test_what_a_cancelled_call_still_had_to_say_is_dropped() -> None:
    async def report(_: int, __: str) -> None:
        await asyncio.Event().wait()

    async def speak() -> None:
        async with telling(report) as say:
            say("stuck")
            await asyncio.Event().wait()

    speaking = asyncio.create_task(speak())
    await asyncio.sleep(0)
    speaking.cancel()
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(asyncio.CancelledError):
            await speaking
    await until(lambda: all(one.get_name() != "progress" for one in asyncio.all_tasks()))


@in_both_eras
async def test_a_slow_answer_is_waited_for_aloud(tmp_path: Path, era: str) -> None:
    heard, policy = Heard(), Policy(defaults={"*": "allow"})
    async with (
        running(tmp_path, tools=TOOLS, policy=policy, beat_s=0.05) as signoff,
        asyncio.TaskGroup() as group,
    ):
        signoff.bank.answers.clear()
        work = group.create_task(call(signoff, era, heard, "note", amount=5, to_account="b"))
        await until(lambda: len(heard.lines) > 2)
        signoff.bank.answers.set()
        result = await work
    assert result.structured_content == {"paid": 1}
    assert set(heard.lines) == {"Waiting for bank to answer"}
    assert heard.numbers == sorted(set(heard.numbers))
    assert len(signoff.bank.payments) == 1


@in_both_eras
async def test_a_quick_answer_is_waited_for_in_silence(tmp_path: Path, era: str) -> None:
    heard = Heard()
    async with running(tmp_path, tools=TOOLS) as signoff:
        await call(signoff, era, heard, account="a")
    assert heard.lines == []
