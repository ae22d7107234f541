"""`upstreams`: the APIs, their headers, and which of their operations become tools.

Owns reading one upstream's section and compiling its spec under it. Where the spec is at fault the
problem names the spec's own file and line.
"""

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from signoff.catalog import templates
from signoff.catalog.config import People, is_http_url
from signoff.catalog.fields import Fields, Word, suggest
from signoff.catalog.model import HeaderTemplate, Reference, Skipped, ToolSpec, Upstream
from signoff.catalog.openapi.compiler import Faulty, compile_document
from signoff.catalog.openapi.documents import METHODS, Document, DocumentError, Operation
from signoff.catalog.treatment import Treatment, apply, read_treatment
from signoff.catalog.yaml_source import Spot

ReadSpec = Callable[[str], tuple[str, bytes]]
"""Takes the path as the catalogue writes it; returns the shown name and the bytes, or OSError."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_APP: Final = re.compile(r"app:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_UPPER: Final = tuple(method.upper() for method in METHODS)


@dataclass(slots=True, kw_only=True)
class Offer:
    """What the upstreams give: themselves, and tools with the place that names each."""

    upstreams: dict[str, Upstream] = field(default_factory=dict[str, Upstream])
    tools: list[tuple[ToolSpec, Spot]] = field(default_factory=list[tuple[ToolSpec, Spot]])
    skipped: list[Skipped] = field(default_factory=list[Skipped])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selector:
    """One member of `expose`; what is set must all match."""

    tags: tuple[Word, ...]
    operations: tuple[Word, ...]
    methods: tuple[Word, ...]
    paths: tuple[Word, ...]

    def matches(self, operation: Operation) -> bool:
        return (
            (not self.tags or any(tag.text in operation.tags for tag in self.tags))
            and (not self.operations or any(_is(operation, one.text) for one in self.operations))
            and (
                not self.methods
                or any(one.text.upper() == operation.method.upper() for one in self.methods)
            )
            and (
                not self.paths
                or any(fnmatch.fnmatchcase(operation.path, one.text) for one in self.paths)
            )
        )


def read_upstreams(root: Fields, people: People, read_spec: ReadSpec) -> Offer:
    """Read `upstreams` and compile their specs."""
    offer = Offer()
    for path, member in root.members("upstreams"):
        fields = root.as_fields(member.node, path, member.spot)
        if fields is None:
            continue
        if not _NAME.fullmatch(member.key):
            root.problems.add(member.spot, f"{path}: must be 1 to 40 letters, digits, _ or -")
        _Reader(member.key, fields, people, offer).read(read_spec)
    return offer


class _Reader:
    def __init__(self, name: str, fields: Fields, people: People, offer: Offer) -> None:
        self._name, self._fields, self._people, self._offer = name, fields, people, offer

    def read(self, read_spec: ReadSpec) -> None:
        fields = self._fields
        upstream = self._upstream()
        self._offer.upstreams[self._name] = upstream
        selectors = self._selectors()
        treatments = self._treatments()
        openapi = fields.word("openapi")
        fields.close()
        if openapi is None:
            for key in ("expose", "operations"):
                if key in fields:
                    fields.complain(key, "means operations of a spec; openapi is missing")
            return
        document = self._document(openapi, read_spec)
        if document is not None:
            self._compile(document, upstream, selectors, treatments)

    def _upstream(self) -> Upstream:
        fields = self._fields
        fields.needs("base_url", "is needed; a spec's own servers are not trusted")
        base_url = fields.text("base_url")
        if base_url.startswith("app:"):
            if not _APP.fullmatch(base_url):
                fields.complain(
                    "base_url", 'a Python app is written "app:package.module:attribute"'
                )
        elif base_url and not is_http_url(base_url):
            fields.complain(
                "base_url",
                "must be http(s)://host/path without credentials, query or fragment, or app:…",
            )
        default = Upstream(name="", base_url="")
        audience = fields.text("audience") or None
        return Upstream(
            name=self._name,
            base_url=base_url.rstrip("/"),
            audience=audience,
            headers=tuple(self._headers(audience)),
            timeout_s=fields.duration("timeout", default.timeout_s, least="100ms", most="10m"),
            max_response_bytes=fields.integer(
                "max_response_bytes", default.max_response_bytes, least=1_024, most=67_108_864
            ),
        )

    def _headers(self, audience: str | None) -> list[HeaderTemplate]:
        found: dict[str, HeaderTemplate] = {}
        for path, member in self._fields.members("headers"):
            word = self._fields.as_word(member.node, path)
            if word is None:
                continue

            def complain(message: str, spot: Spot = word.spot, path: str = path) -> None:
                self._fields.problems.add(spot, f"{path}: {message}")

            folded = member.key.lower().replace("_", "-")
            if folded in found:
                complain(f"is the same header as {found[folded].name}")
                continue
            header = templates.header(member.key, word, complain)
            if header is None:
                continue
            found[folded] = header
            if audience is None and any(
                isinstance(part, Reference) and part.kind == "approval" for part in header.parts
            ):
                complain(f"${{approval.token}} needs {self._fields.path}.audience: who it is for")
        return list(found.values())

    def _selectors(self) -> list[_Selector]:
        found: list[_Selector] = []
        for path, node in self._fields.nodes("expose"):
            fields = self._fields.as_fields(node, path)
            if fields is None:
                continue
            selector = _Selector(
                tags=tuple(fields.words("tags")),
                operations=tuple(fields.words("operations")),
                methods=tuple(fields.words("methods")),
                paths=tuple(fields.words("paths")),
            )
            fields.close()
            if not (selector.tags or selector.operations or selector.methods or selector.paths):
                message = f"{path}: names no tags, operations, methods or paths"
                fields.problems.add(fields.spot, message)
            found.append(selector)
        return found

    def _treatments(self) -> dict[str, Treatment]:
        found: dict[str, Treatment] = {}
        for path, member in self._fields.members("operations"):
            operation = self._fields.as_fields(member.node, path, member.spot)
            if operation is not None:
                found[member.key] = read_treatment(operation, self._people)
                operation.close()
        return found

    def _document(self, openapi: Word, read_spec: ReadSpec) -> Document | None:
        problems = self._fields.problems
        try:
            name, text = read_spec(openapi.text)
        except OSError as error:
            reason = error.strerror or "not a file"
            self._fields.complain("openapi", f'"{openapi.text}" cannot be read: {reason}')
            return None
        try:
            return Document(text, name=name)
        except DocumentError as error:
            problems.add(error.spot, error.message, file=name)
            return None

    def _compile(
        self,
        document: Document,
        upstream: Upstream,
        selectors: Sequence[_Selector],
        treatments: Mapping[str, Treatment],
    ) -> None:
        fields = self._fields
        operations = list(document.operations())
        self._check_selectors(selectors, operations)
        self._check_treated(treatments, selectors, operations)
        operators = [header.name for header in upstream.headers]

        def selected(operation: Operation) -> bool:
            return not selectors or any(one.matches(operation) for one in selectors)

        def never_headers(operation: Operation) -> list[str]:
            treatment = _treatment(treatments, operation)
            header = treatment.retry.header if treatment else None
            return [*operators, header] if header else operators

        compiled = compile_document(
            document, upstream=self._name, selected=selected, never_headers=never_headers
        )
        for tool in compiled.tools:
            treatment = treatments.get(tool.operation_id or "") or treatments.get(
                f"{tool.method} {tool.path}"
            )
            spot = fields.spot_of("openapi")
            if treatment is not None:
                tool = apply(tool, treatment, fields.problems)  # noqa: PLW2901 — the same tool
                spot = treatment.name.spot if treatment.name else treatment.spot
            self._offer.tools.append((tool, spot))
        named = {one.text for selector in selectors for one in selector.operations}
        for faulty in compiled.faulty:
            self._report(document, faulty, named | treatments.keys())

    def _report(self, document: Document, faulty: Faulty, named: set[str]) -> None:
        """What the operator asked for by name is a problem; the rest is listed as skipped."""
        operation = faulty.operation
        if any(_is(operation, name) for name in named):
            needle = faulty.ref or operation.id or operation.path
            spot = document.spot_of(f'"{needle}"')
            if (spot.line, spot.column) == (1, 1):
                spot = document.spot_of(needle)
            message = f"{operation.label}: cannot become a tool: {faulty.reason}"
            self._fields.problems.add(spot, message, file=document.name)
        else:
            self._offer.skipped.append(
                Skipped(source=document.name, operation=operation.label, reason=faulty.reason)
            )

    def _check_selectors(
        self, selectors: Sequence[_Selector], operations: Sequence[Operation]
    ) -> None:
        tags = {tag for operation in operations for tag in operation.tags}
        problems = self._fields.problems
        for at, selector in enumerate(selectors):
            path = f"{self._fields.path}.expose[{at}]"
            for word in selector.tags:
                if word.text not in tags:
                    hint = suggest(word.text, tags)
                    message = f'{path}.tags: no operation has the tag "{word.text[:60]}"{hint}'
                    problems.add(word.spot, message)
            for word in selector.operations:
                self._check_operation(word, f"{path}.operations", operations)
            for word in selector.methods:
                if word.text.upper() not in _UPPER:
                    hint = suggest(word.text.upper(), _UPPER)
                    message = f'{path}.methods: "{word.text[:20]}" is not a method{hint}'
                    problems.add(word.spot, message)
            for word in selector.paths:
                if not any(fnmatch.fnmatchcase(one.path, word.text) for one in operations):
                    message = f'{path}.paths: no operation has a path like "{word.text[:100]}"'
                    problems.add(word.spot, message)

    def _check_operation(self, word: Word, path: str, operations: Sequence[Operation]) -> bool:
        if any(_is(operation, word.text) for operation in operations):
            return True
        hint = suggest(word.text, [operation.label for operation in operations])
        message = f'{path}: the spec has no operation "{word.text[:80]}"{hint}'
        self._fields.problems.add(word.spot, message)
        return False

    def _check_treated(
        self,
        treatments: Mapping[str, Treatment],
        selectors: Sequence[_Selector],
        operations: Sequence[Operation],
    ) -> None:
        for name, treatment in treatments.items():
            word = Word(text=name, spot=treatment.spot)
            if not self._check_operation(word, f"{self._fields.path}.operations", operations):
                continue
            meant = [operation for operation in operations if _is(operation, name)]
            if selectors and not any(one.matches(meant[0]) for one in selectors):
                message = f"{treatment.path}: is not exposed; add it to {self._fields.path}.expose"
                self._fields.problems.add(treatment.spot, message)


def _is(operation: Operation, name: str) -> bool:
    return name == operation.id or name == f"{operation.method.upper()} {operation.path}"


def _treatment(treatments: Mapping[str, Treatment], operation: Operation) -> Treatment | None:
    return next((one for name, one in treatments.items() if _is(operation, name)), None)
