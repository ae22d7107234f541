"""Tells an approver of a request on the terminal that started signoff, or in its log.

Owns the line: who is asked, until when, where to decide. It holds no value that an assistant,
a spec or an upstream chose freely: whatever is not a plain id or time is left out.
"""

import contextlib
import logging
import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, cast

from signoff.canonical import Json

Show = Callable[[str], None]

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_MOST_NAMES: Final = 5


class Terminal:
    """Delivers `approval.opened` messages. `link` makes an approval's page address."""

    def __init__(self, *, link: Callable[[str], str], show: Show) -> None:
        self._link, self._show = link, show

    async def deliver(self, subject: str, payload: Mapping[str, Json]) -> None:
        """Show one line for the approval `subject`."""
        self._show(sentence(payload, link=self._link(subject)))


def sentence(payload: Mapping[str, Json], *, link: str) -> str:
    """Return the line for a request that `payload` names by `eligible` and `expires_at`."""
    who, until = _names(payload.get("eligible")), _time(payload.get("expires_at"))
    return (
        f"A request waits{f' for {who}' if who else ''}{f' until {until}' if until else ''}: {link}"
    )


def on_terminal_or_log(line: str) -> None:
    """Write a line to the controlling terminal, or to the log where there is none."""
    if not write_to_terminal(line):
        logging.getLogger(__name__).info("%s", line)


def write_to_terminal(line: str) -> bool:
    """Write a line to the controlling terminal; False where there is none.

    Unlike stderr it is never redirected into a file, so it may carry a sign-in link.
    """
    with contextlib.suppress(OSError):
        # Without O_NOCTTY a server could get a terminal it did not start on.
        descriptor = os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as terminal:
            terminal.write(line + "\n")
        return True
    return False


def _names(value: Json) -> str:
    listed = cast("list[Json]", value if isinstance(value, list) else [])
    names = [name for each in listed if (name := _plain(each))]
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _plain(value: Json) -> str | None:
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else None


def _time(value: Json) -> str | None:
    """Return the time of day, in local time, of an ISO 8601 time."""
    try:
        return datetime.fromisoformat(str(value)).astimezone().strftime("%H:%M %Z")
    except (ValueError, OverflowError):
        return None
