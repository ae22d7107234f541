"""Request bodies of every media type: which is chosen, what the arguments are, how each is sent."""

from typing import cast

import pytest

from signoff.canonical import Json
from signoff.catalog.openapi.compiler import Index, Target, Words
from signoff.catalog.openapi.encodings import FILE
from signoff.catalog.wire import Encoding, XmlHint
from small_specs import OK, document, fault, only_tool, properties_of

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


def body(media_type: str, schema: Json, **more: Json) -> dict[str, Json]:
    content: Json = {media_type: {"schema": schema, **more}}
    return {"requestBody": {"required": True, "content": content}}


@pytest.mark.parametrize(
    ("media_types", "chosen"),
    [
        (["application/xml", "application/octet-stream", "text/plain"], "text/plain"),
        (["application/xml", "image/png"], "image/png"),
        (["text/plain", MULTIPART], MULTIPART),
        ([MULTIPART, FORM], FORM),
        ([FORM, "application/merge-patch+json"], "application/merge-patch+json"),
        (["application/vnd.a+json", "application/json"], "application/json"),
        (["multipart/mixed", "text/csv"], "text/csv"),
        (["application/xml"], "application/xml"),
        (
            ["application/json-patch+json", "application/merge-patch+json"],
            "application/merge-patch+json",
        ),
        (["application/json-patch+json", FORM], "application/json-patch+json"),
    ],
)
def test_media_types_are_preferred_in_one_order(media_types: list[str], chosen: str) -> None:
    content: Json = {one: {"schema": {"type": "object"}} for one in media_types}
    for written in (content, dict(reversed(cast("dict[str, Json]", content).items()))):
        tool = only_tool({"requestBody": {"content": written}})
        assert tool.body.content_type == chosen


