"""An operation's parameters: found, overridden, filtered, with style and schema.

Owns where an argument goes and how it is written there (OpenAPI §Parameter Object). Headers that
belong to HTTP, to signoff or to a security scheme are never arguments.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, cast

from signoff.canonical import Json
from signoff.catalog.openapi import swagger
from signoff.catalog.openapi.documents import (
    Document,
    MappingError,
    Operation,
    dict_of,
    list_of,
)
from signoff.catalog.openapi.path_query import PathQuery
from signoff.catalog.wire import DESCRIBING_HEADERS, Style

_MULTI_SEGMENT: Final = "x-multi-segment"
_NO_QUERY: Final = PathQuery()
PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_PLACES: Final = ("path", "query", "header", "cookie", "querystring")
_STYLES: Final[Mapping[str, tuple[Style, ...]]] = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "tabDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form", "cookie"),
    "querystring": ("form",),
}
_DELIMITED: Final[tuple[Style, ...]] = ("spaceDelimited", "pipeDelimited", "tabDelimited")
"""In a path and a header, only Swagger 2.0 has them."""
_NEVER_HEADERS: Final = frozenset({
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "idempotency-key",  # signoff makes its own
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
})
_NEVER_PREFIXES: Final = ("content-", "proxy-", "sec-", "x-forwarded-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One argument before it has its final name. A body member has the place `body`."""

    name: str
    place: str
    schema: Json
    required: bool = False
    description: Json = None
    style: Style = "form"
    explode: bool = True
    allow_reserved: bool = False
    content_type: str | None = None
    deprecated: bool = False
    is_file: bool = False
    encoding: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """As the spec writes it, for the members of a whole query string."""
    inner: tuple[Style, ...] = ()
    examples: tuple[Json, ...] = ()
    """The first that stands beside the schema, if one does."""
    slashes: bool = False
    """The spec says in so many words that a path value may span segments."""


def security_schemes(document: Document) -> dict[str, dict[str, Json]]:
    """Return the document's security schemes, by name; a broken one is left out."""
    if document.version == "2.0":
        written = swagger.security_schemes(document.root)
    else:
        written = dict_of(dict_of(document.root.get("components")).get("securitySchemes"))
    found: dict[str, dict[str, Json]] = {}
    for name, raw in written.items():
        try:
            found[name] = document.follow(raw)
        except MappingError:
            continue
    return found


def never_arguments(document: Document) -> frozenset[tuple[str, str]]:
    """Return `(place, lower-case name)` of everything that carries credentials."""
    return frozenset(
        (str(scheme.get("in")), str(scheme.get("name")).lower())
        for scheme in security_schemes(document).values()
        if scheme.get("type") == "apiKey"
    )


def collect(
    document: Document,
    operation: Operation,
    never: frozenset[tuple[str, str]],
    query: PathQuery = _NO_QUERY,
) -> list[Candidate]:
    """Return the operation's parameters, its own before the path item's.

    A placeholder that nobody declares is a required text; one in the path's own `query` is a query
    parameter, wherever it is declared.

    Raises:
        MappingError: a parameter cannot be read.
    """
    found: dict[tuple[str, str], Candidate] = {}
    for raw in [*list_of(operation.shared), *list_of(operation.members.get("parameters"))]:
        written = document.follow(raw)
        said = dict_of(raw).get("description")
        if isinstance(said, str) and not document.has_old_schemas:
            written = {**written, "description": said}  # OpenAPI 3.1 §Reference Object
        if written.get("name") == "" and written.get("required") is not True:
            continue  # an empty row of the author's editor: nothing can be sent under it
        candidate = _parameter(document, written)
        found[candidate.place, candidate.name] = candidate
    placeholders = dict.fromkeys(PLACEHOLDER.findall(operation.path))
    for name in placeholders:
        if ("path", name) not in found:
            found["path", name] = Candidate(
                name=name, place="path", schema={"type": "string"}, required=True, style="simple"
            )
    kept = [
        candidate
        for candidate in _with_query(found, query)
        if not _is_never(candidate, never)
        and (candidate.place != "path" or candidate.name in placeholders)
    ]
    queries = [one.place for one in kept if one.place in ("query", "querystring")]
    if "querystring" in queries and len(queries) > 1:
        raise MappingError("it has a whole query string and query parameters beside it")
    return kept


