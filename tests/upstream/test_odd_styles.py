"""Styles that few specs use, from the spec's own words to the bytes an upstream receives."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.openapi.compiler import compile_document
from signoff.catalog.openapi.documents import Document
from signoff.upstream.request import RequestError
from signoff.upstream.transport import Transports
from small_specs import fault, only_tool
from upstream_parts import frozen, parameter, references, tool, upstream
from wire import Wire, answer, listening, plain

TEXTS: Json = {"type": "array", "items": {"type": "string"}}
OPEN: Json = {"type": "object", "additionalProperties": {"type": "string"}}


async def sent(spec: ToolSpec, arguments: Any, tmp_path: Path) -> Wire:
    async with listening(plain(answer())) as wire:
        to = upstream(wire.url)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            await transports.send(frozen(spec, arguments, to=to), to, fresh=False)
    return wire


def get(parameter: Json, version: str = "3.0.3") -> ToolSpec:
    return only_tool({"parameters": [parameter]}, path="/x", method="get", version=version)


def swagger(parameter: Json, path: str = "/x") -> ToolSpec:
    root: Any = {
        "swagger": "2.0",
        "info": {"title": "t", "version": "1"},
        "paths": {path: {"get": {"parameters": [parameter], "responses": {}}}},
    }
    [spec] = compile_document(Document(json.dumps(root).encode(), name="s"), upstream="up").tools
    return spec


# Headers


async def test_a_json_header_is_json_whatever_it_holds(tmp_path: Path) -> None:
    spec = get({"name": "X-Q", "in": "header", "content": {"application/json": {"schema": OPEN}}})
    value = {"a": "ä😀\r\nX: y"}
    wire = await sent(spec, {"X-Q": value}, tmp_path)
    [text] = [text for name, text in wire.head()[1] if name == "X-Q"]
    assert text == '{"a":"\\u00e4\\ud83d\\ude00\\r\\nX: y"}'
    assert json.loads(text) == value


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(), max_size=3))
def test_every_object_reads_back_from_a_json_header(value: Any) -> None:
    parameters = [parameter("q", "header", name="X-Q", content_type="application/json")]
    request = frozen(tool("/x", parameters=parameters), {"q": value})
    [text] = [one.value for one in request.headers if one.name == "X-Q"]
    assert text is not None
    assert text.isascii()
    assert json.loads(text) == value


@pytest.mark.parametrize("value", ["ä", "a\r\nX: y", "a\x00"])
def test_a_text_header_is_never_escaped_into_another_text(value: str) -> None:
    said: Json = {"name": "X-Q", "in": "header", "content": {"text/plain": {"schema": {}}}}
    assert frozen(get(said), {"X-Q": "plain"}).headers[-1].value == "plain"
    with pytest.raises(RequestError, match=r"^X-Q: "):
        frozen(get(said), {"X-Q": value})


# What Swagger 2.0 calls collectionFormat


@pytest.mark.parametrize(
    ("collection", "header", "path"),
    [
        ("csv", "a,b", "a,b"),
        ("ssv", "a b", "a%20b"),
        ("pipes", "a|b", "a%7Cb"),
    ],
)
async def test_a_collection_format_counts_in_headers_and_paths(
    collection: str, header: str, path: str, tmp_path: Path
) -> None:
    said: dict[str, Json] = {"type": "array", "items": {"type": "string"}}
    said["collectionFormat"] = collection
    spec = swagger({**said, "name": "X-Q", "in": "header"})
    wire = await sent(spec, {"X-Q": ["a", "b"]}, tmp_path)
    assert dict(wire.head()[1])["X-Q"] == header
    spec = swagger({**said, "name": "q", "in": "path", "required": True}, "/p/{q}")
    wire = await sent(spec, {"q": ["a", "b"]}, tmp_path)
    assert wire.head()[0] == f"GET /p/{path} HTTP/1.1"


def test_no_tab_is_put_into_a_header_or_a_path() -> None:
    said: dict[str, Json] = {"type": "array", "items": {}, "collectionFormat": "tsv"}
    spec = swagger({**said, "name": "X-Q", "in": "header"})
    with pytest.raises(RequestError, match="a header cannot carry"):
        frozen(spec, {"X-Q": ["a", "b"]})
    spec = swagger({**said, "name": "q", "in": "path", "required": True}, "/p/{q}")
    with pytest.raises(RequestError, match="would leave the path"):
        frozen(spec, {"q": ["a", "b"]})


@pytest.mark.parametrize(("collection", "delimiter"), [("ssv", " "), ("tsv", "\t"), ("pipes", "|")])
def test_a_header_value_never_holds_its_own_delimiter(collection: str, delimiter: str) -> None:
    spec = swagger({
        "name": "X-Q", "in": "header", "type": "array", "items": {"type": "string"},
        "collectionFormat": collection,
    })  # fmt: skip
    with pytest.raises(RequestError, match="separates values"):
        frozen(spec, {"X-Q": [f"a{delimiter}b", "c"]})


@pytest.mark.parametrize("place", ["path", "header"])
def test_openapi_3_has_no_such_style_there(place: str) -> None:
    said: Json = {
        "name": "q", "in": place, "required": True, "schema": TEXTS, "style": "pipeDelimited",
    }  # fmt: skip
    assert "has style 'pipeDelimited'" in fault({"parameters": [said]}, path="/p/{q}", method="get")


# Cookies of 3.2


COOKIES: list[tuple[Any, Json, str]] = [
    ({}, "a=b/c+d", "q=a=b/c+d"),
    ({}, ["a", "b%20c"], "q=a; q=b%20c"),
    ({"explode": False}, ["a", "b"], "q=a,b"),
    ({}, {"x": "1", "y": "2"}, "x=1; y=2"),
    ({"explode": False}, {"x": "1", "y": "2"}, "q=x,1,y,2"),
]


@pytest.mark.parametrize(("more", "value", "cookie"), COOKIES)
async def test_a_cookie_of_3_2_is_sent_as_it_is(
    more: Any, value: Json, cookie: str, tmp_path: Path
) -> None:
    schema = TEXTS if isinstance(value, list) else OPEN if isinstance(value, dict) else {}
    said: Json = {"name": "q", "in": "cookie", "style": "cookie", "schema": schema, **more}
    wire = await sent(get(said, "3.2.0"), {"q": value}, tmp_path)
    assert dict(wire.head()[1])["Cookie"] == cookie


@pytest.mark.parametrize("value", ["a; admin=1", "a,b", 'a"b', "a\\b", "a b", "ä", "a\r\nX: y"])
@pytest.mark.parametrize("shape", ["text", "list", "object", "flat"])
def test_a_cookie_of_3_2_holds_only_what_cookies_hold(value: str, shape: str) -> None:
    spec = tool(
        "/x", parameters=[parameter("q", "cookie", style="cookie", explode=shape != "flat")]
    )
    shaped: dict[str, Json] = {
        "text": value, "list": ["a", value], "object": {"k": value}, "flat": ["a", value],
    }  # fmt: skip
    with pytest.raises(RequestError, match=r"^q: "):
        frozen(spec, {"q": shaped[shape]})


@pytest.mark.parametrize("name", ["a=b", "a;b", "a b", "", "ä"])
def test_a_cookie_of_3_2_has_a_name_that_is_one(name: str) -> None:
    spec = tool("/x", parameters=[parameter("q", "cookie", style="cookie")])
    with pytest.raises(RequestError, match=r"^q: "):
        frozen(spec, {"q": {name: "v"}})


# allowReserved


@pytest.mark.parametrize(
    ("schema", "more", "value", "query"),
    [
        ({"type": "string"}, {}, "48.1,11.5", "q=48.1,11.5"),
        (TEXTS, {}, ["a,b", "c"], "q=a,b&q=c"),
        # A comma that separates is not one that is said.
        (TEXTS, {"explode": False}, ["a,b", "c/d"], "q=a%2Cb,c/d"),
        (OPEN, {"explode": False}, {"x": "1,2"}, "q=x,1%2C2"),
        (OPEN, {"style": "deepObject", "explode": True}, {"x": "1,2"}, "q%5Bx%5D=1,2"),
        ({"type": "string"}, {}, "a&b=c#d+e;f[g]", "q=a%26b=c%23d%2Be%3Bf%5Bg%5D"),
    ],
)
async def test_a_reserved_comma_stands_where_it_separates_nothing(
    schema: Json, more: Any, value: Json, query: str, tmp_path: Path
) -> None:
    said: Json = {"name": "q", "in": "query", "allowReserved": True, "schema": schema, **more}
    wire = await sent(get(said), {"q": value}, tmp_path)
    assert wire.head()[0] == f"GET /x?{query} HTTP/1.1"


# A whole query string


def test_a_query_parameter_of_the_same_name_is_still_one_too_many() -> None:
    operation: dict[str, Json] = {
        "responses": {},
        "parameters": [
            {"name": "q", "in": "querystring", "content": {"application/json": {"schema": {}}}},
            {"name": "q", "in": "query", "schema": {"type": "string"}},
        ],
    }
    assert fault(operation) == "it has a whole query string and query parameters beside it"


# Numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (-3.0, "-3"), (-0.0, "0"), (1e16, "10000000000000000"), (1.5, "1.5"),
        (0.1, "0.1"), (2**63, "9223372036854775808"), (True, "true"), (1e21, "1e%2B21"),
    ],
)  # fmt: skip
async def test_an_integer_is_written_as_one_however_the_assistant_wrote_it(
    value: float, text: str, tmp_path: Path
) -> None:
    spec = tool("/p/{q}", parameters=[parameter("q", "path"), parameter("r", "query")])
    wire = await sent(spec, {"q": value, "r": [value]}, tmp_path)
    assert wire.head()[0] == f"GET /p/{text}?r={text} HTTP/1.1"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_no_number_for_is_not_sent(value: float) -> None:
    with pytest.raises(RequestError, match=r"^q: "):
        frozen(tool("/x", parameters=[parameter("q", "query")]), {"q": value})
