"""Multipart bodies whose parts have places and no names (OpenAPI 3.2 §Encoding By Position).

Owns what each part is and how it is written: `multipart/mixed` and `multipart/related` (RFC 2046
§5.1.3, RFC 2387). Only a list is such a body. An object's members are named, and neither type has
a place for a name: which part is which, nobody could tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from signoff.canonical import Json
from signoff.catalog.openapi import encodings, media
from signoff.catalog.openapi.documents import MappingError, dict_of, list_of
from signoff.catalog.openapi.schemas import Converter
from signoff.catalog.wire import REST, Encoding

_COUNTS: Final = ("minItems", "maxItems", "description", "title")
_READ: Final = ("contentType", "headers")
"""Styles count in forms only."""
_BYTES: Final[Mapping[str, Json]] = {"type": "string", "contentEncoding": "base64"}
_FILE: Final[Mapping[str, Json]] = {
    "anyOf": [
        dict(_BYTES),
        {
            "type": "object",
            "properties": {"data": dict(_BYTES), "content_type": {"type": "string"}},
            "required": ["data"],
            "additionalProperties": False,
        },
    ]
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The list that an assistant gives, and an encoding for each place; `REST` is every other."""

    schema: Json
    encodings: Mapping[str, Encoding]
    unsent: tuple[str, ...]


def read(converter: Converter, written: str, described: Mapping[str, Json]) -> Parts:
    """Return the parts of a body of the media type `written`.

    Raises:
        MappingError: the body is no list, or a part of it has parts itself.
    """
    places, rest, made = _list(converter, written, described)
    said = list_of(described.get("prefixEncoding"))
    by_place: dict[str, tuple[Json, Json]] = {
        str(at): (schema, said[at] if at < len(said) else {}) for at, schema in enumerate(places)
    }
    for at in range(len(places), len(said)):
        by_place[str(at)] = (rest, said[at])
    if rest is not False:
        by_place[REST] = (rest, described.get("itemEncoding", {}))
    planned = {place: _encoding(converter, *both) for place, both in by_place.items()}
    members = {place: schema for place, (schema, _) in by_place.items()}
    shown: dict[str, Json] = {
        place: dict(_FILE) if planned[place].is_file else schema
        for place, schema in members.items()
    }
    count = len(by_place) - (REST in by_place)
    if count:
        made["prefixItems"] = [shown[str(at)] for at in range(count)]
    rest_shown = shown.get(REST, False)
    return Parts(
        schema={**made, "type": "array", "items": rest_shown},
        encodings=planned,
        unsent=encodings.unsent(
            converter, members, {place: one for place, (_, one) in by_place.items()}, planned
        ),
    )


def _list(
    converter: Converter, written: str, described: Mapping[str, Json]
) -> tuple[Sequence[Json], Json, dict[str, Json]]:
    """Return the schemas of the first parts, of all others, and how many there may be."""
    for part in converter.parts(described.get("schema")):
        if "array" in str(part.get("type", "")) or part.keys() & {"prefixItems", "items"}:
            kept = {key: part[key] for key in _COUNTS if key in part}
            return list_of(part.get("prefixItems")), part.get("items", {}), {"minItems": 1, **kept}
    if "itemSchema" in described:
        return (), described["itemSchema"], {"minItems": 1}
    raise MappingError(f"its {media.essence(written)} body is no list of parts")


def _encoding(converter: Converter, schema: Json, said: Json) -> Encoding:
    kept = {key: value for key, value in dict_of(said).items() if key in _READ}
    declared = str(kept.get("contentType", ""))
    if declared.lower().startswith("multipart/"):
        raise MappingError("a part of its body has parts itself")
    found = encodings.plan(converter, {REST: schema}, {REST: kept}, "multipart")
    made = found.get(REST, Encoding())
    if set(declared) & set(",*") and (types := encodings.types_of(declared)):
        # One of several types: it is said with the bytes which.
        return replace(made, is_file=True, content_type=types)
    if any(part.get("type") == "array" for part in converter.parts(schema)):
        # By place a list is one part, and not a part for each of its items.
        return replace(made, is_file=False, content_type=made.content_type or media.JSON)
    return made
