"""Calls that need nobody, answered without a stream: the same answer for half the work.

Owns which messages may go this way. The SDK stays the judge of every envelope: only a message
equal to one it let through to a tool in the last 30 seconds comes past it, but for its id and its
arguments. Same caller, headers, session, tool and `_meta`, and nothing to report on the way.
Decides nothing about a call: the same tools answer it, behind the same bearer and the same gate.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias, cast

import orjson
from mcp.server.lowlevel import Server
from mcp_types import methods
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from signoff.assistant.auth import CALLER_KEY
from signoff.assistant.results import WireResult
from signoff.assistant.strict import MESSAGE_KEY
from signoff.canonical import Json
from signoff.identity import Caller, ClientInfo
from signoff.origin import App, Receive, Scope, Send

ADMIT_KEY: Final = "signoff.admit"
"""In the scope: what a tool tells as soon as the SDK let its message through."""

Call: TypeAlias = Callable[[Caller, ClientInfo, str, dict[str, Json]], Awaitable[WireResult | None]]

_FOR_S: Final = 30.0
_REMEMBERED: Final = 4_096
_REMEMBERED_BYTES: Final = 8_192
"""Of one message, its arguments and id apart; hosts send a tenth of that."""
_ENVELOPE: Final = frozenset({"jsonrpc", "id", "method", "params"})
_PARAMS: Final = frozenset({"name", "arguments", "_meta"})
_SESSION: Final = b"mcp-session-id"
_SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
# What differs from message to message, and is judged elsewhere or by nobody.
_CHANGING_HEADERS: Final = frozenset({
    b"authorization",
    b"content-length",
    b"dpop",
    b"traceparent",
    b"tracestate",
    b"baggage",
})
_CHANGING_META: Final = frozenset({"traceparent", "tracestate", "baggage"})
_TELLING_META: Final = ("progressToken", "io.signoff/resent")
"""With these a message is more than a call."""

_Key: TypeAlias = tuple[Caller, str, tuple[tuple[bytes, bytes], ...], str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What the SDK made of an envelope."""

    info: ClientInfo
    version: str


def admit(scope: Scope, info: ClientInfo, version: str) -> None:
    """Note that the SDK let the message of this scope through to a tool."""
    told = cast("Callable[[Admitted], None] | None", scope.get(ADMIT_KEY))
    if told is not None:
        told(Admitted(info=info, version=version))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A plain call in a message."""

    key: _Key
    id: str | int
    name: str
    arguments: dict[str, Json]


@dataclass(frozen=True, slots=True)
class _Known:
    until: float
    admitted: Admitted


class Direct:
    """ASGI behind `StrictJson`, in front of the SDK. `call` answers, or leaves it to the SDK."""

    def __init__(self, app: App, *, server: Server[Any], call: Call) -> None:
        self._app, self._server, self._call = app, server, call
        self._known: dict[_Key, _Known] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "DELETE":
            self._forget(_session(scope))
        asked = _asked(scope)
        if asked is None:
            await self._app(scope, receive, send)
            return
        now = asyncio.get_running_loop().time()
        known = self._known.get(asked.key)
        if known is not None and now < known.until:
            caller = asked.key[0]
            result = await self._call(caller, known.admitted.info, asked.name, asked.arguments)
            if result is not None:
                await self._answer(scope, send, asked, result, known.admitted.version)
                return
        scope[ADMIT_KEY] = partial(self._admit, asked.key, now + _FOR_S)
        await self._app(scope, receive, send)

    def _admit(self, key: _Key, until: float, admitted: Admitted) -> None:
        self._known.pop(key, None)
        while len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = _Known(until, admitted)

    async def _answer(
        self, scope: Scope, send: Send, asked: _Asked, result: WireResult, version: str
    ) -> None:
        """Answer in the shape that the SDK gives a result of this version."""
        shaped = methods.serialize_server_result("tools/call", version, result)
        if version in MODERN_PROTOCOL_VERSIONS:
            meta = cast("dict[str, Any]", shaped.get("_meta") or {})
            shaped["_meta"] = {**meta, _SERVER_INFO: self._server.server_info_stamp}
        body = _written({"jsonrpc": "2.0", "id": asked.id, "result": shaped})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        if session := _session(scope):
            headers.append((_SESSION, session))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _forget(self, session: bytes | None) -> None:
        for key in [key for key in self._known if (_SESSION, session) in key[2]]:
            del self._known[key]


def _asked(scope: Scope) -> _Asked | None:
    """Return the call in a message, if there is nothing but a call in it."""
    message: object = scope.get(MESSAGE_KEY)
    caller: object = scope.get(CALLER_KEY)
    if not isinstance(message, dict) or not isinstance(caller, Caller):
        return None
    envelope = cast("dict[str, Json]", message)
    id_, params = envelope.get("id"), envelope.get("params")
    if (
        envelope.get("method") != "tools/call"
        or not isinstance(params, dict)
        or not isinstance(id_, str | int)
        or isinstance(id_, bool)
        or not envelope.keys() <= _ENVELOPE
        or not params.keys() <= _PARAMS
    ):
        return None
    name, arguments, meta = params.get("name"), params.get("arguments", {}), params.get("_meta", {})
    if (
        not isinstance(name, str)
        or not isinstance(arguments, dict)
        or not isinstance(meta, dict)
        or any(member in meta for member in _TELLING_META)
    ):
        return None
    raw = cast("list[tuple[bytes, bytes]]", scope["headers"])
    if any(header.startswith(b"mcp-param-") for header, _ in raw):
        return None  # these stand for arguments
    headers = tuple(pair for pair in raw if pair[0] not in _CHANGING_HEADERS)
    kept = {key: value for key, value in meta.items() if key not in _CHANGING_META}
    judged = _written([
        envelope.get("jsonrpc"),
        "_meta" in params,
        "arguments" in params,
        kept,
    ])
    size = sum(len(header) + len(value) for header, value in headers) + len(name) + len(judged)
    if size > _REMEMBERED_BYTES:
        return None
    return _Asked((caller, str(scope.get("path")), headers, name, judged), id_, name, arguments)


def _written(value: Mapping[str, Any] | list[Any]) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(value, separators=(",", ":")).encode()


def _session(scope: Scope) -> bytes | None:
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    return next((value for name, value in headers if name == _SESSION), None)
