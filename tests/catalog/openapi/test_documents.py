"""Documents: what is read, what is refused as a whole, and where a `$ref` leads."""

import pytest

from signoff.catalog.openapi.documents import Document, DocumentError, MappingError
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"swagger: '2.0'", "Swagger 2.0 is not supported yet; convert it to OpenAPI 3"),
        (b"openapi: 3.2.0", "OpenAPI 3.2.0 is not supported; 3.0 and 3.1 are"),
        (b"openapi: 4.0.0", "OpenAPI 4.0.0 is not supported; 3.0 and 3.1 are"),
        (b"openapi: 3.0", 'not an OpenAPI document: the text "openapi: 3.x" is missing'),
        (b"hello: there", 'not an OpenAPI document: the text "openapi: 3.x" is missing'),
        (b"[]", "not an OpenAPI document: the top is not a mapping"),
        (b"", "not an OpenAPI document: the top is not a mapping"),
        (b"<html>", "not an OpenAPI document: the top is not a mapping"),
    ],
)
def test_what_is_not_openapi_3_is_refused_whole(text: bytes, message: str) -> None:
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
        ("https://evil.example/x", 'the $ref "https://evil.example/x" leaves the document'),
        ("file:///etc/passwd", 'the $ref "file:///etc/passwd" leaves the document'),
        ("other.yaml#/a", 'the $ref "other.yaml#/a" leaves the document'),
        ("//evil.example/x", 'the $ref "//evil.example/x" leaves the document'),
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


def test_a_bound_beyond_64_bits_is_the_nearest_number() -> None:
    text = b'{"openapi": "3.0.0", "x": 18446744073709551616, "y": 9223372036854775807}'

    assert Document(text, name="spec").root["x"] == 2.0**64
    assert Document(text, name="spec").root["y"] == 2**63 - 1


def test_yaml_in_flow_style_is_read() -> None:
    document = Document(b"{openapi: 3.0.0, paths: {}}", name="spec")

    assert document.is_3_0
    assert list(document.operations()) == []
