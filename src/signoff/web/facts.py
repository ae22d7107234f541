"""A request taken apart into named facts: path parameters, query pairs, body fields.

Pure functions over the `request` member of `tool_call` details. Reads what will be sent, not the
arguments it was made from. Every value stands whole, and values that differ look different: `"25"`
and `25`, empty text, null and an empty object.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Final, Literal, cast
from urllib.parse import unquote_to_bytes, urlsplit

from signoff.canonical import Json
from signoff.web.text import Shown, show

Place = Literal["path", "query", "body", "header", "asked"]
_PLACES: Final[Mapping[Place, str]] = {
    "path": "address",
    "query": "query",
    "body": "body",
    "header": "headers",
    "asked": "arguments",
}

LONG: Final = 280
"""Beyond this many characters a value stands in its own box with its length."""
_MOST: Final = 500
"""Beyond so many values a body stands in one piece, with their number."""
_ROW: Final = 20
"""Beyond so many plain values a list is one fact."""
_LITERAL: Final = re.compile(r"-?\d[\d.eE+-]*|true|false|null")
_PLAIN_KEY: Final = re.compile(r"[^\s.\[\]\"]+")
_PLACEHOLDER: Final = re.compile(r"\{([^{}/]+)\}")
_MASK: Final = re.compile(r"•{4} \((\d+) characters?\)")
_NONE: Final[Mapping[str, Json]] = MappingProxyType({})
_OWN_HEADERS: Final = frozenset({"accept", "content-type", "idempotency-key", "user-agent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One named value. `note` tells apart what would look the same."""

    key: str
    name: Shown
    place: Place
    value: Shown
    note: str | None = None
    masked: bool = False
    differs: bool = False
    """It differs from another open card of the same tool."""

    @property
    def long(self) -> bool:
        """Tell whether the value needs a box of its own."""
        lines = sum(run.breaks for run in self.value.runs)
        if self.value.written_out:
            lines = self.value.plain.count("\n")
        return self.value.length > LONG or lines > 6  # noqa: PLR2004 — lines


class _Number(str):
    """A number as it is written, since 1.0 and 1.00 are different bytes."""

    __slots__ = ()


class _Object(list[tuple[str, "_Node"]]):
    """An object's members in their order, a repeated key included."""


_Node = None | bool | str | _Number | list["_Node"] | _Object


def request_facts(
    request: Mapping[str, Json], arguments: Mapping[str, Json] = _NONE
) -> tuple[Fact, ...]:
    """Return the facts of the frozen request, in the order in which they are sent.

    A body that cannot be shown is described, and the arguments it was made from stand below:
    whoever fills a body up must not be able to hide what else is in it.
    """
    url, masked = str(request["url"]), bool(request["masked"])
    headers = cast("Mapping[str, Json]", request["headers"])
    facts = [
        *_path_facts(url, str(request["template"])),
        *_query_facts(url),
        *_body_facts(request),
        *_part_facts(request),
        *_header_facts(headers, arguments),
    ]
    if arguments and is_described(request) and not request.get("parts"):
        facts += flatten(dict(arguments), "")
    return _told_apart([_unmask(fact) for fact in facts] if masked else facts)


def is_described(request: Mapping[str, Json]) -> bool:
    """Tell whether there is a body that stands on the card only by its type, size and hash."""
    return bool(request["body_bytes"]) and not isinstance(request["body"], str)


def _header_facts(headers: Mapping[str, Json], arguments: Mapping[str, Json]) -> Iterator[Fact]:
    """Return the headers that carry what the assistant chose: those that hold an argument."""
    chosen = {text for value in arguments.values() for text in _in_a_header(value)}
    for name, value in headers.items():
        if isinstance(value, str):
            if name.lower() not in _OWN_HEADERS and (value in chosen or name.lower() == "cookie"):
                yield _text_fact(name, "header", value)
        elif isinstance(value, dict) and _MASK.search(str(value["reference"])):
            yield _text_fact(name, "header", str(value["reference"]))


