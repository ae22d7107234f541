"""Multipart bodies without names, from a 3.2 spec's list of parts to the bytes of each."""

import json
from email.message import Message
from email.parser import BytesParser
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema_faults import faults_of
from signoff.approvals.details import SCHEMA
from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.schema import Validator
from signoff.upstream.request import RequestError
from small_specs import fault, only_tool, properties_of
from upstream_parts import frozen

MIXED, RELATED = "multipart/mixed", "multipart/related"
META: Json = {"type": "object", "properties": {"author": {"type": "string"}}}
UPLOAD: dict[str, Any] = {
    "schema": {"type": "array", "prefixItems": [META, {}], "items": False},
    "prefixEncoding": [{}, {"contentType": "image/*"}],
}
Found = tuple[str, str | None, bytes]


def spec_of(media_type: str = MIXED, version: str = "3.2.0", **described: Any) -> ToolSpec:
    made = only_tool(
        {"requestBody": {"required": True, "content": {media_type: described}}}, version=version
    )
    assert faults_of(made) == []
    return made


def sent(spec: ToolSpec, *parts: Json) -> tuple[str, list[Message]]:
    """Return the Content-Type and the parts, as Python's own parser of MIME reads them."""
    valid = Validator(spec.input_schema).violations({"body": list(parts)})
    assert valid == []
    request = frozen(spec, {"body": list(parts)})
    [kind] = [str(one.value) for one in request.headers if one.name == "Content-Type"]
    whole = BytesParser().parsebytes(
        f"Content-Type: {kind}\r\n\r\n".encode() + (request.body or b"")
    )
    assert not whole.defects
    return kind, cast("list[Message]", whole.get_payload())


def seen(parts: list[Message]) -> list[Found]:
    contents = (cast("bytes", part.get_payload(decode=True)) for part in parts)
    return [
        (str(part["Content-Type"]), part["Content-Disposition"], content)
        for part, content in zip(parts, contents, strict=True)
    ]


def test_parts_go_by_place_without_a_name() -> None:
    kind, parts = sent(
        spec_of(**UPLOAD), {"author": "ä"}, {"data": "AAEC", "content_type": "image/png"}
    )

    assert kind.startswith("multipart/mixed; boundary=")
    assert seen(parts) == [
        ("application/json", None, '{"author":"ä"}'.encode()),
        ("image/png", None, b"\0\1\2"),
    ]


def test_a_related_body_names_the_type_of_its_root() -> None:
    kind, parts = sent(spec_of(RELATED, **UPLOAD), {}, "AAEC")

    assert kind.startswith('multipart/related; type="application/json"; boundary=')
    assert seen(parts)[1] == ("application/octet-stream", None, b"\0\1\2")
    kind, _ = sent(spec_of(f'{RELATED}; type="text/html"', **UPLOAD), {})
    assert kind.count("type=") == 1


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, "ä,b", ("text/plain; charset=utf-8", "ä,b".encode())),
        ({"type": "integer"}, 2**63, ("text/plain; charset=utf-8", b"9223372036854775808")),
        ({"type": "boolean"}, True, ("text/plain; charset=utf-8", b"true")),
        ({"type": "array", "items": {}}, ["a", 1], ("application/json", b'["a",1]')),
        ({"type": "array", "items": {}}, [], ("application/json", b"[]")),
        (META, {"author": "a"}, ("application/json", b'{"author":"a"}')),
        ({"type": "string", "format": "binary"}, "AAEC", ("application/octet-stream", b"\0\1\2")),
    ],
)  # fmt: skip
def test_each_place_is_one_part_by_its_type(schema: Json, value: Json, expected: Any) -> None:
    ways: list[dict[str, Any]] = [
        {"schema": {"type": "array", "items": schema}},
        {"schema": {"prefixItems": [schema]}},
        {"itemSchema": schema},
    ]
    for described in ways:
        _, parts = sent(spec_of(**described), value)
        assert [(type_, text) for type_, _, text in seen(parts)] == [expected]


def test_what_comes_after_the_first_parts_is_written_as_all_others() -> None:
    spec = spec_of(
        schema={"prefixItems": [{"type": "string"}], "items": {"type": "string"}},
        prefixEncoding=[{"contentType": "text/html"}],
        itemEncoding={"contentType": "text/css", "headers": {"X-A": {"schema": {"const": "1"}}}},
    )

    _, parts = sent(spec, "<p>", "a{}", "b{}")

    assert [part["Content-Type"] for part in parts] == ["text/html", "text/css", "text/css"]
    assert [part["X-A"] for part in parts] == [None, "1", "1"]


