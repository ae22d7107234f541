"""What a spec says of itself as a tool: `x-mcp`, and `x-speakeasy-mcp` by another name.

Owns reading them. A boolean says whether an operation is offered; an object names and describes
it. Annotations can only make an operation look more dangerous than its method does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from signoff.canonical import Json
from signoff.catalog.openapi.documents import Document, Operation, dict_of, list_of

_KEYS: Final = ("x-speakeasy-mcp", "x-mcp")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")  # RFC 6749 §3.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """What an operation's spec says beyond OpenAPI."""

    is_offered: bool = True
    name: str | None = None
    title: Json = None
    description: Json = None
    scopes: tuple[str, ...] = ()
    is_not_read_only: bool = False
    is_destructive: bool = False
    is_not_idempotent: bool = False


def read(document: Document, operation: Operation) -> Extension:
    """Return what is said of `operation`; the nearest word counts."""
    is_offered = True
    members: dict[str, Json] = {}
    for said in _said(document, operation):
        if isinstance(said, bool):
            is_offered = said
        elif isinstance(said, dict):
            members |= said
            if isinstance(said.get("disabled"), bool):
                is_offered = said["disabled"] is False
    if is_offered and not members:
        return _NOTHING
    hints = dict_of(members.get("annotations"))
    name = members.get("name")
    return Extension(
        is_offered=is_offered,
        name=name if isinstance(name, str) and name else None,
        title=members.get("title"),
        description=members.get("description"),
        scopes=tuple(
            one
            for one in list_of(members.get("scopes"))
            if isinstance(one, str) and _SCOPE.fullmatch(one)
        ),
        is_not_read_only=hints.get("readOnlyHint") is False,
        is_destructive=hints.get("destructiveHint") is True,
        is_not_idempotent=hints.get("idempotentHint") is False,
    )


_NOTHING: Final = Extension()


def _said(document: Document, operation: Operation) -> Iterator[Json]:
    for key in _KEYS:
        root = document.root.get(key)
        if isinstance(root, bool):  # as an object at the root it is somebody else's
            yield root
    for level in (operation.extensions or {}, operation.members):
        for key in _KEYS:
            if key in level:
                yield level[key]
