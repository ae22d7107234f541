"""Whether an operation's answer comes in pages, and how the next one is asked for.

Owns the names that APIs use. A guess is only made where argument and answer agree; the catalogue
may say it better. Reads schemas, sends nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from signoff.canonical import Json
from signoff.catalog.openapi.documents import Document, MappingError, Operation, dict_of
from signoff.catalog.openapi.media import is_json
from signoff.catalog.openapi.schemas import Converter
from signoff.catalog.wire import Pagination, Parameter

_LIMITS: Final = (
    "limit", "per_page", "perPage", "page_size", "pageSize", "PageSize", "size", "maxResults",
    "max_results", "count", "first", "$top",
)  # fmt: skip
_PAGES: Final = ("page", "page_number", "pageNumber", "Page", "pageIndex", "page[number]")
_OFFSETS: Final = ("offset", "start", "skip", "$skip", "startIndex")
_LAST_IDS: Final = ("starting_after", "after")
_CURSORS: Final = (
    "cursor", "page_token", "pageToken", "PageToken", "next_token", "nextToken", "after",
    "continue", "continuation_token", "continuationToken", "marker", "start_cursor", "next_cursor",
    "page[after]", "next",
)  # fmt: skip
_NEXTS: Final = (
    "next_cursor", "nextCursor", "next_page_token", "nextPageToken", "next_token", "nextToken",
    "continuation_token", "continuationToken", "next_page_uri", "next_marker", "nextMarker",
    "next_page", "end_cursor", "continue", "cursor", "next",
)  # fmt: skip
_INSIDE: Final = (
    "response_metadata", "metadata", "meta", "pagination", "paging", "page_info", "pageInfo",
    "cursors", "links", "_links",
)  # fmt: skip
_ITEMS: Final = ("data", "items", "results", "entries", "values", "records", "value", "content")
_TOTALS: Final = (
    "total_count", "totalCount", "total_results", "totalResults", "total_items", "totalItems",
)  # fmt: skip
_MORE: Final = ("has_more", "hasMore", "has_next_page", "hasNextPage", "has_next")


def detect(
    document: Document,
    operation: Operation,
    converter: Converter,
    parameters: Sequence[Parameter],
) -> Pagination | None:
    """Return how the answer is paged, or None when nothing says so."""
    arguments = {one.name: one.argument for one in parameters if one.place == "query"}
    if operation.method != "get" or not arguments:
        return None
    try:
        schema, headers = _answer(document, operation)
        found = _Answer(converter, schema)
    except MappingError:
        return None
    if found.items is None:
        return None
    limit = _first(arguments, _LIMITS)
    if "link" in {name.lower() for name in headers}:
        return Pagination(kind="link", limit=limit, items=found.items)
    return _cursored(arguments, limit, found, found.items) or _numbered(
        arguments, limit, found, found.items
    )


class _Answer:
    """What the top of an answer holds."""

    def __init__(self, converter: Converter, schema: Json) -> None:
        self._converter = converter
        self.members = _members(converter, schema)
        self.items = self._items(schema)
        self.more = next(((name,) for name in _MORE if name in self.members), ())
        self.next = self._next()
        self.total = self._total()

    def _items(self, schema: Json) -> tuple[str, ...] | None:
        if _is_list(self._converter, schema):
            return ()
        lists = [name for name, one in self.members.items() if _is_list(self._converter, one)]
        known = [name for name in _ITEMS if name in lists]
        if known:
            return (known[0],)
        return (lists[0],) if len(lists) == 1 else None

    def _total(self) -> tuple[str, ...]:
        """`count` and `total` are not among the names: they are as often those of this page."""
        for name in _TOTALS:
            if name in self.members and _is_integer(self._converter, self.members[name]):
                return (name,)
        return ()

    def _next(self) -> tuple[str, ...]:
        for name in _NEXTS:
            if name in self.members and not _members(self._converter, self.members[name]):
                return (name,)
        for outer in _INSIDE:
            inner = _members(self._converter, self.members.get(outer))
            for name in _NEXTS:
                if name in inner:
                    return (outer, name)
        return ()


def _cursored(
    arguments: Mapping[str, str], limit: str | None, found: _Answer, items: tuple[str, ...]
) -> Pagination | None:
    last = _first(arguments, _LAST_IDS)
    if last is not None and found.more:
        return Pagination(kind="last_id", argument=last, limit=limit, items=items, more=found.more)
    cursor = _first(arguments, _CURSORS)
    if cursor is None or not found.next:
        return None
    return Pagination(
        kind="cursor", argument=cursor, limit=limit, items=items, next=found.next, more=found.more
    )


def _numbered(
    arguments: Mapping[str, str], limit: str | None, found: _Answer, items: tuple[str, ...]
) -> Pagination | None:
    page, offset = _first(arguments, _PAGES), _first(arguments, _OFFSETS)
    if limit is None or (page is None and offset is None):
        return None  # a page without a size may be anything
    return Pagination(
        kind="page" if page is not None else "offset",
        argument=page or offset,
        limit=limit,
        items=items,
        more=found.more,
        total=found.total,
    )


def _first(arguments: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((arguments[name] for name in names if name in arguments), None)


def _answer(document: Document, operation: Operation) -> tuple[Json, Mapping[str, Json]]:
    responses = dict_of(operation.members.get("responses"))
    code = next((one for one in ("200", "2XX", "2xx", "default") if one in responses), None)
    if code is None:
        return None, {}
    response = document.follow(responses[code])
    content = dict_of(response.get("content"))
    schema = next(
        (document.follow(one).get("schema") for type_, one in content.items() if is_json(type_)),
        None,
    )
    return schema, dict_of(response.get("headers"))


def _members(converter: Converter, schema: Json) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for part in converter.parts(schema):
        found = {**dict_of(part.get("properties")), **found}
    return found


def _is_list(converter: Converter, schema: Json) -> bool:
    return any(part.get("type") == "array" for part in converter.parts(schema))


def _is_integer(converter: Converter, schema: Json) -> bool:
    return any(part.get("type") == "integer" for part in converter.parts(schema))
