"""Words of a command line to tool arguments, by the tool's own schema.

Pure: knows no connection. A word is text unless the schema says otherwise.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final, cast

from signoff.canonical import Json, JsonError, parse

_JSON_TYPES: Final = frozenset({"integer", "number", "boolean", "array", "object", "null"})


class ArgumentError(ValueError):
    """A word that does not become an argument. The message names it and the fix."""


def from_words(
    words: Sequence[str], *, schema: Mapping[str, Json], document: str | None = None
) -> dict[str, Json]:
    """Return the arguments in `words` (`name=value`) over those of `document` (a JSON object).

    A value is text where the schema allows a string, else JSON.

    Raises:
        ArgumentError: a word without `=`, an unknown name, or a value that is not JSON.
    """
    arguments = _document(document)
    properties = cast("Mapping[str, Mapping[str, Json]]", schema.get("properties", {}))
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            raise ArgumentError(f"--arg {word}: write name=value")
        if name not in properties and schema.get("additionalProperties") is False:
            close = get_close_matches(name, properties, n=1)
            hint = f", did you mean {close[0]}?" if close else f"; it takes {_listed(properties)}"
            raise ArgumentError(f"--arg {name}: the tool has no such argument{hint}")
        arguments[name] = _value(name, value, properties.get(name, {}))
    return arguments


def _document(text: str | None) -> dict[str, Json]:
    if text is None:
        return {}
    try:
        value = parse(text)
    except JsonError as error:
        raise ArgumentError(f"--json: this is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ArgumentError("--json: write one JSON object, as in '{\"amount\": 25}'")
    return value


def _value(name: str, text: str, schema: Mapping[str, Json]) -> Json:
    declared = schema.get("type")
    types = {declared} if isinstance(declared, str) else set(cast("list[str]", declared or []))
    if "string" in types or not types & _JSON_TYPES:
        return text
    try:
        return parse(text)
    except JsonError:
        expected = " or ".join(sorted(types))
        raise ArgumentError(f"--arg {name}: {text!r} is not {expected}") from None


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "no arguments"
