"""Hosts on a stream of the desk: status, results, cancels, and what a relay sends again."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import gate_parts
from mcp_parts import DEADLINE_S, ERAS, INITIALIZE, LEGACY, PAY, Signoff, call, running, until
from signoff.assistant.auth import stdio_caller

in_both_eras = pytest.mark.parametrize("era", ERAS)


class Pipe:
    """A host on a stream of the desk, as raw lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    def say(self, message: dict[str, Any]) -> None:
        self.writer.write(json.dumps(message).encode() + b"\n")

    async def hear(self, key: str) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message: dict[str, Any] = json.loads(await self._reader.readline())
                if key in message:
                    return message


@asynccontextmanager
async def stream(signoff: Signoff, path: Path, *, era: str) -> AsyncGenerator[Pipe, None]:
    """Serve one stream of the desk and shake hands where the era has a handshake."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await signoff.edge.serve_stream(reader, writer, stdio_caller("alice"))
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    pipe = Pipe(*await asyncio.open_unix_connection(path))
    try:
        if era == LEGACY:
            pipe.say(INITIALIZE)
            await pipe.hear("result")
            pipe.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield pipe
    finally:
        pipe.writer.close()
        server.close()


@in_both_eras
async def test_a_host_on_a_stream_gets_status_and_result(tmp_path: Path, era: str) -> None:
    async with (
        running(tmp_path, beat_s=0.1) as signoff,
        stream(signoff, tmp_path / "s", era=era) as pipe,
    ):
        pipe.say(call(1, era=era))
        assert (await pipe.hear("method"))["method"] == "notifications/progress"
        await signoff.decide()
        assert (await pipe.hear("result"))["result"]["structuredContent"] == {"paid": 1}


@in_both_eras
async def test_a_drain_returns_after_the_pending_results_have_left(
    tmp_path: Path, era: str
) -> None:
    async with running(tmp_path) as signoff:
        async with stream(signoff, tmp_path / "s", era=era) as pipe:
            pipe.say(call(1, era=era))
            await pipe.hear("method")
            async with asyncio.timeout(20):
                await signoff.edge.drain()
            assert signoff.edge.waiting() == 0
            pending = (await pipe.hear("result"))["result"]["structuredContent"]
        assert pending["status"] == "pending"


@in_both_eras
async def test_a_cancel_on_a_stream_only_detaches(tmp_path: Path, era: str) -> None:
    async with (
        running(tmp_path, beat_s=0.1) as signoff,
        stream(signoff, tmp_path / "s", era=era) as pipe,
    ):
        pipe.say(call(1, era=era))
        await pipe.hear("method")
        cancel = {"method": "notifications/cancelled", "params": {"requestId": 1}}
        pipe.say({"jsonrpc": "2.0", **cancel})
        await until(lambda: signoff.edge.waiting() == 0)
        await signoff.decide()
        await until(lambda: signoff.bank.payments)


@in_both_eras
async def test_a_host_that_hangs_up_only_detaches(tmp_path: Path, era: str) -> None:
    async with running(tmp_path, beat_s=0.1) as signoff:
        async with stream(signoff, tmp_path / "s", era=era) as pipe:
            pipe.say(call(1, era=era))
            await pipe.hear("method")
        await until(lambda: signoff.edge.waiting() == 0)
        await signoff.decide()
        await until(lambda: signoff.bank.payments)


@in_both_eras
async def test_a_call_sent_again_by_a_relay_joins_when_gated_and_is_not_redone_when_allowed(
    tmp_path: Path, era: str
) -> None:
    allowed = replace(gate_parts.NOTE, name="allowed_write", method="PATCH", risk_reason="rule")
    policy = replace(gate_parts.catalogue().policy, defaults={"PATCH": "allow", "*": "ask"})
    async with (
        running(tmp_path, tools=(gate_parts.PAY, allowed), policy=policy) as signoff,
        stream(signoff, tmp_path / "s", era=era) as pipe,
    ):
        resent = call(1, era=era)
        resent["params"]["_meta"]["io.signoff/resent"] = True
        pipe.say(resent)
        await signoff.decide()
        assert (await pipe.hear("result"))["result"]["structuredContent"] == {"paid": 1}
        resent = call(2, era=era, tool="allowed_write", **PAY)
        resent["params"]["_meta"]["io.signoff/resent"] = True
        pipe.say(resent)
        answer = (await pipe.hear("result"))["result"]
        assert answer["isError"]
        assert "not known" in answer["content"][0]["text"]
    assert signoff.bank.payments == [PAY]
