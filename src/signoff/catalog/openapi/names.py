"""Names that every MCP host accepts: of tools, and of their arguments.

Owns the alphabet, the lengths and what happens on a clash. A name depends on the set of
operations, never on their order.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

K = TypeVar("K", bound=Hashable)

TOOL: Final = re.compile(r"[A-Za-z0-9_-]{1,48}")
PREFIX: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,22}[A-Za-z0-9])?")
PREFIX_RULE: Final = "must be 1 to 24 letters, digits, _ or -, with a letter or digit at both ends"
ARGUMENT: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
RESERVED: Final = (
    "call_status",
    "execute_tool",
    "describe_tool",
    "repeat_call",
    "search_tools",
    "withdraw_call",
)

_TOOL_LENGTH: Final = 48
_ARGUMENT_LENGTH: Final = 64
_HASH_LENGTH: Final = 8
_SEPARATORS: Final = re.compile(r"[^A-Za-z0-9]+")
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_FILE_END: Final = re.compile(r"\.(?:ya?ml|json)#?$")
_BRACKETED: Final = re.compile(r"\[([^\[\]]+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """An argument as the wire names it, and the place it goes to."""

    place: str
    name: str


def tool_names(
    operations: Iterable[tuple[str | None, str, str]],
    pinned: Mapping[str, str] | None = None,
    *,
    prefix: str = "",
) -> dict[tuple[str, str], str]:
    """Return a legal, unique name for each `(operationId, method, path)`, by method and path.

    `prefix` and an underscore begin each name that is not pinned, and count within its length.
    `pinned` maps `METHOD path` to the name it keeps; whoever else would have that name gives way.
    """
    listed = list(operations)
    kept = {
        (method, path): pinned[f"{method.upper()} {path}"]
        for _, method, path in (listed if pinned else [])
        if pinned and f"{method.upper()} {path}" in pinned
    }
    fresh = _fresh_names([one for one in listed if one[1:] not in kept], prefix)
    taken = set(kept.values())
    for key, name in fresh.items():
        if name in taken:
            fresh[key] = _cut(name, _hash(*key), _TOOL_LENGTH)
    return {**fresh, **kept}


def _fresh_names(
    listed: Sequence[tuple[str | None, str, str]], prefix: str
) -> dict[tuple[str, str], str]:
    first = {
        (method, path): _prefixed(prefix, _candidate(id_, method, path), method, path)
        for id_, method, path in listed
    }
    names = _suffix_clashes(first, lambda key, name: _cut(name, _hash(*key), _TOOL_LENGTH))
    start = f"{prefix}_op" if prefix else "op"
    room = _TOOL_LENGTH - len(start) - 1
    return _suffix_clashes(names, lambda key, _: f"{start}_{_hash(*key, length=min(40, room))}")


def argument_names(wires: Sequence[Wire]) -> dict[Wire, str]:
    """Return a legal, unique argument name for each wire name.

    Those that share a name across places are all renamed `<name>_<place>`; what still clashes
    after that carries a hash, so no name depends on the order.
    """
    first = {wire: _alias(wire.name) for wire in wires}
    legal = {wire for wire in wires if first[wire] == wire.name}
    same_place = Counter((wire.place, name) for wire, name in first.items())
    for wire, name in first.items():
        if same_place[wire.place, name] > 1 and wire not in legal:
            first[wire] = _cut(name, _hash(wire.place, wire.name), _ARGUMENT_LENGTH)
    placed = _suffix_clashes(first, lambda wire, name: _cut(name, wire.place, _ARGUMENT_LENGTH))
    return _suffix_clashes(
        placed, lambda wire, name: _cut(name, _hash(wire.place, wire.name), _ARGUMENT_LENGTH)
    )


def definition_name(pointer: str, taken: Callable[[str], bool]) -> str:
    """Return a legal `$defs` key for what stands at `pointer`."""
    last = _FILE_END.sub("", pointer).rsplit("/", 1)[-1]
    name = _FOREIGN.sub("_", last).strip("_") or "schema"
    return _cut(name, _hash(pointer), _ARGUMENT_LENGTH) if taken(name) else name[:_ARGUMENT_LENGTH]


def _suffix_clashes(names: Mapping[K, str], rename: Callable[[K, str], str]) -> dict[K, str]:
    """Rename every holder of a name that more than one holds."""
    held = Counter(names.values())
    return {key: rename(key, name) if held[name] > 1 else name for key, name in names.items()}


def _candidate(operation_id: str | None, method: str, path: str) -> str:
    if operation_id is not None and TOOL.fullmatch(operation_id):
        return operation_id
    name = _slug(operation_id or f"{method} {path}")
    if not name:
        return f"op_{_hash(method, path)}"
    return name if len(name) <= _TOOL_LENGTH else _cut(name, _hash(method, path), _TOOL_LENGTH)


def _prefixed(prefix: str, name: str, method: str, path: str) -> str:
    if not prefix:
        return name
    whole = f"{prefix}_{name}"
    return whole if len(whole) <= _TOOL_LENGTH else _cut(whole, _hash(method, path), _TOOL_LENGTH)


def _slug(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _SEPARATORS.sub("_", ascii_text).strip("_")


def _alias(name: str) -> str:
    if ARGUMENT.fullmatch(name):
        return name
    spelled = name.replace("<", "_lt").replace(">", "_gt").replace("[]", "")
    spelled = _BRACKETED.sub(r".\1", spelled)
    ascii_text = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    alias = _FOREIGN.sub("_", ascii_text).strip("_.-")
    if not alias:
        return f"arg_{_hash(name)}"
    return alias if len(alias) <= _ARGUMENT_LENGTH else _cut(alias, _hash(name), _ARGUMENT_LENGTH)


def _cut(name: str, suffix: str, length: int) -> str:
    return f"{name[: length - len(suffix) - 1]}_{suffix}"


def _hash(*parts: str, length: int = _HASH_LENGTH) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:length]
