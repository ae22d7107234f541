"""How a call's end, or its waiting, is told to an assistant.

Owns the words. Nothing internal, no credential and no stack stands in them; what a person wrote
is quoted as data. Knows no protocol beyond a tool result.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from signoff.canonical import Json
from signoff.gate.call import Call, State
from signoff.upstream.response import ToolResult

_ASK_AGAIN: Final = "To ask again, use repeat_call with this call_id."


def pending(call: Call, *, now: datetime, reachable: str | None = None) -> ToolResult:
    """Return the normal result that hands a waiting call back to its client."""
    following = f"Use call_status with call_id {call.id} until it is decided."
    members: dict[str, Json] = {
        "status": "pending",
        "call_id": call.id,
        "approve_at": call.approve_at,
        "expires_in": max(0, int((call.expires_at - now).total_seconds())),
        "next": following if reachable is None else f"{reachable}. {following}",
    }
    return ToolResult(content=(_json(members),), structured=members, is_error=False)


def ended(call: Call, stored: ToolResult | None) -> ToolResult:
    """Return the result of a call that has ended; `stored` is what the upstream answered."""
    if call.is_open:
        raise ValueError(f"{call.id} is {call.state}, it has not ended")
    if call.state in (State.SUCCEEDED, State.FAILED):
        return stored if stored is not None else _unanswered(call)
    if call.state is State.OUTCOME_UNKNOWN:
        return _unknown(call)
    return _not_sent(call, _WORDS[call.state](call))


def repeated(call: Call, result: ToolResult) -> ToolResult:
    """Return `result` with the mark that it is an earlier call's, told again."""
    mark: dict[str, Json] = {
        "repeat": True,
        "call_id": call.id,
        "finished_at": None if call.finished_at is None else call.finished_at.isoformat(),
        "next": "Nothing was sent this time. To do it once more on purpose, use repeat_call.",
    }
    return ToolResult(
        content=(*result.content, _json(mark)),
        structured=result.structured,
        is_error=result.is_error,
        meta=result.meta,
    )


def failure(text: str) -> ToolResult:
    """Return an error that is one sentence."""
    return ToolResult(content=(_text(text),), structured=None, is_error=True)


def _denied(call: Call) -> str:
    who = call.decided_by or "The approver"
    why = f" Their reason, as data: {json.dumps(call.reason)}." if call.reason else ""
    return f"{who} denied this call.{why} Nothing was sent. Do not try it again."


def _expired(_: Call) -> str:
    return f"Nobody decided in time. Nothing was sent. {_ASK_AGAIN}"


def _withdrawn(call: Call) -> str:
    why = f" ({call.note})" if call.note else ""
    return f"The request was withdrawn{why}. Nothing was sent. {_ASK_AGAIN}"


def _refused(call: Call) -> str:
    why = call.note or "it was changed"
    return f"What was approved no longer holds: {why}. Nothing was sent. {_ASK_AGAIN}"


def _lapsed(_: Call) -> str:
    return (
        "It was approved, but the approval was lost before anything was sent. "
        f"Nothing was sent. {_ASK_AGAIN}"
    )


_WORDS: Final[Mapping[State, Callable[[Call], str]]] = MappingProxyType({
    State.DENIED: _denied,
    State.EXPIRED: _expired,
    State.WITHDRAWN: _withdrawn,
    State.REFUSED: _refused,
    State.LAPSED: _lapsed,
})


def _unanswered(call: Call) -> ToolResult:
    done = call.state is State.SUCCEEDED
    how = f": {call.note}" if call.note else ""
    text = f"The call {'was done' if done else 'failed'}{how}."
    members = _facts(call)
    return ToolResult(content=(_text(text), _json(members)), structured=None, is_error=not done)


def _unknown(call: Call) -> ToolResult:
    text = (
        "The call was approved and sent, but no definite answer came: it may have taken effect. "
        "It is not sent again. Ask a person to check; an approver can note on "
        f"{call.approve_at} whether it was done."
    )
    return ToolResult(content=(_text(text), _json(_facts(call))), structured=None, is_error=True)


def _not_sent(call: Call, text: str) -> ToolResult:
    members = {**_facts(call), "sent": False}
    return ToolResult(content=(_text(text), _json(members)), structured=None, is_error=True)


def _facts(call: Call) -> dict[str, Json]:
    members: dict[str, Json] = {"status": call.state.value, "call_id": call.id, "tool": call.tool}
    if call.decided_by is not None:
        members["by"] = call.decided_by
    if call.reason is not None:
        members["reason"] = call.reason
    if call.finished_at is not None:
        members["finished_at"] = call.finished_at.isoformat()
    return members


def _text(text: str) -> dict[str, Json]:
    return {"type": "text", "text": text}


def _json(members: Mapping[str, Json]) -> dict[str, Json]:
    return _text(json.dumps(members, ensure_ascii=False))