def _in_a_header(value: Json) -> Iterator[str]:
    """Return the ways in which an argument may be written in a header (style simple, or JSON)."""
    if isinstance(value, str):
        yield value
        return
    yield _written(value).encode("ascii", "backslashreplace").decode()
    if isinstance(value, list):
        yield ",".join(_plain(member) for member in value if member is not None)
    if isinstance(value, dict):
        pairs = [(key, _plain(member)) for key, member in value.items() if member is not None]
        yield ",".join(text for pair in pairs for text in pair)
        yield ",".join(f"{key}={text}" for key, text in pairs)


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else _written(value)


def _written(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def flatten(value: Json, name: str) -> tuple[Fact, ...]:
    """Return the facts of a JSON value, members named `a.b[0]` below `name`."""
    text = _written(value)
    return tuple(_bounded(_flatten(_parse(text), name, "asked"), "asked", text))


def _path_facts(url: str, template: str) -> Iterator[Fact]:
    path = urlsplit(url).path
    wanted = urlsplit(template).path.strip("/").split("/")
    given = path.split("/")[-len(wanted) :]
    found: list[Fact] = []
    for segment, pattern in zip(given, wanted, strict=False):
        names = _PLACEHOLDER.findall(pattern)
        literals = _PLACEHOLDER.split(pattern)[::2]
        escaped = [re.escape(literal) for literal in literals]
        match = re.fullmatch("(.*)".join(escaped), segment, re.DOTALL)
        other = re.fullmatch("(.*?)".join(escaped), segment, re.DOTALL)
        fits = match is not None and other is not None and len(given) == len(wanted)
        if not fits or match is None or other is None or match.groups() != other.groups():
            # A path that fits its template not at all, or in two ways, is itself the fact.
            yield _text_fact("path", "path", path)
            return
        found += [
            _text_fact(name, "path", _decoded(value))
            for name, value in zip(names, match.groups(), strict=True)
        ]
    yield from found


def _query_facts(url: str) -> Iterator[Fact]:
    query = urlsplit(url).query
    if query:
        yield from _pairs(query, "query")


def _pairs(text: str, place: Place) -> Iterator[Fact]:
    for pair in text.split("&"):
        name, equals, value = pair.partition("=")
        fact = _text_fact(_decoded(name, plus=True), place, _decoded(value, plus=True))
        yield fact if equals else _fact(_decoded(name, plus=True), place, "", note="no value")


def _body_facts(request: Mapping[str, Json]) -> Iterator[Fact]:
    body, size = request["body"], cast("int", request["body_bytes"])
    media_type = str(request["body_media_type"] or "").split(";", 1)[0].strip().lower()
    if size == 0:
        return
    if not isinstance(body, str):
        yield _fact(
            "body",
            "body",
            f"{media_type or 'no media type'}, {size:,} bytes",
            note="not shown: too large, or not text",
        )
        yield _fact("body SHA-256", "body", str(request["body_sha256"]).removeprefix("sha-256:"))
        return
    if media_type == "application/x-www-form-urlencoded":
        yield from _pairs(body, "body")
        return
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            parsed = _parse(body)
        except (ValueError, RecursionError):
            pass
        else:
            yield from _bounded(_flatten(parsed, "", "body"), "body", body)
            return
    yield _text_fact("body", "body", body)


def _part_facts(request: Mapping[str, Json]) -> Iterator[Fact]:
    for part in cast("Sequence[Mapping[str, Json]]", request.get("parts") or ()):
        name, text = str(part["name"]), part["text"]
        for header, value in cast("Mapping[str, str]", part.get("headers") or {}).items():
            yield _text_fact(f"{name}: {header}", "body", value)
        if isinstance(text, str):
            yield _text_fact(name, "body", text)
            continue
        size = cast("int", part["bytes"])
        of = "" if part["filename"] is None else f"{part['filename']}, "
        note = f"a file, shown by its hash: {part['sha256']}"
        yield _fact(name, "body", f"{of}{part['media_type']}, {size:,} bytes", note=note)


def _bounded(facts: Iterator[Fact], place: Place, whole: str) -> Iterator[Fact]:
    """Return the facts, or the text they were taken from where they are too many to read."""
    found = list(islice(facts, _MOST + 1))
    if len(found) <= _MOST:
        yield from found
        return
    yield _fact(place, place, whole, note=f"more than {_MOST} values, as they are sent")


def _told_apart(facts: Sequence[Fact]) -> tuple[Fact, ...]:
    """Say of facts with one name where each stands: query and body may name the same thing."""
    places: dict[str, Counter[Place]] = defaultdict(Counter)
    for fact in facts:
        places[fact.name.plain][fact.place] += 1

    def told(fact: Fact) -> Fact:
        here = places[fact.name.plain]
        if here.total() == 1:
            return fact
        times = f"given {here[fact.place]} times " if here[fact.place] > 1 else ""
        where = f"{times}in the {_PLACES[fact.place]}"
        return replace(fact, note=where if fact.note is None else f"{fact.note}; {where}")

    return tuple(told(fact) for fact in facts)


def _parse(text: str) -> _Node:
    return cast(
        "_Node",
        json.loads(
            text,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_Number,
            object_pairs_hook=_Object,
        ),
    )


def _flatten(value: _Node, name: str, place: Place) -> Iterator[Fact]:
    if isinstance(value, _Object):
        if not value:
            yield _fact(name or "body", place, "{}", note="empty object")
        for key, member in value:
            yield from _flatten(member, _joined(name, key), place)
    elif isinstance(value, list):
        if not value:
            yield _fact(name or "body", place, "[]", note="empty list")
        elif len(value) > _ROW and not any(isinstance(member, list) for member in value):
            yield _fact(name or "body", place, _row(value), note=f"a list of {len(value):,}")
            return
        for position, member in enumerate(value):
            yield from _flatten(member, f"{name}[{position}]", place)
    elif value is None or isinstance(value, bool):
        yield _fact(name or "body", place, json.dumps(value))
    elif isinstance(value, _Number):
        yield _fact(name or "body", place, str(value))
    else:
        yield _text_fact(name or "body", place, value, in_json=True)


def _row(values: Sequence[_Node]) -> str:
    texts = (
        str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)
        for value in values
    )
    return f"[{', '.join(texts)}]"


