"""Which members of a schema are secret, found through every way a schema holds another.

Owns the marks (`writeOnly`, `format: password`, `x-secret: true`). A mark can only hide more: what
is too deep or too much to look through, and holds a mark somewhere, is hidden whole.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from signoff.canonical import Json
from signoff.catalog.openapi.documents import MappingError, dict_of, list_of
from signoff.catalog.openapi.schemas import Converter

Path: TypeAlias = tuple[str, ...]

ANY: Final = "*"
"""The step into whatever member has no name of its own."""
_DEEPEST: Final = 8
_MOST: Final = 500
_MARKS: Final = ("writeOnly", "password", "x-secret")
_NAMELESS: Final = ("additionalProperties", "unevaluatedProperties")
_ITEMS: Final = ("items", "contains", "unevaluatedItems", "additionalItems")
_BRANCHES: Final = ("anyOf", "oneOf", "prefixItems", "items")
_CONDITIONS: Final = ("then", "else", "if", "not")


class Marks:
    """The secrets of one document's schemas. A list's items share their list's path."""

    def __init__(self, converter: Converter) -> None:
        self._converter = converter
        self._is_marked = converter.document.mentions(*_MARKS)
        self._known: dict[str, bool] = {}

    def is_secret(self, schema: Json) -> bool:
        """Say whether a value of this schema must not be shown at all."""
        return () in self.paths((schema,))

    def holds(self, schema: Json) -> bool:
        """Say whether there is a mark anywhere in `schema`, or in what it refers to."""
        if not self._is_marked:
            return False
        marked, refs = _scanned(schema)
        return marked or any(self._reaches(ref) for ref in refs)

    def paths(self, schemas: Iterable[Json]) -> frozenset[Path]:
        """Return where secrets stand in a value of all of `schemas`; `()` is the whole value."""
        found: set[Path] = set()
        seen: set[tuple[Path, str]] = set()
        waiting: deque[tuple[Path, Json]] = deque(((), schema) for schema in schemas)
        visited = 0
        while waiting:  # what lies near the top is looked at first
            path, schema = waiting.popleft()
            ref = str(dict_of(schema).get("$ref", ""))
            if path in found or (ref and (path, ref) in seen) or not self.holds(schema):
                continue
            seen.add((path, ref))
            visited += 1
            if visited > _MOST or len(path) > _DEEPEST or self._is_marked_itself(schema):
                found.add(path)
                continue
            for part in self._converter.parts(schema):
                waiting.extend((*_inside(path, part),))
        return frozenset(found)

    def _is_marked_itself(self, schema: Json) -> bool:
        return any(_has_mark(part) for part in self._converter.parts(schema))

    def _reaches(self, start: str) -> bool:
        """Say whether a definition leads to a mark; answers for all that it refers to at once."""
        edges: dict[str, frozenset[str]] = {}
        marked: set[str] = set()
        waiting = [start]
        while waiting:
            ref = waiting.pop()
            if ref in edges or ref in self._known:
                continue
            is_marked, edges[ref] = _scanned(self._target(ref))
            waiting.extend(edges[ref])
            if is_marked or any(self._known.get(one, False) for one in edges[ref]):
                marked.add(ref)
        sources: dict[str, list[str]] = {}
        for ref, targets in edges.items():
            for target in targets:
                sources.setdefault(target, []).append(ref)
        spreading = list(marked)
        while spreading:
            for source in sources.get(spreading.pop(), ()):
                if source not in marked:
                    marked.add(source)
                    spreading.append(source)
        self._known |= {ref: ref in marked for ref in edges}
        return self._known[start]

    def _target(self, ref: str) -> Json:
        try:
            return self._converter.document.resolve(ref)
        except MappingError:  # it stands in an example, or costs the operation elsewhere
            return None


def _inside(path: Path, part: dict[str, Json]) -> Iterator[tuple[Path, Json]]:
    for name, member in dict_of(part.get("properties")).items():
        yield (*path, name), member
    for keyword in _NAMELESS:
        yield (*path, ANY), part.get(keyword)
    for member in dict_of(part.get("patternProperties")).values():
        yield (*path, ANY), member
    for keyword in (*_ITEMS, *_CONDITIONS):
        yield path, part.get(keyword)
    for keyword in _BRANCHES:
        yield from ((path, branch) for branch in list_of(part.get(keyword)))
    yield from ((path, one) for one in dict_of(part.get("dependentSchemas")).values())


def _has_mark(part: dict[str, Json]) -> bool:
    return (
        part.get("writeOnly") is True
        or part.get("format") == "password"
        or part.get("x-secret") is True
    )


def _scanned(schema: Json) -> tuple[bool, frozenset[str]]:
    """Return whether a mark is written in `schema`, and what it refers to.

    Looks at everything below, also at what is no schema: a mark too many only costs time.
    """
    refs: set[str] = set()
    marked = False
    waiting: list[Json] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            marked = marked or _has_mark(part)
            ref = part.get("$ref")
            if isinstance(ref, str):
                refs.add(ref)
            waiting.extend(value for value in part.values() if isinstance(value, dict | list))
        elif isinstance(part, list):
            waiting.extend(value for value in part if isinstance(value, dict | list))
    return marked, frozenset(refs)
