"""What a call gives: an answer, a promise of one, or an error.

Owns these three values and making them of what the upstream side says. Nothing in them is a
credential; an upstream's error page is never repeated.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Literal, TypeAlias, assert_never

from signoff.canonical import Json, JsonError, parse
from signoff.catalog.model import ToolSpec, Upstream
from signoff.upstream.answer_text import decoded, holds_page
from signoff.upstream.follow_up import STATUS_URLS, FollowUp, follow_up
from signoff.upstream.response import (
    Failed,
    OutcomeUnknown,
    Succeeded,
    ToolResult,
    classify,
    result_of,
)
from signoff.upstream.retries import retry_after_s
from signoff.upstream.sent import Answered, Changed, NotSent, Sent, Unknown

ErrorCode: TypeAlias = Literal[
    "unknown_tool",
    "invalid_arguments",
    "auth_required",
    "headers_failed",
    "denied_by_policy",
    "denied",
    "not_approved",
    "approval_expired",
    "changed",
    "not_sent",
    "upstream_error",
    "outcome_unknown",
]
_ACCEPTED: Final = 202
_SHOWN: Final = ("title", "detail", "message", "code", "type")
_PROBLEM: Final = 500


class CallError(Exception):
    """A call that gave no answer. The text is safe for a model: no secret, no page, no address.

    `status` is the upstream's, None where it said nothing. `may_have_happened` is False where it
    is certain that nothing was done. `problem` has the fields of RFC 9457 that the upstream gave.
    """

    def __init__(
        self,
        code: ErrorCode,
        description: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        may_have_happened: bool = False,
        problem: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.code: ErrorCode = code
        self.description = description
        self.status = status
        self.retry_after_s = retry_after_s
        self.may_have_happened = may_have_happened
        self.problem = dict(problem or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The upstream's answer.

    `data` is its JSON, and the list of events of a stream; None where it is not JSON, or empty.
    `text` is what to hand to a model, `content` the same as MCP content blocks, with pictures and
    files. `next_page` are the arguments to change for the next page. `is_cut`: there was more.
    """

    status: int
    data: Json
    text: str
    content: tuple[Mapping[str, Json], ...] = field(repr=False)
    next_page: Mapping[str, Json] | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The upstream took the request and is not done (202).

    `follow_up` is the call of the same API that tells how it went, where the answer pointed to
    one; it is made like any other call. The address itself is in nothing here. `data` is the
    answer's JSON without it.
    """

    data: Json
    follow_up: FollowUp | None
    retry_after_s: float | None

    @property
    def text(self) -> str:
        """What to hand to a model."""
        again = "" if self.retry_after_s is None else f" in {self.retry_after_s:g} s"
        lines = ["HTTP 202 Accepted: it is not done yet."]
        if self.follow_up is not None:
            arguments = json.dumps(dict(self.follow_up.arguments), ensure_ascii=False)
            lines.append(f"Ask how it went{again}: {self.follow_up.tool} with {arguments}.")
        elif again:
            lines.append(f"Look{again}.")
        if self.data is not None:
            lines.append(json.dumps(self.data, ensure_ascii=False))
        return "\n".join(lines)


def answer_of(
    tool: ToolSpec,
    sent: Sent,
    arguments: Mapping[str, Json],
    *,
    tools: Sequence[ToolSpec],
    upstream: Upstream,
    asked: str,
) -> Done | Pending:
    """Return what a send gave; `asked` is the URL that was called.

    Raises:
        CallError: anything but a 2xx answer.
    """
    match sent:
        case NotSent(reason=reason):
            raise CallError("not_sent", f"Nothing was sent: {reason}.")
        case Changed(reason=reason):
            raise CallError("changed", f"Nothing was sent: {reason}.")
        case Unknown(reason=reason):
            raise CallError(
                "outcome_unknown",
                f"The request was sent, but its outcome is unknown: {reason}.",
                may_have_happened=not tool.read_only,
            )
        case Answered():
            _refuse(tool, sent)
        case _:
            assert_never(sent)
    result = result_of(tool, sent, arguments)
    data = _data(result)
    if sent.status != _ACCEPTED:
        following = result.meta.get("nextPage")
        return Done(
            status=sent.status,
            data=data,
            text="\n".join(_texts(result)),
            content=result.content,
            next_page=following if isinstance(following, dict) else None,
            is_cut=result.meta.get("truncated") is True,
        )
    found = follow_up(tools, upstream, sent, data, asked)
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if key not in STATUS_URLS}
    return Pending(data=data, follow_up=found, retry_after_s=_retry_after_s(sent))


def _refuse(tool: ToolSpec, answered: Answered) -> None:
    match classify(tool, answered):
        case Succeeded():
            return
        case Failed():
            code, unknown = "upstream_error", False
        case OutcomeUnknown():
            code, unknown = "upstream_error", not tool.read_only
    try:
        phrase = f" {HTTPStatus(answered.status).phrase}"
    except ValueError:
        phrase = ""
    problem = _problem(answered)
    said = next((problem[name] for name in ("detail", "message", "title") if name in problem), "")
    raise CallError(
        "outcome_unknown" if unknown else code,
        f"HTTP {answered.status}{phrase}" + (f": {said}" if said else ""),
        status=answered.status,
        retry_after_s=_retry_after_s(answered),
        may_have_happened=unknown,
        problem=problem,
    )


def _problem(answered: Answered) -> dict[str, str]:
    """Return what the upstream says in words of its own that are meant to be read."""
    if answered.unread is not None:
        return {}
    try:
        value = parse(decoded(answered) or "")
    except JsonError:
        return {}
    inner = value.get("error") if isinstance(value, dict) else None
    for shape in (value, inner):
        if isinstance(shape, dict):
            texts = {
                name: text
                for name in _SHOWN
                if isinstance(text := shape.get(name), str) and not holds_page(text)
            }
            if texts:
                return {name: " ".join(text.split())[:_PROBLEM] for name, text in texts.items()}
    return {}


def _data(result: ToolResult) -> Json:
    """Return the answer's JSON: whatever is structured stands first as its text."""
    if result.structured is None:
        return None
    try:
        return parse(next(iter(_texts(result)), ""))
    except JsonError:
        return dict(result.structured)


def _texts(result: ToolResult) -> list[str]:
    return [text for block in result.content if isinstance(text := block.get("text"), str)]


def _retry_after_s(answered: Answered) -> float | None:
    return retry_after_s(answered.header("retry-after"), now=datetime.now(UTC))
