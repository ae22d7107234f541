"""The lock beside a catalogue: names that stay when a spec changes."""

from pathlib import Path

import pytest

from signoff.catalog.loader import Broken, Loaded, load
from signoff.catalog.pins import read_pins, write_pins

CATALOGUE = """\
signoff: 1
upstreams: {up: {openapi: spec.yaml, base_url: "https://api.example"}}
users: [{id: alice}]
"""


def written(folder: Path, **operations: str) -> Path:
    path = folder / "capabilities.yaml"
    path.write_text(CATALOGUE)
    paths = "".join(
        f"  /{name}: {{get: {{operationId: {id_}, responses: {{}}}}}}\n"
        for name, id_ in operations.items()
    )
    (folder / "spec.yaml").write_text(f"openapi: 3.0.0\npaths:\n{paths}")
    return path


def loaded(path: Path) -> Loaded:
    result = load(path)
    assert isinstance(result, Loaded), result
    return result


def names(path: Path) -> dict[str, str]:
    return {tool.path: tool.name for tool in loaded(path).catalogue.tools}


def test_a_name_that_is_pinned_stays_and_check_says_what_it_would_be(tmp_path: Path) -> None:
    path = written(tmp_path, a="one", b="two")
    write_pins(path, loaded(path).names)
    path = written(tmp_path, a="renamed", b="two")

    assert names(path) == {"/a": "one", "/b": "two"}
    assert [note.message for note in loaded(path).notes] == [
        'upstreams.up: GET /a keeps its name "one"; without the lock it is "renamed"'
    ]


def test_who_comes_later_gives_way_to_a_pinned_name(tmp_path: Path) -> None:
    path = written(tmp_path, a="one")
    write_pins(path, loaded(path).names)
    path = written(tmp_path, a="one", b="one")

    found = names(path)
    assert found["/a"] == "one"
    assert found["/b"].startswith("one_")


def test_an_operation_that_went_away_is_noted(tmp_path: Path) -> None:
    path = written(tmp_path, a="one", b="two")
    write_pins(path, loaded(path).names)
    path = written(tmp_path, b="two")

    assert [note.message for note in loaded(path).notes] == [
        "upstreams.up: GET /a is in the lock, but no longer in the spec"
    ]


def test_a_pinned_name_is_part_of_the_digest(tmp_path: Path) -> None:
    path = written(tmp_path, a="one")
    before = loaded(path).catalogue.digest
    write_pins(path, {"up": {"GET /a": "other"}})

    assert loaded(path).catalogue.digest != before


def test_there_need_not_be_a_lock(tmp_path: Path) -> None:
    assert read_pins(tmp_path / "capabilities.yaml") == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"signoff_lock": 2, "names": {}}',
        '{"signoff_lock": 1, "names": []}',
        '{"signoff_lock": 1, "names": {"up": []}}',
        '{"signoff_lock": 1, "names": {"up": {"GET /a": "not legal"}}}',
        '{"signoff_lock": 1, "names": {"up": {"GET /a": 5}}}',
        '{"signoff_lock": 1, "names": {"up": {"GET /a": "x", "GET /b": "x"}}}',
        "[" * 100_000,
    ],
)
def test_a_lock_that_is_not_one_is_a_problem(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, a="one")
    (tmp_path / "capabilities.lock").write_text(text)

    result = load(path)

    assert isinstance(result, Broken)
    assert result.problems[0].file == str(tmp_path / "capabilities.lock")