def _joined(name: str, key: str) -> str:
    # A key that holds a dot must not look like a path of two keys.
    if not _PLAIN_KEY.fullmatch(key):
        return f"{name}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{name}.{key}" if name else key


def _text_fact(name: str, place: Place, value: str, *, in_json: bool = False) -> Fact:
    if not value:
        return _fact(name, place, "", note="empty text")
    # In JSON alone "25" and 25 are two values; in a form or an address there is only text.
    return _fact(name, place, value, note="text" if in_json and _LITERAL.fullmatch(value) else None)


def _fact(name: str, place: Place, value: str, *, note: str | None = None) -> Fact:
    return Fact(key=f"{place} {name}", name=show(name), place=place, value=show(value), note=note)


def _unmask(fact: Fact) -> Fact:
    if not (found := _MASK.search(fact.value.plain)):
        return fact
    return Fact(
        key=fact.key,
        name=fact.name,
        place=fact.place,
        value=fact.value,
        note=f"hidden on purpose, {found[1]} characters",
        masked=True,
    )


def _decoded(text: str, *, plus: bool = False) -> str:
    """Return percent-decoded text, or the text itself where it is not UTF-8."""
    try:
        return unquote_to_bytes(text.replace("+", " ") if plus else text).decode()
    except UnicodeDecodeError:
        return text
