"""What an assistant is told of an answer.

Owns the shape of a tool's result and what a status means. Pure: credentials were taken out of the
answer when it was read, no header is looked up but those that may be shown. HTML is passed on only
where the operation promises it, never in an error; JSON as it came, whatever the output schema
says, so drift hides nothing.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final, TypeAlias, assert_never

from signoff.canonical import Json, JsonError, parse
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import StreamKind
from signoff.upstream.answer_text import (
    PAGES,
    decoded,
    holds_page,
    is_page,
    is_text,
    may_be_json,
    media_type_of,
    readings,
)
from signoff.upstream.exchange import CutBy
from signoff.upstream.json_cut import cut_json
from signoff.upstream.pages import advice, counts, next_arguments
from signoff.upstream.redact import REQUEST_IDS
from signoff.upstream.sent import Answered, Changed, NotSent, Sent, Unknown
from signoff.upstream.serialise import compact
from signoff.upstream.streams import events_of, stream_kind
from signoff.upstream.tool_result import ToolResult, failed, told

__all__ = [
    "LIMIT",
    "Classified",
    "Failed",
    "OutcomeUnknown",
    "Succeeded",
    "ToolResult",
    "classify",
    "result_of",
    "shape",
]

LIMIT: Final = 262_144
_ACCEPTED: Final = 202
_ERROR_BYTES: Final = 2_048
_PROBLEM: Final = ("title", "detail", "type", "instance", "code", "message")
_IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_SOUNDS: Final = frozenset({
    "audio/aac",
    "audio/flac",
    "audio/mpeg",
    "audio/mp3",
    "audio/mp4",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "audio/x-wav",
})
_EMBEDDED: Final = ("application/", "audio/", "font/", "image/", "model/", "video/")
_SCRIPTED: Final = "image/svg+xml"
_ALSO: Final[Mapping[str, str]] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
}
"""What some servers call what hosts know by another name."""
_SECONDS: Final = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,6})?")
_DATE: Final = re.compile(
    r"[A-Z][a-z]{2,8},? (?:[0-9]{2}[ -][A-Z][a-z]{2}[ -][0-9]{2,4}|[A-Z][a-z]{2} [ 0-9][0-9])"
    r" [0-9]{2}:[0-9]{2}:[0-9]{2} (?:GMT|UTC|[0-9]{4})"
)
_CUT_STREAMS: Final[Mapping[CutBy, str]] = {
    "size": "The stream goes on.",
    "time": "The stream did not end in time.",
    "closed": "The connection was closed before the stream ended.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The upstream did what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The upstream did not do it, for certain."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown:
    """The upstream may or may not have done it."""

    reason: str


Classified: TypeAlias = Succeeded | Failed | OutcomeUnknown


def classify(tool: ToolSpec, sent: Sent) -> Classified:
    """Say what a send means for the call.

    2xx is done; 3xx and 4xx are definitely not done; 5xx may have been done unless the operator
    vouches for the status (`definite_statuses`).
    """
    match sent:
        case NotSent(reason=reason) | Changed(reason=reason):
            return Failed(reason=reason)
        case Unknown(reason=reason):
            return OutcomeUnknown(reason=reason)
        case Answered(status=status):
            line = _status_line(status)
            if 200 <= status < 300:  # noqa: PLR2004 — RFC 9110 §15.3
                return Succeeded()
            if status < 500 or status in tool.definite_statuses:  # noqa: PLR2004 — RFC 9110 §15.6
                return Failed(reason=line)
            return OutcomeUnknown(reason=line)
        case _:
            assert_never(sent)


def result_of(
    tool: ToolSpec, sent: Sent, arguments: Mapping[str, Json] | None = None
) -> ToolResult:
    """Return the result of a call, however its send ended; `arguments` are the call's own."""
    match sent:
        case Answered():
            return shape(tool, sent, arguments)
        case NotSent(reason=reason) | Changed(reason=reason):
            return failed([f"Nothing was sent: {reason}."])
        case Unknown(reason=reason):
            again = "Asking again is safe." if tool.read_only else "It may have taken effect."
            return failed([f"The request was sent, but its outcome is unknown: {reason}. {again}"])
        case _:
            assert_never(sent)