def test_one_of_several_types_is_said_with_the_bytes() -> None:
    spec = spec_of(
        schema={"items": {"anyOf": [{"type": "string"}, {}]}},
        itemEncoding={"contentType": "text/css,image/*"},
    )

    _, parts = sent(spec, {"data": "AAEC", "content_type": "image/gif"}, "YXt9")
    assert seen(parts) == [("image/gif", None, b"\0\1\2"), ("text/css", None, b"a{}")]
    with pytest.raises(RequestError, match="must be a file of type text/css"):
        frozen(spec, {"body": [{"data": "AAEC", "content_type": "text/html"}]})


@pytest.mark.parametrize("media_type", [MIXED, RELATED])
@pytest.mark.parametrize(
    "schema", [META, {}, {"type": "string"}, {"allOf": [META]}, {"oneOf": [META, META]}]
)
def test_members_have_names_which_these_bodies_do_not(media_type: str, schema: Json) -> None:
    operation: dict[str, Json] = {"requestBody": {"content": {media_type: {"schema": schema}}}}

    assert fault(operation) == f"its {media_type} body is no list of parts"


def test_whatever_else_is_offered_is_preferred() -> None:
    content: Json = {MIXED: UPLOAD, "text/csv": {"schema": {"type": "string"}}}
    spec = only_tool({"requestBody": {"content": content}}, version="3.2.0")

    assert spec.body.format == "text"


def test_parts_within_parts_are_not_made() -> None:
    described: Json = {**UPLOAD, "prefixEncoding": [{"contentType": "multipart/mixed"}]}

    reason = fault({"requestBody": {"content": {MIXED: described}}})
    assert reason == "a part of its body has parts itself"


REFUSED: list[tuple[Any, str]] = [
    ([], "must be a list of one part or more"),
    ({"0": {}}, "must be a list of one part or more"),
    ("AAEC", "must be a list of one part or more"),
    ([None, "AAEC"], "has nothing for part 1"),
    ([{}, None], "has nothing for part 2"),
    ([{}, "not base64!"], "the file's data is not base64"),
    ([{}, {"data": "AAEC", "filename": "a\r\nX: y"}], "holds a lone|has a filename"),
    ([{}, {"data": "AAEC", "content_type": "image/png\r\nX: y"}], "has a content_type"),
    ([{}, {"data": "AAEC", "content_type": "text/html"}], "must be a file of type image/"),
    ([{"a": "\ud800"}, "AAEC"], "holds a lone surrogate"),
]


@pytest.mark.parametrize(("parts", "reason"), REFUSED)
def test_what_is_no_list_of_such_parts_is_not_sent(parts: Json, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        frozen(spec_of(**UPLOAD), {"body": parts})


def test_a_list_is_not_sent_as_another_type() -> None:
    spec = spec_of(schema={"items": {}}, itemEncoding={"contentType": "text/html"}, version="3.0.3")

    with pytest.raises(RequestError, match="has a list or an object for part 1, which is no JSON"):
        frozen(spec, {"body": [{"a": 1}]})


def test_the_list_is_as_long_as_the_spec_says() -> None:
    spec = spec_of(schema={**UPLOAD["schema"], "minItems": 2})

    body: Any = properties_of(spec)["body"]
    assert body["minItems"] == 2
    wrong: list[Json] = [[], [{}], [{}, "AAEC", "AAEC"]]
    for parts in wrong:
        assert Validator(spec.input_schema).violations({"body": parts}) != []


def test_the_card_has_every_part_and_hides_what_is_secret() -> None:
    pin: Json = {"type": "object", "properties": {"pin": {"type": "string", "format": "password"}}}
    spec = spec_of(schema={"prefixItems": [pin, {}]})

    details = frozen(spec, {"body": [{"pin": "canary"}, "AAEC"]}, call_id="call_1").details()

    parts: Any = details["parts"]
    assert [(part["name"], part["media_type"]) for part in parts] == [
        ("part 1", "application/json"),
        ("part 2", "application/octet-stream"),
    ]
    shape: Any = SCHEMA["properties"]
    part_shape = Validator(shape["request"]["properties"]["parts"]["items"])
    assert [part_shape.violations(part) for part in parts] == [[], []]
    assert "canary" not in json.dumps(details)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=1, max_size=4))
def test_every_text_reads_back_whatever_it_holds(texts: list[str]) -> None:
    request = frozen(spec_of(schema={"items": {"type": "string"}}), {"body": list[Json](texts)})
    [kind] = [str(one.value) for one in request.headers if one.name == "Content-Type"]
    border = b"--" + kind.partition("boundary=")[2].encode()

    first, *others = (request.body or b"").split(border)
    assert first == b""
    assert others.pop() == b"--\r\n"
    read = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n").decode() for part in others]
    assert read == texts
