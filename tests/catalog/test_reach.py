"""What an upstream is called by must be there, and be the one that this was built upon."""

import sys
import tomllib
from pathlib import Path

import pytest

from signoff.catalog.loader import Broken, Loaded, parse

CATALOGUE = b"""\
signoff: 1
upstreams:
  shop:
    base_url: https://shop.example
    client: aiohttp
"""


def problems() -> list[str]:
    match parse(CATALOGUE, file="c.yaml", read_spec=lambda spec: (spec, b"")):
        case Broken(problems=problems):
            return [str(problem) for problem in problems]
        case Loaded():
            return []


def refusal(found: str) -> str:
    return (
        f"c.yaml:5:13: upstreams.shop.client: aiohttp 3.14.x is needed, and {found} is installed: "
        "run pip install 'signoff[aiohttp]'"
    )


def test_the_installed_aiohttp_will_do() -> None:
    assert problems() == []


@pytest.mark.parametrize("found", ["3.13.9", "3.15.0", "3.140.0", "4.14.0", "13.14.1"])
def test_another_aiohttp_is_refused(
    found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / f"aiohttp-{found}.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(f"Metadata-Version: 2.1\nName: aiohttp\nVersion: {found}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    assert problems() == [refusal(found)]


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])

    assert problems() == [refusal("none")]


def test_whoever_does_not_choose_it_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    plain = CATALOGUE.replace(b"    client: aiohttp\n", b"")

    assert isinstance(parse(plain, file="c.yaml", read_spec=lambda spec: (spec, b"")), Loaded)


def test_what_is_asked_for_is_what_the_extra_installs() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())

    assert project["project"]["optional-dependencies"]["aiohttp"] == ["aiohttp>=3.14,<3.15"]
