"""Overlay 1.0: what an operator changes in a spec that is not theirs."""

from pathlib import Path

import pytest

from signoff.canonical import Json
from signoff.catalog.loader import Broken, Loaded, load
from signoff.catalog.openapi.overlays import lay
from signoff.catalog.openapi.sources import DocumentError


def overlay(*actions: Json, version: Json = "1.0.0") -> Json:
    return {"overlay": version, "info": {"title": "o", "version": "1"}, "actions": list(actions)}


def root() -> dict[str, Json]:
    return {
        "openapi": "3.0.0",
        "tags": ["a"],
        "paths": {
            "/a": {"get": {"operationId": "a", "tags": ["x"]}, "post": {"operationId": "b"}},
            "/b": {"get": {"operationId": "c", "deprecated": True}},
        },
    }


def paths_of(changed: dict[str, Json]) -> dict[str, Json]:
    paths = changed["paths"]
    assert isinstance(paths, dict)
    return paths


def test_an_update_merges_into_everything_its_target_finds() -> None:
    changed = lay(overlay({"target": "$.paths.*.get", "update": {"x-mcp": {"name": "n"}}}), root())

    assert paths_of(changed)["/a"] == {
        "get": {"operationId": "a", "tags": ["x"], "x-mcp": {"name": "n"}},
        "post": {"operationId": "b"},
    }


def test_lists_get_longer_and_scalars_are_replaced() -> None:
    changed = lay(
        overlay(
            {"target": "$", "update": {"tags": ["b"], "openapi": "3.1.0"}},
            {"target": "$.tags", "update": "c"},
        ),
        root(),
    )

    assert (changed["tags"], changed["openapi"]) == (["a", "b", "c"], "3.1.0")


def test_what_is_removed_is_gone_and_lists_stay_in_order() -> None:
    spec: Json = {**root(), "tags": ["a", "b", "c", "d"]}
    changed = lay(
        overlay(
            {"target": "$.paths.*[?@.deprecated == true]", "remove": True},
            {"target": "$.tags[1,3]", "remove": True},
        ),
        spec,
    )

    assert paths_of(changed)["/b"] == {}
    assert changed["tags"] == ["a", "c"]


def test_the_original_is_not_changed() -> None:
    spec = root()
    lay(overlay({"target": "$.paths", "remove": True}), spec)

    assert spec == root()


def test_a_target_that_finds_nothing_changes_nothing() -> None:
    assert lay(overlay({"target": "$.nothing.here", "update": {"a": 1}}), root()) == root()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, 'not an overlay: the text "overlay: 1.0.0" is missing'),
        (overlay(version=1.0), 'not an overlay: the text "overlay: 1.0.0" is missing'),
        (overlay(version="2.0.0"), 'not an overlay: the text "overlay: 1.0.0" is missing'),
        (overlay(), "an overlay has a list of actions"),
        (overlay({"update": {}}), "actions[0]: target must be a JSONPath"),
        (overlay({"target": "$.a"}), "actions[0]: neither update nor remove: true"),
        (
            overlay({"target": "$", "remove": True}),
            "actions[0]: the whole document cannot be removed",
        ),
        (
            overlay({"target": "$.openapi", "update": {"a": 1}}),
            "actions[0]: update goes into a mapping or a list",
        ),
    ],
)
def test_what_is_no_overlay_is_refused(written: Json, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        lay(written, root())

    assert caught.value.message == message


def test_a_broken_target_names_its_action() -> None:
    with pytest.raises(DocumentError, match=r"actions\[0\]: target is not a JSONPath: "):
        lay(overlay({"target": "$.paths[", "update": {}}), root())


CATALOGUE = """\
signoff: 1
upstreams:
  up: {openapi: spec.yaml, overlays: [mine.yaml], base_url: "https://api.example"}
users: [{id: alice}]
"""
SPEC = """\
openapi: 3.0.0
info: {title: t, version: "1"}
paths:
  /a: {get: {operationId: a, responses: {}}, post: {operationId: b, responses: {}}}
"""


def test_a_catalogue_lays_its_overlays_over_a_spec(tmp_path: Path) -> None:
    (tmp_path / "capabilities.yaml").write_text(CATALOGUE)
    (tmp_path / "spec.yaml").write_text(SPEC)
    mine = tmp_path / "mine.yaml"
    mine.write_text("overlay: 1.0.0\nactions: [{target: $.paths.*.post, remove: true}]\n")

    first = load(tmp_path / "capabilities.yaml")
    assert isinstance(first, Loaded)
    assert [tool.name for tool in first.catalogue.tools] == ["a"]

    mine.write_text("overlay: 1.0.0\nactions: [{target: $.paths.*.get, remove: true}]\n")
    second = load(tmp_path / "capabilities.yaml")
    assert isinstance(second, Loaded)
    assert [tool.name for tool in second.catalogue.tools] == ["b"]
    assert first.catalogue.digest != second.catalogue.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, 'capabilities.yaml:3:39: upstreams.up.overlays: "mine.yaml" cannot be read'),
        ("overlay: 3", 'mine.yaml:1:1: not an overlay: the text "overlay: 1.0.0" is missing'),
        ("overlay: [", "mine.yaml:2:1: not valid YAML"),
    ],
)
def test_a_broken_overlay_is_a_problem_in_its_own_file(
    tmp_path: Path, text: str | None, message: str
) -> None:
    (tmp_path / "capabilities.yaml").write_text(CATALOGUE)
    (tmp_path / "spec.yaml").write_text(SPEC)
    if text is not None:
        (tmp_path / "mine.yaml").write_text(text)

    result = load(tmp_path / "capabilities.yaml")

    assert isinstance(result, Broken)
    assert message in str(result.problems[0])
