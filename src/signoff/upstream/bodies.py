"""The arguments of one call as a request body: its bytes, its media type, and what people see.

Owns the choice of writer by `Body.format` and the description of what is not shown inline. Pure:
the seed of a multipart boundary is an argument, so the same call always makes the same bytes.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never, cast

from signoff.approvals.details import INLINE_BYTES
from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import REST
from signoff.upstream import masking, xml_body
from signoff.upstream.multipart import (
    Part,
    decoded_base64,
    free_boundary,
    part_at,
    parts_of,
    written,
)
from signoff.upstream.serialise import UnserialisableError, compact, form_body
from signoff.upstream.target import RequestError

Hash: TypeAlias = Callable[[bytes], str]
"""Makes the hash that people see; keyed where a part is masked."""

_NOTHING: Final = object()
_RELATED: Final = "multipart/related"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A body. `shown` is its text for people where that is not the bytes themselves.

    `opaque` means no text of it is shown: it is binary, or its `parts` describe it.
    """

    content: bytes
    content_type: str
    shown: str | None = None
    opaque: bool = False
    parts: tuple[Mapping[str, Json], ...] = ()


def payload_of(
    tool: ToolSpec,
    arguments: Mapping[str, Json],
    secrets: masking.Secrets | None,
    *,
    seed: Callable[[], bytes],
    hashed: Hash,
) -> Payload | None:
    """Return the body, in the order of the arguments; None when there is none.

    `secrets` is set when the arguments hold masked values.

    Raises:
        RequestError: an argument cannot be sent in this body.
    """
    content = _value(tool, arguments)
    if content is _NOTHING:
        return None
    value = cast("Json", content)
    hidden = value
    if secrets is not None:
        hidden = cast("Json", _value(tool, secrets.hide(arguments)))
    body = tool.body
    try:
        match body.format:
            case "multipart":
                return _multipart(tool, value, hidden, seed=seed, hashed=hashed)
            case "parts":
                return _parts(tool, value, hidden, seed=seed, hashed=hashed)
            case "binary":
                content = decoded_base64(value)
                return Payload(content=content, content_type=body.content_type, opaque=True)
            case "json" | "form" | "text" | "xml":
                text = _text(tool, value)
                shown = None if secrets is None else _shown_text(tool, hidden)
                return Payload(content=text.encode(), content_type=body.content_type, shown=shown)
            case _:
                assert_never(body.format)
    except UnserialisableError as error:
        raise RequestError(body.argument, str(error)) from None
    except UnicodeEncodeError:
        raise RequestError(body.argument, "is not text") from None


def _text(tool: ToolSpec, value: Json) -> str:
    match tool.body.format:
        case "json":
            return compact(value)
        case "form":
            if not isinstance(value, dict):
                raise UnserialisableError("must be an object to be sent as a form")
            return _form(tool, value)
        case "xml":
            return xml_body.document(value, tool.body.xml)
        case _:
            if not isinstance(value, str):
                raise UnserialisableError(f"must be text to be sent as {tool.body.content_type}")
            return value


def _form(tool: ToolSpec, members: Mapping[str, Json]) -> str:
    pieces: list[str] = []
    for key, value in members.items():
        try:
            pieces.append(form_body({key: value}, tool.body.encodings))
        except UnserialisableError as error:
            raise RequestError(_argument(tool, key), str(error)) from None
    return "&".join(filter(None, pieces))


def _argument(tool: ToolSpec, key: str) -> str:
    """Return the argument that a key of the body comes from."""
    if tool.body.kind == "whole":
        return tool.body.argument
    return next((name for name, known in tool.body.members.items() if known == key), key)


def _shown_text(tool: ToolSpec, hidden: Json) -> str:
    if tool.body.format == "form" and isinstance(hidden, str):
        return hidden  # the marker of a body that is masked altogether
    return _text(tool, hidden)


def _multipart(
    tool: ToolSpec, value: Json, hidden: Json, *, seed: Callable[[], bytes], hashed: Hash
) -> Payload:
    if not isinstance(value, dict):
        raise UnserialisableError("must be an object to be sent as multipart")
    encodings, rest = tool.body.encodings, tool.body.encodings.get(REST)
    found: list[tuple[Part, Json]] = []
    for key, member in _in_order(tool, value):
        try:
            made = parts_of(key, member, encodings.get(key, rest))
        except UnserialisableError as error:
            raise RequestError(_argument(tool, key), str(error)) from None
        shown = hidden.get(key) if isinstance(hidden, dict) else hidden
        found += [(part, None if shown == member else shown) for part in made]
    return _written(found, tool.body.content_type, seed=seed, hashed=hashed)


