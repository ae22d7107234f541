"""From a document and an answer off the wire to what a program and a host get of it.

The ids are those under which the rows were measured in other compilers; `bug_N` are defects that
users reported of them.
"""

import json
from typing import Any, cast

import pytest

from handler_parts import refused, shop
from schema_faults import faults_of
from signoff.assistant.results import finished
from signoff.canonical import Json
from signoff.catalog.openapi.compiler import compile_document
from signoff.catalog.openapi.documents import Document
from signoff.gate.answers import Finished
from signoff.handler.answers import Done
from signoff.schema import Validator
from signoff.upstream.response import result_of
from signoff.upstream.sent import Answered
from small_specs import (
    OK,
    answering,
    compiled,
    document,
    fault,
    json_body,
    only_tool,
    properties_of,
)
from wire import answer

JSON_TEXT = "application/json"
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
ORDER: Json = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer"}, "note": {"type": "string"}},
    "additionalProperties": False,
}


def reading(responses: Json) -> dict[str, Json]:
    paths: Json = {"/x": {"get": {"operationId": "read", "responses": responses}}}
    return {"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": paths}


async def read(content: bytes, responses: Json = None) -> Done:
    async with shop(content, spec=reading(responses or answering(ORDER))) as (call, _):
        done = await call("read", {}, None)
    assert isinstance(done, Done)
    return done


# Answers


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [("image/png", "image"), ("audio/mpeg", "audio"), ("application/pdf", "resource")],
)
async def test_r_png_r_pdf_files_arrive_whole(media_type: str, kind: str) -> None:
    responses = answering({"type": "string", "format": "binary"}, media_type=media_type)
    done = await read(answer(body=PNG, media_type=media_type), responses)
    block: Any = done.content[-1]
    assert block["type"] == kind
    held = block["resource"]["blob"] if kind == "resource" else block["data"]
    assert held == "iVBORw0KGgoA/w=="


async def test_r_429_says_when_to_come_back() -> None:
    content = answer("429 Too Many Requests", b'{"title":"slow"}', JSON_TEXT, "Retry-After: 7")
    async with shop(content, spec=reading(answering(ORDER))) as (call, _):
        error = await refused(call, "read", {})
    assert (error.status, error.retry_after_s, error.problem) == (429, 7.0, {"title": "slow"})


async def test_r_bigtext_is_cut_where_it_still_is_json() -> None:
    rows = json.dumps([{"id": number, "note": "x" * 90} for number in range(9_000)]).encode()
    done = await read(answer(body=rows), answering({"type": "array", "items": ORDER}))
    assert done.is_cut
    data = cast("list[Any]", done.data)
    assert data[-1] == {"id": len(data) - 1, "note": "x" * 90}
    assert "Ask for less" in done.text


