"""How far a call is that needs nobody: lines of progress while its answer comes.

Owns that whoever speaks never waits, however slowly the client reads, and how much is said. The
lines are the gate's; an upstream's words stand in them only behind its name, and the client gets
the same words again as the result. Knows no call and no upstream.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from signoff.assistant.attach import BEAT_S, STATUS_MAX, Report, Voice

_MOST: Final = 1_000
_WAITING: Final = 64
"""Lines that wait for a slow reader; the oldest of more are dropped."""
_LAST_WORDS_S: Final = 2.0


class _Speaker:
    """Sends lines one after the other, beside whoever says them."""

    def __init__(self, report: Report) -> None:
        self._voice = Voice(report)
        self._lines = deque[str](maxlen=_WAITING)
        self._left = _MOST
        self._task: asyncio.Task[None] | None = None

    def say(self, line: str) -> None:
        """Take a line; it is sent soon, or dropped."""
        if self._left <= 0:
            return
        self._left -= 1
        self._lines.append(line[:STATUS_MAX])
        if self._task is None or self._task.done():  # most calls never say anything
            self._task = asyncio.get_running_loop().create_task(self._speak(), name="progress")

    async def end(self) -> None:
        """Send what waits: what comes after the result is lost to the client."""
        self._left = 0
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_LAST_WORDS_S)

    def stop(self) -> None:
        """Say nothing more."""
        self._left = 0
        if self._task is not None:
            self._task.cancel()

    async def _speak(self) -> None:
        while self._lines:
            await self._voice.say(self._lines.popleft())


@asynccontextmanager
async def telling(
    report: Report, *, beat_s: float = BEAT_S, waiting: str = ""
) -> AsyncGenerator[Callable[[str], None], None]:
    """Take lines while the body runs; all that were taken are sent before it is left.

    `waiting` is said every `beat_s`: a client that hears nothing gives up, and calls again.
    """
    speaker = _Speaker(report)
    loop = asyncio.get_running_loop()

    def beat() -> None:
        nonlocal timer
        speaker.say(waiting)
        timer = loop.call_later(beat_s, beat)

    timer = loop.call_later(beat_s, beat) if waiting else None
    try:
        yield speaker.say
        if timer is not None:
            timer.cancel()
        await speaker.end()
    finally:
        if timer is not None:
            timer.cancel()
        speaker.stop()
