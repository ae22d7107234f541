"""Asking whoever owns the data directory, and printing the answer.

Owns what every such command does alike; each command names its operation.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from signoff.app.admin import ask
from signoff.canonical import Json
from signoff.cli.failures import run
from signoff.cli.tables import document, note, out, table, visible

Members = Mapping[str, Json]


def ask_desk(data_dir: Path, config: Path, command: str, **parameters: Json) -> Json:
    """Run an operation in the server, or over the store itself when none runs."""
    return run(ask(data_dir, config, command, parameters))


def _rows(result: Json) -> list[Members]:
    return cast("list[Members]", result)


def shown(members: Members) -> str:
    """Return the members one a line."""
    width = max(map(len, members), default=0)
    return "\n".join(
        f"{name.ljust(width)}  {visible(value if isinstance(value, str) else json.dumps(value))}"
        for name, value in members.items()
        if value is not None
    )


def listed(result: Json, columns: Sequence[str], *, json_: bool, empty: str) -> None:
    """Print rows as a table or as JSON; `empty` says what to do when there are none."""
    rows = _rows(result)
    if json_:
        out(document(rows))
    elif not rows:
        note(empty)
    else:
        out(table(columns, [[row.get(column) or "-" for column in columns] for row in rows]))
