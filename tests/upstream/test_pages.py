"""The next page: which arguments ask for it, and what is never taken from an answer."""

import json
from dataclasses import replace
from typing import Any

import pytest

from signoff.canonical import Json
from signoff.catalog.wire import Pagination
from signoff.upstream.pages import next_arguments
from signoff.upstream.response import shape
from signoff.upstream.sent import Answered
from upstream_parts import parameter, tool

SPEC: dict[str, Any] = {
    "parameters": [
        parameter("page", "query"),
        parameter("after", "query", name="starting_after"),
        parameter("key", "query", secret=True),
        parameter("id", "path"),
    ],
    "input_schema": {"type": "object", "properties": {"page": {"type": "integer"}}},
}


def following(
    pagination: Pagination,
    value: Json,
    arguments: dict[str, Json] | None = None,
    *,
    link: str | None = None,
) -> dict[str, Json] | None:
    headers = () if link is None else (("link", link),)
    answered = Answered(status=200, headers=headers, body=json.dumps(value).encode())
    return next_arguments(tool("/x", pagination=pagination, **SPEC), answered, value, arguments)


CURSOR = Pagination(kind="cursor", argument="after", next=("meta", "next"), items=("data",))
LAST = Pagination(kind="last_id", argument="after", items=("data",), more=("has_more",))
PAGE = Pagination(kind="page", argument="page", items=("items",))
OFFSET = Pagination(kind="offset", argument="page")
LINK = Pagination(kind="link")
TOTAL = replace(PAGE, limit="size", total=("n",), first=1)


@pytest.mark.parametrize(
    ("pagination", "value", "arguments", "expected"),
    [
        (CURSOR, {"meta": {"next": "abc"}}, None, {"after": "abc"}),
        (CURSOR, {"meta": {"next": 5}}, None, {"after": 5}),
        (
            CURSOR,
            {"meta": {"next": "https://x/y?starting_after=z%20&key=1"}},
            None,
            {"after": "z "},
        ),
        (CURSOR, {"meta": {"next": "/y?starting_after=z"}}, None, {"after": "z"}),
        (LAST, {"data": [{"id": "a"}, {"id": "b"}], "has_more": True}, None, {"after": "b"}),
        (PAGE, {"items": [1]}, {"page": 2}, {"page": 3}),
        (OFFSET, [1, 2, 3], {"page": 0}, {"page": 3}),
        (OFFSET, [1, 2, 3], {}, {"page": 3}),
        (OFFSET, [1, 2, 3], {"page": None}, {"page": 3}),
        (replace(PAGE, first=0), {"items": [1]}, {}, {"page": 1}),
        (replace(PAGE, first=1), {"items": [1]}, {}, {"page": 2}),
        (replace(OFFSET, first=1), [1, 2, 3], None, {"page": 4}),
        (TOTAL, {"items": [1, 2], "n": 5}, {"page": 2}, {"page": 3}),
        (TOTAL, {"items": [1, 2], "n": 5}, {"page": 2, "size": 2}, {"page": 3}),
        (TOTAL, {"items": [1, 2], "n": "4"}, {"page": 2, "size": 2}, {"page": 3}),
        (TOTAL, {"items": [1, 2]}, {"page": 2, "size": 2}, {"page": 3}),
    ],
)
def test_the_next_page_is_told(
    pagination: Pagination, value: Json, arguments: Any, expected: dict[str, Json]
) -> None:
    assert following(pagination, value, arguments) == expected


