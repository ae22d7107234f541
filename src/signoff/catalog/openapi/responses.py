"""What an operation answers, as a schema that an answer's drift does not break.

Owns which response speaks for the tool and when it is better not to promise anything. An answer
that is not an object arrives as `{"result": …}`.
"""

import re
from typing import Final

import orjson

from signoff.canonical import Json
from signoff.catalog.openapi.documents import Document, MappingError, Operation, dict_of
from signoff.catalog.openapi.media import is_json, stream_of
from signoff.catalog.openapi.schemas import Converter, Schema
from signoff.catalog.wire import StreamKind

BUDGET: Final = 4_096
_SUCCESS: Final = re.compile(r"2(?:[0-9]{2}|XX|xx)")
_SENDABLE: Final = re.compile(r"[\x20-\x7e]{3,100}")
_MOST_TYPES: Final = 8
_UNIONS: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf"})


def output_schema(document: Document, operation: Operation, converter: Converter) -> Schema | None:
    """Return the schema of a successful answer, or None where there is none to promise.

    None when any 2xx answer is empty or not JSON, when the schema is larger than 4 KB, or when it
    cannot be converted: a broken answer schema costs the schema, not the tool.
    """
    try:
        schema = _success(document, operation)
        if schema is None:
            return None
        uses: set[str] = set()
        made = _rooted(converter.convert(schema, uses), converter, uses)
        if made is None or len(orjson.dumps(made)) > BUDGET:
            return None
        definitions = converter.definitions(uses, budget=BUDGET - len(orjson.dumps(made)))
    except (MappingError, orjson.JSONEncodeError):
        return None
    return {**made, "$defs": definitions} if definitions else made


def accepted(document: Document, operation: Operation) -> tuple[tuple[str, ...], StreamKind | None]:
    """Return the media types of successful answers, JSON first, and how events would come."""
    found: dict[str, None] = {}
    responses = dict_of(operation.members.get("responses"))
    for code in _successes(responses):
        try:
            content = dict_of(document.follow(responses[code]).get("content"))
        except MappingError:
            continue
        found |= dict.fromkeys(one for one in content if _SENDABLE.fullmatch(one))
    ordered = sorted(found, key=lambda one: not is_json(one))  # stable: else as written
    return tuple(ordered[:_MOST_TYPES]), stream_of(ordered)


def _successes(responses: dict[str, Json]) -> list[str]:
    codes = [code for code in responses if _SUCCESS.fullmatch(code)]
    if not codes and set(responses) == {"default"}:
        codes = ["default"]
    return sorted(codes, key=lambda code: (not code.isdecimal(), code))


def _success(document: Document, operation: Operation) -> Json:
    """Return the schema of the response that speaks for the tool; None promises nothing."""
    responses = dict_of(operation.members.get("responses"))
    best: Json = None
    for code in _successes(responses):
        content = dict_of(document.follow(responses[code]).get("content"))
        if not content or not all(map(is_json, content)):
            return None
        schema = document.follow(next(iter(content.values()))).get("schema")
        if schema is None:
            return None
        best = schema if best is None else best
    return best


def _rooted(made: Schema, converter: Converter, uses: set[str]) -> Schema | None:
    ref = made.get("$ref")
    if isinstance(ref, str):
        made = {**converter.definition(ref.rsplit("/", 1)[-1], uses)}
    kind = made.get("type")
    if kind == "object" and not made.keys() & _UNIONS:
        return {**made, "properties": dict_of(made.get("properties"))}
    if isinstance(kind, str) and kind != "object":
        return {"type": "object", "properties": {"result": made}}
    return None
