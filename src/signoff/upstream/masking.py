"""Which values of a call people must not see, and what stands in their place.

Owns finding them (`secret_arguments`, `Parameter.secret`, `Body.secrets`) and the marker. Pure.
The marker tells the length; in arguments also a hash keyed for this one call, so that two values
within a call can be told apart and two calls cannot be compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from signoff.canonical import Json, canonical_bytes
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import Body
from signoff.sealed import Sealer

Path: TypeAlias = tuple[str, ...]

_HASH_CHARACTERS: Final = 16
_ANY: Final = frozenset({"*", "[]"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """`whole`: arguments masked altogether. `paths`: values inside arguments."""

    whole: frozenset[str]
    paths: tuple[Path, ...]

    def __bool__(self) -> bool:
        return bool(self.whole or self.paths)

    def present(self, arguments: Mapping[str, Json]) -> tuple[str, ...]:
        """Return which masked values these arguments hold, as `arguments.card.number`."""
        if not self:
            return ()
        found = {f"arguments.{name}" for name in self.whole if arguments.get(name) is not None}
        for path in self.paths:

            def note(value: Json, name: str = ".".join(path)) -> Json:
                found.add(f"arguments.{name}")
                return value

            _rewritten(dict(arguments), path, note)
        return tuple(sorted(found))

    def hide(
        self, arguments: Mapping[str, Json], mark: "Callable[[Json], str] | None" = None
    ) -> dict[str, Json]:
        """Return the arguments with each masked value replaced by its marker."""
        replace = mark or marker
        hidden: Json = dict(arguments)
        for path in (*((name,) for name in self.whole), *self.paths):
            hidden = _rewritten(hidden, path, replace)
        return hidden if isinstance(hidden, dict) else {}


def marker(value: Json) -> str:
    """Return what people see instead of `value`."""
    return f"•••• ({len(_text(value))} characters)"


def secrets_of(tool: ToolSpec) -> Secrets:
    """Collect what a tool declares secret, as argument names and paths."""
    whole = set(tool.secret_arguments)
    whole |= {parameter.argument for parameter in tool.parameters if parameter.secret}
    paths: set[Path] = set()
    for path in tool.body.secrets:
        argument_path = _argument_path(tool.body, path)
        if len(argument_path) == 1 and argument_path[0] not in _ANY:
            whole.add(argument_path[0])
        else:
            paths.add(argument_path)
    return Secrets(whole=frozenset(whole), paths=tuple(sorted(paths)))


def mask_arguments(
    tool: ToolSpec, arguments: Mapping[str, Json], *, call_id: str, sealer: Sealer
) -> dict[str, Json]:
    """Return the arguments as they may be shown and stored in clear.

    A masked value becomes `•••• (8 characters) #1f0a…`: its length, and a hash keyed for the call.
    """
    secrets = secrets_of(tool)
    if not secrets:
        return dict(arguments)
    key = call_id.encode() + b"\x00"

    def mark(value: Json) -> str:
        digest = sealer.keyed_hash("masked argument", key + canonical_bytes(value))
        return f"{marker(value)} #{digest.hex()[:_HASH_CHARACTERS]}"

    return secrets.hide(arguments, mark)


def _argument_path(body: Body, path: Path) -> Path:
    """Translate a path of body keys into the path of the argument that holds it."""
    if body.kind == "whole":
        return (body.argument, *path)
    for argument, key in body.members.items():
        if key == path[0]:
            return (argument, *path[1:])
    return path


def _rewritten(value: Json, path: Path, replace: Callable[[Json], Json]) -> Json:
    """Return `value` with what stands at `path` replaced; lists are stepped through."""
    if value is None:
        return None
    if not path:
        return replace(value)
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        # A path may name the list's members (`*`) or leave them out.
        inner = rest if step in _ANY else path
        return [_rewritten(member, inner, replace) for member in value]
    if isinstance(value, dict):
        return {
            key: _rewritten(member, rest, replace) if step == key or step in _ANY else member
            for key, member in value.items()
        }
    return value


def _text(value: Json) -> str:
    return value if isinstance(value, str) else canonical_bytes(value).decode()
