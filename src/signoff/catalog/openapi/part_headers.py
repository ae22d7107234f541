"""Headers of the parts of a multipart body (OpenAPI §Encoding Object, `headers`).

Owns which of them go out: those that can have one value only. Type and disposition of a part are
never among them. Reads schemas; writes no byte.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from signoff.canonical import Json
from signoff.catalog.openapi import media
from signoff.catalog.openapi.documents import MappingError, dict_of, list_of
from signoff.catalog.openapi.schemas import Converter

_OURS: Final = frozenset({"content-type", "content-disposition", "content-length"})
_TRANSFER: Final = "content-transfer-encoding"
_AS_IT_IS: Final = ("binary", "8bit")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,998}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class PartHeaders:
    """What of a part's headers is `sent`, and the names of those that are needed and cannot be."""

    sent: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()


def read(
    converter: Converter, said: Mapping[str, Json], schema: Json, *, is_file: bool
) -> PartHeaders:
    """Return the headers of the parts that one member becomes; `schema` is that of one part.

    A default is what the API assumes by itself, so it is only sent where something has to be.
    """
    sent: dict[str, tuple[str, str]] = {}
    missing: list[str] = []
    for name, raw in dict_of(said.get("headers")).items():
        folded = name.lower()
        if folded in _OURS or _NAME.fullmatch(name) is None:
            continue
        try:
            header = converter.document.follow(raw)
        except MappingError:
            continue  # a header that nobody describes costs no call
        is_needed = header.get("required") is True
        value = _only_value(converter, header, is_needed=is_needed)
        if value is not None and folded == _TRANSFER:
            value = (
                value if value.lower() in _transfers(converter, schema, is_file=is_file) else None
            )
        if value is not None:
            sent.setdefault(folded, (name, value))
        elif is_needed:
            missing.append(name)
    return PartHeaders(tuple(sent.values()), tuple(missing))


def _only_value(converter: Converter, header: Mapping[str, Json], *, is_needed: bool) -> str | None:
    content = dict_of(header.get("content"))
    media_type = next(iter(content), "text/plain")
    schema = dict_of(content.get(media_type)).get("schema", header.get("schema"))
    try:
        parts = list(converter.parts(schema))
    except MappingError:
        return None
    values = [value for part in parts for value in _values(part)]
    if not values and is_needed:
        values = [part["default"] for part in parts if "default" in part]
    if not values or not isinstance(values[0], str | bool | int | float):
        return None
    is_text = isinstance(values[0], str) and not media.is_json(media_type)
    text = str(values[0]) if is_text else json.dumps(values[0])
    return text if _VALUE.fullmatch(text) else None


def _values(part: Mapping[str, Json]) -> list[Json]:
    if "const" in part:
        return [part["const"]]
    listed = list_of(part.get("enum"))
    return listed if len(listed) == 1 else []


def _transfers(converter: Converter, schema: Json, *, is_file: bool) -> tuple[str, ...]:
    """Return the transfer encodings that are true of a part: files go as their bytes."""
    if is_file:
        return _AS_IT_IS
    for part in converter.parts(schema):
        encoding = part.get("contentEncoding", "base64" if part.get("format") == "byte" else None)
        if isinstance(encoding, str):
            return (encoding.lower(),)
    return _AS_IT_IS
