"""What surrounds a wait: readers that do not read, a start that fails, and one shared constant."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gate_parts import ALICE, INFO
from mcp_parts import running
from signoff.assistant import attach, server
from signoff.assistant.attach import Attachments
from signoff.desk import frames
from signoff.gate.answers import Finished, Waiting
from signoff.gate.call import State

PAY: dict[str, Any] = {"amount": 25, "to_account": "savings"}


class PortTakenError(Exception):
    pass


async def test_an_error_of_the_start_comes_out_of_the_lifespan_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(PortTakenError):
        async with running(tmp_path):
            raise PortTakenError


async def test_a_reader_that_never_reads_does_not_hold_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "_SLOW_READER_S", 0.05)
    tried: list[int] = []

    async def stuck(count: int, text: str) -> None:
        del text
        tried.append(count)
        await asyncio.Event().wait()

    async with running(tmp_path) as signoff, asyncio.TaskGroup() as group:
        waits = Attachments(
            signoff.gate,
            signoff.database.changes,
            now=signoff.database.now,
            draining=signoff.draining,
            budgets_s={},
            beat_s=0.05,
        )
        waiting = await signoff.gate.call(ALICE, INFO, "pay", PAY, said=None)
        assert isinstance(waiting, Waiting)
        task = group.create_task(waits.wait(ALICE, waiting, report=stuck, budget_s=30))
        await signoff.decide()
        answer = await task
    assert isinstance(answer, Finished)
    assert answer.call is not None
    assert answer.call.state is State.SUCCEEDED
    assert tried == sorted(set(tried))
    assert waits.waiting() == 0


@pytest.mark.parametrize(
    ("name", "budget_s"),
    [("", 45), ("Claude-Code", 45), ("claude-code", 240), ("slow-host", 90), ("vscode", 45)],
)
async def test_the_wait_budget_is_45_seconds_but_for_clients_the_operator_names(
    tmp_path: Path, name: str, budget_s: float
) -> None:
    async with running(tmp_path) as signoff:
        waits = Attachments(
            signoff.gate,
            signoff.database.changes,
            now=signoff.database.now,
            draining=signoff.draining,
            budgets_s={"slow-host": 90},
        )
        assert waits.budget_s(name) == budget_s


def test_relay_and_server_mean_the_same_mark() -> None:
    assert server.RESENT == frames.RESENT
