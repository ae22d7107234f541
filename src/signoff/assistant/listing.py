"""What `tools/list` says, worked out once: names, schemas, annotations, pages.

Owns the listed form of a tool, the `signoff_note` property of tools that ask a person, what a list
may weigh, and paging. A long list is made in slices, so that calls go on meanwhile. A large
catalogue lists the tools of `large.py` in place of its own. Knows no call: whether a tool asks is
told by a function, who sees what by the registry.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from signoff.assistant.builtin import BUILTINS, input_schema
from signoff.assistant.large import META
from signoff.canonical import Json
from signoff.catalog.model import Capability, RefStyle, ToolSpec
from signoff.catalog.registry import Registry
from signoff.catalog.shaping import Forms, inlined, size_of
from signoff.identity import Caller
from signoff.schema import SchemaError, Validator

NOTE: Final = "signoff_note"
NOTE_MAX: Final = 500
PAGE_BYTES: Final = 900_000

_ASKS: Final = (
    "A person must approve each call; the answer may be pending first. Nothing is sent before."
)
_CUT: Final = "Part of its schema is left out here; describe_tool shows all of it."
_NOTE_SCHEMA: Final[Mapping[str, Json]] = {
    "type": "string",
    "maxLength": NOTE_MAX,
    "description": (
        "Optional: why you make this call, in a sentence. The approver sees it, marked as your "
        "unverified words. It is not sent on."
    ),
}
_INLINING: Final = ("Visual Studio Code", "Visual Studio Code - Insiders")
"""Hosts that do not follow `$ref` in a tool's schema."""
_TIGHTER: Final = (6_144, 4_096, 3_072, 2_048, 1_536, 1_024, 768)
_SLICE_S: Final = 0.005
_REMEMBERED: Final = 64
"""Lists: callers that see the same tools in the same form share one."""

_T = TypeVar("_T")
_Pages: TypeAlias = list[list[Json]]
_Steps: TypeAlias = Generator[None, None, _T]
"""Work that pauses after each tool."""


class CursorError(ValueError):
    """The cursor is not one this server gave."""


