"""`signoff serve` and `signoff demo`: run until told to stop."""

from pathlib import Path

import click

from signoff.app.address import DEFAULT_PORT
from signoff.app.serve import Options, demo_until_stopped, serve_stdio, serve_until_stopped
from signoff.cli.failures import run
from signoff.cli.options import CONFIG, config_option, data_dir_option
from signoff.cli.tables import note
from signoff.settings import Role, Settings, environment
from signoff.telemetry import configure, quiet_client

host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen."
)
port_option = click.option(
    "--port", default=DEFAULT_PORT, show_default=True, type=click.IntRange(1, 65535)
)


@click.command()
@config_option
@host_option
@port_option
@data_dir_option
@click.option("--stdio", is_flag=True, help="Speak MCP on stdin and stdout; needs --config.")
@click.option(
    "--role",
    type=click.Choice(["all", "mcp", "sidecar"]),
    default=lambda: Settings().role,
    show_default="all, or SIGNOFF_ROLE",
    help="What runs here: the sidecar (pages and tokens), the MCP side (tools), or both.",
)
@click.pass_context
def serve(
    context: click.Context,
    config: Path,
    host: str,
    port: int,
    data_dir: Path,
    role: Role,
    *,
    stdio: bool,
) -> None:
    """Run the server: MCP, the approval page and the token endpoints."""
    settings = Settings()
    configure(level=settings.log_level, style=settings.log_format)
    if stdio and context.get_parameter_source("config") is click.core.ParameterSource.DEFAULT:
        # A host starts this in a folder of its own choosing; a guessed file would be an accident.
        raise click.UsageError(
            "--stdio wants --config spelled out: --config /path/to/capabilities.yaml"
        )
    if stdio and role == "sidecar":
        raise click.UsageError("a sidecar speaks no MCP: --stdio wants --role all or mcp")
    options = Options(config=config, host=host, port=port, data_dir=data_dir, role=role)
    run((serve_stdio if stdio else serve_until_stopped)(options, settings, environment()))


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=CONFIG, show_default=True)
@host_option
@port_option
@data_dir_option
@click.option("--browser/--no-browser", default=True, help="Open the page when there is a display.")
def demo(config: Path, host: str, port: int, data_dir: Path, *, browser: bool) -> None:
    """Show the whole loop: a sample bank, one transfer as an assistant makes it, your decision."""
    settings = Settings()
    configure(level=settings.log_level, style=settings.log_format)
    quiet_client()
    options = Options(config=config, host=host, port=port, data_dir=data_dir)
    run(demo_until_stopped(options, settings, environment(), say=note, browser=browser))
