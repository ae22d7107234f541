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


def prefixed(path: Path, prefix: str) -> Path:
    path.write_text(CATALOGUE.replace("spec.yaml", f"spec.yaml, prefix: {prefix}"))
    return path


def test_a_name_is_pinned_with_its_prefix(tmp_path: Path) -> None:
    path = prefixed(written(tmp_path, a="one", b="two"), "bank")
    write_pins(path, loaded(path).names)
    prefixed(written(tmp_path, a="renamed", b="two", c="three"), "bank")

    assert names(path) == {"/a": "bank_one", "/b": "bank_two", "/c": "bank_three"}
    assert [note.message for note in loaded(path).notes] == [
        'upstreams.up: GET /a keeps its name "bank_one"; without the lock it is "bank_renamed"'
    ]


def test_a_prefix_that_the_lock_takes_back_does_not_check(tmp_path: Path) -> None:
    path = written(tmp_path, a="one", b="two")
    write_pins(path, loaded(path).names)
    broken = load(prefixed(path, "bank"))

    assert isinstance(broken, Broken)
    (problem,) = broken.problems
    assert str(problem) == (
        f"{path}:2:46: upstreams.up.prefix: does nothing to 2 names that the lock keeps (one): "
        "remove the lock, and write it anew with signoff check --lock"
    )
    (tmp_path / "capabilities.lock").unlink()
    assert names(path) == {"/a": "bank_one", "/b": "bank_two"}


def test_a_prefix_that_is_gone_leaves_the_names_that_are_pinned(tmp_path: Path) -> None:
    path = prefixed(written(tmp_path, a="one"), "bank")
    write_pins(path, loaded(path).names)
    written(tmp_path, a="one")

    assert names(path) == {"/a": "bank_one"}


@pytest.mark.parametrize(
    "prefix", ["_a", "a_", "-", "a.b", "a b", "é", "a/b", "x" * 25, "'${env:A}'", '"a\\n"']
)
def test_a_prefix_that_is_no_beginning_of_a_name_does_not_check(
    tmp_path: Path, prefix: str
) -> None:
    broken = load(prefixed(written(tmp_path, a="one"), prefix))

    assert isinstance(broken, Broken)
    (problem,) = broken.problems
    assert problem.message == (
        "upstreams.up.prefix: must be 1 to 24 letters, digits, _ or -, with a letter or digit at "
        "both ends"
    )


def test_what_the_operator_names_has_no_prefix(tmp_path: Path) -> None:
    path = written(tmp_path, a="one", b="two")
    more = "spec.yaml, prefix: bank, operations: {one: {name: mine}}"
    path.write_text(CATALOGUE.replace("spec.yaml", more))

    assert names(path) == {"/a": "mine", "/b": "bank_two"}


def test_a_prefix_without_a_spec_begins_nothing_and_does_not_check(tmp_path: Path) -> None:
    path = written(tmp_path, a="one")
    path.write_text(CATALOGUE.replace("openapi: spec.yaml", "prefix: bank"))
    broken = load(path)

    assert isinstance(broken, Broken)
    assert [problem.message for problem in broken.problems] == [
        "upstreams.up.prefix: means operations of a spec; openapi is missing"
    ]
