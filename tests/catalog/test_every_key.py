"""Every key of the catalogue has an effect, or is refused; none is read and forgotten."""

import ast
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from catalog_keys import EFFECTS, REFUSED, compiled, load
from signoff.catalog import model, wire
from signoff.catalog.fields import Fields
from signoff.catalog.loader import Broken, Loaded

ROOT = Path(__file__).parents[2] / "src" / "signoff"


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_a_key_changes_what_is_compiled(key: str) -> None:
    before, after = EFFECTS[key]

    assert compiled(before) != compiled(after)


@pytest.mark.parametrize("key", sorted(EFFECTS))
def test_a_key_changes_the_digest(key: str) -> None:
    before, after = (load(patch) for patch in EFFECTS[key])
    assert isinstance(before, Loaded)
    assert isinstance(after, Loaded)

    assert before.catalogue.digest != after.catalogue.digest


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_a_key_that_could_not_be_enforced_is_refused(key: str) -> None:
    result = load(REFUSED[key])

    assert isinstance(result, Broken)
    last = key.rpartition(".")[2].removesuffix("[]")
    assert any(last in problem.message for problem in result.problems)


def generalised(path: str) -> str:
    path = re.sub(r"^(upstreams|authorization_details_types)\.[^.]+", r"\1.*", path)
    path = re.sub(r"^(upstreams\.\*\.(?:operations|credentials))\.[^.]+", r"\1.*", path)
    return re.sub(r"\[\d+\]", "[]", path)


def test_every_key_that_a_reader_asks_for_is_proved_here(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set[str]()
    take, reserved = Fields.take, Fields.reserved

    def noted_take(self: Fields, key: str) -> Any:
        asked.add(generalised(self.at(key)))
        return take(self, key)

    def noted_reserved(self: Fields, keys: Mapping[str, str]) -> None:
        asked.update(generalised(self.at(key)) for key in keys)
        reserved(self, keys)

    monkeypatch.setattr(Fields, "take", noted_take)
    monkeypatch.setattr(Fields, "reserved", noted_reserved)
    for patch in [one for pair in EFFECTS.values() for one in pair] + list(REFUSED.values()):
        load(patch)

    unproved = asked - EFFECTS.keys() - REFUSED.keys()
    assert not unproved, f"give each a case in EFFECTS, or in REFUSED: {sorted(unproved)}"


UNREAD = {
    "deprecated": "said in the tool's description",
    "alternatives": "what `credentials` was chosen from, for whoever looks at a compiled tool",
    "storage_url": "only sqlite is built, and any other is refused",
}


def _fields() -> Iterator[str]:
    for module in (model, wire):
        for kind in vars(module).values():
            if isinstance(kind, type) and dataclasses.is_dataclass(kind):
                yield from (field.name for field in dataclasses.fields(kind))


def test_every_member_of_a_compiled_catalogue_is_read_by_somebody() -> None:
    read = set[str]()
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                read.add(node.attr)
            elif isinstance(node, ast.MatchClass):
                read.update(node.kwd_attrs)

    assert set(_fields()) - read - UNREAD.keys() == set()
