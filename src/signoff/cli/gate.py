"""`signoff gate`: the key of a gate in a process of its own (`signoff serve --role mcp`)."""

from pathlib import Path

import click

from signoff.app.gate_operations import gate_key
from signoff.cli.failures import run
from signoff.cli.options import data_dir_option
from signoff.cli.tables import document, out


@click.group()
def gate() -> None:
    """A gate in a process of its own: its key."""


@gate.command("key")
@click.option("--new", is_flag=True, help="Make one more key; both count until one is removed.")
@click.option("--remove", metavar="KID", help="Forget a key for good.")
@data_dir_option
def key(data_dir: Path, remove: str | None, *, new: bool) -> None:
    """Print the gate's public keys as a JWKS, the first key made on first use.

    Register them at the sidecar: signoff clients create NAME --role gate --jwks FILE, or
    signoff clients update CLIENT_ID --jwks FILE.
    """
    if new and remove is not None:
        raise click.UsageError("--new and --remove are two steps: register the new key in between")
    out(document(run(gate_key(data_dir, {"new": new, "remove": remove}))))