@pytest.mark.parametrize(
    ("content", "data"),
    [
        pytest.param(answer(body=b'{"id":9007199254740993}'), {"id": 2**53 + 1}, id="r_int64"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", None, id="r_204 bug_21"),
        pytest.param(answer(body=b""), None, id="r_200_empty"),
        pytest.param(answer(body=b"hi", media_type="text/plain"), None, id="r_text"),
        pytest.param(answer(body=b'{"id":'), None, id="r_bad_json"),
        pytest.param(answer(body=b'{"id":1,"new":2}'), {"id": 1, "new": 2}, id="r_extra bug_20"),
        pytest.param(answer(body=b'{"id":"x"}'), {"id": "x"}, id="r_mismatch bug_20"),
        pytest.param(answer(body=b'{"id":1,"note":null}'), {"id": 1, "note": None},
                     id="r_null_optional bug_20"),
    ],
)  # fmt: skip
async def test_an_answer_arrives_whatever_was_promised(content: bytes, data: Json) -> None:
    assert (await read(content)).data == data


async def test_r_html_is_not_shown_to_anybody() -> None:
    content = answer("502 Bad Gateway", b"<html>secret</html>", "text/html")
    async with shop(content, spec=reading(OK)) as (call, _):
        error = await refused(call, "read", {})
    assert "secret" not in str(error)
    assert (error.status, error.problem) == (502, {})


@pytest.mark.parametrize(
    ("body", "warned"),
    [(b'{"id":1}', False), (b'{"id":1,"new":2}', False), (b"{}", False), (b'{"id":"x"}', True)],
)
def test_a_host_keeps_what_drifted_with_a_warning(body: bytes, warned: bool) -> None:
    """The SDK's client throws away what does not fit a listed schema, so such a one says so."""
    [spec] = compile_document(
        Document(json.dumps(reading(answering(ORDER))).encode(), name="s"), upstream="u"
    ).tools
    answered = Answered(status=200, headers=(("content-type", JSON_TEXT),), body=body)
    wire: Any = finished(
        Finished(call=None, result=result_of(spec, answered)),
        promised=Validator(spec.output_schema or {}),
    )
    assert ("schemaWarnings" in wire.get("_meta", {})) is warned
    assert any(block["text"] == body.decode() for block in wire["content"])
    assert ("structuredContent" in wire) is not warned


# What is listed


@pytest.mark.parametrize(
    ("method", "hints"),
    [
        ("get", (True, False, True)),
        ("head", (True, False, True)),
        ("delete", (False, True, True)),
        ("put", (False, True, True)),
        ("post", (False, True, False)),
        ("patch", (False, True, False)),
    ],
)
def test_t_annot_a_tool_says_what_its_method_may_do(
    method: str, hints: tuple[bool, bool, bool]
) -> None:
    tool = only_tool({}, method=method)
    assert (tool.read_only, tool.destructive, tool.idempotent) == hints


def test_t_desc_long_a_description_is_bounded() -> None:
    tool = only_tool({"summary": "Do it.", "description": "word " * 2_000})
    assert tool.description.startswith("Do it. word")
    assert len(tool.description) <= 600


def test_t_exclmin_a_boolean_bound_is_a_number() -> None:
    old: Json = {"type": "integer", "minimum": 0, "exclusiveMinimum": True}
    tool = only_tool({"parameters": [{"name": "n", "in": "query", "schema": old}]})
    assert properties_of(tool)["n"] == {"type": "integer", "exclusiveMinimum": 0}


CIRCLES: dict[str, Json] = {
    "Self": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Self"}}},
    "Ping": {"type": "object", "properties": {"pong": {"$ref": "#/components/schemas/Pong"}}},
    "Pong": {"type": "object", "properties": {"ping": {"$ref": "#/components/schemas/Ping"}}},
    "Base": {"type": "object", "allOf": [{"$ref": "#/components/schemas/Child"}]},
    "Child": {"allOf": [{"$ref": "#/components/schemas/Base"}], "properties": {"a": {}}},
    "List": {"type": "array", "items": {"$ref": "#/components/schemas/List"}},
}


@pytest.mark.parametrize("name", CIRCLES)
def test_b_circular_bug_12_13_a_circle_is_listed_and_ends(name: str) -> None:
    schema: Json = {"$ref": f"#/components/schemas/{name}"}
    operation = {**json_body(schema), "responses": answering(schema)}
    tool = only_tool(operation, {"schemas": CIRCLES})
    assert faults_of(tool) == []
    assert len(json.dumps(dict(tool.input_schema))) < 2_000


def test_bug_11_a_broken_reference_costs_its_own_operation_alone() -> None:
    there: Json = {"$ref": "https://swaggerhub.example/domain#/parameters/P"}
    made = compiled({"/a": {"get": {"parameters": [there], "responses": OK}}, "/b": {"get": {}}})
    assert [one.path for one in made.tools] == ["/b"]
    assert "is not fetched" in made.faulty[0].reason


def test_bug_10_nothing_is_fetched_to_read_a_document() -> None:
    assert "is not fetched" in fault(json_body({"$ref": "http://169.254.169.254/latest"}))
    assert "leaves the folder" in fault(json_body({"$ref": "../../etc/passwd"}))


def test_bug_14_a_property_may_be_called_ref() -> None:
    schema: Json = {"type": "object", "properties": {"$ref": {"type": "string"}}}
    assert properties_of(only_tool(json_body(schema))) == {
        "ref": {"type": "string", "description": "(sent as $ref)"}
    }


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf", "allOf"])
def test_bug_16_17_no_root_is_a_choice_or_no_object(keyword: str) -> None:
    choice: Json = {keyword: [{"type": "object", "properties": {"a": {}}}, {"type": "object"}]}
    listed: Json = {"type": "array", "items": {"type": "string"}}
    for answered in (choice, listed):
        tool = only_tool({**json_body(choice), "responses": answering(answered)})
        assert faults_of(tool) == []


def test_bug_19_long_names_stay_apart_in_any_order() -> None:
    ids = [f"{'organizationsRepositoriesRulesetsHistory' * 2}{tail}" for tail in ("List", "Get")]
    paths: dict[str, Json] = {
        f"/{number}": {"get": {"operationId": id_, "responses": OK}}
        for number, id_ in enumerate(ids)
    }
    one = {tool.path: tool.name for tool in compiled(paths).tools}
    other = {tool.path: tool.name for tool in compiled(dict(reversed(paths.items()))).tools}
    assert one == other
    assert len(set(one.values())) == len(ids)
    assert all(len(name) <= 48 for name in one.values())


def test_bug_8_no_header_of_ours_is_an_argument() -> None:
    names = ("Authorization", "Host", "Cookie", "Content-Type", "Accept", "X-Forwarded-For")
    parameters: Json = [{"name": name, "in": "header", "schema": {}} for name in names]
    assert only_tool({"parameters": parameters}).parameters == ()


def test_a_key_of_the_document_is_no_argument_either() -> None:
    key: Json = {"type": "apiKey", "in": "query", "name": "key"}
    parameters: Json = [{"name": "Key", "in": "query", "schema": {}}]
    components: dict[str, Json] = {"securitySchemes": {"Key": key}}
    paths: dict[str, Json] = {"/x": {"get": {"parameters": parameters, "responses": OK}}}
    [tool] = compile_document(document(paths, components), upstream="u").tools
    assert tool.parameters == ()
