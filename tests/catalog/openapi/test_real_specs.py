"""Public API descriptions as their authors publish them: every schema valid, every skip explained.

Fetched with npm once per machine: Swagger 2.0, OpenAPI 3.0 and 3.1, JSON and YAML.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from nodejs import installed
from schema_faults import faults_of
from signoff.catalog.loader import SpecReport, check_spec
from signoff.catalog.model import ToolSpec

PACKAGES = (
    "@figma/rest-api-spec@0.43.0",
    "@readme/oas-examples@8.2.2",
    "@scalar/galaxy@0.6.12",
)


@cache
def specs() -> tuple[Path, ...]:
    folder = installed(*PACKAGES)
    found = [folder / "@figma/rest-api-spec/openapi/openapi.yaml"]
    found += sorted((folder / "@readme/oas-examples").glob("[23].*/**/*.json"))
    found += sorted((folder / "@readme/oas-examples").glob("[23].*/**/*.yaml"))
    found += sorted((folder / "@scalar/galaxy").glob("dist/*.json"))
    found += sorted((folder / "@scalar/galaxy").glob("dist/*.yaml"))
    return tuple(found)


def reports() -> Iterator[tuple[Path, SpecReport]]:
    for spec in specs():
        yield spec, check_spec(spec)


@pytest.fixture(scope="module")
def checked() -> list[tuple[Path, SpecReport]]:
    return list(reports())


def test_there_are_specs_of_every_version(checked: list[tuple[Path, SpecReport]]) -> None:
    assert len(checked) > 100
    for version in ("/2.0/", "/3.0/", "/3.1/"):
        assert sum(version in str(spec) for spec, _ in checked) > 10


def test_every_spec_is_read(checked: list[tuple[Path, SpecReport]]) -> None:
    broken = {spec.name: report.problems for spec, report in checked if report.problems}

    assert broken == {}


def test_every_operation_that_is_no_tool_has_a_reason(
    checked: list[tuple[Path, SpecReport]],
) -> None:
    skipped = {
        f"{spec.name} {one.operation}": one.reason
        for spec, report in checked
        for one in report.skipped
    }

    assert skipped == {}


def test_every_schema_is_one_that_hosts_accept(checked: list[tuple[Path, SpecReport]]) -> None:
    for spec, report in checked:
        for tool in report.tools:
            assert faults_of(tool) == [], f"{spec}: {tool.name}"


def test_names_are_unique_within_each_spec(checked: list[tuple[Path, SpecReport]]) -> None:
    for spec, report in checked:
        names = [tool.name for tool in report.tools]
        assert len(set(names)) == len(names), spec


def test_everything_that_is_sent_has_a_place(checked: list[tuple[Path, SpecReport]]) -> None:
    for spec, report in checked:
        for tool in report.tools:
            assert placed(tool) == properties_of(tool), f"{spec}: {tool.name}"


def placed(tool: ToolSpec) -> set[str]:
    arguments = {one.argument for one in tool.parameters} | set(tool.body.members)
    return arguments | ({tool.body.argument} if tool.body.kind == "whole" else set())


def properties_of(tool: ToolSpec) -> set[str]:
    properties = tool.input_schema["properties"]
    assert isinstance(properties, dict)
    return set(properties)
