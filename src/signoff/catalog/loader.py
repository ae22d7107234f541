"""From files to a `Catalogue`: every mistake at once, or a frozen value with one digest.

Owns the order of the sections and what must hold between them. Reads the catalogue and the specs
it names, nothing else: no environment, and of the network only the documents that the catalogue
lists, through a function that was given.
"""

import contextlib
import gc
import hashlib
import json
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, cast

import orjson

from signoff.canonical import Json, digest
from signoff.catalog.config import read_people, read_server
from signoff.catalog.details_types import read_details_types
from signoff.catalog.fields import Fields, Problem, Problems
from signoff.catalog.grants import settle
from signoff.catalog.handwritten import read_capabilities
from signoff.catalog.model import Capability, Catalogue, Risk, Skipped, ToolSpec
from signoff.catalog.naming import Names
from signoff.catalog.offered import Offered, ready
from signoff.catalog.openapi.compiler import compile_document
from signoff.catalog.openapi.documents import Document, DocumentError
from signoff.catalog.openapi.files import below
from signoff.catalog.openapi.remote import Fetch
from signoff.catalog.openapi.sources import ParsedCache
from signoff.catalog.pins import PinError, Pins, read_pins
from signoff.catalog.rules import read_policy
from signoff.catalog.specs import ReadSpec, Specs, read_bytes, specs_below
from signoff.catalog.upstreams import Offer, read_upstreams
from signoff.catalog.wire import Security
from signoff.catalog.yaml_source import SPEC_LIMITS, Limits, Spot, YamlError, locate

