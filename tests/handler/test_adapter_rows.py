"""What an OpenAPI adapter owes: every clause of what peers offer, and none of their defects."""

import json
from typing import cast

import pytest

from handler_parts import TOKEN, Person, shop, yes
from signoff.canonical import Json
from signoff.catalog.model import Risk, Upstream
from signoff.catalog.standalone import Outbound, from_openapi
from signoff.handler.answers import CallError, Done
from signoff.handler.openapi import openapi_handler
from wire import answer

TREE: dict[str, Json] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "owner": {"$ref": "#/components/schemas/Owner"},
        "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
    },
}
OWNER: dict[str, Json] = {
    "type": "object",
    "properties": {"team": {"$ref": "#/components/schemas/Team"}},
}
TEAM: dict[str, Json] = {"type": "object", "properties": {"lead": {"type": "string"}}}
IN_JSON: Json = {"application/json": {"schema": {"$ref": "#/components/schemas/Tree"}}}

MADE: Json = {"application/json": {"schema": {"type": "object", "properties": {"made": {}}}}}


def parameter(name: str, place: str, schema: Json, **more: Json) -> dict[str, Json]:
    return {"name": name, "in": place, "schema": schema, "required": place == "path", **more}


SPEC: dict[str, Json] = {
    "openapi": "3.0.3",
    "info": {"title": "Trees", "description": "Grows *trees*.", "version": "2"},
    "servers": [{"url": "https://trees.example/v1"}],
    "security": [{"key": []}],
    "components": {
        "schemas": {"Tree": TREE, "Owner": OWNER, "Team": TEAM},
        "securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "api_key"}},
    },
    "paths": {
        "/trees/{id}": {
            "parameters": [
                parameter("id", "path", {"type": "string"}),
                parameter("depth", "query", {"type": "string"}),
            ],
            "get": {
                "operationId": "getTree",
                "summary": "Read a tree",
                "description": "With its children.",
                "parameters": [
                    parameter("depth", "query", {"type": "integer", "maximum": 5}),
                    parameter("X-Trace", "header", {"type": "string"}),
                    parameter("session", "cookie", {"type": "string"}),
                    parameter("tags", "query", {"type": "array", "items": {"type": "string"}}),
                    parameter("api_key", "query", {"type": "string"}),
                ],
                "responses": {
                    "200": {"description": "", "content": IN_JSON},
                    "201": {"description": "", "content": MADE},
                },
            },
            "put": {
                "summary": "Grow",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["id"],
                                "properties": {
                                    "id": {"type": "string"},
                                    "tree": {"$ref": "#/components/schemas/Tree"},
                                },
                            }
                        }
                    },
                },
                "responses": {"201": {"description": "", "content": IN_JSON}},
            },
        },
        "/leaves": {
            "servers": [{"url": "https://trees.example/v2"}],
            "post": {
                "operationId": "addLeaf",
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {
                                "type": "object",
                                "properties": {"colour": {"type": "string"}},
                            }
                        }
                    }
                },
                "responses": {},
            },
        },
        "/bark": {"get": {"operationId": "bark", "responses": {}}},
    },
}


def refs_of(value: Json) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return [cast("str", one) for one in own] + [
            ref for member in value.values() for ref in refs_of(member)
        ]
    return [ref for member in value for ref in refs_of(member)] if isinstance(value, list) else []


def at(schema: Json, ref: str) -> Json:
    node = schema
    for step in ref.removeprefix("#/").split("/"):
        assert isinstance(node, dict)
        node = node[step]
    return node


@pytest.mark.seed("A44")
async def test_one_call_gives_an_apis_name_words_tools_policy_and_what_sends() -> None:
    person = Person(yes)
    seen: list[Outbound] = []

    async def keys(outbound: Outbound) -> dict[str, str]:
        seen.append(outbound)
        return {"Authorization": f"Bearer {TOKEN}"}

    async with shop(
        answer(body=b'{"name": "oak"}'),
        spec=SPEC,
        approve=person,
        resolve_headers=keys,
        default_grants=["GET"],
        approval_strength={"POST": "session", "*": "session"},
    ) as (call, wire):
        api = call.api
        grown = await call("put_trees_id", {"id_path": "a", "id_body": "b"}, "the context")
        read = await call("getTree", {"id": "a"})

    assert (api.name, api.description) == ("Trees", "Grows trees.")
    assert api.upstream == Upstream(name="api", base_url=f"{wire.url}/v1")
    assert api.skipped == ()
    assert {tool.name: (tool.description.split("\n")[0], tool.risk) for tool in api.tools} == {
        "getTree": ("Read a tree. With its children.", Risk.LOW),
        "put_trees_id": ("Grow", Risk.HIGH),
        "addLeaf": ("POST /leaves", Risk.HIGH),
        "bark": ("GET /bark", Risk.LOW),
    }
    assert isinstance(grown, Done)
    assert isinstance(read, Done)
    assert [ask.tool.name for ask in person.asked] == ["put_trees_id"]
    assert {one.context for one in seen if one.method == "PUT"} == {"the context"}
    assert all(("Authorization", f"Bearer {TOKEN}") in wire.head(n)[1] for n in (0, 1))


