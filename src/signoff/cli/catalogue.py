"""`signoff check`, `tools` and `init`: what a catalogue says, without starting anything."""

import getpass
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from signoff.app import inspect
from signoff.catalog.guesses import Guess
from signoff.cli.failures import run
from signoff.cli.options import as_json, config_option
from signoff.cli.tables import document, note, out, table, visible
from signoff.settings import Settings, environment

_MOST_GUESSES: Final = 20


@click.command()
@config_option
@click.argument("specs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--lock", is_flag=True, help="Write the tools' names to capabilities.lock.")
@as_json
def check(config: Path, specs: tuple[Path, ...], *, lock: bool, json_: bool) -> None:
    """Find every mistake in the catalogue, or in SPECs, with file, line and column."""
    if lock and specs:
        raise click.UsageError("--lock is for a catalogue; leave the specs out")
    report = inspect.check(
        config, specs, data_dir=_data_dir(), lock=lock, environment=environment()
    )
    out(document(report.as_json()) if json_ else "\n".join(map(visible, report.lines())))
    if report.problems:
        raise SystemExit(1)


@click.command()
@config_option
@as_json
def tools(config: Path, *, json_: bool) -> None:
    """List the tools: method, path, risk, what policy does, and what listing each costs."""
    rows, skipped = run(inspect.tools(config, _data_dir()))
    columns = (
        "name", "method", "path", "risk", "policy", "strength", "grant", "upstream", "bytes",
        "tokens",
    )  # fmt: skip
    if json_:
        out(document([row.members for row in rows]))
    else:
        out(table(columns, [[row.cell(column) for column in columns] for row in rows]))
    for line in inspect.skipped_lines(skipped):
        note(visible(line))


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@config_option
@click.option("--user", default="", help="Who approves; without it, your own login name.")
@as_json
def init(spec: Path, config: Path, user: str, *, json_: bool) -> None:
    """Write a first catalogue for the OpenAPI SPEC, and say what was guessed."""
    made = run(inspect.init(spec, config, user=user or _login_name()))
    if json_:
        guesses = [
            {
                "operation": one.operation,
                "group": one.group,
                "word": one.word,
                "raised": one.is_raised,
            }
            for one in made.guesses
        ]
        out(
            document({
                "config": str(config),
                "tools": made.tools,
                "guesses": guesses,
                "left_out": list(made.left_out),
                "todo": list(made.todo),
            })
        )
        return
    for line in _guessed(made.guesses):
        note(visible(f"guessed: {line}"))
    for line in made.left_out:
        note(visible(f"left out: {line}"))
    for line in made.todo:
        note(visible(f"to do: {line}"))
    out(f"{config}: written, {inspect.counted(made.tools)}; read it, then run signoff check")


def _guessed(guesses: Sequence[Guess]) -> list[str]:
    """Return a line for each guess, or where there are many, for each that raised a risk."""
    if len(guesses) <= _MOST_GUESSES:
        return list(map(str, guesses))
    raised = [one for one in guesses if one.is_raised]
    groups = Counter(one.group for one in guesses if not one.is_raised)
    others = ", ".join(f"{count} {group}" for group, count in groups.most_common())
    return [*map(str, raised), f"{others}: high, as their methods say (--json names each)"]


def _data_dir() -> Path | None:
    """Parsed specs are kept where a server's data is, if there is such a place already."""
    folder = Settings().data_dir
    return folder if folder.is_dir() else None


def _login_name() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:64] or "me"
