"""What the catalogue says of pages, on top of what a spec shows."""

import json
from dataclasses import replace
from typing import Any

from signoff.catalog.loader import Loaded, parse
from signoff.catalog.model import ToolSpec
from signoff.catalog.paging import answer_of
from signoff.catalog.wire import FetchAll, Pagination

SPEC: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "paths": {
        "/things": {
            "get": {
                "operationId": "listThings",
                "parameters": [
                    {"name": name, "in": "query", "schema": {"type": "integer"}}
                    for name in ("page", "per_page")
                ],
                "responses": {
                    "200": {
                        "description": "ok",
                        "content": {"application/json": {"schema": {"type": "array", "items": {}}}},
                    }
                },
            }
        }
    },
}


def listed(said: str) -> tuple[Loaded, ToolSpec]:
    text = f"""\
signoff: 1
upstreams:
  api:
    openapi: spec.json
    base_url: https://api.example
    operations: {{listThings: {{pagination: {said}}}}}
users: [{{id: alice}}]
"""
    found = parse(
        text.encode(),
        file="c.yaml",
        read_spec=lambda name: (name, json.dumps(SPEC).encode()),
    )
    assert isinstance(found, Loaded), found
    return found, found.catalogue.tools[0]


FOUND = Pagination(kind="page", argument="page", limit="per_page")


def test_fetch_all_alone_keeps_what_the_spec_shows() -> None:
    loaded, tool = listed("{fetch_all: true, max_pages: 3}")
    assert tool.pagination == Pagination(
        kind="page",
        argument="page",
        limit="per_page",
        fetch=FetchAll(max_pages=3, max_items=1_000, max_time_s=30),
    )
    assert tool.description.endswith("One call reads up to 3 pages, 1000 items.")
    assert list(loaded.reading_on) == [tool.name]


def test_every_word_is_kept() -> None:
    _, tool = listed(
        "{kind: offset, argument: page, first: 1, items: a.b, more: m, total: t.n, "
        "fetch_all: true, max_items: 7, max_time: 5s}"
    )
    assert tool.pagination == Pagination(
        kind="offset",
        argument="page",
        limit="per_page",
        items=("a", "b"),
        more=("m",),
        total=("t", "n"),
        first=1,
        fetch=FetchAll(max_items=7, max_time_s=5),
    )


def test_without_it_a_call_is_one_page() -> None:
    loaded, tool = listed("{kind: page, argument: page}")
    assert tool.pagination == FOUND
    assert not loaded.reading_on
    assert "One call reads" not in tool.description


def test_the_digest_covers_how_many_pages_are_read() -> None:
    said = ("{fetch_all: true}", "{fetch_all: true, max_pages: 9}", "{kind: page, argument: page}")
    assert len({listed(one)[0].catalogue.digest for one in said}) == 3


def test_what_a_spec_says_of_one_pages_length_does_not_hold_for_several() -> None:
    item = {"type": "object", "properties": {"maxItems": {"type": "array", "maxItems": 3}}}
    shape = {
        "type": "object",
        "properties": {"data": {"type": "array", "maxItems": 100, "items": {"$ref": "#/$defs/I"}}},
        "$defs": {"I": {**item, "default": {"maxItems": 5}}},
        "anyOf": [{"uniqueItems": True}, True],
    }
    tool = replace(listed("{kind: page, argument: page}")[1], output_schema=shape)
    plan = Pagination(kind="page", argument="page", fetch=FetchAll())
    assert answer_of(tool, FOUND) == shape
    assert answer_of(tool, plan) == {
        "type": "object",
        "properties": {"data": {"type": "array", "items": {"$ref": "#/$defs/I"}}},
        "$defs": {
            "I": {
                "type": "object",
                "properties": {"maxItems": {"type": "array"}},
                "default": {"maxItems": 5},
            }
        },
        "anyOf": [{}, True],
    }
    assert answer_of(replace(tool, output_schema=None), plan) is None
