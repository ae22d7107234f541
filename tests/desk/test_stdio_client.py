"""The SDK's own client over a real `--stdio` process, in both protocol eras."""

import sys
from pathlib import Path

import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

PROGRAM = Path(__file__).parents[1] / "stdio_process.py"


@pytest.mark.parametrize("era", ["legacy", "2026-07-28", "auto"])
async def test_a_call_over_stdio_streams_progress_and_ends(tmp_path: Path, era: str) -> None:
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del total, message
        heard.append(progress)
        if len(heard) > 2:
            (tmp_path / "go-a").touch()

    program = StdioServerParameters(
        command=sys.executable, args=[str(PROGRAM), str(tmp_path), "sha-256:x"]
    )
    async with Client(stdio_client(program), mode=era) as session:
        result = await session.call_tool("a", {}, progress_callback=hear)
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    assert block.text.startswith("done by")
    assert heard == sorted(set(heard))
