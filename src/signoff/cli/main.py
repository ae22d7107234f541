"""`signoff`: the commands a person types to run it. Parse, print, exit; no logic.

A command's module is imported when the command is used: nobody who lists calls waits for the
server's libraries.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import Final, cast

import click

_COMMANDS: Final = {
    "audit": "admin",
    "call": "call",
    "calls": "admin",
    "check": "catalogue",
    "clients": "clients",
    "consents": "consents",
    "demo": "server",
    "gate": "gate",
    "hosts": "hosts",
    "init": "catalogue",
    "login": "admin",
    "serve": "server",
    "tools": "catalogue",
    "users": "admin",
}


class _Commands(click.Group):
    """Finds each command by name in its module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        near = get_close_matches(name, _COMMANDS, n=1)
        if near and name not in _COMMANDS and not name.startswith("-"):
            ctx.fail(f'No such command {name!r}. Did you mean "{near[0]}"?')
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if (module := _COMMANDS.get(cmd_name)) is None:
            return None
        return cast("click.Command", getattr(import_module(f"signoff.cli.{module}"), cmd_name))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="signoff")
def main() -> None:
    """An MCP server that stops every risky call until a person has signed it off."""
