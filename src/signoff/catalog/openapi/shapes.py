"""Small questions about raw schemas: what they refer to in place, and how large they are.

Pure; converts nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from signoff.canonical import Json
from signoff.catalog.openapi.documents import dict_of, list_of

CHOICES: Final = ("anyOf", "oneOf")
ALSO_IN_PLACE: Final = ("not", "if", "then", "else")
SMALL_BYTES: Final = 400
LOSSY: Final = frozenset({
    "anyOf", "oneOf", "not", "if", "then", "else", "patternProperties", "propertyNames",
    "minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "discriminator",
    "unevaluatedProperties", "const", "enum",
})  # fmt: skip
"""Rules over all of an object's members, which its members alone do not keep."""
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


def opened(parts: Sequence[dict[str, Json]]) -> dict[str, Json] | None:
    """Return the one object that an `allOf` describes, where a part of it shuts the others out.

    Taken to the letter, a closed object inside `allOf` refuses what stands beside it: nothing could
    be said at all. None where that is not so, or where merging would lose another rule.
    """
    members: dict[str, Json] = {}
    for part in parts:
        for name, member in dict_of(part.get("properties")).items():
            if members.setdefault(name, member) != member:
                return None
    closed = [part for part in parts if part.get("additionalProperties") is False]
    if not any(members.keys() - dict_of(part.get("properties")).keys() for part in closed):
        return None
    if any(
        part.keys() & LOSSY
        or part.get("type", "object") != "object"
        or part.get("nullable") is True
        or isinstance(part.get("additionalProperties"), dict)
        for part in parts
    ):
        return None
    needed = dict.fromkeys(
        name for part in parts for name in list_of(part.get("required")) if isinstance(name, str)
    )
    made: dict[str, Json] = {
        key: value
        for part in reversed(parts)
        for key, value in part.items()
        if key in ("title", "description", "readOnly", "writeOnly")
    }
    return {
        **made,
        "type": "object",
        "properties": members,
        "required": list(needed),
        "additionalProperties": False,
    }
