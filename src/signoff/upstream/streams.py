"""An answer that is a sequence of events, as a bounded list of values.

Owns reading server-sent events (WHATWG HTML §9.2.6), JSON lines and JSON text sequences
(RFC 7464). Pure: the stream ended, or was cut, before it comes here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from signoff.canonical import Json, JsonError, parse
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import StreamKind
from signoff.upstream.serialise import compact

EVENTS: Final = 1_000
_KINDS: Final[dict[str, StreamKind]] = {
    "text/event-stream": "sse",
    "application/jsonl": "json_lines",
    "application/json-lines": "json_lines",
    "application/x-ndjson": "json_lines",
    "application/ndjson": "json_lines",
    "application/x-jsonlines": "json_lines",
    "application/json-seq": "json_seq",
    "application/geo+json-seq": "json_seq",
}
_SEPARATOR: Final = "\x1e"


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """The first events of a stream. `more` says that others were left out."""

    values: list[Json]
    more: bool


def stream_kind(tool: ToolSpec, media_type: str) -> StreamKind | None:
    """Return how this answer is a stream: by what it says it is, else by what was documented."""
    known = _KINDS.get(media_type)
    if known is not None or media_type:
        return known
    return tool.stream


def is_stream(media_type: str) -> bool:
    """Say whether an answer of this type may never end by itself."""
    return media_type.partition(";")[0].strip().lower() in _KINDS


def events_of(text: str, kind: StreamKind, *, limit: int, cut: bool) -> Events:
    """Return the events, at most `EVENTS` and `limit` bytes of them.

    With `cut`, the last one is taken for half of one and left out.
    """
    match kind:
        case "sse":
            found = _server_sent(text)
        case "json_lines":
            lines = text.split("\n")
            found = (_value(line) for line in (lines[:-1] if cut else lines) if line.strip())
        case "json_seq":
            records = text.split(_SEPARATOR)[1:]
            found = (_value(one) for one in (records[:-1] if cut else records) if one.strip())
    values: list[Json] = []
    size = 0
    for value in found:
        size += len(compact(value)) + 1
        if len(values) == EVENTS or size > limit:
            return Events(values=values, more=True)
        values.append(value)
    return Events(values=values, more=cut)


def _server_sent(text: str) -> Iterator[Json]:
    fields: dict[str, str] = {}
    lines: list[str] = []
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            if lines:
                yield _event(fields, "\n".join(lines))
            fields, lines = {}, []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            lines.append(value)
        elif name in ("event", "id"):
            fields[name] = value
    # What no empty line ends is half an event: HTML says to drop it.


def _event(fields: dict[str, str], text: str) -> Json:
    value = _value(text)
    return {**fields, "data": value} if fields else value


def _value(text: str) -> Json:
    try:
        return parse(text.strip())
    except JsonError:
        return text
