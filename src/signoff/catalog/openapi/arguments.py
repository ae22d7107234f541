"""Parameters and body become one closed object of arguments.

Owns the merged input schema and the binding table beside it: which argument goes where under
which wire name. The root is always a plain object, without unions, closed unless the body is open.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from signoff.canonical import Json
from signoff.catalog.openapi import bodies, encodings, media
from signoff.catalog.openapi.documents import MappingError, dict_of, list_of
from signoff.catalog.openapi.encodings import FILE, is_list_of_files
from signoff.catalog.openapi.keywords import is_pattern
from signoff.catalog.openapi.names import ARGUMENT, Wire, argument_names
from signoff.catalog.openapi.parameters import Candidate
from signoff.catalog.openapi.schemas import Converter, Schema
from signoff.catalog.openapi.secrets import Marks, Path
from signoff.catalog.openapi.shapes import SMALL_BYTES, bytes_of
from signoff.catalog.openapi.texts import plain_text
from signoff.catalog.wire import Body, Encoding, Parameter, Place
from signoff.schema import SchemaError, check_schema

_DESCRIPTION: Final = 300
_EXAMPLE_BYTES: Final = SMALL_BYTES // 4
_HOLDING: Final = frozenset({"$ref", "allOf", "pattern", "enum", "const"})
"""Where a schema may say which texts it takes."""
_EXCLUDED: Final = re.compile(r"\[\^(?:[^\]\\]|\\.)*\]")
"""A class of characters that a pattern does not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The input of one tool."""

    schema: Schema
    parameters: tuple[Parameter, ...]
    body: Body
    secret: frozenset[str]


def merge(
    candidates: Sequence[Candidate],
    shape: bodies.Shape,
    converter: Converter,
    marks: Marks,
    *,
    indexed: bool = False,
) -> Arguments:
    """Return the merged input of `candidates` (parameters) and a body.

    Raises:
        MappingError: the schema cannot be converted, or is not one that hosts accept.
    """
    sent = [
        part
        for part in shape.candidates
        if shape.kind == "whole" or not converter.hides(part.schema)
    ]
    everything = [*candidates, *sent]
    names = argument_names([_wire(candidate) for candidate in everything])
    uses: set[str] = set()
    properties: dict[str, Json] = {}
    required: list[Json] = []
    secret: set[str] = set()
    for candidate in everything:
        argument = names[_wire(candidate)]
        properties[argument] = _property(candidate, converter, uses)
        if candidate.required:
            required.append(argument)
        if _is_secret(candidate, marks):
            secret.add(argument)
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    body = _body(shape, names, marks)
    rest = converter.convert(shape.rest, uses) if isinstance(shape.rest, dict) else shape.rest
    schema["additionalProperties"] = rest
    if shape.kind == "members" and not shape.required:
        _need_together(schema, shape, names)
    if definitions := converter.definitions(uses):
        schema["$defs"] = definitions
    _check(schema)
    return Arguments(
        schema=schema,
        parameters=tuple(
            _parameter(candidate, names[_wire(candidate)], secret, converter, indexed=indexed)
            for candidate in candidates
        ),
        body=replace(body, open_members=rest is not False and shape.kind == "members"),
        secret=frozenset(secret),
    )


def _wire(candidate: Candidate) -> Wire:
    return Wire(place=candidate.place, name=candidate.name)


def _property(candidate: Candidate, converter: Converter, uses: set[str]) -> Schema:
    made = dict(_file(candidate, converter) or converter.convert(candidate.schema, uses))
    own = plain_text(candidate.description, limit=_DESCRIPTION)
    text = own or str(made.get("description", ""))
    if not ARGUMENT.fullmatch(candidate.name):
        text = f"{text} (sent as {plain_text(candidate.name, limit=100)})".strip()
    if text:
        made["description"] = text
    if candidate.deprecated:
        made["deprecated"] = True
    for example in candidate.examples:
        if "examples" not in made and len(bytes_of(example)) <= _EXAMPLE_BYTES:
            made["examples"] = [example]
    return made


def _file(candidate: Candidate, converter: Converter) -> Schema | None:
    if not candidate.is_file:
        return None
    text: Schema = {}
    for part in converter.parts(candidate.schema):
        text = {"description": part.get("description"), **text}
    words = {key: value for key, value in text.items() if isinstance(value, str)}
    if is_list_of_files(converter, candidate.schema):
        return {"type": "array", "items": dict(FILE), **words}
    return {**FILE, **words}


def _encodings(candidate: Candidate, converter: Converter, *, indexed: bool) -> dict[str, Encoding]:
    if candidate.place != "querystring" or media.format_of(candidate.content_type or "") != "form":
        return {}
    members: dict[str, Json] = {}
    for part in converter.parts(candidate.schema):
        members |= dict_of(part.get("properties"))
    return encodings.plan(converter, members, candidate.encoding, "form", indexed=indexed)


def _parameter(
    candidate: Candidate,
    argument: str,
    secret: set[str],
    converter: Converter,
    *,
    indexed: bool,
) -> Parameter:
    return Parameter(
        argument=argument,
        name=candidate.name,
        place=cast("Place", candidate.place),
        style=candidate.style,
        explode=candidate.explode,
        required=candidate.required,
        allow_reserved=candidate.allow_reserved,
        content_type=candidate.content_type,
        secret=argument in secret,
        indexed=indexed and candidate.style == "deepObject",
        inner=candidate.inner,
        encodings=_encodings(candidate, converter, indexed=indexed),
        slashes=candidate.place == "path" and _takes_slashes(candidate, converter),
    )


def _takes_slashes(candidate: Candidate, converter: Converter) -> bool:
    """Say whether the spec allows a slash in so many words: it is refused everywhere else.

    A value is held to its pattern and its enumeration, so a slash in them is one that may be sent.
    """
    if dict_of(candidate.schema).keys().isdisjoint(_HOLDING):  # by far the most
        return candidate.slashes
    for part in converter.parts(candidate.schema):
        pattern = part.get("pattern")
        if isinstance(pattern, str) and is_pattern(pattern):
            return "/" in _EXCLUDED.sub("", pattern)
        listed = [*list_of(part.get("enum")), part.get("const")]
        if any(isinstance(one, str) and "/" in one for one in listed):
            return True
    return candidate.slashes


def _is_secret(candidate: Candidate, marks: Marks) -> bool:
    """A parameter is shown or hidden whole; a member of the body may be shown in part."""
    if candidate.place == "body":
        return marks.is_secret(candidate.schema)
    return marks.holds(candidate.schema)


def _body(shape: bodies.Shape, names: dict[Wire, str], marks: Marks) -> Body:
    if shape.kind == "none":
        return Body()
    wires = {wire.name: names[wire] for wire in names if wire.place == "body"}
    paths = marks.paths(shape.schemas)
    if shape.kind == "whole":
        return Body(
            kind="whole",
            content_type=shape.content_type,
            required=shape.required,
            argument=wires["body"],
            secrets=paths,
            format=shape.format,
            encodings=shape.encodings,
            unsent=shape.unsent,
            xml=shape.xml,
        )
    return Body(
        kind="members",
        content_type=shape.content_type,
        required=shape.required,
        members={argument: name for name, argument in wires.items()},
        secrets=_of_members(paths, wires),
        format=shape.format,
        encodings=shape.encodings,
        unsent=shape.unsent,
    )


def _of_members(paths: frozenset[Path], wires: dict[str, str]) -> frozenset[Path]:
    """A body that is secret as a whole has no argument of its own: each of its members is."""
    return paths if () not in paths else frozenset((name,) for name in wires)


def _need_together(schema: Schema, shape: bodies.Shape, names: dict[Wire, str]) -> None:
    """An optional body may be left out whole; begun, it needs what it requires."""
    wires = {wire.name: names[wire] for wire in names if wire.place == "body"}
    needed = [wires[name] for name in shape.needed if name in wires]
    dependent: dict[str, Json] = {
        argument: list[Json](others)
        for argument in wires.values()
        if (others := [name for name in needed if name != argument])
    }
    if dependent:
        schema["dependentRequired"] = dependent


def _check(schema: Schema) -> None:
    own: Schema = {key: value for key, value in schema.items() if key != "$defs"}
    try:
        check_schema(own)  # the definitions were checked when they were made
    except SchemaError as error:
        raise MappingError(f"its input schema is not usable: {error}") from None
