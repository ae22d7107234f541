"""How the next page of an answer is asked for, by what the catalogue declares.

Owns reading cursors, last ids and `Link` headers into arguments of the same tool. Pure, and fetches
nothing: the next page is a call like any other, with the same policy. A link only counts for the
query parameters that the tool has; where it leads is never followed.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import Pagination
from signoff.upstream.sent import Answered

_LINK: Final = re.compile(r'<([^<>]{1,4000})>((?:\s*;\s*[^,;=]+=(?:"[^"]*"|[^",;]*))*)')
_NEXT: Final = re.compile(r';\s*rel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|next\b)', re.IGNORECASE)
_TEXT: Final = 2_000


def next_arguments(
    tool: ToolSpec,
    answered: Answered,
    value: Json,
    arguments: Mapping[str, Json] | None = None,
) -> dict[str, Json] | None:
    """Return the arguments to change for the next page; None when this is the last one.

    `page` and `offset` count on from `arguments`; without these they cannot be told.
    """
    pagination = tool.pagination
    if pagination is None:
        return None
    match pagination.kind:
        case "link":
            return _of_url(tool, _link(answered), pagination.argument)
        case "cursor":
            return _cursor(tool, pagination, value)
        case "last_id":
            return _last_id(pagination, value)
        case "page" | "offset":
            return _counted(pagination, value, arguments or {})


def advice(tool: ToolSpec) -> str | None:
    """Return how to ask for less, in words; None where the catalogue does not say."""
    pagination = tool.pagination
    if pagination is None:
        return None
    words = [f"fewer items with `{pagination.limit}`"] if pagination.limit else []
    if pagination.argument:
        words.append(f"the next ones with `{pagination.argument}`")
    return " and ".join(words) or None


def _cursor(tool: ToolSpec, pagination: Pagination, value: Json) -> dict[str, Json] | None:
    if pagination.argument is None or _is_over(pagination, value):
        return None
    found = _at(value, pagination.next)
    if isinstance(found, str) and ("://" in found or found.startswith("/")):
        return _of_url(tool, found, pagination.argument)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        return None
    return {pagination.argument: found} if len(str(found)) <= _TEXT else None


def _last_id(pagination: Pagination, value: Json) -> dict[str, Json] | None:
    items = _at(value, pagination.items)
    if pagination.argument is None or _is_over(pagination, value):
        return None
    last = items[-1] if isinstance(items, list) and items else None
    found = last.get("id") if isinstance(last, dict) else None
    return {pagination.argument: found} if isinstance(found, str | int) else None


def _counted(
    pagination: Pagination, value: Json, arguments: Mapping[str, Json]
) -> dict[str, Json] | None:
    items = _at(value, pagination.items)
    if pagination.argument is None or not isinstance(items, list) or not items:
        return None
    if _is_over(pagination, value):
        return None
    now = arguments.get(pagination.argument)
    if isinstance(now, bool) or not isinstance(now, int):
        return None
    return {pagination.argument: now + (1 if pagination.kind == "page" else len(items))}


def _is_over(pagination: Pagination, value: Json) -> bool:
    return bool(pagination.more) and _at(value, pagination.more) is not True


def _at(value: Json, path: Sequence[str]) -> Json:
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _link(answered: Answered) -> str | None:
    header = answered.header("link") or ""
    return next((found[1] for found in _LINK.finditer(header) if _NEXT.search(found[2])), None)


def _of_url(tool: ToolSpec, url: str | None, only: str | None) -> dict[str, Json] | None:
    """Return the query parameters of `url` that are arguments of the tool and no secrets."""
    if url is None:
        return None
    names = {
        parameter.name: parameter.argument
        for parameter in tool.parameters
        if parameter.place == "query"
        and not parameter.secret
        and parameter.argument not in tool.secret_arguments
    }
    try:
        pairs = parse_qsl(urlsplit(url).query)
    except ValueError:
        return None
    found: dict[str, Json] = {
        names[name]: _typed(tool, names[name], text)
        for name, text in pairs
        if name in names and len(text) <= _TEXT
    }
    if only is not None:
        found = {argument: text for argument, text in found.items() if argument == only}
    return found or None


def _typed(tool: ToolSpec, argument: str, text: str) -> Json:
    properties = tool.input_schema.get("properties")
    shape = properties.get(argument) if isinstance(properties, dict) else None
    kind = shape.get("type") if isinstance(shape, dict) else None
    is_number = kind == "integer" and re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text)
    return int(text) if is_number else text