class Listing:
    """The listed tools of one catalogue."""

    def __init__(self, registry: Registry, *, asks: Callable[[Capability], bool]) -> None:
        self._registry, self._asks = registry, asks
        self._server = registry.catalogue.server
        self._outputs: dict[str, Validator | None] = {}
        self._entries: dict[str, dict[str, Json]] = {}
        self._pages: dict[tuple[RefStyle, tuple[str, ...]], _Pages] = {}
        self._making = asyncio.Lock()

    def page(self, caller: Caller, cursor: str | None, client: str = "") -> dict[str, Json]:
        """Return one page of what `caller` sees, as the host named `client` takes it.

        Raises:
            CursorError: `cursor` is not from here.
        """
        return _at(_run(self._made(caller, client)), cursor)

    async def page_in_slices(
        self, caller: Caller, cursor: str | None, client: str = ""
    ) -> dict[str, Json]:
        """Return what `page` does; while a long list is made, others have their turns.

        Raises:
            CursorError: `cursor` is not from here.
        """
        async with self._making:  # who comes meanwhile wants the same list
            pages = await _run_in_slices(self._made(caller, client))
        return _at(pages, cursor)

    def _made(self, caller: Caller, client: str) -> _Steps[_Pages]:
        names = tuple(card.name for card in self._registry.visible(caller))
        key = self._style(client), names
        pages = self._pages.get(key)
        if pages is None:
            entries = yield from self._listed(caller, names, key[0])
            pages = yield from _split(entries)
            while len(self._pages) >= _REMEMBERED:
                del self._pages[next(iter(self._pages))]
            self._pages[key] = pages
        return pages

    def is_large(self, caller: Caller) -> bool:
        """Tell whether what `caller` sees is searched instead of listed."""
        return len(self._registry.visible(caller)) > self._server.max_tools

    def described(self, caller: Caller, name: str, client: str = "") -> dict[str, Json] | None:
        """Return all there is to say of one tool, nothing cut; None for one that is not there."""
        spec = self._registry.find(caller, name)
        if spec is None:
            return None
        schema = self._input(spec)
        if self._style(client) == "inline":
            schema, _ = inlined(schema, self._server.tool_bytes * 8)
        return self._entry(spec, schema)

    def input_schema(self, name: str) -> Mapping[str, Json] | None:
        """Return the schema of `name`, whoever asks; the SDK checks headers with it."""
        if name in BUILTINS:
            return input_schema()
        if name in META:
            return META[name].input_schema
        spec = self._registry.named(name)
        return None if spec is None else self._input(spec)

    def asks(self, spec: Capability) -> bool:
        """Tell whether a call of a tool waits for a person."""
        return self._asks(spec)

    def takes_note(self, spec: ToolSpec) -> bool:
        """Tell whether `signoff_note` is ours, not an argument of the tool."""
        return self._asks(spec) and NOTE not in _properties(spec.input_schema)

    def output(self, spec: ToolSpec) -> Validator | None:
        """Return what structured results of a tool were promised to be."""
        if spec.name not in self._outputs:
            self._outputs[spec.name] = self._promise(spec)
        return self._outputs[spec.name]

    def weight(self, spec: ToolSpec) -> int:
        """Return the bytes of a tool as it is listed on its own."""
        forms = Forms(self._input(spec))
        return size_of(self._fitted(spec, forms, self._server.refs, self._server.tool_bytes))

    def _style(self, client: str) -> RefStyle:
        default: RefStyle = "inline" if client in _INLINING else self._server.refs
        return self._server.client_refs.get(client, default)

    def _listed(
        self, caller: Caller, names: Sequence[str], style: RefStyle
    ) -> _Steps[list[dict[str, Json]]]:
        fixed = [builtin.listed for builtin in BUILTINS.values()]
        if self.is_large(caller):
            return sorted([*fixed, *(one.listed for one in META.values())], key=_name)
        specs: list[ToolSpec] = []
        for name in names:
            spec = self._registry.find(caller, name)  # the first time, this compiles it
            if spec is not None:
                specs.append(spec)
            yield
        entries = yield from self._within_budget(specs, style)
        if any(_CUT in str(entry["description"]) for entry in entries):
            fixed.append(META["describe_tool"].listed)
        return sorted([*fixed, *entries], key=_name)

    def _within_budget(
        self, specs: Sequence[ToolSpec], style: RefStyle
    ) -> _Steps[list[dict[str, Json]]]:
        """Return the entries; where all of them are too much, the largest give way first."""
        limit = self._server.tool_bytes
        allowed = self._server.list_bytes - sum(size_of(one.listed) for one in BUILTINS.values())
        entries: dict[str, dict[str, Json]] = {}
        sizes: dict[str, int] = {}
        forms: dict[str, Forms] = {}
        for spec in specs:
            forms[spec.name] = Forms(self._input(spec))
            entries[spec.name] = entry = self._fitted(spec, forms[spec.name], style, limit)
            sizes[spec.name] = size_of(entry)
            yield
        for tighter in _TIGHTER:
            if sum(sizes.values()) + len(sizes) <= allowed:
                break
            for spec in specs:
                if sizes[spec.name] > tighter:
                    least = min(limit, tighter)
                    entry = self._fitted(spec, forms[spec.name], style, least, bare=True)
                    entries[spec.name], sizes[spec.name] = entry, size_of(entry)
                    yield
        return list(entries.values())

    def _fitted(
        self, spec: ToolSpec, forms: Forms, style: RefStyle, limit: int, *, bare: bool = False
    ) -> dict[str, Json]:
        if style == "inline":
            fitted, was_cut = inlined(self._input(spec), limit)
        else:
            fitted, was_cut = forms.within(limit)
        entry = self._entry(spec, fitted)
        if "outputSchema" in entry and (bare or style == "inline"):
            del entry["outputSchema"]
        if was_cut:
            entry["description"] = f"{entry['description']}\n\n{_CUT}"
        return entry

    def _input(self, spec: ToolSpec) -> dict[str, Json]:
        schema = dict(spec.input_schema)
        if self.takes_note(spec):
            schema["properties"] = {**_properties(schema), NOTE: dict(_NOTE_SCHEMA)}
        return schema

    def _entry(self, spec: ToolSpec, schema: dict[str, Json]) -> dict[str, Json]:
        description = spec.description
        if self._asks(spec):
            description = f"{description}\n\n{_ASKS}" if description else _ASKS
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
        if spec.output_schema is not None and self.output(spec) is not None:
            entry["outputSchema"] = dict(spec.output_schema)
        return entry

    def _promise(self, spec: ToolSpec) -> Validator | None:
        # Clients throw away a result that does not fit the listed schema. A pending result never
        # does, and what a person approved must reach the assistant: such tools promise nothing.
        output = spec.output_schema
        if output is None or self._asks(spec) or output.get("type") != "object":
            return None
        try:
            return Validator(output)
        except SchemaError:
            return None  # what cannot be checked is not promised


def _run(steps: _Steps[_T]) -> _T:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


async def _run_in_slices(steps: _Steps[_T]) -> _T:
    loop = asyncio.get_running_loop()
    until = loop.time() + _SLICE_S
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value
        if loop.time() >= until:
            await asyncio.sleep(0)
            until = loop.time() + _SLICE_S


def _at(pages: _Pages, cursor: str | None) -> dict[str, Json]:
    index = _index(cursor, len(pages))
    result: dict[str, Json] = {"resultType": "complete", "tools": pages[index]}
    if index + 1 < len(pages):
        result["nextCursor"] = f"page-{index + 2}"
    return result


def _split(entries: Iterable[dict[str, Json]]) -> _Steps[_Pages]:
    pages: _Pages = [[]]
    size = 0
    for entry in entries:
        yield
        weight = size_of(entry) + 1
        if pages[-1] and size + weight > PAGE_BYTES:
            pages.append([])
            size = 0
        pages[-1].append(entry)
        size += weight
    return pages


def _name(entry: Mapping[str, Json]) -> str:
    return str(entry["name"])


def _properties(schema: Mapping[str, Json]) -> dict[str, Json]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _index(cursor: str | None, count: int) -> int:
    if cursor is None:
        return 0
    found = [index for index in range(1, count) if cursor == f"page-{index + 1}"]
    if not found:
        raise CursorError
    return found[0]
