"""`expose`: which operations of a spec become tools.

Owns matching and what is odd about a selector. Knows no treatment and compiles nothing.
"""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from signoff.catalog.fields import Fields, Word, suggest
from signoff.catalog.openapi.documents import METHODS, Operation

_UPPER: Final = tuple(method.upper() for method in METHODS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """One member of `expose`; what is set must all match."""

    tags: tuple[Word, ...]
    operations: tuple[Word, ...]
    methods: tuple[Word, ...]
    paths: tuple[Word, ...]

    def matches(self, operation: Operation) -> bool:
        return (
            (not self.tags or any(tag.text in operation.tags for tag in self.tags))
            and (
                not self.operations or any(is_named(operation, one.text) for one in self.operations)
            )
            and (
                not self.methods
                or any(one.text.upper() == operation.method.upper() for one in self.methods)
            )
            and (
                not self.paths
                or any(fnmatch.fnmatchcase(operation.path, one.text) for one in self.paths)
            )
        )


def read_selectors(fields: Fields) -> list[Selector]:
    """Read `expose` of one upstream."""
    found: list[Selector] = []
    for path, node in fields.nodes("expose"):
        inner = fields.as_fields(node, path)
        if inner is None:
            continue
        selector = Selector(
            tags=tuple(inner.words("tags")),
            operations=tuple(inner.words("operations")),
            methods=tuple(inner.words("methods")),
            paths=tuple(inner.words("paths")),
        )
        inner.close()
        if not (selector.tags or selector.operations or selector.methods or selector.paths):
            message = f"{path}: names no tags, operations, methods or paths"
            inner.problems.add(inner.spot, message)
        found.append(selector)
    return found


def check_selectors(
    fields: Fields, selectors: Sequence[Selector], operations: Sequence[Operation]
) -> None:
    """Report what no operation fits."""
    tags = {tag for operation in operations for tag in operation.tags}
    problems = fields.problems
    for at, selector in enumerate(selectors):
        path = f"{fields.path}.expose[{at}]"
        for word in selector.tags:
            if word.text not in tags:
                hint = suggest(word.text, tags)
                message = f'{path}.tags: no operation has the tag "{word.text[:60]}"{hint}'
                problems.add(word.spot, message)
        for word in selector.operations:
            check_operation(fields, word, f"{path}.operations", operations)
        for word in selector.methods:
            if word.text.upper() not in _UPPER:
                hint = suggest(word.text.upper(), _UPPER)
                message = f'{path}.methods: "{word.text[:20]}" is not a method{hint}'
                problems.add(word.spot, message)
        for word in selector.paths:
            if not any(fnmatch.fnmatchcase(one.path, word.text) for one in operations):
                message = f'{path}.paths: no operation has a path like "{word.text[:100]}"'
                problems.add(word.spot, message)


def check_operation(fields: Fields, word: Word, path: str, operations: Sequence[Operation]) -> bool:
    """Say whether the spec has the operation that `word` names; if not, report it."""
    if any(is_named(operation, word.text) for operation in operations):
        return True
    hint = suggest(word.text, [operation.label for operation in operations])
    message = f'{path}: the spec has no operation "{word.text[:80]}"{hint}'
    fields.problems.add(word.spot, message)
    return False


def is_selected(selectors: Sequence[Selector], operation: Operation) -> bool:
    """Say whether an operation is exposed; without selectors every one is."""
    return not selectors or any(one.matches(operation) for one in selectors)


def is_named(operation: Operation, name: str) -> bool:
    """Say whether `name` is the operation's id, or its `METHOD path`."""
    return name == operation.id or name == f"{operation.method.upper()} {operation.path}"
