"""Killed with SIGKILL at every step: the call ends definite, or says that nobody can know.

The gate, with its store and authorization server, is a process of its own, and so is the upstream,
whose ledger counts effects.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from signoff.storage.migrate import migrate

TESTS = Path(__file__).parents[1]
BEFORE = ("after_open", "after_ask", "after_authorized", "after_claim", "after_connect")
BETWEEN = ("after_intent", "head", "effect", "after_answer")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate once: what is tested here comes after."""
    path = tmp_path_factory.mktemp("crash") / "signoff.db"
    migrate(path)
    return path


@pytest.fixture
def directory(tmp_path: Path, migrated: Path) -> Path:
    shutil.copy(migrated, tmp_path / "signoff.db")
    return tmp_path


@contextmanager
def ledger(directory: Path, kind: str, kill_at: str) -> Generator[str, None, None]:
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "gate_ledger.py"), str(directory), kind, kill_at],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def gate(
    directory: Path, port: str, tool: str, failpoint: str, care: str
) -> subprocess.CompletedProcess[str]:
    program = str(TESTS / "gate_process.py")
    return subprocess.run(
        [sys.executable, program, str(directory), port, tool, failpoint, care],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def killed_at(
    step: str, directory: Path, *, tool: str = "pay", upstream: str = "dumb", care: str = "careful"
) -> tuple[str, int]:
    """Return the state after the restart, and how many effects the upstream counted."""
    at_upstream = step in ("head", "effect")
    with ledger(directory, upstream, step if at_upstream else "nowhere") as port:
        first = gate(directory, port, tool, "none" if at_upstream else step, care)
        assert first.returncode == -signal.SIGKILL, first.stderr
        second = gate(directory, port, tool, "none", care)
    assert second.returncode == 0, second.stderr
    entries = directory / "ledger"
    effects = len(entries.read_text().splitlines()) if entries.exists() else 0
    return second.stdout.strip(), effects


@pytest.mark.parametrize("step", BEFORE)
def test_killed_before_the_intent_the_call_is_still_sent_once(step: str, directory: Path) -> None:
    assert killed_at(step, directory) == ("succeeded", 1)


def test_killed_with_a_yes_that_was_not_stored_the_call_lapses_unsent(directory: Path) -> None:
    assert killed_at("after_redeem", directory) == ("lapsed", 0)


@pytest.mark.parametrize(
    ("step", "effects"),
    [("after_intent", 0), ("head", 0), ("effect", 1), ("after_answer", 1)],
)
def test_killed_after_the_intent_the_outcome_is_unknown_and_nothing_is_sent_again(
    step: str, effects: int, directory: Path
) -> None:
    assert killed_at(step, directory) == ("outcome_unknown", effects)


@pytest.mark.parametrize("step", BETWEEN)
def test_where_a_retry_is_declared_the_same_key_makes_it_one_effect(
    step: str, directory: Path
) -> None:
    assert killed_at(step, directory, tool="pay_keyed", upstream="keyed") == ("succeeded", 1)


@pytest.mark.parametrize("step", ["after_redeem", "after_connect", "after_outcome"])
def test_a_declared_retry_changes_nothing_else(step: str, directory: Path) -> None:
    expected = ("lapsed", 0) if step == "after_redeem" else ("succeeded", 1)
    assert killed_at(step, directory, tool="pay_keyed", upstream="keyed") == expected


def test_killed_after_the_outcome_it_stands_and_the_page_hears_of_it(directory: Path) -> None:
    assert killed_at("after_outcome", directory) == ("succeeded", 1)


@pytest.mark.parametrize("step", ["effect", "after_answer"])
def test_the_control_that_retries_naively_pays_twice(step: str, directory: Path) -> None:
    assert killed_at(step, directory, care="naive") == ("succeeded", 2)
