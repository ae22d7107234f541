"""Bodies as odd documents describe them, from the words of the spec to the bytes that are made."""

import json
from pathlib import Path
from typing import Any

import pytest

from signoff.canonical import Json
from signoff.catalog.openapi.media import in_utf8
from signoff.schema import Validator
from signoff.upstream.frozen_request import FrozenRequest
from signoff.upstream.request import RequestError
from signoff.upstream.transport import Transports
from small_specs import json_body, only_tool, properties_of
from upstream_parts import frozen, references, upstream
from wire import answer, listening, plain


def body(media_type: str, schema: Json, **more: Json) -> dict[str, Json]:
    content: Json = {media_type: {"schema": schema, **more}}
    return {"requestBody": {"required": True, "content": content}}


def content_type(request: FrozenRequest) -> str:
    return next(one.value or "" for one in request.headers if one.name == "Content-Type")


# The Content-Type tells the truth


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("text/plain; charset=iso-8859-1", "text/plain; charset=utf-8"),
        ('text/plain;charset="windows-1252"; x=y', "text/plain;charset=utf-8; x=y"),
        ("text/plain; charset=UTF-8", "text/plain; charset=UTF-8"),
        ("text/plain", "text/plain"),
    ],
)
async def test_text_is_sent_in_the_charset_it_says(written: str, sent: str, tmp_path: Path) -> None:
    spec = only_tool(body(written, {"type": "string"}))
    async with listening(plain(answer())) as wire:
        to = upstream(wire.url)
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            await transports.send(frozen(spec, {"body": "Grüße €"}, to=to), to, fresh=False)
    assert dict(wire.head()[1])["Content-Type"] == sent
    assert wire.body().decode() == "Grüße €"


@pytest.mark.parametrize(
    "written", ["application/json; charset=utf-16", "application/xml;charset=latin1"]
)
def test_what_is_written_for_the_charset_is_not_what_is_said(written: str) -> None:
    request = frozen(only_tool(body(written, {"type": "string"})), {"body": "ä"})
    assert "charset=utf-8" in content_type(request)
    assert "ä" in (request.body or b"").decode()


def test_bytes_keep_the_type_they_were_given() -> None:
    spec = only_tool(body("application/vnd.x; charset=latin1", {"type": "string"}))
    assert content_type(frozen(spec, {"body": "6Q=="})) == "application/vnd.x; charset=latin1"


@pytest.mark.parametrize("written", ["boundary=abc", 'boundary="a;b c"', "Boundary = x"])
def test_there_is_one_boundary_and_it_is_ours(written: str) -> None:
    schema: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
    request = frozen(only_tool(body(f"multipart/form-data; {written}", schema)), {"a": "x"})
    _, _, boundary = content_type(request).partition("boundary=")
    assert content_type(request) == f"multipart/form-data; boundary={boundary}"
    assert (request.body or b"").startswith(f"--{boundary}\r\n".encode())


def test_a_part_says_utf_8_too() -> None:
    schema: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
    encoding: Json = {"a": {"contentType": "text/csv; charset=iso-8859-1"}}
    spec = only_tool(body("multipart/form-data", schema, encoding=encoding))
    made = (frozen(spec, {"a": "ä"}).body or b"").decode()
    assert "Content-Type: text/csv; charset=utf-8\r\n\r\nä\r\n" in made


@pytest.mark.parametrize("text", ["text/plain", "a/b; c=d", "", ";charset", "text/plain; charset="])
def test_a_type_without_either_is_left_alone(text: str) -> None:
    assert in_utf8(text).removesuffix("utf-8") == text


# JSON by its other names


@pytest.mark.parametrize(
    "media_type", ["application/x-json", "text/x-json", "application/x-amz-json-1.1"]
)
def test_json_by_another_name_is_json(media_type: str) -> None:
    schema: Json = {"type": "object", "properties": {"a": {"type": "integer"}}}
    request = frozen(only_tool(body(media_type, schema)), {"a": 1})
    assert (content_type(request), request.body) == (media_type, b'{"a":1}')


# Files


def picture(encoded: str) -> Any:
    file: Json = {"type": "string", "format": "binary"}
    schema: Json = {"type": "object", "properties": {"f": file}}
    encoding: Json = {"f": {"contentType": encoded}}
    return only_tool(body("multipart/form-data", schema, encoding=encoding))


@pytest.mark.parametrize(
    ("declared", "given", "sent"),
    [
        ("image/png, image/jpeg", None, "image/png"),
        ("image/png,image/jpeg", "image/jpeg", "image/jpeg"),
        ("image/*", "image/webp", "image/webp"),
        ("image/*", None, "application/octet-stream"),
        ("*/*", "text/csv", "text/csv"),
        ("text/csv; charset=utf-8", None, "text/csv; charset=utf-8"),
    ],
)
def test_a_file_is_of_one_of_the_types_that_are_taken(
    declared: str, given: str | None, sent: str
) -> None:
    value: Json = {"data": "aGk=", **({"content_type": given} if given else {})}
    made = (frozen(picture(declared), {"f": value}).body or b"").decode()
    assert f"Content-Type: {sent}\r\n\r\nhi\r\n" in made


@pytest.mark.parametrize(
    ("declared", "given"),
    [("image/png, image/jpeg", "image/gif"), ("image/*", "text/html"), ("image/png", "image/*")],
)
def test_a_file_of_another_type_is_refused(declared: str, given: str) -> None:
    with pytest.raises(RequestError, match=r"^f: "):
        frozen(picture(declared), {"f": {"data": "aGk=", "content_type": given}})


