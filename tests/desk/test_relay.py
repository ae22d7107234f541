"""Hosts on one machine share one owner, and survive its end."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

PROGRAM = Path(__file__).parents[1] / "stdio_process.py"
DIGEST = "sha-256:" + "a" * 64
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "host", "version": "1"},
}
MODERN: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}

Message = dict[str, Any]


class Host:
    """An MCP host with one `--stdio` process, as raw lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.heard: list[Message] = []
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout

    def say_line(self, line: bytes) -> None:
        self._to.write(line + b"\n")

    def say(self, method: str, **members: Any) -> None:
        self.say_line(json.dumps({"jsonrpc": "2.0", "method": method, **members}).encode())

    def call(self, name: str, request_id: int, *, modern: bool = False) -> None:
        meta: Message = {"progressToken": f"t{request_id}", **(MODERN if modern else {})}
        self.say("tools/call", id=request_id, params={"name": name, "arguments": {}, "_meta": meta})

    def hang_up(self) -> None:
        self._to.close()

    async def hear(self, wanted: Callable[[Message], bool]) -> Message:
        async with asyncio.timeout(30):
            while True:
                line = await self._from.readline()
                assert line, "the process ended"
                message = cast("Message", json.loads(line))
                self.heard.append(message)
                if wanted(message):
                    return message

    async def answer(self, request_id: int | None) -> Message:
        return await self.hear(
            lambda message: "method" not in message and message["id"] == request_id
        )

    async def progress(self) -> Message:
        return await self.hear(lambda message: message.get("method") == "notifications/progress")

    async def shake_hands(self) -> Message:
        self.say("initialize", id=0, params=INITIALIZE)
        answer = await self.answer(0)
        self.say("notifications/initialized")
        return answer


Start = Callable[..., Awaitable[Host]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncGenerator[Start, None]:
    async with starting(tmp_path) as begin:
        yield begin


@asynccontextmanager
async def starting(data_dir: Path) -> AsyncGenerator[Start, None]:
    hosts: list[Host] = []

    async def begin(digest: str = DIGEST) -> Host:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            str(data_dir),
            digest,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        hosts.append(Host(process))
        return hosts[-1]

    try:
        yield begin
    finally:
        for host in hosts:
            if host.process.returncode is None:
                host.process.kill()
            await host.process.communicate()


def text(answer: Message) -> str:
    return str(answer["result"]["content"][0]["text"])


def steps(host: Host) -> list[float]:
    return [
        message["params"]["progress"]
        for message in host.heard
        if message.get("method") == "notifications/progress"
    ]


async def test_two_hosts_share_one_owner(start: Start, tmp_path: Path) -> None:
    first, second = await start(), await start()
    await first.shake_hands()
    await second.shake_hands()
    (tmp_path / "go-a").touch()
    first.call("a", 1)
    second.call("a", 1)
    served_by = {text(await first.answer(1)), text(await second.answer(1))}
    assert len(served_by) == 1, "both were served by the same process"


@pytest.mark.parametrize("modern", [False, True])
async def test_a_killed_owner_is_followed_by_a_relay_and_the_answer_arrives(
    start: Start, tmp_path: Path, *, modern: bool
) -> None:
    owner = await start()
    await owner.shake_hands()
    follower = await start()
    if not modern:
        await follower.shake_hands()
    follower.call("a", 7, modern=modern)
    for _ in range(3):
        await follower.progress()
    owner.process.send_signal(signal.SIGKILL)
    await owner.process.wait()
    await follower.hear(lambda message: str(follower.process.pid) in json.dumps(message))
    (tmp_path / "go-a").touch()
    answer = await follower.answer(7)
    assert text(answer) == f"done by {follower.process.pid}, resent True"
    assert steps(follower) == sorted(set(steps(follower))), "progress rises over the change"
    assert sum(message.get("id") == 0 for message in follower.heard) == (0 if modern else 1), (
        "the replayed handshake is answered to nobody"
    )


async def test_a_cancelled_call_is_not_sent_to_the_next_owner(start: Start, tmp_path: Path) -> None:
    owner, follower = await start(), None
    await owner.shake_hands()
    follower = await start()
    await follower.shake_hands()
    follower.call("cancelled", 1)
    await follower.progress()
    follower.say("notifications/cancelled", params={"requestId": 1})
    follower.call("kept", 2)
    await follower.hear(lambda message: message.get("params", {}).get("progressToken") == "t2")
    owner.process.kill()
    (tmp_path / "go-cancelled").touch()
    (tmp_path / "go-kept").touch()
    assert text(await follower.answer(2)) == f"done by {follower.process.pid}, resent True"
    assert not any(message.get("id") == 1 for message in follower.heard)


async def test_the_owner_s_own_host_leaving_does_not_end_the_others(
    start: Start, tmp_path: Path
) -> None:
    owner = await start()
    await owner.shake_hands()
    follower = await start()
    await follower.shake_hands()
    follower.call("a", 1)
    await follower.progress()
    owner.hang_up()
    assert await owner.process.wait() == 0
    (tmp_path / "go-a").touch()
    assert text(await follower.answer(1)).startswith(f"done by {follower.process.pid}")


async def test_a_relay_with_another_catalogue_is_refused_and_says_why(start: Start) -> None:
    owner = await start()
    await owner.shake_hands()
    stranger = await start("sha-256:" + "b" * 64)
    stranger.say("initialize", id=0, params=INITIALIZE)
    answer = await stranger.answer(0)
    assert "a different catalogue" in answer["error"]["message"]
    assert await stranger.process.wait() == 3
    assert stranger.process.stderr is not None
    assert b"--data-dir" in await stranger.process.stderr.read()


async def test_a_host_that_hangs_up_ends_its_process(start: Start) -> None:
    host = await start()
    await host.shake_hands()
    host.call("never", 1)
    await host.progress()
    host.hang_up()
    assert await host.process.wait() == 0


async def test_lines_that_are_no_strict_json_are_answered_and_the_stream_goes_on(
    start: Start, tmp_path: Path
) -> None:
    host = await start()
    await host.shake_hands()
    (tmp_path / "go-a").touch()
    host.say_line(
        b'{"jsonrpc":"2.0","id":5,"method":"tools/call",'
        b'"params":{"name":"a","arguments":{"x":1,"x":2}}}'
    )
    refused = await host.answer(5)
    assert refused["error"]["code"] == -32700
    host.say_line(b"[" * 100_000)
    assert (await host.answer(None))["error"]["code"] == -32700
    host.say_line(b'"' + b"x" * (5 * 1024 * 1024) + b'"')
    assert "4 MiB" in (await host.answer(None))["error"]["message"]
    host.call("a", 6)
    assert text(await host.answer(6)).startswith("done by")
