"""`x-mcp` and `x-speakeasy-mcp`: names and words, and never a lower risk."""

import json

import pytest

from signoff.canonical import Json
from signoff.catalog.model import Risk, ToolSpec
from signoff.catalog.openapi.compiler import Index, Target, Words
from signoff.catalog.openapi.documents import Document
from small_specs import only_tool


def index(
    *, root: Json = None, item: Json = None, own: Json = None, named: bool = False, **more: Json
) -> Index:
    operation: dict[str, Json] = {"operationId": "a", "responses": {}, **more}
    path: dict[str, Json] = {"post": operation}
    spec: dict[str, Json] = {"openapi": "3.0.0", "paths": {"/a": path}}
    for level, said in ((spec, root), (path, item), (operation, own)):
        if said is not None:
            level["x-mcp"] = said
    document = Document(json.dumps(spec).encode(), name="s")
    return Index(document, Target(upstream="u"), words=lambda _: Words(is_named=named))


@pytest.mark.parametrize(
    ("root", "item", "own", "offered"),
    [
        (None, None, None, True),
        (False, None, None, False),
        (None, False, None, False),
        (None, None, False, False),
        (False, True, None, True),
        (False, None, True, True),
        (True, False, True, True),
        (None, None, {"disabled": True}, False),
        (False, None, {"disabled": False}, True),
        (None, {"disabled": True}, {"name": "x"}, False),
        ({"disabled": True}, None, None, True),
        (None, None, "no", True),
        (None, None, {"disabled": "true"}, True),
    ],
)
def test_the_nearest_word_says_whether_an_operation_is_offered(
    root: Json, item: Json, own: Json, offered: bool
) -> None:
    made = index(root=root, item=item, own=own)

    assert [len(made.offered), len(made.left_out)] == ([1, 0] if offered else [0, 1])


def test_what_is_left_out_has_a_reason_and_can_be_named_all_the_same() -> None:
    assert index(own=False).left_out[0].reason == "the spec's x-mcp leaves it out"
    assert len(index(own=False, named=True).offered) == 1


def test_a_deprecated_operation_is_left_out_unless_it_is_asked_for() -> None:
    left = index(deprecated=True)

    assert left.offered == []
    assert left.left_out[0].reason == "it is deprecated; name it, or set deprecated: true"
    assert len(index(deprecated=True, named=True).offered) == 1


@pytest.mark.parametrize("key", ["x-mcp", "x-speakeasy-mcp"])
def test_an_object_gives_name_title_description_and_scopes(key: str) -> None:
    said: Json = {
        "name": "make_thing",
        "title": "Make **a** thing",
        "description": "Makes it.\nReally.",
        "scopes": ["write", "a b", 5],
    }
    tool = only_tool({"operationId": "x", key: said})

    assert (tool.name, tool.title, tool.description) == (
        "make_thing",
        "Make a thing",
        "Makes it. Really.",
    )
    assert tool.scopes == ("write",)


@pytest.mark.parametrize("name", ["", "a b", "x" * 49, 5, "ä", None])
def test_a_name_that_is_not_legal_is_not_taken(name: Json) -> None:
    assert only_tool({"operationId": "x", "x-mcp": {"name": name}}).name == "x"


SAFE: Json = {
    "annotations": {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True},
    "risk": "low",
    "name": "get_safely",
}


@pytest.mark.seed("T12")
@pytest.mark.parametrize("method", ["post", "delete", "patch", "put"])
@pytest.mark.parametrize("key", ["x-mcp", "x-speakeasy-mcp"])
def test_annotations_never_make_an_operation_safer(method: str, key: str) -> None:
    plain = only_tool({"operationId": "x"}, method=method)
    praised = only_tool({"operationId": "x", key: SAFE}, method=method)

    assert hints(praised) == hints(plain)
    assert praised.risk is Risk.HIGH


@pytest.mark.parametrize("hint", [{"readOnlyHint": False}, {"destructiveHint": True}])
def test_annotations_may_make_a_read_ask(hint: Json) -> None:
    tool = only_tool({"operationId": "x", "x-mcp": {"annotations": hint}}, method="get")

    assert (tool.risk, tool.read_only, tool.destructive) == (Risk.HIGH, False, True)
    assert tool.risk_reason == "GET, but the spec's x-mcp says it changes something"


def test_an_annotation_may_say_that_twice_is_not_once() -> None:
    said: Json = {"annotations": {"idempotentHint": False}}

    assert not only_tool({"operationId": "x", "x-mcp": said}, method="put").idempotent


def hints(tool: ToolSpec) -> tuple[bool, bool, bool]:
    return tool.read_only, tool.destructive, tool.idempotent
