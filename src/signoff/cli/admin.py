"""Commands that look after a running signoff: login, calls, clients, users, audit.

They ask the process that owns the data directory, or open its store themselves when none runs.
None of them approves.
"""

from pathlib import Path
from typing import cast

import click
import segno

from signoff.cli.desk import Members, ask_desk, listed, shown
from signoff.cli.options import as_json, config_option, data_dir_option
from signoff.cli.tables import document, note, out


@click.command()
@click.argument("user", required=False)
@click.option("--qr", is_flag=True, help="Also print the link as a QR code.")
@data_dir_option
@config_option
def login(user: str | None, data_dir: Path, config: Path, *, qr: bool) -> None:
    """Print one sign-in link for USER: single use, 10 minutes."""
    members = cast("Members", ask_desk(data_dir, config, "login", user=user))
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
    result = ask_desk(data_dir, config, "calls.list", every=every)
    listed(result, columns, json_=json_, empty="No open calls. --all also lists those that ended.")


@calls.command("show")
@click.argument("call_id")
@as_json
@data_dir_option
@config_option
def show_call(call_id: str, data_dir: Path, config: Path, *, json_: bool) -> None:
    """Show one call: what it would send, who may decide, how it ended."""
    members = cast("Members", ask_desk(data_dir, config, "calls.show", call_id=call_id))
    out(document(members) if json_ else shown(members))


@calls.command("deny")
@click.argument("call_id")
@click.option("--reason", help="Told to the assistant.")
@data_dir_option
@config_option
def deny_call(call_id: str, reason: str | None, data_dir: Path, config: Path) -> None:
    """Deny an open call. Nothing is sent."""
    members = cast(
        "Members", ask_desk(data_dir, config, "calls.deny", call_id=call_id, reason=reason)
    )
    out(f"{members['id']}: {members['state']}")


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
    result = ask_desk(data_dir, config, "users.list")
    listed(result, columns, json_=json_, empty="The catalogue names no users.")


@users.command("disable")
@click.argument("user")
@data_dir_option
@config_option
def disable_user(user: str, data_dir: Path, config: Path) -> None:
    """Switch a user off: sessions end, nothing of theirs is sent any more."""
    ask_desk(data_dir, config, "users.disable", user=user)
    out(f"{user}: disabled")


@users.command("enable")
@click.argument("user")
@data_dir_option
@config_option
def enable_user(user: str, data_dir: Path, config: Path) -> None:
    """Switch a user on again. They sign in anew."""
    ask_desk(data_dir, config, "users.enable", user=user)
    out(f"{user}: enabled")


@users.command("code")
@click.argument("user")
@click.option("--remove", is_flag=True, help="Ask for no code any more.")
@data_dir_option
@config_option
def set_user_code(user: str, data_dir: Path, config: Path, *, remove: bool) -> None:
    """Set the code that clients with --user-code must send to prompt USER."""
    code = None
    if not remove:
        code = click.prompt("Code", hide_input=True, confirmation_prompt=True, err=True)
    ask_desk(data_dir, config, "users.code", user=user, code=code)
    out(f"{user}: {'no code' if remove else 'code set'}")


@click.group()
def audit() -> None:
    """The audit chain: verify, tail."""


@audit.command("verify")
@as_json
@data_dir_option
@config_option
def verify_audit(data_dir: Path, config: Path, *, json_: bool) -> None:
    """Check every row of the chain and the signed head."""
    members = cast("Members", ask_desk(data_dir, config, "audit.verify"))
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
    result = ask_desk(data_dir, config, "audit.tail", lines=lines)
    listed(result, columns, json_=json_, empty="The audit chain is empty.")
