"""Schemas that name themselves: `$id`, and what a reference inside of them means.

Owns JSON Schema 2020-12 §8.2 within one document: a schema with an `$id` is a resource of its own,
and `#/…` there begins at it. A reference that finds nothing there keeps its meaning in the
document, as authors who write `$id` for a name expect. Fetches nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urljoin

from signoff.canonical import Json

NOTHING: Final[Json] = ["nothing stands there"]

_REFERENCES: Final = ("$ref", "$dynamicRef")
_ANCHORS: Final = ("$anchor", "$dynamicAnchor")
_OURS: Final = "id:"
"""Stands before an `$id` that is no absolute URI."""


@dataclass(frozen=True, slots=True)
class _Place:
    part: dict[str, Json]
    base: str
    resource: Json


def settle(root: Json) -> dict[str, Json]:
    """Return the schemas below `root` by their `$id`; references to them are made absolute."""
    places = list(_places(root))
    found: dict[str, Json] = {}
    for place in places:
        if place.part is place.resource:
            found.setdefault(_key(place.base), place.part)
    for place in places if found else ():
        for key in _REFERENCES:
            ref = place.part.get(key)
            if isinstance(ref, str) and (moved := _moved(ref, place, found)) is not None:
                place.part[key] = moved
    return found


def within(resource: Json, fragment: str) -> Json:
    """Return what a fragment points at in a schema: by pointer, or by anchor."""
    if fragment and not fragment.startswith("/"):
        return anchored(resource).get(unquote(fragment), NOTHING)
    return pointed(resource, fragment)


def pointed(root: Json, pointer: str) -> Json:
    """Return what an RFC 6901 fragment points at, or `NOTHING`."""
    value = root
    for step in unquote(pointer).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return NOTHING
    return value


def anchored(root: Json) -> dict[str, Json]:
    """Return what has an anchor below `root`, by its name."""
    found: dict[str, Json] = {}
    for part in walk(root):
        for key in _ANCHORS:
            anchor = part.get(key)
            if isinstance(anchor, str):
                found.setdefault(anchor, part)
    return found


def walk(root: Json) -> Iterator[dict[str, Json]]:
    """Yield every mapping below `root`, each once."""
    waiting: list[Json] = [root]
    seen = set[int]()  # YAML aliases share what they name
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict | list) and id(part) not in seen:
            seen.add(id(part))
            if isinstance(part, dict):
                yield part
                waiting.extend(part.values())
            else:
                waiting.extend(part)


def _places(root: Json) -> Iterator[_Place]:
    waiting: list[tuple[Json, str, Json]] = [(root, "", NOTHING)]
    seen = set[int]()
    while waiting:
        part, base, resource = waiting.pop()
        if not isinstance(part, dict | list) or id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, list):
            waiting.extend((one, base, resource) for one in part)
            continue
        own = part.get("$id")
        if isinstance(own, str) and own.partition("#")[0]:
            base, resource = _joined(base, own.partition("#")[0]), part
        yield _Place(part, base, resource)
        waiting.extend((one, base, resource) for one in part.values())


def _moved(ref: str, place: _Place, found: dict[str, Json]) -> str | None:
    path, _, fragment = ref.partition("#")
    if not path:
        if place.resource is NOTHING or within(place.resource, fragment) is NOTHING:
            return None
        return f"{_key(place.base)}#{fragment}"
    key = _key(_joined(place.base, path))
    return f"{key}#{fragment}" if key in found else None


def _joined(base: str, path: str) -> str:
    try:
        return urljoin(base, path)
    except ValueError:
        return path


def _key(uri: str) -> str:
    return uri if ":" in uri else f"{_OURS}{uri}"
