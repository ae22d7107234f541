"""Fixtures every test may use: a real database on a real file, and a clock that tests turn."""

import gc
import os
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from signoff.sealed import Sealer
from signoff.storage.sqlite import Database

# How long an example takes says nothing but how busy the machine is.
settings.register_profile("signoff", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("signoff")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped in CI: a test that does not run proves nothing there."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


def pytest_sessionfinish() -> None:
    """Let what was forgotten be found now, and not while the summary's modules are compiled.

    CPython 3.11 breaks off the parsing of a module when a finalizer's warning is told in the midst
    of it (python/cpython#106905), and hypothesis first loads its own for the summary.
    """
    gc.collect()


class TurnedClock:
    """A wall clock that moves only when a test says so."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def turn(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(b"k" * 32)


@pytest.fixture
async def database(tmp_path: Path, clock: TurnedClock) -> AsyncGenerator[Database, None]:
    async with Database(tmp_path / "signoff.db", clock=clock).running() as running:
        yield running
