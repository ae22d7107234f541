"""docs/ciba.md against the tests: a row is proved, or declined for a reason; none is missing."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from signoff.oauth.hints import HINTS, ID_TOKEN_TOLERANCE

ROOT: Final = Path(__file__).parents[2]
_ROW: Final = re.compile(r"^\| ([A-Z][A-Z0-9'-]*) \| (.+?) \| (\w+) \| ?(.*?) ?\|$", re.MULTILINE)
_SHORTEST_REASON: Final = 40
WANTED: Final = (
    *(f"CIBA-{number}" for number in range(1, 70)),
    *(f"B{number}" for number in range(1, 23)),
    "B'",
    *(f"C{number}" for number in range(1, 12)),
    *(f"D{number}" for number in range(1, 13)),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    name: str
    asked: str
    state: str
    how: str


def rows() -> list[Row]:
    found = _ROW.findall((ROOT / "docs" / "ciba.md").read_text())
    return [Row(name=name, asked=asked, state=state, how=how) for name, asked, state, how in found]


def _marks(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (row, test) for every `@pytest.mark.seed` on a test."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.seed":
                assert node.name.startswith("test_"), f"{node.name} is collected by nobody"
                for row in mark.args:
                    assert isinstance(row, ast.Constant), ast.unparse(mark)
                    yield str(row.value), node.name


@pytest.fixture(scope="module")
def proved() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for row, test in _marks(ast.parse(path.read_text())):
            found.setdefault(row, set()).add(test)
    return found


def test_every_row_is_declared_once_and_in_order() -> None:
    assert [row.name for row in rows()] == list(WANTED)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_row_is_proved_by_a_test_or_declined_for_a_reason(
    row: Row, proved: dict[str, set[str]]
) -> None:
    match row.state:
        case "held":
            assert proved.get(row.name), f"no test carries {row.name}: {row.asked}"
        case "declined":
            assert len(row.how) >= _SHORTEST_REASON or row.name == "D12", "the reason is missing"
        case other:
            raise AssertionError(f"{row.name} is neither held nor declined but {other}")


@pytest.mark.seed("CIBA-22")
def test_the_page_says_which_hints_are_taken_and_for_how_long() -> None:
    page = (ROOT / "docs" / "ciba.md").read_text().partition("## What CIBA asks for")[0]
    for hint in (*HINTS, "iss_sub", "email", "opaque", "sub_id", "our issuer"):
        assert hint in page
    assert f"until {ID_TOKEN_TOLERANCE.total_seconds() / 3600:.0f} hours after its end" in page


def test_no_test_proves_a_row_that_is_not_there(proved: dict[str, set[str]]) -> None:
    ours = {name for name in proved if re.fullmatch(r"(CIBA-|[BCD])['\d]+", name)}
    assert ours <= set(WANTED)
