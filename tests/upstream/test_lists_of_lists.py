"""Swagger 2.0's lists of lists, from `items.collectionFormat` to the bytes an upstream receives."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.openapi.compiler import compile_document
from signoff.catalog.openapi.documents import Document
from signoff.upstream.request import RequestError
from small_specs import fault, only_tool
from upstream_parts import frozen

PAIRS: list[Json] = [["a", "b"], ["c,d", 5]]


def lists(*formats: str | None) -> dict[str, Json]:
    """Return a parameter's type: a list in a list, each with its collectionFormat."""
    made: dict[str, Json] = {}
    inner: dict[str, Json] = {}
    for one in reversed(formats):
        made = {"type": "array", "items": inner}
        if one is not None:
            made["collectionFormat"] = one
        inner = made
    return made


def swagger(parameter: dict[str, Json], path: str = "/x", method: str = "get") -> ToolSpec:
    root: Any = {
        "swagger": "2.0",
        "info": {"title": "t", "version": "1"},
        "paths": {path: {method: {"parameters": [parameter], "responses": {}}}},
    }
    [spec] = compile_document(Document(json.dumps(root).encode(), name="s"), upstream="up").tools
    return spec


def query(*formats: str | None) -> ToolSpec:
    return swagger({"name": "q", "in": "query", **lists(*formats)})


@pytest.mark.parametrize(
    ("outer", "inner", "sent"),
    [
        ("pipes", "csv", "q=a,b%7Cc%2Cd,5"),
        ("pipes", None, "q=a,b%7Cc%2Cd,5"),
        (None, "pipes", "q=a%7Cb,c%2Cd%7C5"),
        ("csv", "ssv", "q=a%20b,c%2Cd%205"),
        ("ssv", "tsv", "q=a%09b%20c%2Cd%095"),
        ("multi", "csv", "q=a,b&q=c%2Cd,5"),
        ("multi", "pipes", "q=a%7Cb&q=c%2Cd%7C5"),
    ],
)
def test_a_list_inside_is_joined_as_its_items_say(
    outer: str | None, inner: str | None, sent: str
) -> None:
    assert urlsplit(frozen(query(outer, inner), {"q": PAIRS}).url).query == sent


def test_three_levels_have_three_separators() -> None:
    spec = query("multi", "pipes", "csv")

    url = frozen(spec, {"q": [[["a", "b"], ["c"]], [["d"]]]}).url

    assert parse_qsl(urlsplit(url).query) == [("q", "a,b|c"), ("q", "d")]


def test_a_list_inside_counts_in_headers_and_paths() -> None:
    spec = swagger({"name": "X-Q", "in": "header", **lists("pipes", "csv")})
    assert frozen(spec, {"X-Q": [["a", "b"], [5]]}).headers[-1].value == "a,b|5"
    spec = swagger({"name": "q", "in": "path", "required": True, **lists("pipes", "csv")}, "/p/{q}")
    assert frozen(spec, {"q": [["a", "b"], [5]]}).url.endswith("/p/a,b%7C5")


def test_a_list_inside_counts_in_forms() -> None:
    for outer, body in (("multi", b"q=a,b&q=c%2Cd,5"), ("pipes", b"q=a,b%7Cc%2Cd,5")):
        spec = swagger({"name": "q", "in": "formData", **lists(outer, "csv")}, method="post")
        assert frozen(spec, {"q": PAIRS}).body == body


def test_a_list_without_lists_is_what_it_was() -> None:
    assert frozen(query("pipes", "csv"), {"q": ["a", None, 5]}).url.endswith("?q=a%7C5")
    assert frozen(query("pipes", "csv"), {"q": [["a", None], []]}).url.endswith("?q=a%7C")


@pytest.mark.parametrize(
    "formats",
    [
        ("csv", "csv"),
        (None, None),
        ("pipes", "csv", "pipes"),
        ("multi", "multi"),
        ("csv", "multi"),
        ("csv", "xml"),
        ("multi", "pipes", "csv", "csv"),
    ],
)
def test_what_could_not_be_read_again_is_not_sent(formats: tuple[str | None, ...]) -> None:
    """The operation is offered all the same: a plain list goes, and so does no list at all."""
    spec = query(*formats)

    with pytest.raises(RequestError, match=r"^q: must be one value here"):
        frozen(spec, {"q": [["a", "b"], ["c"]]})
    assert frozen(spec, {}).url.endswith("/x")
    assert "q=a" in frozen(spec, {"q": ["a"]}).url


@pytest.mark.parametrize("value", [[[["a"]]], [[{"a": 1}]], [{"a": 1}], [["a", ["b"]]]])
def test_what_is_nested_deeper_than_the_spec_says_is_not_sent(value: Json) -> None:
    for spec in (query("pipes", "csv"), query("multi", "csv")):
        with pytest.raises(RequestError, match=r"^q: must be one value here"):
            frozen(spec, {"q": value})


@pytest.mark.parametrize("text", ["a,b", "a|b", "a\r\nX: y", "a\0b"])
def test_a_header_value_holds_neither_separator_nor_a_break(text: str) -> None:
    spec = swagger({"name": "X-Q", "in": "header", **lists("pipes", "csv")})

    with pytest.raises(RequestError, match=r"^X-Q: "):
        frozen(spec, {"X-Q": [["c", text], ["d"]]})


@pytest.mark.parametrize("text", ["..", "a/b", "", "a;b", "a%2Fb", "%2e%2e"])
def test_a_step_of_a_path_is_checked_inside_a_list_too(text: str) -> None:
    spec = swagger({"name": "q", "in": "path", "required": True, **lists("pipes", "csv")}, "/p/{q}")

    with pytest.raises(RequestError, match=r"^q: "):
        frozen(spec, {"q": [["c", text]]})


def test_openapi_3_has_no_such_thing() -> None:
    schema: Json = {"type": "array", "items": lists("csv")}
    said: Json = {
        "name": "q", "in": "query", "schema": schema, "style": "pipeDelimited",
        "collectionFormats": ["form"], "collectionFormat": "pipes",
    }  # fmt: skip
    spec = only_tool({"parameters": [said]}, method="get")

    with pytest.raises(RequestError, match="must be one value here"):
        frozen(spec, {"q": [["a"]]})
    assert "is in 'formData'" in fault({"parameters": [{"name": "q", "in": "formData"}]})


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1),
                 min_size=1),
        min_size=1,
    )
)  # fmt: skip
def test_every_list_of_lists_reads_back_from_a_query(value: list[list[str]]) -> None:
    raw = urlsplit(frozen(query("multi", "csv"), {"q": [list[Json](one) for one in value]}).url)

    pairs = [pair.partition("=")[2].split(",") for pair in raw.query.split("&")]
    assert [[parse_qsl(f"v={one}")[0][1] for one in pair] for pair in pairs] == value