def _with_query(found: Mapping[tuple[str, str], Candidate], query: PathQuery) -> list[Candidate]:
    declared = {name for place, name in found if place == "query"}
    placed: list[Candidate] = []
    for (place, name), candidate in found.items():
        sent_as = query.sent_as.get(name)
        if place == "path" and sent_as is not None:
            if not declared & {name, sent_as}:
                placed.append(
                    replace(candidate, name=sent_as, place="query", style="form", explode=True)
                )
        elif place == "query" and sent_as is not None:
            placed.append(replace(candidate, name=sent_as))
        else:
            placed.append(candidate)
    return placed


def _is_never(candidate: Candidate, never: frozenset[tuple[str, str]]) -> bool:
    name = candidate.name.lower()
    if (candidate.place, name) in never:
        return True
    folded = name.replace("_", "-")
    return candidate.place == "header" and (
        folded in _NEVER_HEADERS
        or (folded.startswith(_NEVER_PREFIXES) and folded not in DESCRIBING_HEADERS)
        or ("header", folded) in never
    )


def _parameter(document: Document, members: dict[str, Json]) -> Candidate:
    name, place = members.get("name"), members.get("in")
    if place == "querystring" and not isinstance(name, str):
        name = "query"
    if not isinstance(name, str) or not name:
        raise MappingError("a parameter has no name")
    if place not in _PLACES:
        raise MappingError(f'the parameter "{name[:60]}" is in {str(place)[:20]!r}')
    content = dict_of(members.get("content"))
    content_type = next(iter(content), None)
    schema = members.get("schema", {})
    described: dict[str, Json] = {}
    if content_type is not None:
        described = document.follow(content[content_type])
        schema = described.get("schema", {})
    elif place == "querystring":
        raise MappingError(f'the parameter "{name[:60]}" is a query string without content')
    styles = _STYLES[place]
    if document.version == "2.0" and place in ("path", "header"):
        styles = (*styles, *_DELIMITED)
    style = members.get("style", styles[0])
    if style not in styles:
        raise MappingError(f'the {place} parameter "{name[:60]}" has style {str(style)[:30]!r}')
    explode = members.get("explode")
    return Candidate(
        name=name,
        place=place,
        schema=schema,
        required=place == "path" or members.get("required") is True,
        description=members.get("description"),
        style=cast("Style", style),
        explode=explode if isinstance(explode, bool) else style in ("form", "cookie"),
        allow_reserved=members.get("allowReserved") is True,
        content_type=content_type,
        encoding=dict_of(described.get("encoding")),
        deprecated=members.get("deprecated") is True,
        examples=_examples(document, described if content else members),
        inner=inner_of(document, members),
        slashes=place == "path" and members.get(_MULTI_SEGMENT) is True,
    )


def inner_of(document: Document, said: Mapping[str, Json]) -> tuple[Style, ...]:
    """Return how the lists inside a list are joined, which only Swagger 2.0 can say."""
    if document.version != "2.0":
        return ()
    return tuple(cast("Style", style) for style in list_of(said.get(swagger.INNER)))


def _examples(document: Document, members: Mapping[str, Json]) -> tuple[Json, ...]:
    if "example" in members:
        return (members["example"],)
    if "examples" not in members:
        return ()
    for raw in dict_of(members.get("examples")).values():
        try:
            written = document.follow(raw)
        except MappingError:
            continue
        for key in ("dataValue", "value"):  # OpenAPI 3.2 has both
            if key in written:
                return (written[key],)
    return ()