def shape(
    tool: ToolSpec, answered: Answered, arguments: Mapping[str, Json] | None = None
) -> ToolResult:
    """Return what the assistant sees of an answer. Never raises, whatever came back.

    From the call's `arguments` it is told which page comes next, where pages are counted.
    """
    if answered.status >= 400:  # noqa: PLR2004 — RFC 9110 §15.5
        return _failed(answered)
    if answered.status >= 300:  # noqa: PLR2004 — RFC 9110 §15.4
        return _redirected(answered)
    result = _succeeded(tool, answered, arguments)
    return _pending(result, answered) if answered.status == _ACCEPTED else result


def _succeeded(
    tool: ToolSpec, answered: Answered, arguments: Mapping[str, Json] | None
) -> ToolResult:
    line = _status_line(answered.status)
    if answered.unread is not None:
        return told([f"{line}. The answer was not read: {answered.unread}."])
    if not answered.body or tool.method == "HEAD":
        return told([f"HTTP {answered.status}"])
    if may_be_json(media_type_of(answered)) and not answered.body.strip():
        return told([f"HTTP {answered.status}"])  # an empty line is how some say nothing
    if is_page(answered) and not _is_promised(tool, answered):
        return told([f"{line}. The answer is an HTML page and is not shown."])
    return _content(tool, answered, line, arguments)


def _is_promised(tool: ToolSpec, answered: Answered) -> bool:
    """Say whether a page is what the operation is for, as where it renders something."""
    media_type = media_type_of(answered)
    return media_type in PAGES and any(
        one.partition(";")[0].strip().lower() == media_type for one in tool.accept
    )


def _pending(result: ToolResult, answered: Answered) -> ToolResult:
    """Add that the upstream has not done it yet (RFC 9110 §15.3.3), and when to look."""
    meta: dict[str, Json] = {**result.meta, "pending": True}
    text = "The upstream took the request, and is not done yet."
    if retry_after := _retry_after(answered):
        meta["retryAfter"] = retry_after
        text = f"{text} Retry-After: {retry_after}"
    return replace(result, content=(*result.content, {"type": "text", "text": text}), meta=meta)


def _content(
    tool: ToolSpec, answered: Answered, line: str, arguments: Mapping[str, Json] | None
) -> ToolResult:
    media_type = media_type_of(answered)
    if kind := stream_kind(tool, media_type):
        return _events(answered.body.decode("utf-8", "replace"), kind, answered)
    if may_be_json(media_type) and (result := _json(tool, answered, arguments)):
        return result
    if is_text(media_type) and (text := decoded(answered)) is not None:
        return _cut_text(text, answered)
    return _binary(answered, media_type, line)


def _binary(answered: Answered, media_type: str, line: str) -> ToolResult:
    size = f"more than {len(answered.body):,}" if answered.truncated else f"{len(answered.body):,}"
    what = f"{line}. The answer is binary ({media_type or 'no media type'}, {size} bytes)"
    if answered.truncated or len(answered.body) > LIMIT:
        return told([f"{what} and too large to show."])
    known = _ALSO.get(media_type, media_type)
    for kind, media_types in (("image", _IMAGES), ("audio", _SOUNDS)):
        if known in media_types:
            return ToolResult(content=(_blob(kind, answered.body, known),))
    if not media_type.startswith(_EMBEDDED) or media_type == _SCRIPTED:
        return told([f"{what} and is not shown."])  # pictures that run scripts, text that is none
    text: dict[str, Json] = {"type": "text", "text": f"{what}."}
    return ToolResult(content=(text, _resource(answered.body, media_type)))


def _events(text: str, kind: StreamKind, answered: Answered) -> ToolResult:
    events = events_of(text, kind, limit=LIMIT, cut=answered.truncated)
    texts = [compact(events.values)]
    if events.more:
        count = "1 event" if len(events.values) == 1 else f"{len(events.values)} events"
        texts.append(f"{_CUT_STREAMS[answered.cut_by]} Here is what came before: {count}.")
    return told(texts, {"result": events.values}, meta={"truncated": True} if events.more else None)


def _failed(answered: Answered) -> ToolResult:
    structured: dict[str, Json] = {"status": answered.status}
    lines = [_status_line(answered.status)]
    if retry_after := _retry_after(answered):
        structured["retry_after"] = retry_after
        lines.append(f"Retry-After: {retry_after}")
    if request_id := next(filter(None, map(answered.header, REQUEST_IDS)), None):
        structured["request_id"] = request_id
        lines.append(f"Request id: {request_id}")
    if answered.unread is not None:
        lines.append(f"The answer was not read: {answered.unread}.")
    elif is_page(answered):
        lines.append("The answer is an HTML page and is not shown.")
    elif answered.body:
        lines.extend(_problem(answered, structured))
    return failed(lines, structured)


