"""What a relay remembers of the conversation it carries, so that a new owner can take it up.

Owns the handshake, the unanswered requests and the last progress of each. No I/O: lines in, lines
out. Knows no tool; a line it cannot read is passed on, and the owner answers it.
"""

import json
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

import orjson

from signoff.canonical import Json, JsonError, parse

RESENT: Final = "io.signoff/resent"
"""In `_meta` of a request that an owner which is gone may have begun."""

_Key: TypeAlias = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class _Progress:
    base: float = 0
    last: float = 0


class Conversation:
    """One host's side of a session, whichever process serves it."""

    def __init__(self) -> None:
        self._initialize: tuple[_Key, bytes] | None = None
        self._initialized: bytes | None = None
        self._open: dict[_Key, bytes] = {}
        self._swallow: set[_Key] = set()
        self._progress: dict[_Key, _Progress] = {}

    def heard(self, line: bytes) -> None:
        """Note a line of the host that is about to be passed on."""
        message = _members(line)
        method, request_id = message.get("method"), message.get("id")
        if not isinstance(method, str):
            return
        if request_id is not None:
            self._open[_key(request_id)] = line
            if method == "initialize":
                self._initialize = (_key(request_id), line)
        elif method == "notifications/initialized":
            self._initialized = line
        elif method == "notifications/cancelled":
            self._forget(_key(_object(message.get("params")).get("requestId")))

    def replayed(self) -> list[bytes]:
        """Return what a new owner must hear first: the handshake, then what nobody answered."""
        for progress in self._progress.values():
            progress.base = progress.last
        lines: list[bytes] = []
        self._swallow.clear()
        if self._initialize is not None:
            key, line = self._initialize
            lines.append(line)
            if key not in self._open:
                self._swallow.add(key)  # the host has had its answer
        if self._initialized is not None:
            lines.append(self._initialized)
        handshake = self._initialize[0] if self._initialize is not None else None
        lines += [_marked(line) for key, line in self._open.items() if key != handshake]
        return lines

    def answered(self, line: bytes) -> bytes | None:
        """Note a line of the owner; return what the host gets, None for nothing."""
        message = _members(line)
        if message.get("method") == "notifications/progress":
            return self._rising(message, line)
        if "method" in message or "id" not in message:
            return line
        key = _key(message["id"])
        if key in self._swallow:
            self._swallow.discard(key)
            return None
        self._forget(key)
        return line

    def unanswered(self) -> list[Json]:
        """Return the ids of the requests that wait for an answer."""
        return [_members(line)["id"] for line in self._open.values()]

    def _forget(self, key: _Key) -> None:
        line = self._open.pop(key, None)
        if line is not None:
            token = _object(_object(_members(line).get("params")).get("_meta")).get("progressToken")
            self._progress.pop(_key(token), None)

    def _rising(self, message: dict[str, Json], line: bytes) -> bytes:
        # Progress MUST rise (MCP, basic/patterns/progress), and a new owner counts from one again.
        params = _object(message.get("params"))
        value = params.get("progress")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return line
        seen = self._progress.setdefault(_key(params.get("progressToken")), _Progress())
        seen.last = seen.base + value
        if not seen.base:
            return line
        raised = {**message, "params": {**params, "progress": seen.last}}
        return json.dumps(raised, separators=(",", ":")).encode() + b"\n"


def failure(request_id: Json, message: str) -> bytes:
    """Return a JSON-RPC error line."""
    error = {"code": -32603, "message": message}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "error": error}).encode() + b"\n"


def _key(request_id: Json) -> _Key:
    return type(request_id).__name__, str(request_id)  # 1, "1" and true are three ids


def _members(line: bytes) -> dict[str, Json]:
    try:
        return _object(cast("Json", orjson.loads(line)))
    except orjson.JSONDecodeError:
        return {}


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _marked(line: bytes) -> bytes:
    try:
        message = _object(parse(line))  # exactly: this one becomes bytes again
    except JsonError:
        return line  # the owner refuses it, as the one before did
    if message.get("method") != "tools/call":
        return line
    params = _object(message.get("params"))
    meta = {**_object(params.get("_meta")), RESENT: True}
    return json.dumps({**message, "params": {**params, "_meta": meta}}).encode() + b"\n"
