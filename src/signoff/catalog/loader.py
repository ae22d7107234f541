"""From files to a `Catalogue`: every mistake at once, or a frozen value with one digest.

Owns the order of the sections and what must hold between them. Reads the catalogue and the specs
it names, nothing else: no environment, no network.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, cast

from signoff.canonical import Json, digest, sha256_hex
from signoff.catalog.config import read_people, read_server
from signoff.catalog.fields import Fields, Problem, Problems
from signoff.catalog.handwritten import read_capabilities
from signoff.catalog.model import Catalogue, Risk, Skipped, ToolSpec
from signoff.catalog.openapi.compiler import compile_document
from signoff.catalog.openapi.documents import Document, DocumentError
from signoff.catalog.openapi.names import RESERVED
from signoff.catalog.rules import read_policy
from signoff.catalog.upstreams import ReadSpec, read_upstreams
from signoff.catalog.yaml_source import SPEC_LIMITS, Limits, Spot, YamlError, locate

FORMAT: Final = 1
_TOP: Final = Spot(line=1, column=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A catalogue that checks. `notes` are not mistakes, but an operator should read them."""

    catalogue: Catalogue
    notes: tuple[Problem, ...] = ()


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


def load(path: Path) -> Loaded | Broken:
    """Load the catalogue at `path` and the specs it names, relative to its directory."""
    problems = Problems(str(path))
    try:
        text = _read(path, Limits().size)
    except OSError as error:
        problems.add(_TOP, f"cannot be read: {error.strerror or 'not a file'}")
        return Broken(problems=problems.ordered())
    return parse(text, file=str(path), read_spec=_from(path.parent))


def parse(text: bytes, *, file: str, read_spec: ReadSpec) -> Loaded | Broken:
    """Compile a catalogue from its text; `read_spec` brings each spec it names."""
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
    root = Fields(node.value, path="", spot=node.spot, problems=problems)
    catalogue = _catalogue(root, notes, read_spec)
    root.close()
    if problems.found:
        return Broken(problems=problems.ordered())
    return Loaded(
        catalogue=replace(catalogue, digest=catalogue_digest(catalogue)), notes=notes.ordered()
    )


def check_spec(path: Path) -> SpecReport:
    """Compile every operation of one spec, as an upstream without further words would."""
    problems = Problems(str(path))
    try:
        document = Document(_read(path, SPEC_LIMITS.size), name=str(path))
    except OSError as error:
        problems.add(_TOP, f"cannot be read: {error.strerror or 'not a file'}")
        return SpecReport(problems=problems.ordered())
    except DocumentError as error:
        problems.add(error.spot, error.message)
        return SpecReport(problems=problems.ordered())
    compiled = compile_document(document, upstream="spec", selected=lambda _: True)
    return SpecReport(
        problems=(),
        tools=compiled.tools,
        skipped=tuple(
            Skipped(source=document.name, operation=one.operation.label, reason=one.reason)
            for one in compiled.faulty
        ),
    )


def catalogue_digest(catalogue: Catalogue) -> str:
    """Return the digest of everything compiled, but for where it stands in files.

    Each tool counts by its own hash, so thousands of them cost no second.
    """
    whole = _jsonable(asdict(replace(catalogue, tools=(), skipped=(), digest="")))
    members = cast("dict[str, Json]", whole)
    members["tools"] = {
        tool.name: sha256_hex(_sorted_bytes(replace(tool, source=""))) for tool in catalogue.tools
    }
    return digest(members)


def _catalogue(root: Fields, notes: Problems, read_spec: ReadSpec) -> Catalogue:
    _check_format(root)
    people = read_people(root)
    server = read_server(root, people)
    offer = read_upstreams(root, people, read_spec)
    placed = [*offer.tools, *read_capabilities(root, offer.upstreams, people)]
    _check_names(placed, root)
    tools = tuple(tool for tool, _ in placed)
    policy = read_policy(root, tools, notes)
    if not people.users and any(tool.risk is not Risk.LOW for tool in tools):
        root.problems.add(root.key_spot_of("users"), "users: nobody could approve; name a user")
    return Catalogue(
        digest="",
        server=server,
        tools=tools,
        upstreams=offer.upstreams,
        policy=policy,
        users=people.users,
        skipped=tuple(offer.skipped),
    )


def _check_format(root: Fields) -> None:
    root.needs("signoff", "is needed: the format of this file, signoff: 1")
    node = root.take("signoff")
    if node is not None and (node.value != FORMAT or isinstance(node.value, bool)):
        root.complain("signoff", "this version reads format 1")


def _check_names(placed: list[tuple[ToolSpec, Spot]], root: Fields) -> None:
    held = Counter(tool.name for tool, _ in placed)
    for tool, spot in placed:
        if tool.name in RESERVED:
            message = f'{tool.source}: "{tool.name}" is signoff\'s own tool; give it another name'
            root.problems.add(spot, message)
        elif held[tool.name] > 1:
            others = sorted(
                other.source for other, _ in placed if other.name == tool.name and other is not tool
            )
            message = f'{tool.source}: the name "{tool.name}" is also that of {", ".join(others)}'
            root.problems.add(spot, message)


def _from(directory: Path) -> Callable[[str], tuple[str, bytes]]:
    def read_spec(name: str) -> tuple[str, bytes]:
        path = directory / name
        return str(path), _read(path, SPEC_LIMITS.size)

    return read_spec


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit + 1)  # one more than allowed, so that too much is seen as such


def _jsonable(value: object) -> Json:
    return cast("Json", json.loads(json.dumps(value, default=_plain)))


def _sorted_bytes(tool: ToolSpec) -> bytes:
    return json.dumps(asdict(tool), default=_plain, sort_keys=True, separators=(",", ":")).encode()


def _plain(value: object) -> list[str]:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    raise TypeError(f"{type(value).__name__} has no place in a catalogue")