@pytest.mark.parametrize(
    ("media_type", "sent"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/*", "text/plain"),
        ("image/*", "application/octet-stream"),
        ("multipart/*", MULTIPART),
    ],
)
def test_a_range_is_sent_as_something_definite(media_type: str, sent: str) -> None:
    assert only_tool(body(media_type, {"type": "object"})).body.content_type == sent


def test_the_operator_may_pick_another_media_type() -> None:
    content: Json = {"application/json": {"schema": {"type": "string"}}, "text/plain": {}}
    spec = document({"/a": {"post": {"requestBody": {"content": content}, "responses": OK}}})
    index = Index(spec, Target(upstream="u"), words=lambda _: Words(media_type="TEXT/plain"))

    assert index.tool(index.offered[0]).body.format == "text"


@pytest.mark.parametrize(
    ("media_type", "format_"),
    [
        ("text/plain", "text"),
        ("text/csv; charset=utf-8", "text"),
        ("application/yaml", "text"),
        ("application/octet-stream", "binary"),
        ("application/pdf", "binary"),
        ("image/svg+xml", "xml"),
    ],
)
def test_text_and_bytes_are_one_argument(media_type: str, format_: str) -> None:
    tool = only_tool(body(media_type, {"type": "string", "format": "binary"}))

    assert (tool.body.kind, tool.body.format, tool.body.required) == ("whole", format_, True)
    schema = properties_of(tool)["body"]
    assert isinstance(schema, dict)
    assert schema["type"] == "string"
    assert (schema.get("contentEncoding") == "base64") == (format_ == "binary")


def test_a_form_keeps_the_specs_encoding_of_each_member() -> None:
    schema: Json = {
        "type": "object",
        "properties": {
            "expand": {"type": "array", "items": {"type": "string"}},
            "ids": {"type": "array", "items": {"type": "integer"}},
            "meta": {"type": "object", "properties": {"a": {"type": "string"}}},
            "plain": {"type": "string"},
            "json": {"type": "object"},
        },
    }
    encoding: Json = {
        "expand": {"style": "deepObject", "explode": True},
        "ids": {"style": "pipeDelimited"},
        "json": {"contentType": "application/json"},
        "plain": {"allowReserved": True},
    }
    tool = only_tool(body(FORM, schema, encoding=encoding))

    assert (tool.body.kind, tool.body.format) == ("members", "form")
    assert tool.body.encodings == {
        "expand": Encoding(style="deepObject", explode=True),
        "ids": Encoding(style="pipeDelimited", explode=False),
        "json": Encoding(content_type="application/json"),
        "plain": Encoding(style="form", explode=True, allow_reserved=True),
    }


def test_a_form_that_is_a_choice_is_one_argument_and_still_encoded() -> None:
    schema: Json = {
        "oneOf": [
            {"type": "object", "properties": {"a": {"type": "array", "items": {}}}},
            {"type": "object", "properties": {"b": {"type": "string"}}},
        ]
    }
    tool = only_tool(body(FORM, schema, encoding={"a": {"explode": False}}))

    assert (tool.body.kind, tool.body.format) == ("whole", "form")
    assert tool.body.encodings == {"a": Encoding(style="form", explode=False)}


@pytest.mark.parametrize("schema", [{"type": "array"}, {"type": "string"}])
def test_a_form_must_be_an_object(schema: Json) -> None:
    assert fault(body(FORM, schema)) == "its form body is not an object"
    assert fault(body(MULTIPART, schema)) == "its multipart body is not an object"


def test_a_multipart_body_that_is_one_file_is_sent_as_the_part_file() -> None:
    picture: Json = {"type": "string", "format": "binary", "description": "The picture"}
    tool = only_tool(body(MULTIPART, picture))

    assert (tool.body.kind, tool.body.encodings) == ("members", {"file": Encoding(is_file=True)})
    assert properties_of(tool) == {"file": {**FILE, "description": "The picture"}}
    assert tool.input_schema["required"] == ["file"]


def test_a_form_is_never_one_file() -> None:
    assert "form" in fault(body(FORM, {"type": "string", "format": "binary"}))


def test_files_of_a_multipart_body_are_base64_with_a_name() -> None:
    schema: Json = {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "format": "binary", "description": "The picture"},
            "more": {"type": "array", "items": {"type": "string", "format": "binary"}},
            "facts": {"type": "object", "properties": {"a": {"type": "integer"}}},
            "caption": {"type": "string"},
            "icon": {"type": "string"},
            "text": {"type": "string", "format": "byte"},
        },
    }
    encoding: Json = {
        "file": {"contentType": "image/png"},
        "more": {"contentType": "image/png, image/jpeg"},
        "icon": {"contentType": "image/gif"},
    }
    tool = only_tool(body(MULTIPART, schema, encoding=encoding))

    assert (tool.body.kind, tool.body.format) == ("members", "multipart")
    assert tool.body.encodings == {
        "file": Encoding(is_file=True, content_type="image/png"),
        "more": Encoding(is_file=True, content_type="image/png, image/jpeg"),
        "icon": Encoding(is_file=True, content_type="image/gif"),
    }
    assert properties_of(tool)["file"] == {**FILE, "description": "The picture"}
    assert properties_of(tool)["more"] == {"type": "array", "items": dict(FILE)}
    assert properties_of(tool)["caption"] == {"type": "string"}
    assert tool.input_schema["required"] == ["file"]


@pytest.mark.parametrize(
    ("schema", "is_file"),
    [
        ({}, True),
        ({"description": "any bytes"}, True),
        ({"contentMediaType": "image/png"}, True),
        ({"type": "string", "contentMediaType": "application/octet-stream"}, True),
        ({"type": "string", "contentMediaType": "image/png", "contentEncoding": "base64"}, False),
        ({"type": "string", "contentMediaType": "application/json"}, False),
        ({"type": "string"}, False),
        ({"anyOf": [{"type": "string", "format": "binary"}, {"type": "null"}]}, True),
    ],
)
def test_openapi_3_1_says_a_file_in_its_own_ways(schema: Json, is_file: bool) -> None:
    whole: Json = {"type": "object", "properties": {"f": schema}}
    tool = only_tool(body(MULTIPART, whole), version="3.1.0")

    assert ("f" in tool.body.encodings and tool.body.encodings["f"].is_file) == is_file


def test_lists_are_numbered_in_brackets_where_the_operator_says_so() -> None:
    schema: Json = {"type": "object", "properties": {"a": {"type": "array", "items": {}}}}
    operation: Json = {
        **body(FORM, schema),
        "parameters": [{"name": "f", "in": "query", "style": "deepObject", "schema": {}}],
        "responses": OK,
    }
    index = Index(document({"/a": {"post": operation}}), Target(upstream="u", indexed=True))
    tool = index.tool(index.offered[0])

    assert tool.body.encodings == {"a": Encoding(indexed=True)}
    assert tool.parameters[0].indexed


def test_xml_is_text_or_an_object_that_its_hints_write() -> None:
    components: dict[str, Json] = {
        "schemas": {
            "Pet": {
                "type": "object",
                "xml": {"name": "pet", "namespace": "urn:pets", "prefix": "p"},
                "properties": {
                    "id": {"type": "integer", "xml": {"attribute": True}},
                    "tags": {
                        "type": "array",
                        "xml": {"name": "tags", "wrapped": True},
                        "items": {"type": "string", "xml": {"name": "tag"}},
                    },
                    "photos": {"type": "array", "items": {"type": "string"}},
                    "parent": {"$ref": "#/components/schemas/Pet"},
                },
            }
        }
    }
    tool = only_tool(body("application/xml", {"$ref": "#/components/schemas/Pet"}), components)

    hint = tool.body.xml
    assert hint is not None
    assert (hint.name, hint.namespace, hint.prefix) == ("pet", "urn:pets", "p")
    assert hint.members["id"] == XmlHint(name="id", attribute=True)
    assert hint.members["tags"] == XmlHint(name="tags", wrapped=True, items=XmlHint(name="tag"))
    assert hint.members["photos"] == XmlHint(name="photos", items=XmlHint(name="photos"))
    assert depth(hint) < 12, "a schema in a circle ends"
    argument = properties_of(tool)["body"]
    assert isinstance(argument, dict)
    branches = argument["anyOf"]
    assert isinstance(branches, list)
    assert branches[1] == {"type": "string", "description": "The XML itself"}


def depth(hint: XmlHint) -> int:
    inner = [*hint.members.values(), *([hint.items] if hint.items else [])]
    return 1 + max(map(depth, inner), default=0)


def test_xml_without_an_object_is_text() -> None:
    tool = only_tool(body("application/xml", {"type": "string"}))

    assert (tool.body.format, tool.body.xml) == ("xml", None)
    assert properties_of(tool)["body"] == {"type": "string", "description": "The XML itself"}


def test_illegal_names_of_xml_are_not_taken() -> None:
    schema: Json = {
        "type": "object",
        "properties": {"a": {"type": "string", "xml": {"name": "x><evil", "prefix": "a b"}}},
    }
    hint = only_tool(body("application/xml", schema)).body.xml

    assert hint is not None
    assert (hint.name, hint.members["a"]) == ("root", XmlHint(name="a"))


@pytest.mark.seed("T59")
def test_an_allof_of_objects_is_merged_where_nothing_is_lost() -> None:
    shared: Json = {"type": "object", "properties": {"id": {"type": "integer"}}}
    again: Json = {
        "type": "object",
        "required": ["name"],
        "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
    }
    merged = only_tool(body("application/json", {"allOf": [shared, again]}))
    other: Json = {"type": "object", "properties": {"id": {"type": "string"}}}
    kept = only_tool(body("application/json", {"allOf": [shared, other]}))

    assert merged.body.members == {"id": "id", "name": "name"}
    assert merged.input_schema["required"] == ["name"]
    assert kept.body.kind == "whole"


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_a_tagged_choice_says_which_branch_a_tag_means(version: str) -> None:
    def kind(**members: Json) -> Json:
        return {"type": "object", "properties": {"kind": {"type": "string"}, **members}}

    components: dict[str, Json] = {
        "schemas": {
            "Cat": kind(lives={"type": "integer", "description": "x" * 300}),
            "Dog": kind(bark={"type": "string", "description": "y" * 300}),
        }
    }
    schema: Json = {
        "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
        "discriminator": {
            "propertyName": "kind",
            "mapping": {"feline": "#/components/schemas/Cat"},
        },
    }
    tool = only_tool(body("application/json", schema), components, version=version)

    argument = properties_of(tool)["body"]
    assert isinstance(argument, dict)
    assert "discriminator" not in argument
    text = str(argument["oneOf"])
    assert "{'const': 'feline'}" in text
    assert "{'const': 'Dog'}" in text


def test_bodies_of_3_2_media_types_may_be_references() -> None:
    components: dict[str, Json] = {
        "mediaTypes": {"Thing": {"schema": {"type": "object", "properties": {"a": {}}}}}
    }
    content: Json = {"application/json": {"$ref": "#/components/mediaTypes/Thing"}}
    tool = only_tool({"requestBody": {"content": content}}, components, version="3.2.0")

    assert tool.body.members == {"a": "a"}


@pytest.mark.parametrize("media_type", ["application/json", FORM])
def test_an_object_that_declares_nothing_may_hold_anything(media_type: str) -> None:
    tool = only_tool(body(media_type, {"type": "object", "description": "a patch"}))

    assert (tool.body.kind, tool.body.argument) == ("whole", "body")
    assert properties_of(tool)["body"] == {"type": "object", "description": "a patch"}


def test_an_object_that_may_hold_nothing_is_sent_empty() -> None:
    tool = only_tool(body("application/json", {"type": "object", "additionalProperties": False}))

    assert (tool.body.kind, tool.body.required, properties_of(tool)) == ("members", True, {})