def _parts(
    tool: ToolSpec, value: Json, hidden: Json, *, seed: Callable[[], bytes], hashed: Hash
) -> Payload:
    if not isinstance(value, list) or not value:
        raise UnserialisableError("must be a list of one part or more")
    encodings, rest = tool.body.encodings, tool.body.encodings.get(REST)
    found: list[tuple[Part, Json]] = []
    for at, item in enumerate(value):
        part = part_at(at, item, encodings.get(str(at), rest))
        shown = hidden[at] if isinstance(hidden, list) else hidden
        found.append((part, None if shown == item else shown))
    content_type = tool.body.content_type
    if content_type.lower().startswith(_RELATED) and "type=" not in content_type.lower():
        # RFC 2387 §3.1: it names the type of the first part, which is the root.
        root = (found[0][0].media_type or "").partition(";")[0]
        content_type = f'{content_type}; type="{root}"'
    return _written(found, content_type, seed=seed, hashed=hashed)


def _written(
    found: Sequence[tuple[Part, Json]],
    content_type: str,
    *,
    seed: Callable[[], bytes],
    hashed: Hash,
) -> Payload:
    """Return the body of the parts; beside each stands its mask, None where nothing is hidden."""
    parts = [part for part, _ in found]
    described: list[Mapping[str, Json]] = []
    room = INLINE_BYTES
    for part, masked in found:
        text = _part_text(part, masked, room)
        room -= len(text or "")
        described.append(_described(part, text, hashed))
    start = seed()
    boundary = free_boundary(
        parts,
        # 128 bits that no value can know: the first one fits, unless a value holds it by design.
        (hashlib.sha256(start + bytes([count])).hexdigest()[:32] for count in range(256)),
    )
    return Payload(
        content=written(parts, boundary),
        content_type=f"{content_type}; boundary={boundary}",
        opaque=True,
        parts=tuple(described),
    )


def _in_order(tool: ToolSpec, members: Mapping[str, Json]) -> list[tuple[str, Json]]:
    """Return the members of a multipart body as the spec lists them; what it does not list last.

    RFC 7578 leaves the order to whoever sends. A server that reads as it goes wants what describes
    a file before it, as Box does, and its spec says so by its order at the most.
    """
    listed = {key: at for at, key in enumerate(tool.body.members.values())}
    return sorted(members.items(), key=lambda one: listed.get(one[0], len(listed)))


def _part_text(part: Part, masked: Json, room: int) -> str | None:
    """Return the text people see of a part; None for files and for what is too large."""
    if masked is not None:
        text = masked if isinstance(masked, str) else compact(masked)
    elif part.filename is not None or len(part.content) > room:
        return None
    else:
        text = part.content.decode()
    return text if len(text) <= room else None


def _described(part: Part, text: str | None, hashed: Hash) -> dict[str, Json]:
    headers: dict[str, Json] = {"headers": dict[str, Json](part.headers)} if part.headers else {}
    return {
        **headers,
        "name": part.name,
        "filename": part.filename,
        "media_type": part.media_type or "text/plain",
        "bytes": len(part.content),
        "sha256": hashed(part.content),
        "text": text,
    }


def _value(tool: ToolSpec, arguments: Mapping[str, Json]) -> object:
    body = tool.body
    placed = {parameter.argument for parameter in tool.parameters}
    rest = {name: value for name, value in arguments.items() if name not in placed}
    if body.kind == "whole":
        value: object = rest.pop(body.argument, _NOTHING)
        _refuse_unplaced(rest)
        if value is _NOTHING and body.required:
            raise RequestError(body.argument, "is required")
        return value
    if body.kind == "none":
        _refuse_unplaced(rest)
        return _NOTHING
    members: dict[str, Json] = {}
    for argument, value in rest.items():
        key = body.members.get(argument)
        if key is None:
            if not body.open_members:
                _refuse_unplaced({argument: value})
            key = argument
        if key in members:
            raise RequestError(argument, f"sets the body's {key[:60]!r} a second time")
        members[key] = value
    # A required body whose members are all optional is still sent, as `{}`.
    return members if members or body.required else _NOTHING


def _refuse_unplaced(arguments: Mapping[str, Json]) -> None:
    for name in arguments:
        raise RequestError(name[:100], "is not an argument of this tool")