@pytest.mark.parametrize("declared", ["image/png\r\nX: y", "png", "image/png,, image/gif", ","])
def test_a_list_of_types_that_is_none_limits_nothing(declared: str) -> None:
    made = (frozen(picture(declared), {"f": "aGk="}).body or b"").decode()
    assert "Content-Type: application/octet-stream\r\n" in made


# What is needed and not described


def test_a_member_that_is_needed_and_not_described_may_be_given() -> None:
    schema: Json = {
        "type": "object",
        "required": ["grant_type", "token"],
        "properties": {"token": {"type": "string"}},
    }
    spec = only_tool(json_body(schema))

    assert properties_of(spec) == {"token": {"type": "string"}, "grant_type": {}}
    assert spec.input_schema["required"] == ["token"]
    request = frozen(spec, {"token": "t", "grant_type": "x"})
    assert json.loads(request.body or b"") == {"token": "t", "grant_type": "x"}


def test_it_is_held_to_what_is_said_of_all_others() -> None:
    rest: Json = {"type": "integer"}
    properties: Json = {"a": {"type": "string"}}
    schema: Json = {
        "type": "object", "required": ["b"], "properties": properties, "additionalProperties": rest,
    }  # fmt: skip
    spec = only_tool(json_body(schema))
    assert Validator(spec.input_schema).violations({"b": "x"})
    assert not Validator(spec.input_schema).violations({"b": 1})


@pytest.mark.parametrize(
    "schema",
    [
        # Nothing else may be said.
        {
            "type": "object",
            "required": ["b"],
            "properties": {"a": {}},
            "additionalProperties": False,
        },
        # What is read-only is described.
        {
            "type": "object",
            "required": ["b"],
            "properties": {"a": {}, "b": {"readOnly": True}},
        },
    ],
)
def test_nothing_else_becomes_an_argument(schema: Json) -> None:
    assert list(properties_of(only_tool(json_body(schema)))) == ["a"]


def test_an_optional_body_does_not_need_it_either() -> None:
    schema: Json = {"type": "object", "required": ["b"], "properties": {"a": {}}}
    spec = only_tool(json_body(schema, required=False))
    assert "dependentRequired" not in spec.input_schema


# Closed objects that are all of each other

CLOSED: dict[str, Json] = {
    "A": {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "string"}, "id": {"readOnly": True}},
        "additionalProperties": False,
    },
    "B": {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": False},
    "Both": {"allOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/B"}]},
    "Map": {"type": "object", "additionalProperties": {"type": "string"}},
}


def closed(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def test_closed_objects_together_are_one_closed_object() -> None:
    spec = only_tool(json_body(closed("Both")), {"schemas": CLOSED})
    assert list(properties_of(spec)) == ["a", "b"]
    assert spec.input_schema["required"] == ["a"]
    assert frozen(spec, {"a": "1", "b": "2"}).body == b'{"a":"1","b":"2"}'
    assert Validator(spec.input_schema).violations({"a": "1", "c": "2"})


def test_they_are_so_wherever_they_stand() -> None:
    listed: Json = {"type": "array", "items": closed("Both")}
    check = Validator(only_tool(json_body(listed), {"schemas": CLOSED}).input_schema)
    assert not check.violations({"body": [{"a": "1", "b": "2"}]})
    assert check.violations({"body": [{"b": "2"}]})
    assert check.violations({"body": [{"a": "1", "c": "2"}]})
    assert check.violations({"body": [{"a": "1", "id": "2"}]})


@pytest.mark.parametrize(
    "more",
    [
        {"minProperties": 1},
        {"anyOf": [{"required": ["b"]}]},
        {"properties": {"a": {"type": "integer"}}},
        {"type": ["object", "null"]},
        {"nullable": True},
    ],
)
def test_a_rule_that_would_be_lost_keeps_them_apart(more: dict[str, Json]) -> None:
    both: Json = {"allOf": [closed("A"), {"type": "object", "properties": {"b": {}}, **more}]}
    schema: Json = {"type": "array", "items": both}
    items: Any = properties_of(only_tool(json_body(schema), {"schemas": CLOSED}))["body"]
    assert "allOf" in items["items"]


def test_a_closed_object_that_shuts_nobody_out_is_left_as_it_is() -> None:
    both: Json = {"allOf": [closed("A"), {"type": "object", "required": ["a"]}]}
    schema: Json = {"type": "array", "items": both}
    items: Any = properties_of(only_tool(json_body(schema), {"schemas": CLOSED}))["body"]
    assert "allOf" in items["items"]


def test_a_rule_for_all_other_members_stays_one_argument() -> None:
    both: Json = {"allOf": [closed("A"), closed("Map")]}
    spec = only_tool(json_body(both), {"schemas": CLOSED})
    assert list(properties_of(spec)) == ["body"]


# Bytes in text


@pytest.mark.parametrize("format_", ["binary", "byte"])
def test_bytes_that_may_be_missing_are_still_base64(format_: str) -> None:
    schema: Json = {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"], "format": format_},
            "b": {"type": "integer", "format": format_},
        },
    }
    assert properties_of(only_tool(json_body(schema), version="3.1.0")) == {
        "a": {"type": ["string", "null"], "contentEncoding": "base64"},
        "b": {"type": "integer", "format": format_},
    }
