"""A document's operations become tools; what cannot is named with its reason.

Owns the index of a document, made at once from what is cheap to read, and compiling one operation
of it, made when somebody asks. One bad operation never costs the others.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from signoff.catalog.model import Capability, Risk, ToolSpec
from signoff.catalog.openapi import (
    arguments,
    bodies,
    extensions,
    paging,
    parameters,
    path_query,
    responses,
    security,
    servers,
    swagger,
)
from signoff.catalog.openapi.documents import Document, MappingError, Operation
from signoff.catalog.openapi.names import TOOL, tool_names
from signoff.catalog.openapi.risks import READS, default_risk
from signoff.catalog.openapi.schemas import Converter
from signoff.catalog.openapi.secrets import Marks
from signoff.catalog.openapi.texts import describe, plain_text

MAPPING: Final = 6
"""Counts up when the same document would become other tools."""

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "QUERY"})
_TITLE: Final = 80
_SUMMARY: Final = 160
_DESCRIPTION: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty:
    """An operation that is not a tool. `ref` is the `$ref` at fault, if one is."""

    operation: Operation
    reason: str
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """An operation that is to be a tool, and what is known of it so far."""

    operation: Operation
    card: Capability


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the catalogue says of one operation that compiling needs.

    `never_headers` are headers that the operator sets, so no argument may. `is_named` operations
    are offered even when the spec calls them deprecated, or says they should not be.
    """

    never_headers: tuple[str, ...] = ()
    media_type: str | None = None
    is_named: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The upstream that a document is compiled for. `pinned` maps `METHOD path` to a name.

    `prefix` begins every other name.
    """

    upstream: str
    places: servers.Places = field(default_factory=servers.Places)
    given: security.Given = field(default_factory=security.Given)
    indexed: bool = False
    deprecated: bool = False
    pinned: Mapping[str, str] = field(default_factory=dict[str, str])
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What one document gave, in the document's order; names are unique within it."""

    tools: tuple[ToolSpec, ...]
    faulty: tuple[Faulty, ...]


def compile_document(
    document: Document,
    *,
    upstream: str,
    selected: Callable[[Operation], bool] = lambda _: True,
    deprecated: bool = True,
) -> Compiled:
    """Compile the `selected` operations of `document` at once, without a catalogue."""
    index = Index(document, Target(upstream=upstream, deprecated=deprecated), selected=selected)
    tools: list[ToolSpec] = []
    faulty = list(index.faulty)
    for one in index.offered:
        try:
            tools.append(index.tool(one))
        except MappingError as error:
            faulty.append(Faulty(operation=one.operation, reason=error.message, ref=error.ref))
    place = {key: at for at, key in enumerate(index.names)}
    faulty.sort(key=lambda one: place[one.operation.method, one.operation.path])
    return Compiled(tools=tuple(tools), faulty=tuple(faulty))


