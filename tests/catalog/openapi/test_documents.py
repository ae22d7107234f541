"""Documents: what is read, what is refused as a whole, and where a `$ref` leads."""

import json
from pathlib import Path

import pytest

from signoff.catalog.openapi.compiler import compile_document
from signoff.catalog.openapi.documents import Document, DocumentError, MappingError
from signoff.catalog.openapi.files import below
from signoff.catalog.yaml_source import Spot

PETS = b"""\
openapi: 3.1.0
info: {title: Pets, version: "1"}
paths:
  /pets/{id}: {$ref: "#/components/pathItems/Pet"}
components:
  pathItems:
    Pet:
      get: {operationId: getPet, responses: {200: {description: ok}}}
  schemas:
    a/b~c: {type: string}
    Loop: {$ref: "#/components/schemas/Loop"}
"""


REMOTE = (
    "is not fetched: save the document beside this one and refer to the file, or list {} in the "
    "upstream's allow_refs"
)
EVIL = REMOTE.format("https://evil.example/x")
NOWHERE = "is neither a file below the spec's folder nor an http or https address"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"swagger: '1.2'", "Swagger 1.2 is not supported; 2.0 is"),
        (b"openapi: 4.0.0", "OpenAPI 4.0.0 is not supported; 2.0 to 3.2 are"),
        (b"openapi: 3", 'not an OpenAPI document: the text "openapi: 3.x" is missing'),
        (b"openapi: 3.0", 'not an OpenAPI document: the text "openapi: 3.x" is missing'),
        (b"hello: there", 'not an OpenAPI document: the text "openapi: 3.x" is missing'),
        (b"[]", "not an OpenAPI document: the top is not a mapping"),
        (b"", "not an OpenAPI document: the top is not a mapping"),
        (b"<html>", "not an OpenAPI document: the top is not a mapping"),
    ],
)
def test_what_is_not_openapi_is_refused_whole(text: bytes, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        Document(text, name="spec")

    assert caught.value.message == message


def test_integer_response_codes_of_yaml_are_text() -> None:
    [operation] = Document(PETS, name="spec").operations()

    assert operation.members["responses"] == {"200": {"description": "ok"}}


def test_a_path_item_may_be_a_reference() -> None:
    [operation] = Document(PETS, name="spec").operations()

    assert (operation.path, operation.method, operation.id) == ("/pets/{id}", "get", "getPet")


def test_a_pointer_is_unescaped() -> None:
    document = Document(PETS, name="spec")

    assert document.resolve("#/components/schemas/a~1b~0c") == {"type": "string"}
    assert document.resolve("#/components/schemas/a~1b%7E0c") == {"type": "string"}


@pytest.mark.seed("T57")
@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("#/components/schemas/Nope", 'the $ref "#/components/schemas/Nope" points at nothing'),
        ("https://evil.example/x", f'the $ref "https://evil.example/x" {EVIL}'),
        ("HTTPS://evil.example/x#/a", f'the $ref "HTTPS://evil.example/x#/a" {EVIL}'),
        ("file:///etc/passwd", f'the $ref "file:///etc/passwd" {NOWHERE}'),
        ("/etc/passwd", 'the $ref "/etc/passwd" leaves the folder of the spec'),
        ("../other.yaml#/a", 'the $ref "../other.yaml#/a" leaves the folder of the spec'),
        ("a/%2e%2e/%2e%2e/b", 'the $ref "a/%2e%2e/%2e%2e/b" leaves the folder of the spec'),
        ("..\\b.yaml", 'the $ref "..\\b.yaml" leaves the folder of the spec'),
        ("other.yaml#/a", 'the $ref "other.yaml#/a" leaves the document'),
        ("//evil.example/x", f'the $ref "//evil.example/x" {NOWHERE}'),
        ("#anchor", 'the $ref "#anchor" points at nothing'),
        (
            "#/components/schemas/Loop",
            'the $ref "#/components/schemas/Loop" only points at itself',
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_an_error(ref: str, message: str) -> None:
    with pytest.raises(MappingError) as caught:
        Document(PETS, name="spec").follow({"$ref": ref})

    assert (caught.value.message, caught.value.ref) == (message, ref)


def test_a_text_is_found_in_the_source() -> None:
    document = Document(PETS, name="spec")

    assert document.spot_of('"#/components/pathItems/Pet"') == Spot(line=4, column=22)
    assert document.spot_of("nowhere to be found") == Spot(line=1, column=1)


@pytest.mark.parametrize(
    "text",
    [
        b'{"openapi": "3.0.0", "x": 18446744073709551617, "y": 9223372036854775807}',
        b"{openapi: 3.0.0, x: 18446744073709551617, y: 9223372036854775807}",
    ],
)
def test_a_number_beyond_64_bits_is_exact(text: bytes) -> None:
    assert Document(text, name="spec").root["x"] == 2**64 + 1
    assert Document(text, name="spec").root["y"] == 2**63 - 1


def test_yaml_in_flow_style_is_read() -> None:
    document = Document(b"{openapi: 3.0.0, paths: {}}", name="spec")

    assert document.version == "3.0"
    assert list(document.operations()) == []


MODERN = b"""\
openapi: 3.2.0
$self: https://api.example/openapi
components:
  schemas:
    Named: {$anchor: named, type: string}
    Dynamic: {$dynamicAnchor: node, type: integer}
    Own: {$id: "https://schemas.example/own", $defs: {Inner: {type: boolean}}, type: object}
"""


@pytest.mark.parametrize(
    ("ref", "type_"),
    [
        ("#named", "string"),
        ("#node", "integer"),
        ("https://schemas.example/own", "object"),
        ("https://schemas.example/own#/$defs/Inner", "boolean"),
        ("https://api.example/openapi#/components/schemas/Named", "string"),
        ("https://api.example/openapi#named", "string"),
    ],
)
def test_what_a_document_calls_itself_and_its_schemas_is_found(ref: str, type_: str) -> None:
    found = Document(MODERN, name="spec").resolve(ref)

    assert isinstance(found, dict)
    assert found["type"] == type_


def test_a_newer_version_is_read_as_the_newest_that_is_known() -> None:
    document = Document(b"openapi: 3.9.1\npaths: {}", name="spec")

    assert document.version == "3.2"
    assert document.notes == ["OpenAPI 3.9.1 is read as 3.2, the newest that is known"]


def test_a_property_called_ref_is_a_property(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"$ref": {"type": "string"}, "a": {}}}
    content = {"application/json": {"schema": schema}}
    spec = {
        "openapi": "3.0.0",
        "paths": {"/a": {"post": {"requestBody": {"content": content}, "responses": {}}}},
    }
    document = Document(json.dumps(spec).encode(), name="s", read=below(tmp_path))
    [tool] = compile_document(document, upstream="u").tools

    assert tool.body.members == {"ref": "$ref", "a": "a"}
    assert len(document.fingerprint()) == 64


def test_what_stands_beside_a_path_items_reference_counts() -> None:
    text = b"""\
openapi: 3.1.0
paths: {/a: {$ref: "#/components/pathItems/A", parameters: [{name: q, in: query}]}}
components: {pathItems: {A: {get: {operationId: a, responses: {}}}}}
"""
    [tool] = compile_document(Document(text, name="s"), upstream="u").tools

    assert [one.name for one in tool.parameters] == ["q"]
