"""What runs beside the server: none of it ends without a word."""

import asyncio

import pytest

from signoff.app.background import background, every


async def failing() -> None:
    raise RuntimeError("a fault nobody foresaw")


async def test_a_task_that_fails_is_said_at_once(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()

    async def over() -> None:
        ended.set()

    async with background([("link", failing()), ("over", over())]):
        await ended.wait()
        await asyncio.sleep(0)  # what a task that is done calls back comes a turn later
        assert "the background task link has failed" in caplog.text
        assert "a fault nobody foresaw" in caplog.text
    assert len(caplog.records) == 1


async def test_a_task_that_is_stopped_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async with background([("waits", asyncio.Event().wait())]):
        await asyncio.sleep(0)
    assert not caplog.records


async def test_what_is_done_now_and_then_goes_on_after_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done, twice = 0, asyncio.Event()

    async def work() -> None:
        nonlocal done
        done += 1
        if done == 1:
            raise RuntimeError("the first time")
        twice.set()

    async with background([("now and then", every(0.0, work))]):
        await twice.wait()
    assert "a background task failed; it goes on" in caplog.text