FORMAT: Final = 1
_TOP: Final = Spot(line=1, column=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A catalogue that checks. `notes` are not mistakes, but an operator should read them.

    `names` has every operation's name, by upstream and `METHOD path`; it is what a lock pins.
    `skipped` is what the index alone found unusable; `catalogue.skipped` compiles to find the rest.
    `reading_on` has, by tool, where the file says that one call reads several pages: whoever knows
    what policy says of a tool refuses that where a person is asked.
    """

    catalogue: Catalogue
    notes: tuple[Problem, ...] = ()
    names: Pins = field(default_factory=dict[str, dict[str, str]])
    skipped: tuple[Skipped, ...] = ()
    reading_on: Mapping[str, Spot] = field(default_factory=dict[str, Spot])


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A catalogue that does not check: every problem found, by place."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecReport:
    """What a spec alone would give. With `problems` there are no tools at all."""

    problems: tuple[Problem, ...]
    tools: tuple[ToolSpec, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[Problem, ...] = ()


def load(path: Path, cache: Path | None = None, fetch: Fetch | None = None) -> Loaded | Broken:
    """Load the catalogue at `path`, its lock and the specs it names, relative to its directory.

    `cache` is the folder where parsed specs are kept. `fetch` gets the documents elsewhere that
    the catalogue lists; nothing is fetched after this.
    """
    problems = Problems(str(path))
    try:
        text = read_bytes(path, Limits().size)
    except OSError as error:
        problems.add(_TOP, f"cannot be read: {error.strerror or 'not a file'}")
        return Broken(problems=problems.ordered())
    try:
        pins = read_pins(path)
    except PinError as error:
        problems.add(_TOP, error.message, file=error.file)
        return Broken(problems=problems.ordered())
    with _undisturbed():
        return _parse(text, file=str(path), specs=specs_below(path.parent, cache, fetch), pins=pins)


@contextlib.contextmanager
def _undisturbed() -> Generator[None, None, None]:
    """Loading makes a million objects that all stay; looking for garbage meanwhile finds none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def parse(text: bytes, *, file: str, read_spec: ReadSpec) -> Loaded | Broken:
    """Compile a catalogue from its text; `read_spec` brings each spec it names."""
    return _parse(text, file=file, specs=Specs(read=read_spec), pins={})


def _parse(text: bytes, *, file: str, specs: Specs, pins: Pins) -> Loaded | Broken:
    problems, notes = Problems(file), Problems(file)
    try:
        node, duplicates = locate(text, Limits())
    except YamlError as error:
        problems.add(Spot(line=error.line, column=error.column), error.message)
        return Broken(problems=problems.ordered())
    for twice in duplicates:
        message = f'the key "{twice.key[:60]}" is written twice, first on line {twice.first.line}'
        problems.add(twice.spot, message)
    if not isinstance(node.value, dict):
        problems.add(node.spot, 'a catalogue is a mapping that begins with "signoff: 1"')
        return Broken(problems=problems.ordered())
    if "signoff" not in node.value and not node.value.keys().isdisjoint(("openapi", "swagger")):
        message = f"is an OpenAPI document and no catalogue; draft one with signoff init {file}"
        problems.add(node.spot, message)
        return Broken(problems=problems.ordered())
    root = Fields(node.value, path="", spot=node.spot, problems=problems)
    catalogue, offer, reading_on = _catalogue(root, notes, specs, pins)
    root.close()
    if problems.found:
        return Broken(problems=problems.ordered())
    return Loaded(
        catalogue=replace(catalogue, digest=catalogue_digest(catalogue)),
        notes=notes.ordered(),
        names=offer.names,
        skipped=tuple(offer.skipped),
        reading_on=reading_on,
    )


def check_spec(path: Path, cache: Path | None = None) -> SpecReport:
    """Compile every operation of one spec, as an upstream without further words would."""
    problems, notes = Problems(str(path)), Problems(str(path))
    try:
        document = Document(
            read_bytes(path, SPEC_LIMITS.size),
            name=str(path),
            read=below(path.parent),
            cache=ParsedCache(cache) if cache is not None else None,
        )
    except OSError as error:
        problems.add(_TOP, f"cannot be read: {error.strerror or 'not a file'}")
        return SpecReport(problems=problems.ordered())
    except DocumentError as error:
        problems.add(error.spot, error.message)
        return SpecReport(problems=problems.ordered())
    compiled = compile_document(document, upstream="spec")
    for note in document.notes:
        notes.add(_TOP, note)
    return SpecReport(
        problems=(),
        tools=compiled.tools,
        skipped=tuple(
            Skipped(source=document.name, operation=one.operation.label, reason=one.reason)
            for one in compiled.faulty
        ),
        notes=notes.ordered(),
    )


def catalogue_digest(catalogue: Catalogue) -> str:
    """Return the digest of everything that decides a call, but for where it stands in files.

    A tool that is compiled already counts with all it has. One that is not counts with its name
    and operation, and with all that made its index and will compile it (`Offered.inputs`).
    """
    whole = _jsonable(asdict(replace(catalogue, tools=(), skipped=(), digest="")))
    members = cast("dict[str, Json]", whole)
    tools = catalogue.tools
    cards = tools.cards if isinstance(tools, Offered) else tuple(tools)
    every = hashlib.sha256()
    for card in sorted(cards, key=lambda card: card.name):
        if isinstance(card, ToolSpec):
            every.update(_sorted_bytes(card))
        else:
            every.update(f"{card.name} {card.upstream} {card.method} {card.path}\n".encode())
    members["tools"] = every.hexdigest()
    members["inputs"] = dict(tools.inputs) if isinstance(tools, Offered) else {}
    return digest(members)


def _catalogue(
    root: Fields, notes: Problems, specs: Specs, pins: Pins
) -> tuple[Catalogue, Offer, Mapping[str, Spot]]:
    _check_format(root)
    people = read_people(root)
    server = read_server(root, people)
    offer = read_upstreams(root, people, specs, pins, notes)
    written = read_capabilities(root, offer.upstreams, offer.approvals, people)
    placed = [
        *offer.entries,
        *((ready(_with_credentials(tool, offer)), spot) for tool, spot in written),
    ]
    Names(placed, offer.names, offer.prefixes).check(root.problems)
    offered = Offered([entry for entry, _ in placed], skipped=offer.skipped, inputs=offer.inputs)
    policy = replace(
        read_policy(root, offered.cards, notes),
        grants=settle(offer.grants, offered.cards, root.problems, notes),
    )
    if not people.users and any(card.risk is not Risk.LOW for card in offered.cards):
        message = "users: nobody could approve; name a user, as in users: [{id: alice}]"
        root.problems.add(root.key_spot_of("users"), message)
    catalogue = Catalogue(
        digest="",
        server=server,
        tools=offered,
        upstreams=offer.upstreams,
        policy=policy,
        users=people.users,
        skipped=offered.skipped,
        details_types=read_details_types(root, specs),
    )
    reading_on = {entry.card.name: spot for entry, spot in placed if _reads_on(entry.card)}
    return catalogue, offer, reading_on


def _reads_on(card: Capability) -> bool:
    plan = card.pagination if isinstance(card, ToolSpec) else None
    return plan is not None and plan.fetch is not None


def _with_credentials(tool: ToolSpec, offer: Offer) -> ToolSpec:
    """A capability written by hand has no spec that says which credential it wants."""
    always = offer.always.get(tool.upstream, ())
    return replace(tool, security=Security(credentials=always)) if always else tool


def _check_format(root: Fields) -> None:
    root.needs("signoff", "is needed: the format of this file, signoff: 1")
    node = root.take("signoff")
    if node is not None and (node.value != FORMAT or isinstance(node.value, bool)):
        root.complain("signoff", "this version reads format 1")


def _jsonable(value: object) -> Json:
    return cast("Json", json.loads(json.dumps(value, default=_plain)))


def _sorted_bytes(tool: ToolSpec) -> bytes:
    placeless = replace(tool, source="")
    try:
        return orjson.dumps(placeless, default=_plain, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits
        return json.dumps(asdict(placeless), default=_plain, sort_keys=True).encode()


def _plain(value: object) -> list[str]:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    raise TypeError(f"{type(value).__name__} has no place in a catalogue")
