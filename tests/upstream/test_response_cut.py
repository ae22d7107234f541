"""A long answer is cut on its structure, whatever it holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.upstream.json_cut import cut_json
from signoff.upstream.response import (
    LIMIT,
    ToolResult,
)
from told_answers import JSON, shown, texts


def test_a_long_list_is_cut_after_a_whole_member() -> None:
    body = json.dumps([{"id": number, "name": "x" * 50} for number in range(20_000)]).encode()
    result = shown(body)
    assert result.structured is not None
    members: Any = result.structured["result"]
    assert members[:2] == json.loads(body)[:2]
    assert members[:-1] == json.loads(body)[: len(members) - 1]
    text, note = texts(result)
    assert len(text.encode()) <= LIMIT
    assert len(text.encode()) > LIMIT - 200
    assert json.loads(text) == members
    assert f"The answer is {len(body):,} bytes long." in note


def test_an_answer_cut_while_it_streamed_is_closed_on_its_structure() -> None:
    whole = json.dumps({"next": "n", "items": [{"a": [1, 2, {"b": "],}"}]}] * 60_000}).encode()
    result = shown(whole[:1_000_000], truncated=True)
    assert result.structured is not None
    assert result.structured["next"] == "n"
    assert "more than 1,000,000 bytes" in texts(result)[1]


def test_one_giant_string_is_cut_as_text() -> None:
    result = shown(json.dumps("ä" * LIMIT, ensure_ascii=False).encode())
    assert result.structured is None
    assert len(texts(result)[0].encode()) <= LIMIT
    assert "was cut" in texts(result)[1]


def test_long_text_is_cut_at_a_character() -> None:
    result = shown("ä".encode() * LIMIT, "text/plain")
    assert texts(result)[0] == "ä" * (LIMIT // 2)
    cut = shown("ä".encode()[:-1], "text/plain", truncated=True)
    assert "more than" in texts(cut)[1]


TREES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.integers(), st.text(max_size=6), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=25,
)


@given(st.lists(TREES, min_size=2, max_size=5), st.integers(min_value=1, max_value=400))
def test_a_cut_is_json_within_the_limit_or_a_plain_prefix(value: Any, limit: int) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    cut = cut_json(body, limit)
    assert len(cut) <= limit
    if body[:limit] != cut:
        json.loads(cut)


@pytest.mark.parametrize(
    "body", [b"[" * 300_000, b"[1]]]]", b'{"a":"' + b"\\" * 9, b"}{,", b'["a,b']
)
def test_a_cut_of_nonsense_is_a_plain_prefix(body: bytes) -> None:
    assert cut_json(body, 50) == body[:50]


@given(st.binary(max_size=200), st.sampled_from([JSON, "text/plain", "image/png", "x/y", "", None]))
def test_no_answer_breaks_the_shaping(body: bytes, media_type: str | None) -> None:
    for status in (200, 302, 400, 500, 999):
        result = shown(body, media_type, status, truncated=bool(len(body) % 2))
        assert ToolResult.from_record(result.to_record()) == result
        assert result.content


def test_a_cut_list_ends_after_a_whole_item_even_when_items_hold_lists() -> None:
    body = json.dumps([{"id": n, "tags": ["a", "b"], "x": {"y": 1}} for n in range(99)]).encode()
    for limit in range(300, 400):
        items = json.loads(cut_json(body, limit))
        assert items == [{"id": n, "tags": ["a", "b"], "x": {"y": 1}} for n in range(len(items))]


def test_a_cut_inside_one_large_item_keeps_what_there_is_of_it() -> None:
    body = json.dumps([1, {"a": ["x"] * 100, "b": 1}]).encode()
    cut = json.loads(cut_json(body, 300))
    assert cut[0] == 1
    assert len(cut[1]["a"]) > 40
