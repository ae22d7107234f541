"""JSON Schema, checked without network and in linear time.

Owns compiling a schema and wording its violations. Never fetches: a remote `$ref` is refused at
compile time, and patterns run on a regex engine without backtracking.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonschema_rs

from signoff.canonical import Json


class SchemaError(ValueError):
    """The schema cannot be used. The message says why, `path` in which part of it, if known."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One rule that a value breaks. `path` is a dotted path from the root, empty for the root."""

    path: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'arguments'}: {self.message} ({self.rule})"


class Validator:
    """A compiled schema."""

    def __init__(self, schema: Mapping[str, Json]) -> None:
        try:
            self._compiled = jsonschema_rs.Draft202012Validator(
                dict(schema),
                retriever=_refuse,
                validate_formats=False,
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            place = tuple(getattr(error, "instance_path", ()))
            raise SchemaError(str(error).split("\n", 1)[0][:300], place) from error

    def violations(self, value: Json, *, limit: int = 10) -> list[Violation]:
        """Return what `value` breaks, the first `limit` of it; empty when it is valid."""
        found: list[Violation] = []
        for error in self._compiled.iter_errors(value):
            found.append(_worded(error))
            if len(found) == limit:
                break
        return found


def check_schema(schema: Mapping[str, Json]) -> None:
    """Check a schema against the meta-schema of its dialect; it is not compiled.

    Raises:
        SchemaError: says what is not allowed.
    """
    try:
        jsonschema_rs.meta.validate(dict(schema))
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise SchemaError(str(error).split("\n", 1)[0][:300]) from error


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"the remote $ref {uri[:200]} is not fetched")


def _worded(error: Any) -> Violation:
    path = ".".join(str(step) for step in error.instance_path)
    rule = str(error.schema_path[-1]) if error.schema_path else "schema"
    message = str(error.message).split("\n", 1)[0]
    return Violation(path=path, rule=rule, message=message[:300])
