"""Commands that look after a running signoff: login, calls, clients, users, audit.

They ask the process that owns the data directory, or open its store themselves when none runs.
None of them approves.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import click
import segno

from signoff.app.admin import ask
from signoff.canonical import Json
from signoff.cli.failures import run
from signoff.cli.options import as_json, config_option, data_dir_option
from signoff.cli.tables import document, note, out, table, visible

Members = Mapping[str, Json]


def _ask(data_dir: Path, config: Path, command: str, **parameters: Json) -> Json:
    return run(ask(data_dir, config, command, parameters))


def _rows(result: Json) -> list[Members]:
    return cast("list[Members]", result)


def _show(members: Members) -> str:
    width = max(map(len, members), default=0)
    return "\n".join(
        f"{name.ljust(width)}  {visible(value if isinstance(value, str) else document(value))}"
        for name, value in members.items()
        if value is not None
    )


def _listed(result: Json, columns: Sequence[str], *, json_: bool, empty: str) -> None:
    rows = _rows(result)
    if json_:
        out(document(rows))
    elif not rows:
        note(empty)
    else:
        out(table(columns, [[row.get(column) or "-" for column in columns] for row in rows]))


@click.command()
@click.argument("user", required=False)
@click.option("--qr", is_flag=True, help="Also print the link as a QR code.")
@data_dir_option
@config_option
def login(user: str | None, data_dir: Path, config: Path, *, qr: bool) -> None:
    """Print one sign-in link for USER: single use, 10 minutes."""
    members = cast("Members", _ask(data_dir, config, "login", user=user))
    url = str(members["url"])
    note(f"Sign in as {members['user']}: open this once, within 10 minutes.")
    out(url)
    if qr:
        segno.make(url, error="m").terminal(compact=True)


@click.group()
def calls() -> None:
    """What assistants asked for: list, show, deny. A call is approved only on the page."""


@calls.command("list")
@click.option("--all", "every", is_flag=True, help="Also calls that ended.")
@as_json
@data_dir_option
@config_option
def list_calls(data_dir: Path, config: Path, *, every: bool, json_: bool) -> None:
    """List open calls, the newest first."""
    columns = ("id", "state", "tool", "title", "caller", "approvers", "opened_at")
    result = _ask(data_dir, config, "calls.list", every=every)
    _listed(result, columns, json_=json_, empty="No open calls. --all also lists those that ended.")


@calls.command("show")
@click.argument("call_id")
@as_json
@data_dir_option
@config_option
def show_call(call_id: str, data_dir: Path, config: Path, *, json_: bool) -> None:
    """Show one call: what it would send, who may decide, how it ended."""
    members = cast("Members", _ask(data_dir, config, "calls.show", call_id=call_id))
    out(document(members) if json_ else _show(members))


@calls.command("deny")
@click.argument("call_id")
@click.option("--reason", help="Told to the assistant.")
@data_dir_option
@config_option
def deny_call(call_id: str, reason: str | None, data_dir: Path, config: Path) -> None:
    """Deny an open call. Nothing is sent."""
    members = cast("Members", _ask(data_dir, config, "calls.deny", call_id=call_id, reason=reason))
    out(f"{members['id']}: {members['state']}")


@click.group()
def clients() -> None:
    """Machine clients: create, list, show, update, rotate, delete."""


@clients.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, help="A scope it may ask for; repeat.")
@click.option(
    "--audience", "audiences", multiple=True, metavar="URL", help="A resource its tokens are for."
)
@click.option(
    "--grant",
    "grants",
    multiple=True,
    default=("client_credentials",),
    show_default=True,
    type=click.Choice(["client_credentials", "ciba"]),
    help="How it gets tokens: as itself, or by asking a person. Repeat for both.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires.")
@as_json
@data_dir_option
@config_option
def create_client(
    name: str,
    scopes: tuple[str, ...],
    audiences: tuple[str, ...],
    grants: tuple[str, ...],
    days: int | None,
    data_dir: Path,
    config: Path,
    *,
    json_: bool,
) -> None:
    """Create a machine client. Its secret is shown this once."""
    result = _ask(
        data_dir,
        config,
        "clients.create",
        name=name,
        scopes=list(scopes),
        audiences=list(audiences),
        grants=list(grants),
        days=days,
    )
    members = cast("Members", result)
    note("Keep the secret now: it is stored as a hash and cannot be shown again.")
    out(document(members) if json_ else _show(members))


@clients.command("list")
@as_json
@data_dir_option
@config_option
def list_clients(data_dir: Path, config: Path, *, json_: bool) -> None:
    """List machine clients, the newest first."""
    columns = ("client_id", "name", "grants", "scopes", "disabled", "expires_at", "last_used_at")
    result = _ask(data_dir, config, "clients.list")
    _listed(
        result, columns, json_=json_, empty="No machine clients yet: signoff clients create NAME"
    )


@clients.command("show")
@click.argument("client_id")
@as_json
@data_dir_option
@config_option
def show_client(client_id: str, data_dir: Path, config: Path, *, json_: bool) -> None:
    """Show one machine client."""
    members = cast("Members", _ask(data_dir, config, "clients.show", client_id=client_id))
    out(document(members) if json_ else _show(members))


@clients.command("rotate")
@click.argument("client_id")
@as_json
@data_dir_option
@config_option
def rotate_client(client_id: str, data_dir: Path, config: Path, *, json_: bool) -> None:
    """Give a machine client a new secret, shown this once."""
    members = cast("Members", _ask(data_dir, config, "clients.rotate", client_id=client_id))
    note("Keep the secret now: it is stored as a hash and cannot be shown again.")
    out(document(members) if json_ else _show(members))


@clients.command("delete")
@click.argument("client_id")
@data_dir_option
@config_option
def delete_client(client_id: str, data_dir: Path, config: Path) -> None:
    """Delete a machine client. Its tokens stop working."""
    _ask(data_dir, config, "clients.delete", client_id=client_id)
    out(f"{client_id}: deleted")


@click.group()
def users() -> None:
    """The people of the catalogue: list, disable, enable."""


@users.command("list")
@as_json
@data_dir_option
@config_option
def list_users(data_dir: Path, config: Path, *, json_: bool) -> None:
    """List users and whether each has a device signed in."""
    columns = ("id", "name", "email", "admin", "disabled", "signed_in")
    result = _ask(data_dir, config, "users.list")
    _listed(result, columns, json_=json_, empty="The catalogue names no users.")


@users.command("disable")
@click.argument("user")
@data_dir_option
@config_option
def disable_user(user: str, data_dir: Path, config: Path) -> None:
    """Switch a user off: sessions end, nothing of theirs is sent any more."""
    _ask(data_dir, config, "users.disable", user=user)
    out(f"{user}: disabled")


@users.command("enable")
@click.argument("user")
@data_dir_option
@config_option
def enable_user(user: str, data_dir: Path, config: Path) -> None:
    """Switch a user on again. They sign in anew."""
    _ask(data_dir, config, "users.enable", user=user)
    out(f"{user}: enabled")


@click.group()
def audit() -> None:
    """The audit chain: verify, tail."""


@audit.command("verify")
@as_json
@data_dir_option
@config_option
def verify_audit(data_dir: Path, config: Path, *, json_: bool) -> None:
    """Check every row of the chain and the signed head."""
    members = cast("Members", _ask(data_dir, config, "audit.verify"))
    out(document(members) if json_ else str(members["text"]))
    if not members["intact"]:
        raise SystemExit(1)


@audit.command("tail")
@click.option("--lines", "-n", default=20, show_default=True, type=click.IntRange(1, 1000))
@as_json
@data_dir_option
@config_option
def tail_audit(lines: int, data_dir: Path, config: Path, *, json_: bool) -> None:
    """Print the newest rows, the newest last."""
    columns = ("seq", "at", "event", "subject", "actor")
    result = _ask(data_dir, config, "audit.tail", lines=lines)
    _listed(result, columns, json_=json_, empty="The audit chain is empty.")