@pytest.mark.parametrize(
    ("pagination", "value", "arguments"),
    [
        (CURSOR, {"meta": {"next": None}}, None),
        (CURSOR, {"meta": {"next": ""}}, None),
        (CURSOR, {"meta": {"next": {"a": 1}}}, None),
        (CURSOR, {"meta": {"next": True}}, None),
        (CURSOR, {"meta": {"next": "x" * 5_000}}, None),
        (CURSOR, {"meta": {"next": "https://x/y?other=1"}}, None),
        (CURSOR, {"meta": {"next": "https://[broken?starting_after=1"}}, None),
        (CURSOR, {}, None),
        (CURSOR, [], None),
        (CURSOR, "text", None),
        (LAST, {"data": [{"id": "b"}], "has_more": False}, None),
        (LAST, {"data": [{"id": "b"}]}, None),
        (LAST, {"data": [], "has_more": True}, None),
        (LAST, {"data": ["b"], "has_more": True}, None),
        (LAST, {"data": [{"id": {"x": 1}}], "has_more": True}, None),
        (PAGE, {"items": []}, {"page": 2}),
        (PAGE, {"items": [1]}, None),
        (PAGE, {"items": [1]}, {"page": "2"}),
        (replace(PAGE, first=1), {"items": [1]}, {"page": "2"}),
        (TOTAL, {"items": [1, 2], "n": 4}, {"page": 2, "size": 2}),
        (TOTAL, {"items": [1, 2], "n": 2}, {}),
        (replace(OFFSET, items=("items",), total=("n",)), {"items": [1], "n": 4}, {"page": 3}),
        (PAGE, {"items": [1]}, {"page": True}),
        (PAGE, {"items": {}}, {"page": 1}),
        (Pagination(kind="page", items=("items",)), {"items": [1]}, {"page": 1}),
    ],
)
def test_no_next_page_is_made_up(pagination: Pagination, value: Json, arguments: Any) -> None:
    assert following(pagination, value, arguments) is None


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('<https://api.x/x?page=2>; rel="next", <https://api.x/x?page=9>; rel="last"', {"page": 2}),
        ('<https://api.x/x?page=9>; rel="last", </x?page=2>; rel=next', {"page": 2}),
        ('<https://evil.example/x?page=2>; title="a, b"; rel="prev next"', {"page": 2}),
        ("<https://api.x/x?page=2&starting_after=q&key=s&admin=1>; rel=next",
         {"page": 2, "after": "q"}),
        ('<https://api.x/x?page=9>; rel="last"', None),
        ('<https://api.x/x>; rel="next"', None),
        ("https://api.x/x?page=2; rel=next", None),
        ("<https://api.x/x?page=2", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_link_counts_for_the_arguments_the_tool_has_and_is_never_followed(
    link: str, expected: dict[str, Json] | None
) -> None:
    assert following(LINK, [], link=link) == expected


def test_an_answer_says_how_to_go_on() -> None:
    spec = tool("/x", pagination=CURSOR, **SPEC)
    body = b'{"data": [1], "meta": {"next": "abc"}}'
    result = shape(
        spec, Answered(status=200, headers=(("content-type", "application/json"),), body=body)
    )
    assert result.meta == {"nextPage": {"after": "abc"}}
    assert result.content[1]["text"] == 'There is more: make the same call with {"after":"abc"}.'


@pytest.mark.parametrize(
    ("shown", "following"),
    [
        ({"default": 1}, {"page": 2}),
        ({"default": 0}, {"page": 1}),
        ({"minimum": 1}, {"page": 2}),
        ({"minimum": 0}, {"page": 1}),
        ({"minimum": -5}, None),
        ({"default": "1"}, None),
        ({"default": True}, None),
    ],
)
def test_pages_count_from_what_the_schema_shows(
    shown: dict[str, Json], following: dict[str, Json] | None
) -> None:
    schema: dict[str, Json] = {"properties": {"page": {"type": "integer", **shown}}}
    spec = tool("/x", pagination=PAGE, parameters=SPEC["parameters"], input_schema=schema)
    answered = Answered(status=200, headers=(), body=b"")
    assert next_arguments(spec, answered, {"items": [1]}, {}) == following


def test_a_page_after_a_counted_one_may_be_empty_and_is_told_so() -> None:
    spec = tool("/x", pagination=PAGE, **SPEC)
    answered = Answered(status=200, headers=(), body=b'{"items": [1]}')
    result = shape(spec, answered, {"page": 4})
    assert result.meta == {"nextPage": {"page": 5}}
    assert result.content[1]["text"] == 'There may be more: make the same call with {"page":5}.'


def test_a_cut_answer_says_how_the_catalogue_pages() -> None:
    pagination = Pagination(kind="page", argument="page", limit="per_page")
    spec = tool("/x", pagination=pagination, **SPEC)
    body = b"[" + b"1," * 200_000 + b"1]"
    result = shape(
        spec, Answered(status=200, headers=(("content-type", "application/json"),), body=body)
    )
    assert result.meta == {"truncated": True}
    assert "fewer items with `per_page` and the next ones with `page`" in str(
        result.content[1]["text"]
    )
