"""Headers of the parts of a multipart body, from `encoding.headers` to the bytes of each part."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from signoff.app.inspect import check
from signoff.approvals.details import SCHEMA
from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import Body, Encoding
from signoff.schema import Validator
from signoff.upstream.request import RequestError
from small_specs import only_tool
from upstream_parts import frozen, tool

FILE: Json = {"type": "string", "format": "binary"}
TEXT: Json = {"type": "string"}
ONE: Json = {"schema": {"type": "string", "enum": ["draft"]}}


def operation(headers: Json, schema: Json = TEXT, media_type: str = "multipart/form-data") -> Any:
    return {
        "requestBody": {
            "required": True,
            "content": {
                media_type: {
                    "schema": {"type": "object", "properties": {"a": schema}},
                    "encoding": {"a": {"headers": headers}},
                }
            },
        }
    }


def uploading(headers: Json, schema: Json = TEXT, version: str = "3.1.0") -> ToolSpec:
    return only_tool(operation(headers, schema), version=version)


def heads(spec: ToolSpec, value: Json) -> list[list[str]]:
    """Return the header lines of each part, without its disposition."""
    body = frozen(spec, {"a": value}).body or b""
    boundary = body.partition(b"\r\n")[0]
    parts = body.split(boundary + b"\r\n")[1:]
    lines = [part.partition(b"\r\n\r\n")[0].decode().split("\r\n") for part in parts]
    assert all(found[0].startswith('Content-Disposition: form-data; name="a"') for found in lines)
    return [found[1:] for found in lines]


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (ONE, "X-Kind: draft"),
        ({"schema": {"const": "draft"}}, "X-Kind: draft"),
        ({"schema": {"const": 5}}, "X-Kind: 5"),
        ({"schema": {"const": True}}, "X-Kind: true"),
        ({"schema": {"allOf": [{"type": "string"}, {"enum": ["a b"]}]}}, "X-Kind: a b"),
        ({"content": {"text/plain": {"schema": {"const": "a"}}}}, "X-Kind: a"),
        ({"content": {"application/json": {"schema": {"const": "ä"}}}}, 'X-Kind: "\\u00e4"'),
        ({"required": True, "schema": {"default": "a"}}, "X-Kind: a"),
        ({"required": True, "schema": {"default": "a", "const": "b"}}, "X-Kind: b"),
    ],
)
def test_a_header_with_one_value_goes_with_its_part(header: Json, line: str) -> None:
    spec = uploading({"X-Kind": header})

    assert heads(spec, "text") == [[line]]
    assert spec.body.unsent == ()


def test_each_part_of_a_list_and_a_file_have_it_after_their_type() -> None:
    spec = uploading({"X-Kind": ONE}, {"type": "array", "items": FILE})
    data: Json = {"data": base64.b64encode(b"1").decode(), "content_type": "image/png"}

    assert heads(spec, [data, data]) == [["Content-Type: image/png", "X-Kind: draft"]] * 2


@pytest.mark.parametrize(
    "header",
    [
        {"schema": {"type": "string"}},
        {"schema": {"enum": ["a", "b"]}},
        {"schema": {"default": "a"}},
        {"schema": {"const": ["a"]}},
        {"schema": {"const": {"a": 1}}},
        {"schema": {"const": None}},
        {"schema": {"const": ""}},
        {"schema": {"const": " a"}},
        {"schema": {"const": "ä"}},
        {"schema": {"const": 'a\r\nContent-Disposition: form-data; name="admin"'}},
        {"schema": {"const": "a\nb"}},
        {"schema": {"const": "a\0"}},
        {"schema": {"const": "x" * 1_001}},
        {"schema": False},
        {"schema": {"$ref": "#/components/schemas/Nowhere"}},
        {"$ref": "#/components/headers/Nowhere"},
        {},
        "nonsense",
    ],
)  # fmt: skip
def test_whatever_has_no_one_plain_value_is_not_sent(header: Json) -> None:
    assert heads(uploading({"X-Kind": header}), "text") == [[]]


@pytest.mark.parametrize(
    "name",
    [
        "Content-Type", "content-type", "Content-Disposition", "CONTENT-DISPOSITION",
        "Content-Length", "X:Y", "X Y", "", "X\r\nContent-Disposition", "X-ä", "X-Kind ", "x" * 101,
    ],
)  # fmt: skip
def test_type_and_disposition_and_what_is_no_header_are_never_set(name: str) -> None:
    needed: Json = {"required": True, "schema": {"const": 'form-data; name="admin"'}}
    spec = uploading({name: needed})

    assert heads(spec, "text") == [[]]
    assert spec.body.unsent == ()


def test_one_header_in_two_spellings_goes_once() -> None:
    assert heads(uploading({"X-Kind": ONE, "x-kind": {"schema": {"const": "b"}}}), "text") == [
        ["X-Kind: draft"]
    ]


@pytest.mark.parametrize(
    ("schema", "said", "sent"),
    [
        (FILE, "binary", True),
        (FILE, "8bit", True),
        (FILE, "base64", False),
        (FILE, "quoted-printable", False),
        (TEXT, "base64", False),
        (TEXT, "7bit", False),
        ({"type": "string", "contentEncoding": "base64"}, "base64", True),
        ({"type": "string", "contentEncoding": "base64"}, "binary", False),
        ({"type": "string", "format": "byte"}, "BASE64", True),
    ],
)
def test_a_transfer_encoding_is_only_said_where_it_is_true(
    schema: Json, said: str, sent: bool
) -> None:
    needed: Json = {"required": True, "schema": {"enum": [said]}}
    spec = uploading({"Content-Transfer-Encoding": needed}, schema)

    found = [line for line in heads(spec, "QUJD")[0] if not line.startswith("Content-Type")]
    assert found == ([f"Content-Transfer-Encoding: {said}"] if sent else [])
    assert spec.body.unsent == (() if sent else ("a: Content-Transfer-Encoding",))


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "application/json"])
def test_no_other_body_has_parts(media_type: str) -> None:
    needed: Json = {"required": True, "schema": TEXT}
    spec = only_tool(operation({"X-Kind": ONE, "X-Other": needed}, media_type=media_type))

    assert b"draft" not in (frozen(spec, {"a": "text"}).body or b"")
    assert spec.body.unsent == ()


def test_what_people_see_has_the_headers_and_their_schema_holds() -> None:
    details = frozen(uploading({"X-Kind": ONE}), {"a": "text"}, call_id="call_1").details()

    parts: Any = details["parts"]
    [part] = parts
    assert part["headers"] == {"X-Kind": "draft"}
    shape: Any = SCHEMA["properties"]
    assert Validator(shape["request"]["properties"]["parts"]["items"]).violations(part) == []


def test_check_names_what_the_spec_wants_and_no_call_can_say(tmp_path: Path) -> None:
    needed: Json = {"required": True, "schema": TEXT}
    paths: dict[str, Json] = {
        "/one": {"post": {"operationId": "one", "responses": {}, **operation({"X-Kind": needed})}},
        "/two": {"post": {"operationId": "two", "responses": {}, **operation({"X-Kind": ONE})}},
    }
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"openapi": "3.1.0", "info": {}, "paths": paths}))

    [note] = check(tmp_path / "none.yaml", [spec]).notes

    assert note == f"{spec}: one cannot send what the spec wants of a part: a: X-Kind"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("X", "a\r\nY: b"), ("X\r\nY", "a"), ("Content-Disposition", "form-data"),
        ("content-type", "text/html"), ("X", "a\0"), ("X\n", "a"),
    ],
)  # fmt: skip
def test_the_writer_refuses_what_the_compiler_never_makes(name: str, text: str) -> None:
    body = Body(
        kind="members", format="multipart", content_type="multipart/form-data",
        members={"a": "a"}, encodings={"a": Encoding(headers=((name, text),))},
    )  # fmt: skip

    with pytest.raises(RequestError, match="a part header that it may not have"):
        frozen(tool("/x", method="POST", body=body), {"a": "text"})
