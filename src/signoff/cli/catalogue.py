"""`signoff check` and `signoff tools`: what a catalogue says, without starting anything."""

from pathlib import Path

import click

from signoff.app import inspect
from signoff.cli.failures import run
from signoff.cli.options import as_json, config_option
from signoff.cli.tables import document, out, table


@click.command()
@config_option
@click.argument("specs", nargs=-1, type=click.Path(path_type=Path))
@as_json
def check(config: Path, specs: tuple[Path, ...], *, json_: bool) -> None:
    """Find every mistake in the catalogue, or in SPECs, with file, line and column."""
    report = inspect.check(config, specs)
    out(document(report.as_json()) if json_ else report.text())
    if report.problems:
        raise SystemExit(1)


@click.command()
@config_option
@as_json
def tools(config: Path, *, json_: bool) -> None:
    """List the tools: method, path, risk, and what policy does."""
    rows = run(inspect.tools(config))
    columns = ("name", "method", "path", "risk", "policy", "upstream")
    if json_:
        out(document(rows))
    else:
        out(table(columns, [[row[column] for column in columns] for row in rows]))