@pytest.mark.seed("A45")
def test_input_merges_parameters_and_body_and_output_is_of_200_then_201() -> None:
    tools = {tool.name: tool for tool in from_openapi(SPEC).tools}
    read, grow = tools["getTree"].input_schema, tools["put_trees_id"].input_schema

    properties = cast("dict[str, dict[str, Json]]", read["properties"])
    assert set(properties) == {"id", "depth", "X-Trace", "session", "tags"}
    assert properties["depth"]["type"] == "integer"  # the operation's own word wins
    assert properties["depth"]["maximum"] == 5
    assert (read["type"], read["required"]) == ("object", ["id"])
    assert read["additionalProperties"] is False

    merged = cast("dict[str, dict[str, Json]]", grow["properties"])
    assert set(merged) == {"id_path", "id_body", "depth", "tree"}
    assert merged["depth"]["type"] == "string"  # the path's, which nothing overrides here
    assert set(cast("list[str]", grow["required"])) == {"id_path", "id_body"}

    for name in ("getTree", "put_trees_id"):  # 200 before 201; 201 where it stands alone
        output = tools[name].output_schema
        assert output is not None
        assert set(cast("dict[str, Json]", output["properties"])) == {"name", "owner", "children"}
    assert tools["bark"].output_schema is None


@pytest.mark.seed("A47")
def test_both_halves_are_usable_alone() -> None:
    api = from_openapi(SPEC, base_url="https://trees.example/v1")
    alone = openapi_handler(SPEC, base_url="https://trees.example/v1", approve=yes)

    assert openapi_handler(api, approve=yes).tools == api.tools == alone.tools


@pytest.mark.seed("P18")
def test_no_reference_dangles_however_deep_and_none_leads_out() -> None:
    for tool in from_openapi(SPEC).tools:
        for schema in (tool.input_schema, tool.output_schema):
            for ref in refs_of(dict(schema or {})):
                assert ref.startswith("#/$defs/")
                assert isinstance(at(dict(schema or {}), ref), dict)

    [grow] = [tool for tool in from_openapi(SPEC).tools if tool.name == "put_trees_id"]
    found = json.dumps(dict(grow.input_schema))
    assert '"lead"' in found  # Tree, Owner, Team: three steps deep, and a cycle


@pytest.mark.seed("P18")
async def test_nothing_that_a_spec_says_is_dropped_on_the_way() -> None:
    async with shop(
        answer(body=b"{}"), spec=SPEC, resolve_headers=lambda _: {"X-Api-Key": TOKEN}
    ) as (call, wire):
        await call("getTree", {"id": "a b&c", "depth": 2, "session": "s 1", "tags": ["x", "y,z"]})
        first, headers = wire.head()
        # a list is repeated, not joined; a cookie is sent; the key is no argument
        assert first == "GET /v1/trees/a%20b%26c?depth=2&tags=x&tags=y%2Cz HTTP/1.1"
        assert dict(headers)["Cookie"] == "session=s%201"
        assert "api_key" not in json.dumps([dict(one.input_schema) for one in call.tools])

        await call("put_trees_id", {"id_path": "a", "id_body": "b", "tree": {"name": "oak"}})
        assert wire.head()[0] == "PUT /v1/trees/a HTTP/1.1"
        assert json.loads(wire.body()) == {"id": "b", "tree": {"name": "oak"}}

        await call("addLeaf", {"colour": "red & gold"})
        first, headers = wire.head()
        assert first == "POST /v2/leaves HTTP/1.1"  # the operation's own server
        assert dict(headers)["Content-Type"] == "application/x-www-form-urlencoded"
        assert wire.body() == b"colour=red%20%26%20gold"


@pytest.mark.seed("P18")
async def test_an_empty_answer_is_no_text_and_an_error_repeats_no_body() -> None:
    async with shop(
        answer("204 No Content", b""),
        answer("404 Not Found", b"SELECT * FROM trees WHERE secret", "text/plain"),
        spec=SPEC,
    ) as (call, _):
        done = await call("bark", {})
        with pytest.raises(CallError) as caught:
            await call("bark", {})

    assert isinstance(done, Done)
    assert (done.status, done.data, done.text) == (204, None, "HTTP 204")
    assert str(caught.value) == "HTTP 404 Not Found"


@pytest.mark.seed("P5")
async def test_a_text_where_a_number_belongs_never_reaches_the_upstream() -> None:
    async with shop(spec=SPEC) as (call, wire):
        with pytest.raises(CallError) as caught:
            await call("getTree", {"id": "a", "depth": "lots"})

    assert caught.value.code == "invalid_arguments"
    assert wire.requests == []