class Index:
    """The operations of one document for one upstream.

    `offered` become tools, `faulty` cannot, `left_out` are not wanted: each with its reason. Names
    are given to all operations before any is left out, so leaving one out renames no other.
    """

    def __init__(
        self,
        document: Document,
        target: Target,
        *,
        selected: Callable[[Operation], bool] = lambda _: True,
        words: Callable[[Operation], Words] = lambda _: Words(),
    ) -> None:
        self._document, self._target, self._words = document, target, words
        self._inputs = Converter(document, "input")
        self._marks = Marks(self._inputs)
        self._outputs = Converter(document, "output")
        self._never = parameters.never_arguments(document)
        self._schemes = security.schemes_of(document)
        operations = list(document.operations())
        said = {id(one): extensions.read(document, one) for one in operations}
        ids = [(_id(one, said[id(one)]), one.method, one.path) for one in operations]
        self.names = tool_names(ids, target.pinned, prefix=target.prefix)
        self.renamed = _renamed(ids, self.names, target.prefix) if target.pinned else []
        offered: list[Indexed] = []
        self.faulty: list[Faulty] = []
        self.left_out: list[Faulty] = []
        for operation in operations:
            if not selected(operation):
                continue
            extension = said[id(operation)]
            if (fault := _fault(operation)) is not None:
                self.faulty.append(Faulty(operation=operation, reason=fault.message, ref=fault.ref))
            elif (reason := self._unwanted(operation, extension)) is not None:
                self.left_out.append(Faulty(operation=operation, reason=reason))
            else:
                offered.append(Indexed(operation=operation, card=self._card(operation, extension)))
        self.offered: Sequence[Indexed] = offered

    def tool(self, indexed: Indexed) -> ToolSpec:
        """Compile one operation.

        Raises:
            MappingError: says why it cannot be a tool.
        """
        try:
            return self._tool(indexed.operation, indexed.card)
        except RecursionError:
            raise MappingError("it is nested too deeply") from None

    def _unwanted(self, operation: Operation, extension: extensions.Extension) -> str | None:
        if self._words(operation).is_named:
            return None
        if not extension.is_offered:
            return "the spec's x-mcp leaves it out"
        if operation.members.get("deprecated") is True and not self._target.deprecated:
            return "it is deprecated; name it, or set deprecated: true"
        return None

    def _card(self, operation: Operation, extension: extensions.Extension) -> Capability:
        method = operation.method.upper()
        name = self.names[operation.method, operation.path]
        summary = operation.members.get("summary")
        risk, reason = default_risk(operation, extension)
        is_low = risk is Risk.LOW
        return Capability(
            name=name,
            title=plain_text(extension.title or summary, limit=_TITLE) or name,
            upstream=self._target.upstream,
            method=method,
            path=re.split("[?#]", operation.path, maxsplit=1)[0],
            summary=plain_text(summary or operation.members.get("description"), limit=_SUMMARY),
            tags=operation.tags,
            operation_id=operation.id,
            risk=risk,
            risk_reason=reason,
            read_only=method in READS and is_low,
            destructive=method not in READS or not is_low,
            idempotent=method in _IDEMPOTENT and not extension.is_not_idempotent,
            source=f"{self._document.name}#{operation.label}",
            scopes=extension.scopes,
            deprecated=operation.members.get("deprecated") is True,
        )

    def _tool(self, operation: Operation, card: Capability) -> ToolSpec:
        document, target = self._document, self._target
        words = self._words(operation)
        extension = extensions.read(document, operation)
        if document.version == "2.0":
            operation = swagger.lift(document, operation)
        never = self._never | {
            ("header", name.lower().replace("_", "-")) for name in words.never_headers
        }
        query = path_query.read(operation.path)
        # What the path itself says is no argument.
        never |= {("query", name) for name in query.names}
        candidates = parameters.collect(document, operation, never, query)
        if "?" in operation.path and any(one.place == "querystring" for one in candidates):
            raise MappingError("it has a query in its path and a whole query string beside it")
        wish = bodies.Wish(media_type=words.media_type, indexed=target.indexed)
        shape = bodies.read(document, operation, self._inputs, wish)
        merged = arguments.merge(
            candidates, shape, self._inputs, self._marks, indexed=target.indexed
        )
        accept, stream = responses.accepted(document, operation)
        return ToolSpec(
            **_members(card),
            description=_description(operation, extension, card),
            input_schema=merged.schema,
            output_schema=responses.output_schema(document, operation, self._outputs),
            parameters=merged.parameters,
            body=merged.body,
            secret_arguments=merged.secret,
            query=query.fixed,
            server=servers.plan(document, operation, target.places),
            security=security.plan(document.root, operation, self._schemes, target.given),
            accept=accept,
            stream=stream,
            pagination=paging.detect(document, operation, self._outputs, merged.parameters),
        )


def _renamed(
    ids: Sequence[tuple[str | None, str, str]], names: Mapping[tuple[str, str], str], prefix: str
) -> list[tuple[str, str, str]]:
    """Return `(METHOD path, kept name, the name it would have)` where those differ."""
    return [
        (f"{method.upper()} {path}", names[method, path], fresh)
        for (method, path), fresh in tool_names(ids, prefix=prefix).items()
        if names[method, path] != fresh
    ]


def _members(card: Capability) -> dict[str, Any]:
    return {one.name: getattr(card, one.name) for one in fields(card)}


def _id(operation: Operation, extension: extensions.Extension) -> str | None:
    if extension.name is not None and TOOL.fullmatch(extension.name):
        return extension.name
    return operation.id


def _fault(operation: Operation) -> MappingError | None:
    if operation.fault is not None:
        return operation.fault
    try:
        path_query.read(operation.path)
    except MappingError as error:
        return error
    if not operation.path.startswith("/"):
        return MappingError("its path is not a plain path")
    return None


def _description(operation: Operation, extension: extensions.Extension, card: Capability) -> str:
    members = operation.members
    text = plain_text(extension.description, limit=_DESCRIPTION) or describe(
        members.get("summary"), members.get("description"), limit=_DESCRIPTION
    )
    text = text or f"{card.method} {plain_text(operation.path, limit=200)}"
    return f"[deprecated] {text}"[:_DESCRIPTION] if card.deprecated else text
