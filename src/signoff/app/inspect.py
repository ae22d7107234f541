"""`check`, `tools` and `init`: what a catalogue says, or could, without starting anything."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from signoff.app.decisions import Decision, decided
from signoff.app.errors import BadInputError
from signoff.app.unset import unset
from signoff.assistant.listing import Listing
from signoff.canonical import Json
from signoff.catalog.draft import Draft, draft
from signoff.catalog.fields import Problem, Problems
from signoff.catalog.loader import Broken, Loaded, check_spec, load
from signoff.catalog.model import (
    EMBEDDED,
    Catalogue,
    Skipped,
    ToolSpec,
)
from signoff.catalog.offered import Offered
from signoff.catalog.openapi.documents import Document, DocumentError
from signoff.catalog.openapi.files import below
from signoff.catalog.openapi.remote import Fetch
from signoff.catalog.pins import write_pins
from signoff.catalog.registry import Registry
from signoff.catalog.specs import read_bytes
from signoff.catalog.yaml_source import SPEC_LIMITS
from signoff.gate.policy import Allow, Ask, decide

_BYTES_PER_TOKEN: Final = 4
"""A common measure; each model counts a little differently."""
_NAMES: Final = 12
_NO_CATALOGUE: Final = (
    "name your catalogue with --config, run this in its folder, or write a first one with "
    "signoff init SPEC"
)
_SAID_ALREADY: Final = ".base_url: is needed; a spec's own servers are not trusted"
_CATALOGUE: Final = re.compile(rb"^signoff\s*:", re.MULTILINE)
_BEGINNING: Final = 4_096
_ADDRESS: Final = re.compile(r"(https?):/+(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that is wrong, and what is worth knowing."""

    checked: tuple[str, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    tools: int = 0
    decisions: tuple[Decision, ...] = ()

    def as_json(self) -> dict[str, Json]:
        return {
            "ok": not self.problems,
            "checked": list(self.checked),
            "problems": [
                {
                    "file": str(problem.file),
                    "line": problem.line,
                    "column": problem.column,
                    "message": problem.message,
                }
                for problem in self.problems
            ],
            "notes": list(self.notes),
            "skipped": [
                {"source": one.source, "operation": one.operation, "reason": one.reason}
                for one in self.skipped
            ],
            "tools": self.tools,
            "decisions": [one.as_json() for one in self.decisions],
        }

    def lines(self) -> list[str]:
        """Return the report, each line as it is: a spec's words in it may hold anything."""
        lines = [str(problem) for problem in self.problems]
        lines += [f"note: {note}" for note in self.notes]
        lines += skipped_lines(self.skipped)
        lines += _grouped(self.decisions)
        if self.problems:
            lines.append(f"{len(self.problems)} to mend")
        elif self.skipped:
            count = len(self.skipped)
            noun = "operation" if count == 1 else "operations"
            lines.append(
                f"{', '.join(self.checked)}: {counted(self.tools)}; "
                f"{count} {noun} cannot become tools, for the reasons above"
            )
        else:
            lines.append(f"{', '.join(self.checked)}: good, {counted(self.tools)}")
        return lines


def skipped_lines(skipped: Sequence[Skipped]) -> list[str]:
    """Return a line for each operation that is no tool, with the reason."""
    return [f"skipped: {one.source} {one.operation}: {one.reason}" for one in skipped]


def counted(tools: int) -> str:
    """Return how many tools, in words."""
    return "1 tool" if tools == 1 else f"{tools} tools"


def catalogue_at(path: Path, data_dir: Path | None = None) -> Catalogue:
    """Load the catalogue.

    Raises:
        BadInputError: every mistake, a line each.
    """
    return loaded_at(path, data_dir).catalogue


def loaded_at(path: Path, data_dir: Path | None = None) -> Loaded:
    """Load the catalogue with the notes that `check` prints; parsed specs are kept in `data_dir`.

    Raises:
        BadInputError: every mistake, a line each.
    """
    if not path.exists():
        raise BadInputError(f"there is no {path}: {_NO_CATALOGUE}")
    match _load(path, data_dir):
        case Loaded() as loaded:
            return loaded
        case Broken(problems=problems):
            raise BadInputError(*(str(problem) for problem in problems))


def check(
    config: Path,
    specs: Sequence[Path],
    *,
    data_dir: Path | None = None,
    lock: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Report:
    """Check the specs, or the catalogue when none is named; `lock` writes its names down.

    What the catalogue refers to and `environment` lacks is noted: it may be there where it runs.
    """
    if specs:
        return _check_specs(specs, data_dir)
    if not config.exists():
        problem = Problem(
            file=str(config), line=1, column=1, message=f"is not there: {_NO_CATALOGUE}"
        )
        return Report(checked=(str(config),), problems=(problem,))
    match _load(config, data_dir):
        case Loaded(catalogue=catalogue, notes=notes, names=names):
            written = (f"{write_pins(config, names)}: written",) if lock else ()
            return Report(
                checked=(str(config),),
                problems=(),
                notes=(
                    *map(str, notes),
                    *_unsent(config, catalogue.tools),
                    *_of_roles(config, catalogue),
                    *unset(config, catalogue, environment),
                    *written,
                ),
                skipped=tuple(catalogue.skipped),
                tools=len(catalogue.tools),
                decisions=tuple(
                    decided(catalogue, tool)
                    for tool in sorted(catalogue.tools, key=lambda tool: tool.name)
                ),
            )
        case Broken(problems=problems):
            return Report(checked=(str(config),), problems=problems)


def _unsent(file: Path, tools: Iterable[ToolSpec]) -> list[str]:
    """Say which headers of parts an API wants that no call of a tool can send."""
    return [
        f"{file}: {tool.name} cannot send what the spec wants of a part: {', '.join(unsent)}"
        for tool in tools
        if (unsent := tool.body.unsent)
    ]


def _of_roles(config: Path, catalogue: Catalogue) -> tuple[str, ...]:
    """Say where approvals are asked for, if that is elsewhere; nothing is connected to."""
    approvals = catalogue.server.approvals
    if approvals.issuer == EMBEDDED:
        return ()
    where = f"{approvals.issuer}, as {approvals.client_id}"
    return (f"{config}: approvals are asked for at {where}: start it with --role mcp",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One tool: for programs, and what policy makes of it in words."""

    members: Mapping[str, Json]
    words: str

    def cell(self, column: str) -> Json:
        """Return what a person reads in `column`; `-` for nothing."""
        shown = self.words if column == "policy" else self.members[column]
        return "-" if shown is None else shown


async def tools(config: Path, data_dir: Path | None = None) -> tuple[list[Row], Sequence[Skipped]]:
    """Return a row per tool, and the operations that could not become one.

    Raises:
        BadInputError: the catalogue does not check.
    """
    catalogue = catalogue_at(config, data_dir)
    listing = Listing(
        Registry(catalogue), asks=lambda tool: isinstance(decide(catalogue.policy, tool), Ask)
    )
    ordered = sorted(catalogue.tools, key=lambda tool: tool.name)
    return [_row(catalogue, listing, tool) for tool in ordered], catalogue.skipped


async def init(spec: Path, config: Path, *, user: str) -> Draft:
    """Write a first catalogue for `spec` at `config`.

    Raises:
        BadInputError: there is one already, or the spec cannot be used.
    """
    if config.exists():
        raise BadInputError(f"there is a {config} already; name another file with --config")
    if problem := _no_file(spec):
        raise BadInputError(problem)
    try:
        text = read_bytes(spec, SPEC_LIMITS.size)
        document = Document(text, name=str(spec), read=below(spec.parent))
    except OSError as error:
        raise BadInputError(f"{spec}: cannot be read: {error.strerror or 'not a file'}") from error
    except DocumentError as error:
        place = f"{spec}:{error.spot.line}:{error.spot.column}"
        raise BadInputError(f"{place}: {error.message}") from error
    seen_from = os.path.relpath(spec.resolve(), config.resolve().parent)
    made = draft(document, spec=seen_from.replace(os.sep, "/"), user=user)
    try:
        with config.open("x", encoding="utf-8") as file:
            file.write(made.text)
    except OSError as error:
        raise BadInputError(f"{config}: cannot be written: {error.strerror}") from error
    match _load(config, None):
        case Broken(problems=problems):
            told = (str(one) for one in problems if not one.message.endswith(_SAID_ALREADY))
            return replace(made, todo=(*made.todo, *told))
        case Loaded(catalogue=catalogue):
            left_out = (f"{one.operation}: {one.reason}" for one in catalogue.skipped)
            return replace(made, tools=len(catalogue.tools), left_out=tuple(left_out))


def _no_file(spec: Path) -> str | None:
    """Say why `spec` names no spec; a path has lost the second slash of an address."""
    address = _ADDRESS.fullmatch(str(spec))
    if address is None:
        is_catalogue = spec.is_file() and _CATALOGUE.search(read_bytes(spec, _BEGINNING))
        said = f"{spec}: is a catalogue and no spec: signoff check --config {spec}"
        return said if is_catalogue else None
    url = f"{address[1]}://{address[2]}"
    return f"{url}: is an address; download it first (curl -O {url}) and name the file"


def _row(catalogue: Catalogue, listing: Listing, tool: ToolSpec) -> Row:
    weight = listing.weight(tool)
    decision = decided(catalogue, tool)
    members: dict[str, Json] = {
        "name": tool.name,
        "method": tool.method,
        "path": tool.path,
        "risk": str(tool.risk),
        "policy": decision.policy,
        "strength": decision.strength,
        "grant": decision.grant,
        "reason": decision.reason,
        "scopes": list(tool.scopes),
        "visible_to": _seen_by(catalogue, tool),
        "upstream": tool.upstream,
        "risk_reason": tool.risk_reason,
        "source": tool.source,
        "bytes": weight,
        "tokens": weight // _BYTES_PER_TOKEN,
    }
    return Row(members=members, words=decision.words)


def _seen_by(catalogue: Catalogue, tool: ToolSpec) -> Json:
    """Return whom the tool exists for, None for everybody; a list each where both words count."""
    said = (catalogue.upstreams[tool.upstream].visible_to, tool.visible_to)
    seen: list[Json] = [
        [
            *sorted(limit.users),
            *(f"client:{one}" for one in sorted(limit.clients)),
            *(f"scope:{one}" for one in sorted(limit.scopes)),
        ]
        for limit in said
        if limit is not None
    ]
    return seen[0] if len(seen) == 1 else seen or None


def _load(path: Path, data_dir: Path | None) -> Loaded | Broken:
    """Load the catalogue, and hold it against what policy makes of it."""
    loaded = load(path, _cache(data_dir), _fetching())
    if isinstance(loaded, Broken):
        return loaded
    catalogue, problems = loaded.catalogue, Problems(str(path))
    for name, spot in loaded.reading_on.items():
        found = catalogue.tools
        tool = found.find(name) if isinstance(found, Offered) else None
        if isinstance(tool, ToolSpec) and not isinstance(decide(catalogue.policy, tool), Allow):
            problems.add(
                spot,
                f"{name}: pagination.fetch_all is for calls that nobody is asked about; "
                f"policy says: {decided(catalogue, tool).words}",
            )
    return Broken(problems=problems.ordered()) if problems.found else loaded


def _grouped(decisions: Sequence[Decision]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for one in decisions:
        groups.setdefault(one.group, []).append(one.tool)
    return [f"{group}: {_listed(names)}" for group, names in sorted(groups.items())]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    shown = ", ".join(names[:_NAMES])
    return f"{shown} and {more:,} more (signoff tools lists all)" if more > 0 else shown


def _fetching() -> Fetch:
    """Return what fetches the documents that a catalogue lists."""
    fetchers: list[Fetch] = []

    def fetch(url: str, allow_private: Sequence[str]) -> bytes:
        if not fetchers:
            # An HTTP client takes long to import, and few catalogues need one to be checked.
            from signoff.upstream.fetching import Fetcher  # noqa: PLC0415

            fetchers.append(Fetcher())
        return fetchers[0](url, allow_private)

    return fetch


def _cache(data_dir: Path | None) -> Path | None:
    return None if data_dir is None else data_dir / "cache"


def _check_specs(specs: Sequence[Path], data_dir: Path | None) -> Report:
    problems: list[Problem] = []
    notes: list[str] = []
    skipped: list[Skipped] = []
    count = 0
    for spec in specs:
        if problem := _no_file(spec):
            problems.append(Problem(file=str(spec), line=1, column=1, message=problem))
            continue
        checked = check_spec(spec, _cache(data_dir))
        notes += map(str, checked.notes)
        problems += checked.problems
        notes += _unsent(spec, checked.tools)
        skipped += checked.skipped
        count += len(checked.tools)
    return Report(
        checked=tuple(map(str, specs)),
        problems=tuple(problems),
        notes=tuple(notes),
        skipped=tuple(skipped),
        tools=count,
    )
