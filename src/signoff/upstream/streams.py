"""An answer that is a sequence of events: read while it comes, and as a bounded list at its end.

Owns reading server-sent events (WHATWG HTML §9.2.6), JSON lines and JSON text sequences
(RFC 7464), and how an event is shown in a line of progress. Opens no connection: what follows a
stream is handed its bytes.
"""

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from signoff.canonical import Json, JsonError, parse
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import StreamKind
from signoff.upstream.redact import redacted
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
_BREAKS: Final[dict[StreamKind, re.Pattern[str]]] = {
    "sse": re.compile(r"\r\n|\n|\r"),
    "json_lines": re.compile(r"\n"),
    "json_seq": re.compile(_SEPARATOR),
}
_SHOWN: Final = 140
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

Tell = Callable[[int, str], None]
"""Hears of each event: its number from 1, and a line that shows it. Returns at once."""


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
    return _kind_of(media_type) is not None


class EventReader:
    """Reads the events of one stream, in whatever pieces its text comes."""

    def __init__(self, kind: StreamKind) -> None:
        self._kind: StreamKind = kind
        self._unfinished: list[str] = []
        self._begun = False
        self._after_cr = False
        self._fields: dict[str, str] = {}
        self._lines: list[str] = []
        self._heard = kind != "json_seq"  # what stands before its first separator is no record

    def feed(self, text: str) -> Iterator[Json]:
        """Yield the events that `text` completes. Take them all before the next piece comes."""
        if not self._begun and text:
            self._begun = True
            text = text.removeprefix("\ufeff") if self._kind == "sse" else text
        if self._after_cr and text:
            self._after_cr = False
            text = text.removeprefix("\n")  # the rest of a line break that came in two pieces
        if self._kind == "sse" and text.endswith("\r"):
            self._after_cr = True
        *whole, rest = _BREAKS[self._kind].split(text)
        if not whole:
            self._unfinished.append(rest)
            return
        whole[0] = "".join((*self._unfinished, whole[0]))
        self._unfinished = [rest]
        for line in whole:
            yield from self._taken(line)

    def end(self) -> Iterator[Json]:
        """Yield what the end of the stream completes. Half a server-sent event is dropped."""
        if self._kind != "sse":
            yield from self._taken("".join(self._unfinished))

    def _taken(self, line: str) -> Iterator[Json]:
        if self._kind != "sse":
            if self._heard and line.strip():
                yield _value(line)
            self._heard = True
            return
        if not line:
            fields, lines = self._fields, self._lines
            self._fields, self._lines = {}, []
            if lines:
                yield _event(fields, "\n".join(lines))
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._lines.append(value)
        elif name in ("event", "id"):
            self._fields[name] = value


def events_of(text: str, kind: StreamKind, *, limit: int, cut: bool) -> Events:
    """Return the events, at most `EVENTS` and `limit` bytes of them.

    With `cut`, the last one is taken for half of one and left out.
    """
    reader = EventReader(kind)
    found = reader.feed(text) if cut else chain(reader.feed(text), reader.end())
    values: list[Json] = []
    size = 0
    for value in found:
        size += len(compact(value)) + 1
        if len(values) == EVENTS or size > limit:
            return Events(values=values, more=True)
        values.append(value)
    return Events(values=values, more=cut)


class Following:
    """Tells of each event of an answer as it comes, with credentials taken out."""

    def __init__(self, tell: Tell, traces: Sequence[bytes]) -> None:
        self._tell, self._traces = tell, traces
        self._reader: EventReader | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._count = 0

    def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Take note of what the answer is; one that is compressed is only read at its end."""
        found = {name.lower(): value.decode("latin-1") for name, value in headers}
        kind = _kind_of(found.get(b"content-type", ""))
        is_plain = found.get(b"content-encoding", "identity").strip().lower() in ("identity", "")
        self._reader = EventReader(kind) if kind is not None and is_plain else None

    def arrived(self, chunk: bytes) -> None:
        """Take the next bytes of the answer."""
        if self._reader is None or self._count >= EVENTS:
            return
        for value in self._reader.feed(self._decoder.decode(chunk)):
            self._count += 1
            if self._count > EVENTS:
                return
            self._tell(self._count, self._shown(value))

    def _shown(self, value: Json) -> str:
        # Whole events are cleaned, so that no credential hides at the border of two pieces.
        text = compact(value).encode("utf-8", "surrogatepass")
        return shown(redacted(text, self._traces).decode("utf-8", "replace"))


def shown(text: str) -> str:
    """Return one line of at most 140 characters that turns nothing around and hides nothing."""
    seen = "".join(
        "\ufffd" if unicodedata.category(one) in _UNSEEN else one for one in text[: _SHOWN + 1]
    )
    return seen if len(seen) <= _SHOWN else f"{seen[: _SHOWN - 1]}…"


def _kind_of(content_type: str) -> StreamKind | None:
    return _KINDS.get(content_type.partition(";")[0].strip().lower())


def _event(fields: dict[str, str], text: str) -> Json:
    value = _value(text)
    return {**fields, "data": value} if fields else value


def _value(text: str) -> Json:
    try:
        return parse(text.strip())
    except JsonError:
        return text
