"""Small questions about raw schemas: what they refer to in place, and how large they are.

Pure; converts nothing.
"""

from collections.abc import Iterator
from typing import Final

import orjson

from signoff.canonical import Json
from signoff.catalog.openapi.documents import dict_of, list_of

CHOICES: Final = ("anyOf", "oneOf")
ALSO_IN_PLACE: Final = ("not", "if", "then", "else")
SMALL_BYTES: Final = 400
_SMALL_NODES: Final = 40


def in_place(schema: Json, choices: tuple[str, ...]) -> Iterator[str]:
    """Yield what a schema refers to without stepping into a member or item."""
    waiting = [schema]
    while waiting:
        part = dict_of(waiting.pop())
        ref = part.get("$ref")
        if isinstance(ref, str):
            yield ref
        for keyword in ("allOf", *choices):
            waiting.extend(list_of(part.get(keyword)))
        waiting.extend(part[keyword] for keyword in ALSO_IN_PLACE if keyword in part)


def is_small(schema: Json) -> bool:
    """Say whether a component without references is better written out than referred to."""
    waiting, seen = [schema], 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if seen > _SMALL_NODES:
            return False
        if isinstance(value, dict):
            if "$ref" in value:
                return False
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return len(bytes_of(schema)) <= SMALL_BYTES


def bytes_of(value: Json) -> bytes:
    """Return compact JSON, or something of about its size."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits
        return str(value).encode()
