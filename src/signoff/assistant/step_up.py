"""Tools that need more than the door: 403 with what is missing, before the tool is looked at.

Owns reading which tool a message means, also inside `execute_tool` and `repeat_call`, and the
challenge (RFC 6750 §3.1, MCP authorization: scope step-up): what the token has and what is missing.
The JSON body decides, never a header beside it. Callers whose credential is not limited by scopes
pass.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias, cast

from signoff.assistant.auth import (
    CALLER_KEY,
    SCHEME_KEY,
    SCOPE,
    SCOPES_KEY,
    resource_metadata_url,
)
from signoff.assistant.large import meta_named
from signoff.assistant.ports import Gate
from signoff.assistant.strict import MESSAGE_KEY
from signoff.canonical import Json
from signoff.catalog.registry import Registry
from signoff.gate.answers import Finished, Waiting
from signoff.identity import Caller
from signoff.origin import App, Receive, Scope, Send

Needed: TypeAlias = Callable[[Caller, str, Mapping[str, Json]], Awaitable[frozenset[str]]]
"""What scopes a caller's call of a tool with these arguments needs beside the door's."""

_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")  # RFC 6749 §3.3


def needs_of(gate: Gate, registry: Registry) -> Needed:
    """Return what tells the scopes of the tool that is meant, however it is called."""

    async def needed(caller: Caller, tool: str, arguments: Mapping[str, Json]) -> frozenset[str]:
        if meta_named(tool) == "execute_tool":
            name, inner = arguments.get("name"), arguments.get("arguments")
            tool = name if isinstance(name, str) else ""
            arguments = inner if isinstance(inner, dict) else {}
        call_id = arguments.get("call_id")
        if tool == "repeat_call" and isinstance(call_id, str):
            # Sent again, a call needs what it needed the first time.
            answer = await gate.look(caller, call_id)
            call = answer.call if isinstance(answer, Finished | Waiting) else None
            tool = tool if call is None else call.tool
        found = registry.find(caller, tool)
        return frozenset() if found is None else frozenset(found.scopes)

    return needed


class StepUp:
    """ASGI behind `StrictJson`, which has parsed the message."""

    def __init__(self, app: App, *, needed: Needed, public_url: str) -> None:
        self._app, self._needed = app, needed
        self._metadata_url = resource_metadata_url(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = cast("frozenset[str] | None", scope.get(SCOPES_KEY))
        if held is None or scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        caller = cast("Caller", scope[CALLER_KEY])
        needed: set[str] = set()
        for tool, arguments in _called(cast("Json", scope[MESSAGE_KEY])):
            needed |= await self._needed(caller, tool, arguments)
        if not needed <= held:
            await self._refuse(send, needed | held, scheme=cast("str", scope[SCHEME_KEY]))
            return
        await self._app(scope, receive, send)

    async def _refuse(self, send: Send, scopes: set[str], *, scheme: str) -> None:
        # What the call needs and what the token has: a host that asks for just this loses nothing.
        # MCP authorization, scope selection: no challenge asks for `offline_access`.
        apart = {SCOPE, "offline_access"}
        wanted = " ".join([SCOPE, *sorted(filter(_TOKEN.fullmatch, scopes - apart))])
        reason = "this tool needs a scope that the token does not have"
        challenge = (
            f'{scheme} error="insufficient_scope", error_description="{reason}", '
            f'resource_metadata="{self._metadata_url}", scope="{wanted}"'
        )
        body = json.dumps({"error": "insufficient_scope", "error_description": reason}).encode()
        await send({
            "type": "http.response.start",
            "status": 403,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
                (b"www-authenticate", challenge.encode()),
            ],
        })
        await send({"type": "http.response.body", "body": body})


def _called(value: Json) -> list[tuple[str, Mapping[str, Json]]]:
    """Return the tools that a message calls; a batch of the oldest protocol calls several."""
    found: list[tuple[str, Mapping[str, Json]]] = []
    for message in value if isinstance(value, list) else [value]:
        if not isinstance(message, dict) or message.get("method") != "tools/call":
            continue
        params = message.get("params")
        name = params.get("name") if isinstance(params, dict) else None
        arguments = params.get("arguments") if isinstance(params, dict) else None
        if isinstance(name, str):
            found.append((name, arguments if isinstance(arguments, dict) else {}))
    return found
