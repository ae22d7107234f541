"""The gate's answers as tool results on the wire.

Owns their shape for every host and protocol version. Pure; the words of outcomes are the gate's
(`gate/outcomes.py`), and an upstream's answer was shaped and cleaned before.
"""

import json
from typing import Final, TypeAlias

from signoff.canonical import Json
from signoff.gate.answers import Finished, Waiting
from signoff.gate.call import Call
from signoff.schema import Validator, Violation
from signoff.upstream.response import ToolResult

WireResult: TypeAlias = dict[str, Json]

_WARNINGS: Final = 5


def pending(waiting: Waiting, result: ToolResult) -> WireResult:
    """Return the hand-back of a call that is not over: a normal result."""
    content: list[Json] = list(result.content)
    if waiting.attached:
        at = waiting.call.opened_at
        content.append(_text(f"This very call was already asked for at {at:%H:%M} UTC; it joined."))
    return _wire(content, result.structured, is_error=False)


def finished(answer: Finished, *, promised: Validator | None) -> WireResult:
    """Return the outcome, fitting what was listed; a repeated one says so where hosts look."""
    result = answer.result
    content: list[Json] = list(result.content)
    structured: Json = result.structured
    is_error = result.is_error
    meta = dict(result.meta)
    if promised is not None and not is_error:
        broken = promised.violations(structured, limit=_WARNINGS)
        if broken:
            # Clients throw away a result that does not fit the listed schema; this one they show.
            content.insert(0, _text(_unfitting(broken[0])))
            meta["schemaWarnings"] = [str(violation) for violation in broken]
            structured, is_error = None, True
    if answer.repeat and answer.call is not None and structured is not None:
        # Some hosts show their model this member alone, so the mark stands here too.
        structured = {**_repeat_facts(answer.call), "result": structured}
    wire = _wire(content, structured, is_error=is_error)
    if meta:
        wire["_meta"] = meta
    return wire


def answered(facts: dict[str, Json]) -> WireResult:
    """Return what we know ourselves, for models that read text and for hosts that read data."""
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return _wire([_text(text)], facts, is_error=False)


def failure(message: str) -> WireResult:
    """Return an error the assistant can read and act on."""
    return _wire([_text(message)], None, is_error=True)


def _repeat_facts(call: Call) -> dict[str, Json]:
    finished_at = call.finished_at.isoformat() if call.finished_at is not None else None
    return {"repeat": True, "call_id": call.id, "finished_at": finished_at}


def _unfitting(violation: Violation) -> str:
    return (
        "The call succeeded, so do not repeat it. Its answer does not fit the schema that the API "
        "documents, so it stands here as text, marked as an error for clients that drop it "
        f"otherwise. {violation}"
    )


def _wire(content: list[Json], structured: Json, *, is_error: bool) -> WireResult:
    # `resultType` is needed by the modern era; the SDK drops it for older ones.
    wire: WireResult = {"resultType": "complete", "content": content, "isError": is_error}
    if structured is not None:
        wire["structuredContent"] = structured
    return wire


def _text(words: str) -> Json:
    return {"type": "text", "text": words}
