"""From the words of a spec to the bytes an upstream receives, in one step, as a stranger sees it.

A row is an operation as its document writes it, arguments that its listed schema takes, and the
request that must arrive on loopback. The ids are those under which the rows were measured in other
compilers; `bug_N` are defects that users reported of them.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.openapi.compiler import Compiled, Index, Target, compile_document
from signoff.catalog.openapi.documents import Document
from signoff.catalog.openapi.servers import Places
from signoff.schema import Validator
from signoff.upstream.transport import Transports
from upstream_parts import frozen, references, upstream
from wire import Wire, answer, listening, plain

JSON_TEXT, FORM, MULTIPART = (
    "application/json", "application/x-www-form-urlencoded", "multipart/form-data",
)  # fmt: skip
TEXT: dict[str, Json] = {"type": "string"}
TEXTS: Json = {"type": "array", "items": TEXT}
ANY: Json = {"type": "object"}
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
B64 = base64.b64encode(PNG).decode()


def root(version: str, path: str, method: str, operation: Any, more: Any = None) -> dict[str, Any]:
    key = "swagger" if version == "2.0" else "openapi"
    operation = {"responses": {"200": {"description": "ok"}}, **operation}
    return {key: version, "info": {"title": "t", "version": "1"},
            "paths": {path: {method: operation}}, **(more or {})}  # fmt: skip


def compiled(document: Any) -> ToolSpec:
    made: Compiled = compile_document(
        Document(json.dumps(document).encode(), name="s"), upstream="b"
    )
    assert [one.reason for one in made.faulty] == []
    return made.tools[0]


async def sent(spec: ToolSpec, arguments: dict[str, Json], tmp_path: Path) -> Wire:
    """Make the call as the gate would: arguments are checked against the schema first."""
    assert [str(one) for one in Validator(spec.input_schema).violations(arguments)] == []
    async with listening(plain(answer())) as wire:
        to = upstream(wire.url + "/v1")
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            await transports.send(frozen(spec, arguments, to=to), to, fresh=False)
    return wire


def q(schema: Json = TEXT, **more: Json) -> dict[str, Json]:
    return {"parameters": [{"name": "q", "in": "query", "schema": schema, **more}]}


def p(schema: Json = TEXT, **more: Json) -> dict[str, Json]:
    return {"parameters": [{"name": "q", "in": "path", "required": True, "schema": schema, **more}]}


def content(schema: Json) -> Json:
    return {JSON_TEXT: {"schema": schema}}


# The request line

DEEP: Json = {"type": "object", "additionalProperties": True}
LINES: list[tuple[str, str, str, Any, Any, str]] = [
    ("q_bool", "3.0.3", "/x", q({"type": "boolean"}), {"q": True}, "/x?q=true"),
    ("q_int64", "3.0.3", "/x", q({"type": "integer", "format": "int64"}), {"q": 2**53 + 1},
     "/x?q=9007199254740993"),
    ("q_form", "3.0.3", "/x", q(TEXTS), {"q": ["a", "b c"]}, "/x?q=a&q=b%20c"),
    ("q_csv", "3.0.3", "/x", q(TEXTS, explode=False), {"q": ["a", "b,c"]}, "/x?q=a,b%2Cc"),
    ("q_space", "3.0.3", "/x", q(TEXTS, style="spaceDelimited"), {"q": ["a", "b"]}, "/x?q=a%20b"),
    ("q_pipe", "3.0.3", "/x", q(TEXTS, style="pipeDelimited"), {"q": ["a", "b"]}, "/x?q=a%7Cb"),
    ("q_form_object", "3.0.3", "/x", q(DEEP), {"q": {"x": 1, "y": "b"}}, "/x?x=1&y=b"),
    ("q_csv_object", "3.0.3", "/x", q(DEEP, explode=False), {"q": {"x": 1}}, "/x?q=x,1"),
    ("q_deep bug_5", "3.0.3", "/x", q(DEEP, style="deepObject", explode=True), {"q": {"a": 1}},
     "/x?q%5Ba%5D=1"),
    ("q_deep_nested", "3.0.3", "/x", q(DEEP, style="deepObject"), {"q": {"a": {"b": 1}}},
     "/x?q%5Ba%5D%5Bb%5D=1"),
    ("q_deep_array", "3.0.3", "/x", q(DEEP, style="deepObject"), {"q": {"a": [1, 2]}},
     "/x?q%5Ba%5D%5B%5D=1&q%5Ba%5D%5B%5D=2"),
    ("q_content_json", "3.0.3", "/x",
     {"parameters": [{"name": "q", "in": "query", "content": content(ANY)}]}, {"q": {"a": [1]}},
     "/x?q=%7B%22a%22%3A%5B1%5D%7D"),
    ("q_reserved", "3.0.3", "/x", q(allowReserved=True), {"q": "a/b?c,d&e"}, "/x?q=a/b?c,d%26e"),
    ("q_null", "3.0.3", "/x", q({"type": "string", "nullable": True}), {"q": None}, "/x"),
    ("q_default", "3.0.3", "/x", q({"type": "integer", "default": 7}), {}, "/x"),
    ("p_array", "3.0.3", "/p/{q}", p(TEXTS), {"q": ["a", "b"]}, "/p/a,b"),
    ("p_label", "3.0.3", "/p/{q}", p(style="label"), {"q": "v"}, "/p/.v"),
    ("p_matrix", "3.0.3", "/p/{q}", p(style="matrix"), {"q": "v"}, "/p/;q=v"),
    ("p_matrix_explode", "3.0.3", "/p/{q}", p(TEXTS, style="matrix", explode=True),
     {"q": ["a", "b"]}, "/p/;q=a;q=b"),
    ("p_slash", "3.0.3", "/p/{q}", p(**{"x-multi-segment": True}), {"q": "a/b"}, "/p/a%2Fb"),
    ("bug_18", "3.0.3", "/x", {"parameters": [
        {"name": name, "in": "query", "schema": TEXT}
        for name in ("StartTime<", "filter[name]", "$filter", "include[]")]},
     {"StartTime_lt": "1", "filter.name": "2", "filter": "3", "include": "4"},
     "/x?StartTime%3C=1&filter%5Bname%5D=2&%24filter=3&include%5B%5D=4"),
    ("two_multi", "2.0", "/x", {"parameters": [
        {"name": "q", "in": "query", "type": "array", "items": TEXT, "collectionFormat": "multi"}]},
     {"q": ["a", "b"]}, "/x?q=a&q=b"),
    ("two_csv", "2.0", "/x", {"parameters": [
        {"name": "q", "in": "query", "type": "array", "items": TEXT}]}, {"q": ["a", "b"]},
     "/x?q=a,b"),
    ("two_pipes", "2.0", "/p/{q}", {"parameters": [
        {"name": "q", "in": "path", "required": True, "type": "array", "items": TEXT,
         "collectionFormat": "pipes"}]}, {"q": ["a", "b"]}, "/p/a%7Cb"),
    ("querystring", "3.2.0", "/x", {"parameters": [
        {"name": "q", "in": "querystring", "content": {FORM: {"schema": ANY}}}]},
     {"q": {"a": "b c"}}, "/x?a=b%20c"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "path", "operation", "arguments", "line"),
    [pytest.param(*row[1:], id=row[0]) for row in LINES],
)
async def test_a_parameter_stands_in_the_request_line(
    version: str, path: str, operation: Any, arguments: Any, line: str, tmp_path: Path
) -> None:
    wire = await sent(compiled(root(version, path, "get", operation)), arguments, tmp_path)
    assert wire.head()[0] == f"GET /v1{line} HTTP/1.1"


# Headers and cookies


def at(place: str, schema: Json, **more: Json) -> dict[str, Json]:
    return {"parameters": [{"name": "X-Q", "in": place, "schema": schema, **more}]}


HEADERS: list[tuple[str, Any, Json, tuple[str, str]]] = [
    ("h_bool", at("header", {"type": "boolean"}), True, ("X-Q", "true")),
    ("h_array", at("header", TEXTS), ["a", "b"], ("X-Q", "a,b")),
    ("h_obj", at("header", DEEP), {"x": 1, "y": "b"}, ("X-Q", "x,1,y,b")),
    ("h_obj_explode", at("header", DEEP, explode=True), {"x": 1}, ("X-Q", "x=1")),
    ("c_scalar", at("cookie", TEXT), "a b", ("Cookie", "X-Q=a%20b")),
    ("c_object", at("cookie", DEEP), {"x": 1, "y": 2}, ("Cookie", "x=1; y=2")),
]


@pytest.mark.parametrize(
    ("operation", "value", "header"), [pytest.param(*row[1:], id=row[0]) for row in HEADERS]
)
async def test_a_parameter_stands_in_a_header(
    operation: Any, value: Json, header: tuple[str, str], tmp_path: Path
) -> None:
    wire = await sent(compiled(root("3.0.3", "/x", "get", operation)), {"X-Q": value}, tmp_path)
    assert [pair for pair in wire.head()[1] if pair[0] == header[0]] == [header]


# Bodies


def body(media_type: str, schema: Json = ANY, **more: Json) -> dict[str, Json]:
    held: Json = {media_type: {"schema": schema, **more}}
    return {"requestBody": {"required": True, "content": held}}


def members(**properties: Json) -> dict[str, Json]:
    return {"type": "object", "properties": properties}


PHOTO: Json = {"type": "array", "xml": {"wrapped": True}, "items": {**TEXT, "xml": {"name": "p"}}}
PET: Json = {**members(id={"type": "integer", "xml": {"attribute": True}}, photos=PHOTO),
             "xml": {"name": "Pet"}}  # fmt: skip
BODIES: list[tuple[str, str, Any, Any, str, bytes]] = [
    ("b_obj", "3.0.3", body(JSON_TEXT, members(a={"type": "integer"})), {"a": 1}, JSON_TEXT,
     b'{"a":1}'),
    ("b_null bug_1", "3.0.3", body(JSON_TEXT, members(note={"type": "string", "nullable": True})),
     {"note": None}, JSON_TEXT, b'{"note":null}'),
    ("b_arr bug_4", "3.0.3", body(JSON_TEXT, TEXTS), {"body": ["a"]}, JSON_TEXT, b'["a"]'),
    ("b_prim", "3.0.3", body(JSON_TEXT, {"type": "integer"}), {"body": 5}, JSON_TEXT, b"5"),
    ("b_map", "3.0.3", body(JSON_TEXT, {"type": "object", "additionalProperties": TEXT}),
     {"body": {"x": "y"}}, JSON_TEXT, b'{"x":"y"}'),
    ("b_extra", "3.0.3", body(JSON_TEXT, {**members(a=TEXT), "additionalProperties": True}),
     {"a": "1", "z": 2}, JSON_TEXT, b'{"a":"1","z":2}'),
    ("b_empty", "3.0.3", body(JSON_TEXT, members(a=TEXT)), {}, JSON_TEXT, b"{}"),
    ("b_int64", "3.0.3", body(JSON_TEXT, members(n={"type": "integer", "format": "int64"})),
     {"n": 2**62 + 1}, JSON_TEXT, b'{"n":4611686018427387905}'),
    ("b_allof", "3.0.3", body(JSON_TEXT, {"allOf": [members(a=TEXT), members(b=TEXT)]}),
     {"a": "1", "b": "2"}, JSON_TEXT, b'{"a":"1","b":"2"}'),
    ("b_oneof", "3.0.3", body(JSON_TEXT, {"oneOf": [members(a=TEXT), TEXTS]}),
     {"body": {"a": "1"}}, JSON_TEXT, b'{"a":"1"}'),
    ("b_merge_patch", "3.0.3", body("application/merge-patch+json", members(a=TEXT)), {"a": "1"},
     "application/merge-patch+json", b'{"a":"1"}'),
    ("b_form", "3.0.3", body(FORM, members(a=TEXT, b=TEXTS)), {"a": "x&y", "b": ["1", "2"]}, FORM,
     b"a=x%26y&b=1&b=2"),
    ("b_form_nested", "3.0.3",
     body(FORM, members(o=ANY, l=TEXTS), encoding={"l": {"style": "deepObject"}}),
     {"o": {"a": {"b": 1}}, "l": ["x"]}, FORM, b"o%5Ba%5D%5Bb%5D=1&l%5B%5D=x"),
    ("b_form_two", "2.0", {"parameters": [
        {"name": "a", "in": "formData", "type": "string", "required": True}]}, {"a": "x"}, FORM,
     b"a=x"),
    ("b_text", "3.0.3", body("text/plain", TEXT), {"body": "ä\n"}, "text/plain", "ä\n".encode()),
    ("b_octet bug_22", "3.0.3",
     body("application/octet-stream", {"type": "string", "format": "binary"}), {"body": B64},
     "application/octet-stream", PNG),
    ("b_octet_31", "3.1.0", body("image/png", {}), {"body": B64}, "image/png", PNG),
    ("b_xml_obj", "3.0.3", body("application/xml", PET), {"body": {"id": 1, "photos": ["<"]}},
     "application/xml", (b'<?xml version="1.0" encoding="UTF-8"?><Pet id="1"><photos><p>&lt;</p>'
                         b"</photos></Pet>")),
    ("b_two", "2.0", {"parameters": [{"name": "b", "in": "body", "schema": members(a=TEXT)}]},
     {"a": "1"}, JSON_TEXT, b'{"a":"1"}'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "operation", "arguments", "content_type", "expected"),
    [pytest.param(*row[1:], id=row[0]) for row in BODIES],
)
async def test_a_body_arrives_as_its_media_type_says(
    version: str, operation: Any, arguments: Any, content_type: str, expected: bytes, tmp_path: Path
) -> None:
    wire = await sent(compiled(root(version, "/x", "post", operation)), arguments, tmp_path)
    assert wire.body() == expected
    assert dict(wire.head()[1])["Content-Type"] == content_type


FILE: Json = {"type": "string", "format": "binary"}
FILES: list[tuple[str, str, Any, Any, bytes]] = [
    ("b_multipart", "3.0.3", body(MULTIPART, members(f=FILE, a=TEXT)), {"f": B64, "a": "x"},
     b'name="f"; filename="f"\r\nContent-Type: application/octet-stream\r\n\r\n' + PNG
     + b'\r\n--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx'),
    ("b_multipart_object", "3.0.3", body(MULTIPART, members(o=ANY)), {"o": {"a": 1}},
     b'name="o"\r\nContent-Type: application/json\r\n\r\n{"a":1}'),
    ("b_multipart_files", "3.0.3", body(MULTIPART, members(f={"type": "array", "items": FILE})),
     {"f": [B64, {"data": "", "filename": "e.png"}]},
     b'name="f"; filename="f"\r\nContent-Type: application/octet-stream\r\n\r\n' + PNG
     + b'\r\n--B\r\nContent-Disposition: form-data; name="f"; filename="e.png"\r\n'
     b"Content-Type: application/octet-stream\r\n\r\n"),
    ("b_multipart_encoding", "3.1.0",
     body(MULTIPART, members(f={}, o=ANY), encoding={"f": {"contentType": "image/png, image/gif"}}),
     {"f": {"data": B64, "content_type": "image/gif"}},
     b'name="f"; filename="f"\r\nContent-Type: image/gif\r\n\r\n' + PNG),
    ("b_multipart_two", "2.0", {"parameters": [{"name": "f", "in": "formData", "type": "file"}]},
     {"f": B64},
     b'name="f"; filename="f"\r\nContent-Type: application/octet-stream\r\n\r\n' + PNG),
]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "operation", "arguments", "expected"),
    [pytest.param(*row[1:], id=row[0]) for row in FILES],
)
async def test_parts_arrive_as_they_are_described(
    version: str, operation: Any, arguments: Any, expected: bytes, tmp_path: Path
) -> None:
    wire = await sent(compiled(root(version, "/x", "post", operation)), arguments, tmp_path)
    kind, _, boundary = dict(wire.head()[1])["Content-Type"].partition("; boundary=")
    assert kind == MULTIPART
    parts = wire.body().replace(boundary.encode(), b"B")
    assert parts == b"--B\r\nContent-Disposition: form-data; " + expected + b"\r\n--B--\r\n"


# Names that meet, and where an operation goes


async def test_bug_2_3_every_place_keeps_its_own_value(tmp_path: Path) -> None:
    """x_path_body, x_query_header, x_param_named_body."""
    operation: dict[str, Json] = {
        "parameters": [
            {"name": "id", "in": place, "required": True, "schema": TEXT}
            for place in ("path", "query", "header")
        ],
        **body(JSON_TEXT, members(id=TEXT, values=TEXTS)),
    }
    arguments: dict[str, Json] = {
        "id_path": "P", "id_query": "Q", "id_header": "H", "id_body": "B", "values": ["v"],
    }  # fmt: skip
    wire = await sent(compiled(root("3.0.3", "/p/{id}", "post", operation)), arguments, tmp_path)
    line, headers = wire.head()
    assert line == "POST /v1/p/P?id=Q HTTP/1.1"
    assert ("id", "H") in headers
    assert json.loads(wire.body()) == {"id": "B", "values": ["v"]}


async def test_bug_7_s_opserver_an_operation_goes_to_its_own_server(tmp_path: Path) -> None:
    async with listening(plain(answer())) as api, listening(plain(answer())) as files:
        host = files.url.removeprefix("http://")
        server: Json = {
            "url": "http://{host}/{base}",
            "variables": {"host": {"default": "files.example"}, "base": {"default": "up"}},
        }
        document = root("3.0.3", "/x", "get", {"servers": [server]})
        places = Places(base_url=api.url, variables={"host": host}, allowed={files.url: False})
        index = Index(
            Document(json.dumps(document).encode(), name="s"), Target(upstream="b", places=places)
        )
        to = upstream(api.url, {"X-Key": "${env:OTHER}"}, allow_private=(files.url,))
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            request = frozen(index.tool(index.offered[0]), {}, to=to)
            await transports.send(request, to, fresh=False)
    assert api.requests == []
    assert files.head()[0] == "GET /up/x HTTP/1.1"
    assert "another-value" not in str(files.requests)


async def test_t_readonly_what_is_read_only_is_not_sent(tmp_path: Path) -> None:
    operation = body(JSON_TEXT, {**members(id={**TEXT, "readOnly": True}, n=TEXT),
                                 "required": ["id", "n"]})  # fmt: skip
    spec = compiled(root("3.0.3", "/x", "post", operation))
    assert spec.input_schema["required"] == ["n"]
    assert Validator(spec.input_schema).violations({"n": "x", "id": "y"})
    assert (await sent(spec, {"n": "x"}, tmp_path)).body() == b'{"n":"x"}'
