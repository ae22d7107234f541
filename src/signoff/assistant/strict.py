"""Strict JSON before the SDK parses: one meaning per message, or none.

Owns reading a message's bytes, refusing what two parsers could read differently (duplicate keys,
NaN, `1e400`, lone surrogates, other encodings than UTF-8) and the JSON-RPC answer to that. Knows no
tool, no caller and no gate.
"""

import asyncio
import json
from typing import Final, cast

from signoff.canonical import Json, JsonError, parse
from signoff.origin import App, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""Of one message, over HTTP and over a stream."""

MESSAGE_KEY: Final = "signoff.message"
"""In the scope: the message, parsed, for whoever stands behind and must not parse it again."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600

_BODY_DEADLINE_S: Final = 30.0


def read_message(text: bytes) -> Json:
    """Parse one message.

    Raises:
        JsonError: it is not strict JSON in UTF-8; the message says why.
    """
    try:
        return parse(text.decode())  # bytes would let UTF-16 and UTF-32 through (RFC 8259 §8.1)
    except UnicodeDecodeError:
        raise JsonError("not UTF-8") from None


def refusal(text: bytes, reason: str) -> bytes:
    """Return the JSON-RPC error that answers the unreadable message `text`."""
    return _error(
        _request_id(text), PARSE_ERROR, f"the message must be strict JSON: {reason}"[:200]
    )


class StrictJson:
    """ASGI: reads the body of every POST once, refuses what is not strict, replays the rest."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(_BODY_DEADLINE_S):
                body = await _read_body(scope, receive)
        except TimeoutError:
            await _answer(send, 408, _error(None, INVALID_REQUEST, "the body took too long"))
            return
        except _TooLargeError:
            text = f"a message may hold {MAX_BODY_BYTES} bytes"
            await _answer(send, 413, _error(None, INVALID_REQUEST, text))
            return
        if body is None:
            return  # the client left before it had asked anything
        try:
            scope[MESSAGE_KEY] = read_message(body)
        except JsonError as error:
            await _answer(send, 400, refusal(body, str(error)))
            return
        await self._app(scope, _replaying(body, receive), send)


class _TooLargeError(Exception):
    pass


async def _read_body(scope: Scope, receive: Receive) -> bytes | None:
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > MAX_BODY_BYTES:
            raise _TooLargeError
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = cast("bytes", message.get("body", b""))
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise _TooLargeError
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replaying(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _request_id(text: bytes) -> str | int | None:
    """Return the id only when every parser would find the same one."""
    if not text.lstrip().startswith(b"{"):
        return None
    ids: list[object] = []
    try:

        def outermost_last(pairs: list[tuple[str, object]]) -> None:
            # The hook sees the outermost object last; its ids are what remains.
            ids[:] = [value for key, value in pairs if key == "id"]

        json.loads(text.decode(), object_pairs_hook=outermost_last)
    except (ValueError, RecursionError):
        return None
    match ids:
        case [str() as found] if found.isascii():
            return found
        case [int() as found] if not isinstance(found, bool):
            return found
        case _:
            return None


def _error(request_id: str | int | None, code: int, message: str) -> bytes:
    return json.dumps({
        "jsonrpc": "2.0",
        "id": request_id,
        "error": {"code": code, "message": message},
    }).encode()


async def _answer(send: Send, status: int, body: bytes) -> None:
    await send({
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ],
    })
    await send({"type": "http.response.body", "body": body})
