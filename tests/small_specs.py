"""Small OpenAPI documents for tests, and what they compile to."""

import json
from typing import cast

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.openapi.compiler import Compiled, compile_document
from signoff.catalog.openapi.documents import Document

OK: dict[str, Json] = {"200": {"description": "ok"}}


def document(
    paths: dict[str, Json],
    components: dict[str, Json] | None = None,
    version: str = "3.0.3",
) -> Document:
    root = {
        "openapi": version,
        "info": {"title": "t", "version": "1"},
        "paths": paths,
        "components": components or {},
    }
    return Document(json.dumps(root).encode(), name="spec.json")


def compiled(
    paths: dict[str, Json],
    components: dict[str, Json] | None = None,
    version: str = "3.0.3",
) -> Compiled:
    return compile_document(
        document(paths, components, version), upstream="up", selected=lambda _: True
    )


def only_tool(
    operation: dict[str, Json],
    components: dict[str, Json] | None = None,
    *,
    path: str = "/things",
    method: str = "post",
    version: str = "3.0.3",
) -> ToolSpec:
    """Compile one operation that must become a tool."""
    result = compiled({path: {method: {"responses": OK, **operation}}}, components, version)
    assert [one.reason for one in result.faulty] == []
    return result.tools[0]


def fault(
    operation: dict[str, Json],
    components: dict[str, Json] | None = None,
    *,
    path: str = "/things",
    method: str = "post",
) -> str:
    """Compile one operation that must not become a tool; why not."""
    result = compiled({path: {method: {"responses": OK, **operation}}}, components)
    assert result.tools == ()
    return result.faulty[0].reason


def json_body(schema: Json, *, required: bool = True) -> dict[str, Json]:
    return {
        "requestBody": {
            "required": required,
            "content": {"application/json": {"schema": schema}},
        }
    }


def answering(schema: Json, code: str = "200", media_type: str = "application/json") -> Json:
    return {code: {"description": "ok", "content": {media_type: {"schema": schema}}}}


def properties_of(tool: ToolSpec) -> dict[str, Json]:
    return cast("dict[str, Json]", tool.input_schema["properties"])
