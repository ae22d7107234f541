"""What an operation's method and words say of its risk.

Owns the default risk. A spec's text may raise a risk, never lower one.
"""

import re
from typing import Final

from signoff.catalog.model import Risk
from signoff.catalog.openapi.documents import Operation
from signoff.catalog.openapi.extensions import Extension
from signoff.catalog.openapi.texts import plain_text

READS: Final = frozenset({"GET", "HEAD", "QUERY"})

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_GROUPS: Final = re.compile(r"[./:]")
_DOING: Final = frozenset({
    "cancel", "close", "create", "delete", "destroy", "disable", "execute", "kill", "move", "pay",
    "purge", "reboot", "refund", "remove", "reset", "restart", "revoke", "send", "shutdown",
    "terminate", "transfer", "trigger", "update", "wipe",
})  # fmt: skip


def default_risk(operation: Operation, extension: Extension) -> tuple[Risk, str]:
    """Return the risk the method implies, raised by what the spec says, and why."""
    method = operation.method.upper()
    if method not in READS:
        return Risk.HIGH, f"{method} without a risk of its own"
    said = operation.members.get("x-risk")
    if said is not None and said != "low":
        return Risk.HIGH, f"the spec says x-risk: {plain_text(str(said), limit=20)}"
    if extension.is_destructive or extension.is_not_read_only:
        return Risk.HIGH, f"{method}, but the spec's x-mcp says it changes something"
    for part in (operation.id, *_GROUPS.split(operation.id or "")[-1:]):
        word = next((found[0] for found in _WORD.finditer(part or "")), "").lower()
        if word in _DOING:
            return Risk.HIGH, f'{method}, but its name says "{word}"'
    return Risk.LOW, method
