"""How each member of a form or multipart body is written (OpenAPI §Encoding Object).

Owns what a spec leaves unsaid: which members are files, and the part's type. Reads schemas, makes
`Encoding`s; writes no byte.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, cast

from signoff.canonical import Json
from signoff.catalog.openapi import media, part_headers
from signoff.catalog.openapi.documents import dict_of
from signoff.catalog.openapi.parameters import inner_of
from signoff.catalog.openapi.schemas import Converter
from signoff.catalog.wire import BodyFormat, Encoding, Style

_STYLES: Final = ("form", "spaceDelimited", "pipeDelimited", "tabDelimited", "deepObject")
_FILE_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/(?:\*|[\w!#$&^.+-]+)|\*/\*", re.ASCII)
_WORDS: Final = frozenset({"description", "title", "contentMediaType", "example", "examples"})

FILE: Final[Mapping[str, Json]] = {
    "anyOf": [
        {"type": "string", "contentEncoding": "base64"},
        {
            "type": "object",
            "properties": {
                "data": {"type": "string", "contentEncoding": "base64"},
                "filename": {"type": "string"},
                "content_type": {"type": "string"},
            },
            "required": ["data"],
            "additionalProperties": False,
        },
    ]
}
"""What an assistant passes for a file: base64, or base64 with a name and a type."""


def plan(
    converter: Converter,
    members: Mapping[str, Json],
    written: Mapping[str, Json],
    format_: BodyFormat,
    *,
    indexed: bool = False,
) -> dict[str, Encoding]:
    """Return an encoding for each member that is not written by the defaults."""
    found: dict[str, Encoding] = {}
    for name, schema in members.items():
        said = dict_of(written.get(name))
        made = _encoding(said, indexed=indexed)
        if inner := inner_of(converter.document, said):
            made = replace(made, inner=inner)
        if format_ == "multipart":
            made = _part(converter, schema, said, made)
            headers = _headers(converter, schema, said, made)
            made = replace(made, headers=headers.sent)
        if made != Encoding():
            found[name] = made
    return found


def unsent(
    converter: Converter,
    members: Mapping[str, Json],
    written: Mapping[str, Json],
    planned: Mapping[str, Encoding],
) -> tuple[str, ...]:
    """Return the headers of parts that are needed and have no one value, as `member: Name`."""
    return tuple(
        f"{name}: {header}"
        for name, schema in members.items()
        for header in _headers(
            converter, schema, dict_of(written.get(name)), planned.get(name, Encoding())
        ).missing
    )


def is_files(converter: Converter, schema: Json) -> bool:
    """Say whether a schema is the bytes of a file or of several, and nothing around them."""
    inner = _items(converter, schema)
    return _is_text(converter, inner) and _is_binary(converter, inner)


def is_list_of_files(converter: Converter, schema: Json) -> bool:
    """Say whether a file member holds several."""
    return any(part.get("type") == "array" for part in converter.parts(schema))


def _encoding(said: Mapping[str, Json], *, indexed: bool) -> Encoding:
    """OpenAPI 3.1 §Encoding Object: a style turns the content type off."""
    style = said.get("style")
    is_styled = style in _STYLES or "explode" in said or "allowReserved" in said
    if not is_styled:
        return Encoding(content_type=_one_type(said.get("contentType")), indexed=indexed)
    named = cast("Style", style if style in _STYLES else "form")
    explode = said.get("explode")
    return Encoding(
        style=named,
        explode=explode if isinstance(explode, bool) else named in ("form", "deepObject"),
        allow_reserved=said.get("allowReserved") is True,
        indexed=indexed,
    )


def _part(converter: Converter, schema: Json, said: Mapping[str, Json], made: Encoding) -> Encoding:
    inner = _items(converter, schema)
    declared = said.get("contentType")
    is_file = _is_binary(converter, inner)
    if not is_file and isinstance(declared, str) and _is_text(converter, inner):
        # An image that is described as plain text is still sent as the bytes of an image.
        is_file = all(media.format_of(one) == "binary" for one in declared.split(","))
    if not is_file:
        return made
    type_ = types_of(declared) or _one_type(declared) or _one_type(_content_type(converter, inner))
    return Encoding(content_type=type_, is_file=True)


def _headers(
    converter: Converter, schema: Json, said: Mapping[str, Json], made: Encoding
) -> part_headers.PartHeaders:
    if "headers" not in said:  # by far the most
        return part_headers.PartHeaders()
    inner = _items(converter, schema)
    return part_headers.read(converter, said, inner, is_file=made.is_file)


def _items(converter: Converter, schema: Json) -> Json:
    for part in converter.parts(schema):
        if part.get("type") == "array":
            return part.get("items", {})
    return schema


def _is_binary(converter: Converter, schema: Json) -> bool:
    """3.0: `format: binary`. 3.1: an empty schema, or a type without an encoding in text."""
    if not converter.document.has_old_schemas and not dict_of(schema).keys() - _WORDS:
        return True
    for part in converter.parts(schema):
        if part.get("format") == "binary" or part.get("type") == "file":
            return True
        type_ = part.get("contentMediaType")
        if (
            isinstance(type_, str)
            and "contentEncoding" not in part
            and media.format_of(type_) == "binary"
        ):
            return True
        for keyword in ("anyOf", "oneOf"):
            branches = part.get(keyword)
            if isinstance(branches, list) and any(
                dict_of(branch).get("format") == "binary" for branch in branches
            ):
                return True
    return False


def _is_text(converter: Converter, schema: Json) -> bool:
    return any(part.get("type") == "string" for part in converter.parts(schema))


def _content_type(converter: Converter, schema: Json) -> Json:
    return next(
        (
            part["contentMediaType"]
            for part in converter.parts(schema)
            if "contentMediaType" in part
        ),
        None,
    )


def _one_type(written: Json) -> str | None:
    """Return a media type that is one, not a list or a range."""
    if not isinstance(written, str) or set(written) & set(",*\r\n"):
        return None
    return media.in_utf8(written.strip()) if media.format_of(written) is not None else None


def types_of(written: Json) -> str | None:
    """Return the types that a file may be of, as a list with ranges; the first is the usual one."""
    if not isinstance(written, str) or set(written) & set("\r\n"):
        return None
    found = [one.strip() for one in written.split(",")]
    return ", ".join(found) if all(_FILE_TYPE.fullmatch(one) for one in found) else None
