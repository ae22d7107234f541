"""Every bad catalogue in fixtures/bad gives exactly the problems written beside it."""

from pathlib import Path

import pytest

from signoff.catalog.loader import Broken, load, parse

BAD = Path(__file__).parent / "fixtures" / "bad"
FILES = sorted(BAD.glob("*.yaml"))


def problems_of(text: bytes, name: str = "capabilities.yaml") -> list[str]:
    result = parse(text, file=name, read_spec=lambda spec: (spec, (BAD / spec).read_bytes()))
    assert isinstance(result, Broken), f"{name} was loaded"
    return [str(problem) for problem in result.problems]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_bad_catalogue_gives_its_problems_with_file_line_and_column(path: Path) -> None:
    expected = path.with_suffix(".expected").read_text().splitlines()

    assert problems_of(path.read_bytes(), path.name) == expected
    assert expected


def test_there_are_more_than_thirty_bad_catalogues() -> None:
    assert len(FILES) > 30


def test_all_mistakes_come_at_once() -> None:
    text = b"""\
signoff: 1
server: {nam: a}
storage: {url: mysql}
upstreams:
  bank:
    base_url: ftp://bank.example
    timout: 10s
users:
  - {id: alice, admin: maybe}
"""

    assert problems_of(text) == [
        'capabilities.yaml:2:10: server.nam: unknown key, did you mean "name"?',
        'capabilities.yaml:3:16: storage.url: must be sqlite, not "mysql"',
        (
            "capabilities.yaml:6:15: upstreams.bank.base_url: must be http(s)://host/path without "
            "credentials, query or fragment, or app:…"
        ),
        'capabilities.yaml:7:5: upstreams.bank.timout: unknown key, did you mean "timeout"?',
        'capabilities.yaml:9:24: users[0].admin: must be true or false, not "maybe"',
    ]


def test_a_catalogue_larger_than_a_mebibyte_is_refused_unread() -> None:
    assert problems_of(b"#" * 1_048_577) == [
        "capabilities.yaml:1:1: the file is larger than 1048576 bytes"
    ]


def test_a_catalogue_that_is_not_utf_8_names_the_line() -> None:
    assert problems_of(b"signoff: 1\nserver: {name: \xff}\n") == [
        "capabilities.yaml:2:1: the file is not UTF-8"
    ]


def test_control_characters_are_refused() -> None:
    assert problems_of(b"signoff: 1\nserver: {name: a\x00b}\n") == [
        "capabilities.yaml:1:1: the file holds a character that YAML does not allow"
    ]


def test_a_secret_is_never_repeated_in_the_message_that_refuses_it() -> None:
    [problem] = problems_of(
        b"signoff: 1\nupstreams:\n  a:\n    base_url: https://a.example\n"
        b"    headers: {Authorization: Bearer hunter2hunter2}\n"
    )

    assert "hunter2" not in problem
    assert "${env:NAME}" in problem


def test_a_catalogue_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    result = load(tmp_path / "capabilities.yaml")

    assert isinstance(result, Broken)
    assert [problem.message for problem in result.problems] == [
        "cannot be read: No such file or directory"
    ]


def test_a_directory_in_place_of_the_catalogue_is_one_problem(tmp_path: Path) -> None:
    result = load(tmp_path)

    assert isinstance(result, Broken)
    assert [problem.message for problem in result.problems] == ["cannot be read: Is a directory"]
