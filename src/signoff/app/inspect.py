"""`check` and `tools`: what a catalogue says, without starting anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from signoff.app.errors import BadInputError
from signoff.canonical import Json
from signoff.catalog.fields import Problem
from signoff.catalog.loader import Broken, Loaded, check_spec, load
from signoff.catalog.model import Catalogue, Skipped, ToolSpec
from signoff.gate.policy import Allow, Ask, Deny, decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that is wrong, and what is worth knowing."""

    checked: tuple[str, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    tools: int = 0

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
        }

    def text(self) -> str:
        lines = [str(problem) for problem in self.problems]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"skipped: {one.source} {one.operation}: {one.reason}" for one in self.skipped]
        if self.problems:
            lines.append(f"{len(self.problems)} to mend")
        elif self.skipped:
            count = len(self.skipped)
            noun = "operation" if count == 1 else "operations"
            lines.append(
                f"{', '.join(self.checked)}: {self.tools} tools; "
                f"{count} {noun} cannot become tools, for the reasons above"
            )
        else:
            lines.append(f"{', '.join(self.checked)}: good, {self.tools} tools")
        return "\n".join(lines)


def catalogue_at(path: Path) -> Catalogue:
    """Load the catalogue.

    Raises:
        BadInputError: every mistake, a line each.
    """
    return loaded_at(path).catalogue


def loaded_at(path: Path) -> Loaded:
    """Load the catalogue with the notes that `check` prints.

    Raises:
        BadInputError: every mistake, a line each.
    """
    if not path.exists():
        raise BadInputError(
            f"there is no {path}: name your catalogue with --config, or run this in its folder"
        )
    match load(path):
        case Loaded() as loaded:
            return loaded
        case Broken(problems=problems):
            raise BadInputError(*(str(problem) for problem in problems))


def check(config: Path, specs: Sequence[Path]) -> Report:
    """Check the specs, or the catalogue when none is named."""
    if specs:
        return _check_specs(specs)
    match load(config):
        case Loaded(catalogue=catalogue, notes=notes):
            return Report(
                checked=(str(config),),
                problems=(),
                notes=tuple(map(str, notes)),
                skipped=tuple(catalogue.skipped),
                tools=len(catalogue.tools),
            )
        case Broken(problems=problems):
            return Report(checked=(str(config),), problems=problems)


async def tools(config: Path) -> list[Mapping[str, Json]]:
    """Return a row per tool.

    Raises:
        BadInputError: the catalogue does not check.
    """
    catalogue = catalogue_at(config)
    return [_row(catalogue, tool) for tool in sorted(catalogue.tools, key=lambda tool: tool.name)]


def _row(catalogue: Catalogue, tool: ToolSpec) -> Mapping[str, Json]:
    return {
        "name": tool.name,
        "method": tool.method,
        "path": tool.path,
        "risk": str(tool.risk),
        "policy": _policy(catalogue, tool),
        "upstream": tool.upstream,
        "risk_reason": tool.risk_reason,
        "source": tool.source,
    }


def _policy(catalogue: Catalogue, tool: ToolSpec) -> str:
    match decide(catalogue.policy, tool):
        case Allow():
            return "allow"
        case Ask():
            return f"ask {', '.join(tool.approval.approver.any_of)}"
        case Deny(reason=reason):
            return f"deny: {reason}"


def _check_specs(specs: Sequence[Path]) -> Report:
    problems: list[Problem] = []
    skipped: list[Skipped] = []
    count = 0
    for spec in specs:
        checked = check_spec(spec)
        problems += checked.problems
        skipped += checked.skipped
        count += len(checked.tools)
    return Report(
        checked=tuple(map(str, specs)),
        problems=tuple(problems),
        skipped=tuple(skipped),
        tools=count,
    )
