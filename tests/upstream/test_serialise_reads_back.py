"""What is written reads back, by a reader of the same styles that was written from RFC 6570."""

import json
from typing import Any, cast
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from signoff.catalog.wire import Style
from signoff.upstream.path_values import path_text
from signoff.upstream.serialise import (
    UnserialisableError,
    joined,
    query_pairs,
)
from upstream_parts import parameter, shaped

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x00"), min_size=1, max_size=12
)
KEYS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x00[]"),
    min_size=1,
    max_size=8,
)


def read_pairs(text: str) -> list[tuple[str, str]]:
    pairs = [part.split("=", 1) for part in text.split("&")] if text else []
    return [
        (unquote(name, errors="strict"), unquote(value, errors="strict")) for name, value in pairs
    ]


@given(st.lists(TEXT, min_size=1, max_size=5), st.booleans())
def test_an_exploded_list_reads_back(values: list[Any], reserved: bool) -> None:
    spec = parameter("c", "query", allow_reserved=reserved)
    text = joined(query_pairs(spec, values))
    assert read_pairs(text) == [("c", value) for value in values]


@given(
    st.lists(TEXT, min_size=1, max_size=5),
    st.sampled_from(["form", "spaceDelimited", "pipeDelimited"]),
)
def test_a_delimited_list_reads_back_where_values_hold_no_delimiter(
    values: list[Any], style: Style
) -> None:
    delimiter = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}[style]
    plain = [value.replace(" ", "_").replace("|", "_") for value in values]
    text = joined(query_pairs(shaped("query", style, explode=False), plain))
    name, raw = text.split("=", 1)
    assert name == "color"
    assert [unquote(part) for part in raw.split(delimiter)] == plain


@given(st.dictionaries(KEYS, TEXT, min_size=1, max_size=5))
def test_an_exploded_object_reads_back(members: dict[str, Any]) -> None:
    text = joined(query_pairs(parameter("c", "query"), members))
    assert read_pairs(text) == list(members.items())


LEAVES = st.one_of(TEXT, st.integers(), st.booleans())
TREES = st.recursive(
    LEAVES,
    lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=3))
def test_a_deep_object_reads_back(tree: dict[str, Any]) -> None:
    text = joined(query_pairs(shaped("query", "deepObject", explode=True), tree))
    found: dict[str, Any] = {}
    for name, value in read_pairs(text):
        steps = name.removeprefix("color")[1:-1].split("][")
        node = found
        for step in steps[:-1]:
            node = node.setdefault(step, {})
        node[steps[-1]] = value

    def texts(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: texts(member) for key, member in cast("dict[str, Any]", value).items()}
        return value if isinstance(value, str) else json.dumps(value)

    assert found == texts(tree)


@given(TEXT)
def test_whatever_a_path_value_holds_it_reads_back_or_is_refused(text: str) -> None:
    try:
        encoded = path_text(parameter("id", "path"), text)
    except UnserialisableError:
        return
    assert unquote(encoded, errors="strict") == text
    assert not set(encoded) & set("/\\?#; \r\n")
    assert encoded not in (".", "..")


@given(st.lists(TEXT, min_size=1, max_size=4), st.sampled_from(["simple", "label", "matrix"]))
def test_no_path_list_adds_a_segment(values: list[Any], style: Style) -> None:
    try:
        encoded = path_text(shaped("path", style, explode=True), values)
    except UnserialisableError:
        return
    assert "/" not in encoded
    assert "?" not in encoded
    assert "#" not in encoded
