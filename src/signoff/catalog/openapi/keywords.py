"""Which JSON Schema keywords survive conversion, and what a well-formed value of each is.

A keyword that is not listed, or whose value is not of its kind, is dropped: a spec in the wild
(`required: true`, `type: "any"`, `minLength: "1"`) must not make a schema that hosts refuse.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Final

from signoff.canonical import Json
from signoff.schema import SchemaError, Validator

_TYPES: Final = frozenset({
    "array", "boolean", "integer", "null", "number", "object", "string",
})  # fmt: skip
_LONGEST_PATTERN: Final = 1_000


@functools.cache
def is_pattern(text: str) -> bool:
    """Say whether a regular expression runs in linear time (no look-around, no back-references)."""
    if len(text) > _LONGEST_PATTERN:
        return False
    try:
        Validator({"pattern": text})
    except SchemaError:
        return False
    return True


def _is_type(value: Json) -> bool:
    if isinstance(value, list):
        names = [name for name in value if isinstance(name, str) and name in _TYPES]
        return bool(names) and len(set(names)) == len(value)
    return isinstance(value, str) and value in _TYPES


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_size(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _is_flag(value: Json) -> bool:
    return isinstance(value, bool)


def _is_list(value: Json) -> bool:
    return isinstance(value, list) and bool(value)


def _is_names(value: Json) -> bool:
    if not isinstance(value, list) or not value:
        return False
    names = [name for name in value if isinstance(name, str)]
    return len(set(names)) == len(value)


def _is_dependency(value: Json) -> bool:
    return isinstance(value, dict) and all(_is_names(names) for names in value.values())


def _is_linear(value: Json) -> bool:
    return isinstance(value, str) and is_pattern(value)


def _anything(value: Json) -> bool:
    del value
    return True


PLAIN: Final[Mapping[str, Callable[[Json], bool]]] = {
    "type": _is_type,
    "enum": _is_list,
    "const": _anything,
    "default": _anything,
    "examples": _is_list,
    "format": _is_text,
    "pattern": _is_linear,
    "contentEncoding": _is_text,
    "contentMediaType": _is_text,
    "deprecated": _is_flag,
    "minimum": _is_number,
    "maximum": _is_number,
    "exclusiveMinimum": _is_number,
    "exclusiveMaximum": _is_number,
    "multipleOf": lambda value: isinstance(value, int | float) and _is_number(value) and value > 0,
    "minLength": _is_size,
    "maxLength": _is_size,
    "minItems": _is_size,
    "maxItems": _is_size,
    "uniqueItems": _is_flag,
    "minContains": _is_size,
    "maxContains": _is_size,
    "minProperties": _is_size,
    "maxProperties": _is_size,
    "required": _is_names,
    "dependentRequired": _is_dependency,
}
"""Keywords that are carried over as they are when their value is well-formed."""

ASSERTING: Final = frozenset({
    "enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minContains",
    "maxContains", "minProperties", "maxProperties", "required", "dependentRequired", "default",
    "examples",
})  # fmt: skip
"""Keywords that an output schema does without: an answer that drifted is still an answer."""
