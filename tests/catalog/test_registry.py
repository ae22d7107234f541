"""One look-up for everybody: sorted, by name, with a validator per tool."""

from dataclasses import replace
from pathlib import Path

import pytest

from signoff.catalog.loader import Loaded, load
from signoff.catalog.registry import Registry
from signoff.identity import Caller

CALLER = Caller(kind="local", issuer="local", client_id="local:1", sub="alice")


@pytest.fixture(scope="module")
def registry() -> Registry:
    result = load(Path(__file__).parent / "fixtures" / "good" / "full.yaml")
    assert isinstance(result, Loaded)
    return Registry(result.catalogue)


def test_visible_tools_come_sorted_by_name(registry: Registry) -> None:
    names = [tool.name for tool in registry.visible(CALLER)]

    assert names == ["buy", "deploy_project", "listOrders"]


def test_a_tool_is_found_by_its_exact_name_only(registry: Registry) -> None:
    found = registry.find(CALLER, "buy")

    assert found is not None
    assert found.name == "buy"
    assert registry.find(CALLER, "BUY") is None
    assert registry.find(CALLER, "createOrder") is None
    assert registry.find(CALLER, "") is None


def test_a_validator_is_compiled_once_and_checks_the_arguments(registry: Registry) -> None:
    buy = registry.find(CALLER, "buy")
    assert buy is not None

    validator = registry.validator(buy)

    assert registry.validator(buy) is validator
    assert validator.violations({"amount": 3}) == []
    assert [str(one) for one in validator.violations({"amount": "3", "extra": 1})] != []


def test_a_foreign_tool_of_the_same_name_gets_no_cached_validator(registry: Registry) -> None:
    buy = registry.find(CALLER, "buy")
    assert buy is not None
    registry.validator(buy)

    other = replace(buy, input_schema={"type": "object", "required": ["other"]})

    assert registry.validator(other).violations({"amount": 3}) != []
    assert registry.validator(buy).violations({"amount": 3}) == []
