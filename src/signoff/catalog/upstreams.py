"""`upstreams`: the APIs, their headers and credentials, and which operations become tools.

Owns reading one upstream's section and indexing its spec under it. Where the spec is at fault the
problem names the spec's own file and line.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final, cast

from signoff.catalog import templates
from signoff.catalog.approving import Defaults, read_defaults
from signoff.catalog.config import People, is_http_url
from signoff.catalog.credentials import read_certificate, read_credentials
from signoff.catalog.fields import Fields, Problems, Word
from signoff.catalog.grants import Wanted, read_wanted
from signoff.catalog.idle import check_against, check_idle, note_clashes
from signoff.catalog.model import (
    HeaderTemplate,
    Reference,
    Skipped,
    ToolSpec,
    Upstream,
)
from signoff.catalog.naming import read_prefix
from signoff.catalog.offered import Entry, ready
from signoff.catalog.openapi.compiler import MAPPING, Faulty, Index, Indexed, Target, Words
from signoff.catalog.openapi.documents import Document, MappingError, Operation
from signoff.catalog.openapi.security import Given, schemes_of
from signoff.catalog.pins import Pins
from signoff.catalog.reach import read_client, read_places, read_private, read_refs
from signoff.catalog.selectors import (
    Selector,
    check_operation,
    check_selectors,
    is_named,
    is_selected,
    read_selectors,
)
from signoff.catalog.specs import Specs, open_document
from signoff.catalog.treatment import Treatment, apply, read_treatment
from signoff.catalog.visibility import read_visibility
from signoff.catalog.yaml_source import Spot

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_APP: Final = re.compile(r"app:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


@dataclass(slots=True, kw_only=True)
class Offer:
    """What the upstreams give: themselves, and tools with the place that names each."""

    upstreams: dict[str, Upstream] = field(default_factory=dict[str, Upstream])
    entries: list[tuple[Entry, Spot]] = field(default_factory=list[tuple[Entry, Spot]])
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    """By upstream, a hash of all that compiling its operations reads."""
    always: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """By upstream, the credentials that go with every call."""
    approvals: dict[str, Defaults] = field(default_factory=dict[str, Defaults])
    """By upstream, how its capabilities are signed off where they do not say it themselves."""
    grants: dict[str, Wanted] = field(default_factory=dict[str, Wanted])
    """By upstream, what goes without asking; only those that say so."""
    names: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """By upstream, the name of every operation, `METHOD path`."""
    prefixes: dict[str, str] = field(default_factory=dict[str, str])
    """By upstream, what begins the names of its spec's operations; only those that say so."""


def read_upstreams(
    root: Fields, people: People, specs: Specs, pins: Pins, notes: Problems
) -> Offer:
    """Read `upstreams` and index their specs."""
    offer = Offer()
    for path, member in root.members("upstreams"):
        fields = root.as_fields(member.node, path, member.spot)
        if fields is None:
            continue
        if not _NAME.fullmatch(member.key):
            root.problems.add(member.spot, f"{path}: must be 1 to 40 letters, digits, _ or -")
        pinned = pins.get(member.key, {})
        _Reader(member.key, fields, people, offer, notes).read(specs, pinned)
    return offer


class _Reader:
    def __init__(
        self, name: str, fields: Fields, people: People, offer: Offer, notes: Problems
    ) -> None:
        self._name, self._fields, self._people = name, fields, people
        self._offer, self._notes = offer, notes

    def read(self, specs: Specs, pinned: Mapping[str, str]) -> None:
        fields = self._fields
        upstream = self._upstream()
        selectors = read_selectors(fields)
        treatments = self._treatments()
        openapi, overlays = fields.word("openapi"), fields.words("overlays")
        allow_refs = read_refs(fields)
        document = None
        if openapi is not None:
            document = open_document(
                fields,
                openapi,
                overlays,
                specs,
                allow_refs=allow_refs,
                allow_private=upstream.allow_private,
            )
        known = schemes_of(document) if document is not None else {}
        credentials, always = read_credentials(
            fields, known, [header.name for header in upstream.headers]
        )
        certificate = read_certificate(fields, upstream.base_url)
        upstream = replace(upstream, credentials=credentials, client_certificate=certificate)
        self._offer.upstreams[self._name] = upstream
        self._offer.always[self._name] = always
        self._offer.approvals[self._name] = read_defaults(fields, self._people)
        if (wanted := read_wanted(fields)) is not None:
            self._offer.grants[self._name] = wanted
        target = Target(
            upstream=self._name,
            places=read_places(fields, upstream.base_url),
            given=Given(
                credentials=frozenset(credentials) if "credentials" in fields else None,
                always=always,
                headers=frozenset(one.name.lower() for one in upstream.headers),
                certificate=certificate is not None,
            ),
            indexed=fields.choice("lists", ("brackets", "numbered"), "brackets") == "numbered",
            deprecated=fields.flag("deprecated"),
            pinned=pinned,
            prefix=read_prefix(fields, pinned),
        )
        if target.prefix:
            self._offer.prefixes[self._name] = target.prefix
        fields.close()
        check_idle(fields, upstream)
        if document is not None:
            check_against(fields, document, target.places, upstream, always)
            note_clashes(
                fields,
                document,
                known,
                target.given,
                selected=lambda one: is_selected(selectors, one),
                notes=self._notes,
            )
            _Compiling(self._fields, self._offer, self._notes, document, treatments).run(
                upstream, target, selectors
            )

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
            client=read_client(fields),
            allow_private=read_private(fields),
            visible_to=read_visibility(fields, self._people),
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

    def _treatments(self) -> dict[str, Treatment]:
        found: dict[str, Treatment] = {}
        for path, member in self._fields.members("operations"):
            operation = self._fields.as_fields(member.node, path, member.spot)
            if operation is not None:
                found[member.key] = read_treatment(operation, self._people)
                operation.close()
        return found


