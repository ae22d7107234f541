"""`signoff consents`, over a data directory that no server owns."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from signoff.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    (tmp_path / "data").mkdir()

    def invoke(*arguments: str) -> Result:
        where = ("--data-dir", str(tmp_path / "data"), "--config", str(ROOT / "capabilities.yaml"))
        return CliRunner().invoke(main, ["consents", *arguments, *where])

    return invoke


def test_without_any_the_list_says_so(run: Any) -> None:
    result = run("list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No application may act for anybody.\n"
    assert run("list", "--json").stdout == "[]\n"


def test_an_unknown_consent_is_refused_with_a_way_to_find_the_right_one(run: Any) -> None:
    result = run("revoke", "consent_none")
    assert result.exit_code == 1
    assert "consent_none is no consent: signoff consents list" in result.stderr


def test_there_is_no_command_that_lets_anybody_in(run: Any) -> None:
    assert run("create").exit_code == 2
