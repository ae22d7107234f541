"""The store's time never steps back, also over a restart."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import TurnedClock
from signoff.storage.clock import from_us, to_us
from signoff.storage.sqlite import Database


@pytest.mark.seed("T73")
async def test_a_wall_clock_that_steps_back_does_not_move_the_store(
    database: Database, clock: TurnedClock
) -> None:
    before = await database.write(lambda tx: tx.now)
    clock.turn(-3600)

    assert database.now() == before
    assert await database.write(lambda tx: tx.now) == before

    clock.turn(3601)
    assert await database.write(lambda tx: tx.now) == before + timedelta(seconds=1)


async def test_a_time_that_was_only_told_is_not_taken_back(
    database: Database, clock: TurnedClock
) -> None:
    clock.turn(10)
    told = database.now()
    clock.turn(-5)

    assert database.now() == told
    assert await database.write(lambda tx: tx.now) == told


async def test_a_restart_with_a_clock_behind_goes_on_at_the_last_committed_time(
    tmp_path: Path, clock: TurnedClock
) -> None:
    path = tmp_path / "signoff.db"
    async with Database(path, clock=clock).running() as database:
        last = await database.write(lambda tx: tx.now)
    clock.turn(-86_400)

    async with Database(path, clock=clock).running() as database:
        assert database.now() == last
        assert await database.write(lambda tx: tx.now) == last


async def test_jobs_of_one_store_never_see_time_run_backwards(
    database: Database, clock: TurnedClock
) -> None:
    seen: list[int] = []
    for step in (5, -3, 0, -50, 2, 100, -100):
        clock.turn(step)
        seen.append(await database.write(lambda tx: tx.now_us))

    assert seen == sorted(seen)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_column_gives_back_the_time(moment: datetime) -> None:
    assert from_us(to_us(moment)) == moment
