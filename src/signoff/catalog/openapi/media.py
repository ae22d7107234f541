"""Media types: which a body is sent as, and what each is on the wire.

Owns the order of preference and the families. Pure text; knows no schema.
"""

import re
from collections.abc import Iterable
from typing import Final

from signoff.catalog.wire import BodyFormat, StreamKind

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"
JSON: Final = "application/json"

_UTF8: Final = frozenset({"utf-8", "utf8", '"utf-8"', '"utf8"'})
_CHARSET: Final = re.compile(r"""(;\s*charset\s*=\s*)("[^"]*"|[^;\s]*)""", re.IGNORECASE)
_BOUNDARY: Final = re.compile(r""";\s*boundary\s*=\s*("[^"]*"|[^;\s]*)""", re.IGNORECASE)
_JSON: Final = frozenset({
    JSON, "text/json", "application/x-json", "text/x-json", "application/x-amz-json-1.0",
    "application/x-amz-json-1.1",
})  # fmt: skip
_PATCHES: Final = "application/json-patch+json"
_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+", re.ASCII)
_ANY: Final = frozenset({"*/*", "application/*", "*"})
_TEXT: Final = frozenset({
    "application/graphql", "application/javascript", "application/jsonl", "application/sql",
    "application/toml", "application/x-ndjson", "application/x-yaml", "application/yaml",
})  # fmt: skip
_MULTIPARTS: Final[dict[str, BodyFormat]] = {
    MULTIPART: "multipart",
    "multipart/*": "multipart",
    "multipart/mixed": "parts",
    "multipart/related": "parts",
}
_STREAMS: Final[dict[str, StreamKind]] = {
    "text/event-stream": "sse",
    "application/jsonl": "json_lines",
    "application/x-ndjson": "json_lines",
    "application/x-jsonlines": "json_lines",
    "application/json-seq": "json_seq",
}
_ORDER: Final[tuple[BodyFormat, ...]] = (
    "json", "form", "multipart", "text", "binary", "xml", "parts",
)  # fmt: skip


def essence(media_type: str) -> str:
    """Return a media type without its parameters, in lower case."""
    return media_type.partition(";")[0].strip().lower()


def is_json(media_type: str) -> bool:
    """Say whether a media type is JSON (RFC 6839 §3.1 for `+json`)."""
    found = essence(media_type)
    return found in _JSON or found.endswith("+json")


def format_of(media_type: str) -> BodyFormat | None:
    """Return how a body of this type is made; None where it cannot be."""
    found = essence(media_type)
    if is_json(found) or found in _ANY:
        return "json"
    if found == FORM:
        return "form"
    if found.startswith("multipart/"):
        return _MULTIPARTS.get(found)
    if found in ("application/xml", "text/xml") or found.endswith("+xml"):
        return "xml"
    if found.startswith("text/") or found in _TEXT:
        return "text"
    return "binary" if _MEDIA_TYPE.fullmatch(found) else None


def preferred(media_types: Iterable[str]) -> str | None:
    """Return the one that is sent, whatever their order; None when none can be."""

    def rank(media_type: str) -> tuple[int, bool, bool, str]:
        format_ = format_of(media_type)
        order = _ORDER.index(format_) if format_ is not None else len(_ORDER)
        found = essence(media_type)
        # Exactly JSON comes before `+json` and before "anything"; a list of patches (RFC 6902) is
        # only sent where nothing else is offered: specs describe the merged object.
        return order, found == _PATCHES, found not in (JSON, MULTIPART), media_type

    usable = [one for one in media_types if format_of(one) is not None]
    return min(usable, key=rank, default=None)


def sent_as(media_type: str) -> str:
    """Return the Content-Type for a type that may be a range.

    Bodies of text are made in UTF-8 and parts between a boundary of our own, whatever it says.
    """
    if "*" not in essence(media_type):
        return media_type if format_of(media_type) == "binary" else in_utf8(media_type)
    match format_of(media_type):
        case "json":
            return JSON
        case "multipart":
            return MULTIPART
        case "text":
            return "text/plain"
        case _:
            return "application/octet-stream"


def in_utf8(media_type: str) -> str:
    """Return a media type without a boundary, and with no charset but UTF-8."""
    plain = _BOUNDARY.sub("", media_type)
    return _CHARSET.sub(
        lambda found: found[0] if found[2].lower() in _UTF8 else f"{found[1]}utf-8", plain
    )


def stream_of(media_types: Iterable[str]) -> StreamKind | None:
    """Return how a sequence of events would arrive, if one may."""
    return next((_STREAMS[one] for one in map(essence, media_types) if one in _STREAMS), None)