def _problem(answered: Answered, structured: dict[str, Json]) -> list[str]:
    """Add the fields of RFC 9457 to `structured`; return them and the start of the body."""
    text = decoded(answered)
    if text is None:
        media_type = media_type_of(answered)
        return [f"The answer is binary ({media_type}) and is not shown."]
    lines: list[str] = []
    try:
        value = parse(text)
    except JsonError:
        value = None
    inner = value.get("error") if isinstance(value, dict) else None  # as the larger APIs do
    for shape in (value, inner):
        said = _said(shape)
        structured |= said
        lines += [f"{name}: {text}" for name, text in said.items()]
        if said:
            break
    if holds_page(text):  # what stands before an API often answers so, and the API passes it on
        return [*lines, "The rest of the answer holds an HTML page and is not shown."]
    start = _head(text, _ERROR_BYTES)
    if start:
        lines.append(start + ("" if start == text else f"\n[cut; {len(answered.body):,} bytes]"))
    return lines


def _said(problem: Json) -> dict[str, Json]:
    """Return what a problem says in fields that are meant to be read."""
    members = problem if isinstance(problem, dict) else {}
    return {
        name: text[:_ERROR_BYTES]
        for name in _PROBLEM
        if isinstance(text := members.get(name), str) and not holds_page(text)
    }


def _retry_after(answered: Answered) -> str | None:
    """Return when to ask again, if it is said as RFC 9110 §10.2.3 has it: seconds or a date."""
    said = (answered.header("retry-after") or "").strip()
    return said if _SECONDS.fullmatch(said) or _DATE.fullmatch(said) else None


def _redirected(answered: Answered) -> ToolResult:
    structured: dict[str, Json] = {"status": answered.status}
    host = answered.header("location")
    to = f" It points to {host}; redirects are not followed." if host else ""
    if host:
        structured["location_host"] = host
    return failed([_status_line(answered.status) + "." + to], structured)


def _json(
    tool: ToolSpec, answered: Answered, arguments: Mapping[str, Json] | None
) -> ToolResult | None:
    """Return a JSON answer, cut on its structure if need be; None when it is not strict JSON."""
    notes: list[str] = []
    meta: dict[str, Json] = {}
    for body in readings(answered):
        is_long = answered.truncated or len(body) > LIMIT
        try:
            shown = cut_json(body, LIMIT) if is_long else body
            value, text = parse(shown), shown.decode()
        except (JsonError, UnicodeDecodeError):
            continue
        break
    else:
        return None
    if is_long:
        size = f"more than {len(body):,}" if answered.truncated else f"{len(body):,}"
        how = advice(tool) or "a filter, a page, or fewer fields"
        meta["truncated"] = True
        notes.append(
            f"The answer is {size} bytes long. Only its first part is shown, cut after a whole "
            f"member. Ask for less: {how}."
        )
    if tool.pagination is not None and not meta:
        following = next_arguments(tool, answered, value, arguments)
        if following is not None:
            meta["nextPage"] = following
            there = "may be" if counts(tool) else "is"
            notes.append(f"There {there} more: make the same call with {compact(following)}.")
    structured: dict[str, Json] = value if isinstance(value, dict) else {"result": value}
    return told([text, *notes], structured, meta=meta)


def _cut_text(text: str, answered: Answered) -> ToolResult:
    start = _head(text, LIMIT)
    if start == text and not answered.truncated:
        return told([text])
    size = "more than " if answered.truncated else ""
    return told([start, f"The answer is {size}{len(answered.body):,} bytes long and was cut."])


def _head(text: str, limit: int) -> str:
    """Return the start of `text` that is at most `limit` bytes of UTF-8."""
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= limit else raw[:limit].decode("utf-8", "ignore")


def _blob(kind: str, body: bytes, media_type: str) -> dict[str, Json]:
    return {"type": kind, "data": base64.b64encode(body).decode(), "mimeType": media_type}


def _resource(body: bytes, media_type: str) -> dict[str, Json]:
    """Return what is neither text nor a picture as an embedded resource, named by its content."""
    return {
        "type": "resource",
        "resource": {
            "uri": f"urn:sha256:{hashlib.sha256(body).hexdigest()}",
            "mimeType": media_type,
            "blob": base64.b64encode(body).decode(),
        },
    }


def _status_line(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
