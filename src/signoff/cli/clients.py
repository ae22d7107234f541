"""`signoff clients`: machine clients and gates.

Parse, print, exit. What the options mean stands in `app.client_operations`.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from signoff.canonical import Json, JsonError, parse
from signoff.cli.desk import Members, ask_desk, listed, shown
from signoff.cli.options import as_json, config_option, data_dir_option
from signoff.cli.tables import document, note, out

Command = TypeVar("Command", bound=Callable[..., Any])

_COLUMNS: Final = (
    *("client_id", "name", "role", "grants", "scopes", "secret_starts", "disabled"),
    *("expires_at", "last_used_at"),
)
_KEEP: Final = "Keep the secret now: it is stored as a hash and cannot be shown again."


def _json_object(_: click.Context, __: click.Parameter, value: str | None) -> Json:
    """Read a JSON object, strictly."""
    if value is None:
        return None
    read: Json = None
    with suppress(JsonError):
        read = parse(value.encode())
    if not isinstance(read, dict):
        raise click.BadParameter("""it is no JSON object, such as '{"team": "ops"}'""")
    return read


def settings(command: Command) -> Command:
    """Give a command the options that say what a client may do and how it is told."""
    for option in reversed((
        click.option("--scope", "scopes", multiple=True, help="A scope it may ask for; repeat."),
        click.option(
            "--audience",
            "audiences",
            multiple=True,
            metavar="URL",
            help="A resource its tokens are for; repeat.",
        ),
        click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires."),
        click.option(
            "--delivery",
            type=click.Choice(["poll", "ping", "push"]),
            help="How it hears of decisions (CIBA).",
        ),
        click.option("--notify", metavar="URL", help="Where a ping or push goes."),
        click.option("--sign", "algorithm", help="Its requests are signed, by this algorithm."),
        click.option("--user-code/--no-user-code", default=None, help="It asks for user codes."),
        click.option(
            "--details-type",
            "details_types",
            multiple=True,
            metavar="TYPE",
            help="A type of authorization_details it may ask a person for; repeat.",
        ),
        click.option("--dpop/--no-dpop", default=None, help="Its tokens are bound to a key."),
        click.option(
            "--metadata",
            metavar="JSON",
            callback=_json_object,
            help="Words of your own about it: a JSON object, up to 4 KiB.",
        ),
    )):
        command = option(command)
    return command


def removals(command: Command) -> Command:
    """Give a command the options that take a setting away."""
    for option in reversed((
        click.option("--no-scopes", is_flag=True, help="It may ask for no scope any more."),
        click.option(
            "--no-audiences", is_flag=True, help="Its tokens are for no resource any more."
        ),
        click.option("--no-details-types", is_flag=True, help="It asks for no details any more."),
        click.option("--no-sign", is_flag=True, help="Its requests need no signature any more."),
        click.option("--no-expiry", is_flag=True, help="It does not expire any more."),
    )):
        command = option(command)
    return command


_REMOVED: Final[Mapping[str, tuple[str, str]]] = {
    "no_scopes": ("scopes", "--scope"),
    "no_audiences": ("audiences", "--audience"),
    "no_details_types": ("details_types", "--details-type"),
    "no_sign": ("algorithm", "--sign"),
    "no_expiry": ("days", "--days"),
}
_jwks = click.option(
    "--jwks",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Its public keys: it signs instead of sending a secret.",
)


@click.group()
def clients() -> None:
    """Machine clients: create, list, show, update, rotate, disable, enable, delete."""


@clients.command("create")
@click.argument("name")
@click.option(
    "--grant",
    "grants",
    multiple=True,
    default=("client_credentials",),
    show_default=True,
    type=click.Choice(["client_credentials", "ciba", "device_code", "refresh_token"]),
    help="How it gets tokens: as itself, by asking a person (ciba), by a code that a person types "
    "(device_code), and again without asking, where the person said that it lasts "
    "(refresh_token). Repeat.",
)
@click.option(
    "--role",
    type=click.Choice(["machine", "gate"]),
    default="machine",
    show_default=True,
    help="A gate asks for tool calls from a process of its own; it needs --jwks.",
)
@_jwks
@settings
@as_json
@data_dir_option
@config_option
def create_client(
    name: str, jwks: Path | None, data_dir: Path, config: Path, *, json_: bool, **given: Any
) -> None:
    """Create a machine client. Its secret is shown this once."""
    members = _ask(
        data_dir,
        config,
        "clients.create",
        given,
        name=name,
        role=given["role"],
        grants=list(given["grants"]),
        jwks=None if jwks is None else jwks.read_text(),
    )
    if jwks is None:
        note(_KEEP)
    out(document(members) if json_ else shown(members))


@clients.command("list")
@as_json
@data_dir_option
@config_option
def list_clients(data_dir: Path, config: Path, *, json_: bool) -> None:
    """List machine clients, the newest first."""
    result = ask_desk(data_dir, config, "clients.list")
    listed(
        result, _COLUMNS, json_=json_, empty="No machine clients yet: signoff clients create NAME"
    )


@clients.command("show")
@click.argument("client_id")
@as_json
@data_dir_option
@config_option
def show_client(client_id: str, data_dir: Path, config: Path, *, json_: bool) -> None:
    """Show one machine client."""
    members = cast("Members", ask_desk(data_dir, config, "clients.show", client_id=client_id))
    out(document(members) if json_ else shown(members))


@clients.command("update")
@click.argument("client_id")
@click.option("--name", help="What people see it called.")
@_jwks
@settings
@removals
@as_json
@data_dir_option
@config_option
def update_client(
    client_id: str,
    name: str | None,
    jwks: Path | None,
    data_dir: Path,
    config: Path,
    *,
    json_: bool,
    **given: Any,
) -> None:
    """Change what is given of a client; the rest stays. Lists and metadata replace all it had."""
    for removal, (kept, option) in _REMOVED.items():
        if given[removal] and given[kept]:
            opposite = "--" + removal.replace("_", "-")
            raise click.UsageError(f"{option} and {opposite} say two things: give one")
    emptied: dict[str, Json] = {
        name: [] for name in ("scopes", "audiences", "details_types") if given[f"no_{name}"]
    }
    members = _ask(
        data_dir,
        config,
        "clients.update",
        given,
        client_id=client_id,
        name=name,
        no_expiry=given["no_expiry"],
        no_signing=given["no_sign"],
        jwks=None if jwks is None else jwks.read_text(),
        **emptied,
    )
    out(document(members) if json_ else shown(members))


@clients.command("rotate")
@click.argument("client_id")
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, 168),
    default=0,
    show_default=True,
    help="For how long the old secret still opens.",
)
@as_json
@data_dir_option
@config_option
def rotate_client(
    client_id: str, overlap_hours: int, data_dir: Path, config: Path, *, json_: bool
) -> None:
    """Give a machine client a new secret, shown this once."""
    result = ask_desk(
        data_dir, config, "clients.rotate", client_id=client_id, overlap_hours=overlap_hours
    )
    members = cast("Members", result)
    note(_KEEP)
    out(document(members) if json_ else shown(members))


@clients.command("disable")
@click.argument("client_id")
@data_dir_option
@config_option
def disable_client(client_id: str, data_dir: Path, config: Path) -> None:
    """Switch a client off: what it asked for ends, its tokens stop working."""
    ask_desk(data_dir, config, "clients.disable", client_id=client_id)
    out(f"{client_id}: disabled")


@clients.command("enable")
@click.argument("client_id")
@data_dir_option
@config_option
def enable_client(client_id: str, data_dir: Path, config: Path) -> None:
    """Switch a client on again. What ended stays ended."""
    ask_desk(data_dir, config, "clients.enable", client_id=client_id)
    out(f"{client_id}: enabled")


@clients.command("delete")
@click.argument("client_id")
@data_dir_option
@config_option
def delete_client(client_id: str, data_dir: Path, config: Path) -> None:
    """Delete a machine client. Its tokens stop working."""
    ask_desk(data_dir, config, "clients.delete", client_id=client_id)
    out(f"{client_id}: deleted")


def _ask(data_dir: Path, config: Path, command: str, given: Members, **more: Json) -> Members:
    """Ask with the options of `settings`; a list that was not given is not sent."""
    parameters: dict[str, Json] = {
        "days": given["days"],
        "delivery": given["delivery"],
        "notify": given["notify"],
        "request_signing_alg": given["algorithm"],
        "user_code": given["user_code"],
        "dpop": given["dpop"],
        "metadata": given["metadata"],
    }
    for name in ("scopes", "audiences", "details_types"):
        if values := cast("tuple[str, ...]", given[name]):
            parameters[name] = list(values)
    return cast("Members", ask_desk(data_dir, config, command, **parameters, **more))
