"""What `tools/list` says, worked out once: names, schemas, annotations, pages.

Owns the listed form of a tool, the `signoff_note` property of tools that ask a person, and paging.
Knows no call: whether a tool asks is told by a function, who sees what by the registry.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from signoff.assistant.builtin import BUILTINS, input_schema
from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.registry import Registry
from signoff.identity import Caller
from signoff.schema import SchemaError, Validator

NOTE: Final = "signoff_note"
NOTE_MAX: Final = 500
PAGE_BYTES: Final = 900_000

_ASKS: Final = (
    "A person must approve each call; the answer may be pending first. Nothing is sent before."
)
_NOTE_SCHEMA: Final[Mapping[str, Json]] = {
    "type": "string",
    "maxLength": NOTE_MAX,
    "description": (
        "Optional: why you make this call, in a sentence. The approver sees it, marked as your "
        "unverified words. It is not sent on."
    ),
}


class CursorError(ValueError):
    """The cursor is not one this server gave."""


class Listing:
    """The listed tools of one catalogue."""

    def __init__(self, registry: Registry, *, asks: Callable[[ToolSpec], bool]) -> None:
        self._registry = registry
        self._entries: dict[str, dict[str, Json]] = {}
        self._schemas: dict[str, dict[str, Json]] = {name: input_schema() for name in BUILTINS}
        self._outputs: dict[str, Validator] = {}
        self._asking: set[str] = set()
        self._noted: set[str] = set()
        self._sizes: dict[str, int] = {}
        self._pages: dict[tuple[str, ...], list[list[Json]]] = {}
        for spec in registry.catalogue.tools:
            self._add(spec, asks=asks(spec))
        for name, builtin in BUILTINS.items():
            self._entries[name] = builtin.listed
        for name, entry in self._entries.items():
            self._sizes[name] = len(json.dumps(entry)) + 1

    def page(self, caller: Caller, cursor: str | None) -> dict[str, Json]:
        """Return one page of what `caller` sees.

        Raises:
            CursorError: `cursor` is not from here.
        """
        names = (*(spec.name for spec in self._registry.visible(caller)), *BUILTINS)
        pages = self._pages.get(names)
        if pages is None:
            pages = self._pages[names] = self._split(sorted(names))
        index = _index(cursor, len(pages))
        result: dict[str, Json] = {"resultType": "complete", "tools": pages[index]}
        if index + 1 < len(pages):
            result["nextCursor"] = f"page-{index + 2}"
        return result

    def input_schema(self, name: str) -> Mapping[str, Json] | None:
        """Return the listed schema of `name`, whoever asks; the SDK checks headers with it."""
        return self._schemas.get(name)

    def asks(self, name: str) -> bool:
        """Tell whether a call of `name` waits for a person."""
        return name in self._asking

    def takes_note(self, name: str) -> bool:
        """Tell whether `signoff_note` is ours, not an argument of the tool."""
        return name in self._noted

    def output(self, name: str) -> Validator | None:
        """Return what structured results of `name` were promised to be."""
        return self._outputs.get(name)

    def _add(self, spec: ToolSpec, *, asks: bool) -> None:
        schema = dict(spec.input_schema)
        description = spec.description
        if asks:
            self._asking.add(spec.name)
            description = f"{description}\n\n{_ASKS}" if description else _ASKS
            properties = schema.get("properties")
            known = properties if isinstance(properties, dict) else {}
            if NOTE not in known:
                self._noted.add(spec.name)
                schema["properties"] = {**known, NOTE: dict(_NOTE_SCHEMA)}
        entry: dict[str, Json] = {
            "name": spec.name,
            "title": spec.title,
            "description": description,
            "inputSchema": schema,
            "annotations": {
                "title": spec.title,
                "readOnlyHint": spec.read_only,
                "destructiveHint": spec.destructive,
                "idempotentHint": spec.idempotent,
                "openWorldHint": True,
            },
        }
        output = spec.output_schema
        # Clients throw away a result that does not fit the listed schema. A pending result never
        # does, and what a person approved must reach the assistant: such tools promise nothing.
        if output is not None and not asks and output.get("type") == "object":
            try:
                self._outputs[spec.name] = Validator(output)
                entry["outputSchema"] = dict(output)
            except SchemaError:
                pass  # what cannot be checked is not promised
        self._schemas[spec.name] = schema
        self._entries[spec.name] = entry

    def _split(self, names: Iterable[str]) -> list[list[Json]]:
        pages: list[list[Json]] = [[]]
        size = 0
        for name in names:
            if pages[-1] and size + self._sizes[name] > PAGE_BYTES:
                pages.append([])
                size = 0
            pages[-1].append(self._entries[name])
            size += self._sizes[name]
        return pages


def _index(cursor: str | None, count: int) -> int:
    if cursor is None:
        return 0
    found = [index for index in range(1, count) if cursor == f"page-{index + 1}"]
    if not found:
        raise CursorError
    return found[0]