class _Compiling:
    """One spec under one upstream."""

    def __init__(
        self,
        fields: Fields,
        offer: Offer,
        notes: Problems,
        document: Document,
        treatments: Mapping[str, Treatment],
    ) -> None:
        self._fields, self._offer, self._notes = fields, offer, notes
        self._document, self._treatments = document, treatments
        self._named = set[str]()
        self._approvals = Defaults()
        self._operators: tuple[str, ...] = ()

    def run(self, upstream: Upstream, target: Target, selectors: Sequence[Selector]) -> None:
        """Index the spec; what the operator names is compiled now, the rest when it is used."""
        operations = list(self._document.operations())
        check_selectors(self._fields, selectors, operations)
        self._check_treated(selectors, operations)
        self._named = {one.text for selector in selectors for one in selector.operations}
        self._named |= self._treatments.keys()
        self._operators = tuple(header.name for header in upstream.headers)
        self._approvals = self._offer.approvals[upstream.name]
        index = Index(
            self._document,
            target,
            selected=lambda one: is_selected(selectors, one),
            words=self._words,
        )
        for indexed in index.offered:
            self._add(index, indexed)
        for faulty in index.faulty:
            self._report(faulty)
        self._note(index, target)
        name = target.upstream
        self._offer.names[name] = {
            f"{method.upper()} {path}": given for (method, path), given in index.names.items()
        }
        made_by = [asdict(target), asdict(self._approvals)]
        self._offer.inputs[name] = _hash([MAPPING, self._document.fingerprint(), *made_by])
        self._document.close()

    def _words(self, operation: Operation) -> Words:
        treatment = self._treatment(operation)
        never = self._operators
        if treatment is not None and treatment.retry.header:
            never = (*never, treatment.retry.header)
        media_type = treatment.media_type if treatment is not None else None
        return Words(
            never_headers=never,
            media_type=media_type.text if media_type is not None else None,
            is_named=self._is_named(operation),
        )

    def _is_named(self, operation: Operation) -> bool:
        return bool(self._named) and (
            operation.id in self._named
            or f"{operation.method.upper()} {operation.path}" in self._named
        )

    def _add(self, index: Index, indexed: Indexed) -> None:
        operation, treatment = indexed.operation, self._treatment(indexed.operation)
        card = indexed.card
        rule = self._approvals.rule(card.method, card.risk)
        indexed = replace(indexed, card=replace(card, approval=rule))
        spot = self._fields.spot_of("openapi")
        if not self._is_named(operation):
            self._offer.entries.append((_lazily(index, indexed, self._document.name), spot))
            return
        try:
            tool = index.tool(indexed)
        except MappingError as error:
            self._report(Faulty(operation=operation, reason=error.message, ref=error.ref))
            return
        if treatment is not None:
            tool = apply(tool, treatment, self._fields.problems, self._approvals)
            spot = treatment.name.spot if treatment.name else treatment.spot
        self._offer.entries.append((ready(tool), spot))

    def _report(self, faulty: Faulty) -> None:
        """What the operator asked for by name is a problem; the rest is listed as skipped."""
        operation, document = faulty.operation, self._document
        if self._is_named(operation):
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

    def _note(self, index: Index, target: Target) -> None:
        spot, path = self._fields.spot_of("openapi"), self._fields.path
        for note in self._document.notes:
            self._notes.add(spot, f"{path}: {note}")
        by_reason: dict[str, int] = {}
        for one in index.left_out:
            by_reason[one.reason] = by_reason.get(one.reason, 0) + 1
        for reason, count in by_reason.items():
            what = "operation is" if count == 1 else "operations are"
            self._notes.add(spot, f"{path}: {count} {what} left out: {reason}")
        for operation, kept, given in index.renamed:
            message = f'{operation} keeps its name "{kept}"; without the lock it is "{given}"'
            self._notes.add(spot, f"{path}: {message}")
        listed = {f"{method.upper()} {path}" for method, path in index.names}
        for operation in sorted(target.pinned.keys() - listed):
            self._notes.add(spot, f"{path}: {operation} is in the lock, but no longer in the spec")

    def _check_treated(
        self, selectors: Sequence[Selector], operations: Sequence[Operation]
    ) -> None:
        for name, treatment in self._treatments.items():
            word = Word(text=name, spot=treatment.spot)
            path = f"{self._fields.path}.operations"
            if not check_operation(self._fields, word, path, operations):
                continue
            meant = [operation for operation in operations if is_named(operation, name)]
            if not is_selected(selectors, meant[0]):
                message = f"{treatment.path}: is not exposed; add it to {self._fields.path}.expose"
                self._fields.problems.add(treatment.spot, message)

    def _treatment(self, operation: Operation) -> Treatment | None:
        if not self._treatments:
            return None
        return self._treatments.get(operation.id or "") or self._treatments.get(
            f"{operation.method.upper()} {operation.path}"
        )


def _lazily(index: Index, indexed: Indexed, source: str) -> Entry:
    def build() -> ToolSpec | Skipped:
        try:
            return index.tool(indexed)
        except MappingError as error:
            label = indexed.operation.label
            return Skipped(source=source, operation=label, reason=error.message)

    return Entry(card=indexed.card, build=build)


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=_listed)
    return hashlib.sha256(text.encode()).hexdigest()


def _listed(value: object) -> list[str]:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    raise TypeError(f"{type(value).__name__} has no place in a hash")
