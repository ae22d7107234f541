"""`signoff hosts`: MCP hosts that sign people in.

Parse, print, exit. What a host may be stands in `oauth.operator_hosts`.
"""

from pathlib import Path
from typing import Final, cast

import click

from signoff.cli.desk import Members, ask_desk, listed, shown
from signoff.cli.options import as_json, config_option, data_dir_option
from signoff.cli.tables import document, note, out

_COLUMNS: Final = (
    *("client_id", "name", "source", "confidential", "redirect_uris", "disabled"),
    *("known_since", "last_used_at"),
)
_KEEP: Final = "Keep the secret now: it is stored as a hash and cannot be shown again."


@click.group()
def hosts() -> None:
    """MCP hosts that sign people in: create, list, show, delete."""


@hosts.command("create")
@click.argument("name")
@click.option(
    "--redirect-uri",
    "redirect_uris",
    required=True,
    multiple=True,
    metavar="URI",
    help="Where it takes answers; repeat. On loopback any port will do.",
)
@click.option("--confidential", is_flag=True, help="It keeps a secret; shown this once.")
@click.option("--device", is_flag=True, help="It may also sign people in by a code it shows.")
@as_json
@data_dir_option
@config_option
def create_host(
    name: str,
    redirect_uris: tuple[str, ...],
    data_dir: Path,
    config: Path,
    *,
    confidential: bool,
    device: bool,
    json_: bool,
) -> None:
    """Make a host known beforehand. People are still asked before it acts for them."""
    result = ask_desk(
        data_dir,
        config,
        "hosts.create",
        name=name,
        redirect_uris=[*redirect_uris],
        confidential=confidential,
        device=device,
    )
    members = cast("Members", result)
    if confidential:
        note(_KEEP)
    out(document(members) if json_ else shown(members))


@hosts.command("list")
@as_json
@data_dir_option
@config_option
def list_hosts(data_dir: Path, config: Path, *, json_: bool) -> None:
    """List hosts, the newest first: made here, registered by themselves, or by their document."""
    result = ask_desk(data_dir, config, "hosts.list")
    listed(result, _COLUMNS, json_=json_, empty="No hosts yet: one registers itself, or create it.")


@hosts.command("show")
@click.argument("client_id")
@as_json
@data_dir_option
@config_option
def show_host(client_id: str, data_dir: Path, config: Path, *, json_: bool) -> None:
    """Show one host. Its name is a claim unless its source is `operator`."""
    members = cast("Members", ask_desk(data_dir, config, "hosts.show", client_id=client_id))
    out(document(members) if json_ else shown(members))


@hosts.command("delete")
@click.argument("client_id")
@data_dir_option
@config_option
def delete_host(client_id: str, data_dir: Path, config: Path) -> None:
    """Delete a host: what people let it do ends, its tokens stop working."""
    ask_desk(data_dir, config, "hosts.delete", client_id=client_id)
    out(f"{client_id}: deleted")
