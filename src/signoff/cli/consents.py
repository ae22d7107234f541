"""`signoff consents`: what people have let act for them.

Parse, print, exit. Letting in is a person's, on the page; here one only lists and takes back.
"""

from pathlib import Path
from typing import Final

import click

from signoff.cli.desk import ask_desk, listed
from signoff.cli.options import as_json, config_option, data_dir_option
from signoff.cli.tables import out

_COLUMNS: Final = (
    *("consent_id", "user", "name", "client_id", "redirect_uri", "scopes", "since"),
    "last_used_at",
)


@click.group()
def consents() -> None:
    """Applications that people let act for them: list, revoke."""


@consents.command("list")
@click.option("--user", help="Only of this person.")
@as_json
@data_dir_option
@config_option
def list_consents(user: str | None, data_dir: Path, config: Path, *, json_: bool) -> None:
    """List what still has access, the newest first. Names are what applications call themselves."""
    result = ask_desk(data_dir, config, "consents.list", user=user)
    listed(result, _COLUMNS, json_=json_, empty="No application may act for anybody.")


@consents.command("revoke")
@click.argument("consent_id")
@data_dir_option
@config_option
def revoke_consent(consent_id: str, data_dir: Path, config: Path) -> None:
    """Take one back: its refresh tokens and access tokens stop working at once."""
    ask_desk(data_dir, config, "consents.revoke", consent_id=consent_id)
    out(f"{consent_id}: revoked")
