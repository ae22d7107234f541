"""A slash inside a path value: sent as `%2F` where the spec allows it, refused everywhere else."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.openapi.compiler import compile_document
from signoff.catalog.openapi.documents import Document
from signoff.upstream.path_values import check_segments
from signoff.upstream.request import RequestError
from signoff.upstream.transport import Transports
from small_specs import compiled, only_tool
from upstream_parts import frozen, parameter, references, tool, upstream
from wire import answer, listening, plain

TEXT: Json = {"type": "string"}


def taking(schema: Json = TEXT, **more: Json) -> ToolSpec:
    """Compile `GET /files/{path}/raw` with that path."""
    said: Json = {"name": "path", "in": "path", "required": True, "schema": schema, **more}
    return only_tool({"parameters": [said]}, path="/files/{path}/raw", method="get")


async def test_a_path_of_several_steps_is_one_segment_on_the_wire(tmp_path: Path) -> None:
    spec = taking(**{"x-multi-segment": True})
    async with listening(plain(answer())) as wire:
        to = upstream(wire.url)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            request = frozen(spec, {"path": "docs/read me.md"}, to=to)
            await transports.send(request, to, fresh=False)
    assert wire.head()[0] == "GET /files/docs%2Fread%20me.md/raw HTTP/1.1"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "enum": ["heads/main", "tags"]},
        {"type": "string", "const": "a/b"},
        {"type": "string", "pattern": "^projects/[^/]+$"},
        {"type": "string", "pattern": "^refs\\/heads\\/.+$"},
        {"allOf": [{"$ref": "#/components/schemas/Name"}]},
    ],
)
def test_a_schema_that_holds_a_slash_takes_one(schema: Json) -> None:
    said: Json = {"name": "q", "in": "path", "required": True, "schema": schema}
    components: dict[str, Json] = {
        "schemas": {"Name": {"type": "string", "pattern": "^[a-z]+/[a-z]+$"}}
    }
    spec = only_tool({"parameters": [said]}, components, path="/p/{q}", method="get")
    assert [one.slashes for one in spec.parameters] == [True]
    assert frozen(spec, {"q": "a/b"}).url.endswith("/p/a%2Fb")


@pytest.mark.parametrize(
    ("schema", "more"),
    [
        (TEXT, {}),
        (TEXT, {"x-multi-segment": "yes"}),
        (TEXT, {"description": "The path, such as a/b; slashes are allowed"}),
        ({"type": "string", "example": "a/b"}, {}),
        ({"type": "string", "enum": ["a", "b"]}, {}),
        ({"type": "string", "pattern": "^[^/]+$"}, {}),
        ({"type": "string", "pattern": "[^<>*%&:\\\\?/]+"}, {}),
        ({"type": "string", "pattern": "[^/\\]/]+"}, {}),
        # What cannot be checked allows nothing.
        ({"type": "string", "pattern": "(?=a)/"}, {}),
        # A pattern speaks for the value, whatever an extension says beside it.
        ({"type": "string", "pattern": "^[a-z]+$"}, {"x-multi-segment": True}),
    ],
)
def test_a_spec_that_does_not_say_so_takes_none(schema: Json, more: dict[str, Json]) -> None:
    spec = taking(schema, **more)
    assert [one.slashes for one in spec.parameters] == [False]
    with pytest.raises(RequestError, match=r"^path: holds '/'"):
        frozen(spec, {"path": "a/b"})


def test_only_a_path_value_has_slashes_to_allow() -> None:
    said: Json = {"name": "q", "in": "query", "x-multi-segment": True, "schema": TEXT}
    [spec] = compiled({"/x": {"get": {"parameters": [said], "responses": {}}}}).tools
    assert [one.slashes for one in spec.parameters] == [False]
    assert frozen(spec, {"q": "a/b"}).url.endswith("/x?q=a%2Fb")


def test_swagger_2_says_it_the_same_way() -> None:
    said: Json = {
        "name": "q", "in": "path", "required": True, "type": "string", "x-multi-segment": True,
    }  # fmt: skip
    spec = swagger({"/p/{q}": {"get": {"parameters": [said], "responses": {}}}})
    assert frozen(spec, {"q": "a/b"}).url.endswith("/p/a%2Fb")
    assert "x-multi-segment" not in str(spec.input_schema)


def swagger(paths: Json) -> ToolSpec:
    from_two: Any = {"swagger": "2.0", "info": {"title": "t", "version": "1"}, "paths": paths}
    [spec] = compile_document(
        Document(json.dumps(from_two).encode(), name="s"), upstream="up"
    ).tools
    return spec


@pytest.mark.parametrize(
    "value",
    [
        "..", "../x", "a/..", "a/../b", "./a", "a/.", "/", "/a", "a/", "a//b", "//evil.example",
        "a/%2e%2e/b", "a/.%2e/b", "a/%252e%252e/b", "a%2F..%2Fb", "a%2fb", "a/%2F/b", "a/%5c/b",
        "a\\b", "a/..\\b", "a/\uff0e\uff0e/b", "a/;x", "a/b?c", "a/b#c", "a/\x00", "a/\r\nX: y",
        "a/%c0%ae", "",
    ],
)  # fmt: skip
def test_no_step_of_it_leaves_the_path(value: str) -> None:
    spec = tool("/p/{q}/x", parameters=[parameter("q", "path", slashes=True)])
    with pytest.raises(RequestError, match=r"^q: "):
        frozen(spec, {"q": value})


def test_a_slash_beside_it_still_belongs_to_nobody_else() -> None:
    """Another value of the same segment finds no way out by it."""
    spec = tool(
        "/p/{a}{b}/x", parameters=[parameter("a", "path", slashes=True), parameter("b", "path")]
    )
    assert frozen(spec, {"a": "x/y", "b": "z"}).url.endswith("/p/x%2Fyz/x")
    with pytest.raises(RequestError):
        frozen(spec, {"a": "x/y", "b": "/z"})
    with pytest.raises(RequestError):
        frozen(tool("/p/{a}.", parameters=[parameter("a", "path", slashes=True)]), {"a": "x/."})


@given(st.text(min_size=1, max_size=20) | st.text("./%25eEfF\\ab", min_size=1, max_size=12))
def test_whatever_it_holds_it_is_one_segment_without_dots(value: str) -> None:
    spec = tool("/p/{q}/x", parameters=[parameter("q", "path", slashes=True)])
    try:
        url = frozen(spec, {"q": value}).url
    except RequestError:
        return
    [segment] = url.removeprefix("https://bank.example/api/p/").removesuffix("/x").split("/")
    assert unquote(segment) == value
    check_segments("/" + unquote(segment).replace("%", "%25"))
