"""`signoff`: the commands a person types to run it. Parse, print, exit; no logic."""

from pathlib import Path

import click

from signoff.app import inspect
from signoff.app.serve import Options, demo_until_stopped, serve_stdio, serve_until_stopped
from signoff.cli.admin import audit, calls, clients, login, users
from signoff.cli.call import call
from signoff.cli.failures import run
from signoff.cli.options import CONFIG, as_json, config_option, data_dir_option
from signoff.cli.tables import document, note, out, table
from signoff.settings import Settings, environment
from signoff.telemetry import configure

DEFAULT_PORT = 8420

host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen."
)
port_option = click.option(
    "--port", default=DEFAULT_PORT, show_default=True, type=click.IntRange(1, 65535)
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="signoff")
def main() -> None:
    """An MCP server that stops every risky call until a person has signed it off."""


@main.command()
@config_option
@host_option
@port_option
@data_dir_option
@click.option("--stdio", is_flag=True, help="Speak MCP on stdin and stdout; needs --config.")
@click.pass_context
def serve(
    context: click.Context, config: Path, host: str, port: int, data_dir: Path, *, stdio: bool
) -> None:
    """Run the server: MCP, the approval page and the token endpoints."""
    settings = Settings()
    configure(level=settings.log_level, style=settings.log_format)
    if stdio and context.get_parameter_source("config") is click.core.ParameterSource.DEFAULT:
        # A host starts this in a folder of its own choosing; a guessed file would be an accident.
        raise click.UsageError(
            "--stdio wants --config spelled out: --config /path/to/capabilities.yaml"
        )
    options = Options(config=config, host=host, port=port, data_dir=data_dir)
    run((serve_stdio if stdio else serve_until_stopped)(options, settings, environment()))


@main.command()
@click.option("--config", type=click.Path(path_type=Path), default=CONFIG, show_default=True)
@host_option
@port_option
@data_dir_option
@click.option("--browser/--no-browser", default=True, help="Open the page when there is a display.")
def demo(config: Path, host: str, port: int, data_dir: Path, *, browser: bool) -> None:
    """Show the whole loop: a sample bank, one transfer as an assistant makes it, your decision."""
    settings = Settings()
    configure(level=settings.log_level, style=settings.log_format)
    options = Options(config=config, host=host, port=port, data_dir=data_dir)
    run(demo_until_stopped(options, settings, environment(), say=note, browser=browser))


@main.command()
@config_option
@click.argument("specs", nargs=-1, type=click.Path(path_type=Path))
@as_json
def check(config: Path, specs: tuple[Path, ...], *, json_: bool) -> None:
    """Find every mistake in the catalogue, or in SPECs, with file, line and column."""
    report = inspect.check(config, specs)
    out(document(report.as_json()) if json_ else report.text())
    if report.problems:
        raise SystemExit(1)


@main.command()
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


for command in (call, login, calls, clients, users, audit):
    main.add_command(command)
