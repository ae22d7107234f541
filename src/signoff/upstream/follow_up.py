"""Which tool tells how an accepted request (202) went on.

Owns reading the address that such an answer names, and recognising it as a call of one of the
API's own reads. The address itself is never followed and never handed on: the look is a call like
any other, with the same policy and the same credentials. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec, Upstream
from signoff.catalog.wire import Parameter
from signoff.upstream.sent import Answered
from signoff.upstream.target import UpstreamError, base_of

STATUS_URLS: Final = ("status_url", "statusUrl")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_LONGEST: Final = 4_000
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """The call that asks how it went."""

    tool: str
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])


def follow_up(
    tools: Iterable[ToolSpec], upstream: Upstream, answered: Answered, value: Json, asked: str
) -> FollowUp | None:
    """Return the read that the answer points to; None where it points to none of `tools`.

    `value` is the answer's JSON, `asked` the URL that was called.
    """
    named = [value.get(key) for key in STATUS_URLS] if isinstance(value, dict) else []
    written = next((one for one in (*named, answered.location) if isinstance(one, str) and one), "")
    if not written or len(written) > _LONGEST:
        return None
    try:
        url = urljoin(asked, written)
        parts = urlsplit(url)
        where = (parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme))
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        return None
    if parts.fragment or "@" in parts.netloc:
        return None
    found: list[tuple[int, FollowUp]] = []
    for tool in tools:
        prefix = _prefix(tool, upstream, where)
        if prefix is None or not parts.path.startswith(f"{prefix}/"):
            continue
        arguments = _arguments(tool, parts.path.removeprefix(prefix), pairs)
        if arguments is not None:
            found.append((len(arguments), FollowUp(tool=tool.name, arguments=arguments)))
    # `/jobs/latest` is rather the operation of that name than a job called "latest".
    return min(found, key=lambda one: (one[0], one[1].tool), default=(0, None))[1]


def _prefix(
    tool: ToolSpec, upstream: Upstream, where: tuple[str, str | None, int | None]
) -> str | None:
    """Return the path below which the tool's own begins, if it is a read at that host."""
    if tool.method != "GET" or tool.query:
        return None
    try:
        base = base_of(upstream, tool.server)
        own = urlsplit(base.origin)
    except (UpstreamError, ValueError):
        return None
    same = (own.scheme, own.hostname, own.port or _PORTS.get(own.scheme)) == where
    return base.prefix if same else None


def _arguments(tool: ToolSpec, path: str, pairs: list[tuple[str, str]]) -> dict[str, Json] | None:
    """Return the arguments that would make this path and query, all of it; None where none do."""
    pattern = _path_pattern(tool.path)
    match = None if pattern is None else pattern.fullmatch(path)
    if match is None or len({name for name, _ in pairs}) < len(pairs):
        return None
    named = zip(_PLACEHOLDER.findall(tool.path), map(unquote, match.groups()), strict=True)
    texts = {("path", name): text for name, text in named}
    texts |= {("query", name): text for name, text in pairs}
    arguments: dict[str, Json] = {}
    for parameter in tool.parameters:
        text = texts.pop((parameter.place, parameter.name), None)
        if text is not None and _is_plain(tool, parameter):
            arguments[parameter.argument] = _typed(tool, parameter.argument, text)
        elif text is not None or parameter.required:
            return None
    return None if texts or None in arguments.values() else arguments


def _is_plain(tool: ToolSpec, parameter: Parameter) -> bool:
    return (
        parameter.content_type is None
        and parameter.style in ("simple", "form")
        and not parameter.secret
        and parameter.argument not in tool.secret_arguments
    )


@lru_cache(maxsize=4_096)
def _path_pattern(template: str) -> re.Pattern[str] | None:
    """Return what the template makes; None where a segment holds more than one argument.

    Where one ends and the next begins could not be told, and trying every split takes for ever.
    """
    if any(segment.count("{") > 1 for segment in template.split("/")):
        return None
    pieces = _PLACEHOLDER.split(template)
    return re.compile(
        "".join(
            "([^/]+)" if index % 2 else re.escape(quote(piece, safe="/:@!$&'()*+,;=%"))
            for index, piece in enumerate(pieces)
        )
    )


def _typed(tool: ToolSpec, argument: str, text: str) -> Json:
    properties = tool.input_schema.get("properties")
    shape = properties.get(argument) if isinstance(properties, dict) else None
    match shape.get("type", "string") if isinstance(shape, dict) else None:
        case "string":
            return text
        case "integer" if _INTEGER.fullmatch(text):
            return int(text)
        case _:
            return None
