"""How the next page of an answer is asked for, by what the catalogue declares.

Owns reading cursors, last ids and `Link` headers into arguments of the same tool. Pure, and fetches
nothing: the next page is a call like any other, with the same policy. A link only counts for the
query parameters that the tool has; where it leads is never followed.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urljoin, urlsplit

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import Pagination
from signoff.upstream.sent import Answered

_LINK: Final = re.compile(r'<([^<>]{1,4000})>((?:\s*;\s*[^,;=]+=(?:"[^"]*"|[^",;]*))*)')
_NEXT: Final = re.compile(r';\s*rel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|next\b)', re.IGNORECASE)
_TEXT: Final = 2_000
_PORTS: Final = {"http": 80, "https": 443}


def next_arguments(
    tool: ToolSpec,
    answered: Answered,
    value: Json,
    arguments: Mapping[str, Json] | None = None,
) -> dict[str, Json] | None:
    """Return the arguments to change for the next page; None when this is the last one.

    `page` and `offset` count on from `arguments`, the call's own.
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
            return _counted(tool, pagination, value, arguments or {})


def elsewhere(tool: ToolSpec, answered: Answered, value: Json, url: str) -> str | None:
    """Return the host that the next page's link names when it is not that of `url`, this page's.

    Reading on by itself stops there: what the link asks for is not what this upstream was asked.
    """
    pagination = tool.pagination
    link: Json = None
    if pagination is not None and pagination.kind == "link":
        link = _link(answered)
    elif pagination is not None and pagination.kind == "cursor" and not _is_over(pagination, value):
        link = at(value, pagination.next)
    if not isinstance(link, str) or not ("://" in link or link.startswith(("/", "\\"))):
        return None
    try:
        there, here = urlsplit(urljoin(url, link)), urlsplit(url)
        is_same = _origin(there) == _origin(here) and "\\" not in link
    except ValueError:
        return "an address that is none"
    return None if is_same else there.hostname or "another host"


def names_more(tool: ToolSpec, answered: Answered, value: Json) -> bool:
    """Say whether there is a next page, though `next_arguments` cannot say how to ask for it."""
    pagination = tool.pagination
    if pagination is None or (pagination.kind != "link" and _is_over(pagination, value)):
        return False
    match pagination.kind:
        case "link":
            return _link(answered) is not None
        case "cursor":
            return at(value, pagination.next) not in (None, "", False)
        case "last_id":
            return bool(pagination.more)
        case "page" | "offset":
            # Counted pages end where they are empty, or at the total.
            is_counted = bool(pagination.total) and at(value, pagination.total) is not None
            return bool(at(value, pagination.items)) and not is_counted


def counts(tool: ToolSpec) -> bool:
    """Say whether the end is only seen on an empty page: what follows may be nothing."""
    return tool.pagination is not None and tool.pagination.kind in ("page", "offset")


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
    found = at(value, pagination.next)
    if isinstance(found, str) and ("://" in found or found.startswith("/")):
        return _of_url(tool, found, pagination.argument)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        return None
    return {pagination.argument: found} if len(str(found)) <= _TEXT else None


def _last_id(pagination: Pagination, value: Json) -> dict[str, Json] | None:
    items = at(value, pagination.items)
    if pagination.argument is None or _is_over(pagination, value):
        return None
    last = items[-1] if isinstance(items, list) and items else None
    found = last.get("id") if isinstance(last, dict) else None
    return {pagination.argument: found} if isinstance(found, str | int) else None


def _counted(
    tool: ToolSpec, pagination: Pagination, value: Json, arguments: Mapping[str, Json]
) -> dict[str, Json] | None:
    items = at(value, pagination.items)
    if pagination.argument is None or not isinstance(items, list) or not items:
        return None
    now = _number(arguments.get(pagination.argument))
    if now is None and arguments.get(pagination.argument) is None:
        now = _first(tool, pagination)
    if now is None or _is_over(pagination, value):
        return None
    total = _number(at(value, pagination.total)) if pagination.total else None
    if total is not None and total <= _reached(tool, pagination, arguments, now, len(items)):
        return None
    return {pagination.argument: now + (1 if pagination.kind == "page" else len(items))}


def _first(tool: ToolSpec, pagination: Pagination) -> int | None:
    """Return what counting begins with; None where a page may be the first by 0 or by 1."""
    if pagination.first is not None:
        return pagination.first
    shape = _schema(tool, pagination.argument)
    default = _number(shape.get("default"))
    if default is not None:
        return default
    if pagination.kind == "offset":
        return _number(shape.get("minimum")) or 0
    least = _number(shape.get("minimum"))
    return least if least in (0, 1) else None


def _reached(
    tool: ToolSpec,
    pagination: Pagination,
    arguments: Mapping[str, Json],
    now: int,
    count: int,
) -> int:
    """Return how many items there are up to the end of this page; 0 where that cannot be told."""
    first = _first(tool, pagination)
    if first is None:
        return 0
    if pagination.kind == "offset":
        return now - first + count
    size = _number(arguments.get(pagination.limit)) if pagination.limit else None
    return (now - first) * size + count if size is not None else 0 if now > first else count


def _is_over(pagination: Pagination, value: Json) -> bool:
    return bool(pagination.more) and at(value, pagination.more) is not True


def at(value: Json, path: Sequence[str]) -> Json:
    """Return what stands at `path` in an answer; None where nothing does."""
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _link(answered: Answered) -> str | None:
    header = answered.header("link") or ""
    return next((found[1] for found in _LINK.finditer(header) if _NEXT.search(found[2])), None)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


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
    is_number = _schema(tool, argument).get("type") == "integer"
    return int(text) if is_number and re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text) else text


def _schema(tool: ToolSpec, argument: str | None) -> Mapping[str, Json]:
    properties = tool.input_schema.get("properties")
    shape = properties.get(argument or "") if isinstance(properties, dict) else None
    return shape if isinstance(shape, dict) else {}


def _number(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
