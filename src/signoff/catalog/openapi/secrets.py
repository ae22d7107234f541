"""Which members of a schema are secret, found through `$ref`, `allOf` and nested objects.

Owns the marks (`writeOnly`, `format: password`, `x-secret: true`). A mark can only hide more.
"""

from collections.abc import Iterable
from typing import Final

from signoff.canonical import Json
from signoff.catalog.openapi.documents import dict_of, list_of
from signoff.catalog.openapi.schemas import Converter

_DEEPEST: Final = 8
_MOST: Final = 2_000
_MARKS: Final = ("writeOnly", "password", "x-secret")


def is_secret(converter: Converter, schema: Json) -> bool:
    """Say whether a value of this schema must not be shown."""
    whole = dict_of(schema)
    if "$ref" not in whole and "allOf" not in whole:
        return _is_marked(whole)
    return any(map(_is_marked, converter.parts(schema)))


def _is_marked(part: dict[str, Json]) -> bool:
    return (
        part.get("writeOnly") is True
        or part.get("format") == "password"
        or part.get("x-secret") is True
    )


def secret_paths(converter: Converter, schemas: Iterable[Json]) -> frozenset[tuple[str, ...]]:
    """Return the paths of secret members; the items of a list share their list's path."""
    found: set[tuple[str, ...]] = set()
    if not converter.document.mentions(*_MARKS):
        return frozenset()
    waiting: list[tuple[tuple[str, ...], Json]] = [((), schema) for schema in schemas]
    visited = 0
    while waiting and visited < _MOST:
        path, schema = waiting.pop()
        visited += 1
        for part in converter.parts(schema):
            for name, member in dict_of(part.get("properties")).items():
                if is_secret(converter, member):
                    found.add((*path, name))
                elif len(path) < _DEEPEST:
                    waiting.append(((*path, name), member))
            items = part.get("items")
            if isinstance(items, dict) and path and len(path) < _DEEPEST:
                if is_secret(converter, items):
                    found.add(path)
                else:
                    waiting.append((path, items))
            waiting += [
                (path, branch)
                for keyword in ("anyOf", "oneOf")
                for branch in list_of(part.get(keyword))
            ]
    return frozenset(found)
