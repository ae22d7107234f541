"""An MCP client for the terminal: calls a tool, passes on its status, follows it to its end.

Owns the connection and the words for what goes wrong with it. Knows no policy and no approval: a
pending result is followed through `call_status`, as any assistant would.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import version
from typing import Final, Literal, NoReturn, TypeAlias, cast

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from signoff.canonical import Json

ClientErrorKind: TypeAlias = Literal[
    "unreachable", "unauthorized", "unknown_tool", "silent", "refused"
]
OnStatus: TypeAlias = Callable[[str], None]

INTERRUPTED: Final = (
    "Stopped waiting. The request stays open until it is decided or expires: run the same command "
    "again to come back to it, or take it back with `signoff calls deny`."
)
STOPPED: Final = (
    "Stopped waiting. It may be done all the same: look before you run the command again. A "
    "request that waits for approval stays open."
)

_COME_BACK: Final = (
    "a request that waits for approval stays open, so run the same command again to come back to it"
)
_LOOK_FIRST: Final = "it may have been done all the same, so look before you run the command again"
_OF_A_PERSON: Final = re.compile(
    r"Already asked|Asking |Approved by |nobody can be asked|Waiting for .+ to decide"
)
"""How a server says that a person is asked; a call that needs nobody is told of otherwise."""
_SILENCE_S: Final = 60.0
"""Longer than a server may keep a request without an answer or a word."""
_TIMEOUT: Final = httpx2.Timeout(10, read=_SILENCE_S + 10)
_MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
_UNAUTHORIZED: Final = (401, 403)


class ClientError(Exception):
    """It did not work. The message is one sentence that says what to do."""

    def __init__(self, kind: ClientErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


_DESCRIBE: Final = "describe_tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOutcome:
    """How a call ended for this client. `pending` only when it was told not to wait."""

    state: Literal["done", "failed", "pending"]
    text: str
    structured: Json
    content: tuple[dict[str, Json], ...]
    call_id: str | None = None
    approve_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTool:
    """A tool as the server lists it."""

    name: str
    description: str
    input_schema: Mapping[str, Json]


@dataclass(slots=True)
class _Seen:
    """What the HTTP client saw; the SDK's errors do not say."""

    statuses: list[int] = field(default_factory=list[int])
    waits: bool = False
    """Whether a call of ours is known to wait for a person."""

    async def response(self, response: httpx2.Response) -> None:
        self.statuses.append(response.status_code)


class Session:
    """An open connection to the server. Made by `connect`."""

    def __init__(self, client: Client, seen: _Seen) -> None:
        self._client, self._seen = client, seen
        self._tools: dict[str, ListedTool] | None = None

    async def tools(self) -> Mapping[str, ListedTool]:
        """Return every listed tool by name."""
        if self._tools is None:
            found: dict[str, ListedTool] = {}
            cursor: str | None = None
            while True:
                page = await self._client.list_tools(cursor=cursor)
                for tool in page.tools:
                    found[tool.name] = ListedTool(
                        name=tool.name,
                        description=tool.description or "",
                        input_schema=cast("Mapping[str, Json]", tool.input_schema),
                    )
                cursor = page.next_cursor
                if cursor is None:
                    break
            self._tools = found
        return self._tools

    async def tool(self, name: str) -> ListedTool:
        """Return one tool.

        Raises:
            ClientError: there is none of this name.
        """
        tools = await self.tools()
        if name not in tools:
            close = get_close_matches(name, tools, n=1)
            hint = f"did you mean {close[0]}?" if close else "`signoff tools` lists them."
            if _DESCRIBE in tools:
                described = await self._described(name)
                if isinstance(described, ListedTool):
                    return described
                hint = f"it says: {described}"
            raise ClientError("unknown_tool", f"the server has no tool {name}; {hint}")
        return tools[name]

    async def _described(self, name: str) -> ListedTool | str:
        """Return a tool that a large catalogue does not list, or what the server says instead."""
        answer = await self._client.call_tool(_DESCRIBE, {"name": name})
        shown = cast("Mapping[str, Json] | None", answer.structured_content)
        if answer.is_error or shown is None:
            texts = (block.text for block in answer.content if block.type == "text")
            return next(texts, "nothing")
        schema = shown.get("inputSchema")
        return ListedTool(
            name=name,
            description=str(shown.get("description", "")),
            input_schema=schema if isinstance(schema, dict) else {},
        )

    async def call(
        self, name: str, arguments: Mapping[str, Json], *, on_status: OnStatus, wait: bool = True
    ) -> CallOutcome:
        """Call a tool and, while it is pending and `wait` is set, wait for its end.

        Raises:
            ClientError: the tool is unknown, or the server went silent.
            asyncio.CancelledError: the person stopped it; `on_status` was told what that means.
        """
        await self.tool(name)
        try:
            outcome = await self._once(name, arguments, on_status)
            self._seen.waits = outcome.state == "pending"
            while outcome.state == "pending" and wait and outcome.call_id is not None:
                outcome = await self._once("call_status", {"call_id": outcome.call_id}, on_status)
        except asyncio.CancelledError:
            on_status(INTERRUPTED if self._seen.waits else STOPPED)
            raise
        return outcome

    async def _once(
        self, name: str, arguments: Mapping[str, Json], on_status: OnStatus
    ) -> CallOutcome:
        loop = asyncio.get_running_loop()
        try:
            # The SDK's client waits for ever when the server dies in the middle of a call.
            async with asyncio.timeout(_SILENCE_S) as silence:

                async def heard(progress: float, total: float | None, message: str | None) -> None:
                    del progress, total
                    silence.reschedule(loop.time() + _SILENCE_S)
                    if message and _OF_A_PERSON.match(message):
                        self._seen.waits = True
                    if message:
                        on_status(message)

                result = await self._client.call_tool(
                    name, dict(arguments), progress_callback=heard
                )
        except TimeoutError:
            again = _COME_BACK if self._seen.waits else _LOOK_FIRST
            raise ClientError(
                "silent", f"the server said nothing for {_SILENCE_S:.0f} s; {again}"
            ) from None
        except MCPError as error:
            if error.code == types.CONNECTION_CLOSED:
                raise  # `connect` knows the words
            raise ClientError("refused", f"the server refused: {error.message}") from error
        return _outcome(result)


@asynccontextmanager
async def connect(
    url: str, token: str, *, token_from: str, client_name: str = "signoff", mode: str = "auto"
) -> AsyncGenerator[Session, None]:
    """Open a session at `url` with the bearer `token`.

    `token_from` says where the token was read, for the message when it is refused.

    Raises:
        ClientError: nobody answers there, or the token is refused.
    """
    seen = _Seen()
    http = httpx2.AsyncClient(
        headers={"authorization": f"Bearer {token}"},
        timeout=_TIMEOUT,
        trust_env=False,  # a proxy of the environment would see the token
        event_hooks={"response": [seen.response]},
    )
    transport = streamable_http_client(url, http_client=http, max_sse_event_size=_MAX_EVENT_BYTES)
    info = types.Implementation(name=client_name, version=version("signoff"))
    try:
        async with http, Client(transport, mode=mode, client_info=info) as client:
            yield Session(client, seen)
    except (BaseExceptionGroup, httpx2.HTTPError, MCPError) as error:
        _explain(error, url=url, token_from=token_from, seen=seen)


async def call_tool(
    url: str,
    token: str,
    tool: str,
    arguments: Mapping[str, Json],
    on_status: OnStatus,
    *,
    token_from: str,
    wait: bool = True,
    client_name: str = "signoff",
) -> CallOutcome:
    """Connect, call one tool, and disconnect. Raises what `connect` and `Session.call` raise."""
    async with connect(url, token, token_from=token_from, client_name=client_name) as session:
        return await session.call(tool, arguments, on_status=on_status, wait=wait)


def _explain(error: BaseException, *, url: str, token_from: str, seen: _Seen) -> NoReturn:
    """Raise what a person can act on, out of whatever the SDK wrapped it in."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, ClientError | asyncio.CancelledError):
            raise leaf
    if seen.statuses and seen.statuses[-1] in _UNAUTHORIZED:
        raise ClientError(
            "unauthorized",
            f"{url} does not take the token from {token_from}; it must be the one of the server "
            "that runs there",
        ) from error
    for leaf in leaves:
        match leaf:
            case httpx2.TransportError() | MCPError(code=types.CONNECTION_CLOSED) if seen.waits:
                raise ClientError(
                    "unreachable",
                    f"the server at {url} went away while the call waited; the request stays "
                    "open: once the server is back, run the same command again to come back to it",
                ) from error
            case httpx2.TransportError() | MCPError(code=types.CONNECTION_CLOSED):
                raise ClientError(
                    "unreachable",
                    f"no server answers at {url}; start one with `signoff serve`, or name another "
                    "with --url",
                ) from error
            case MCPError():
                status = f" (HTTP {seen.statuses[-1]})" if seen.statuses else ""
                raise ClientError("refused", f"{url} refused: {leaf.message}{status}") from error
            case _:
                continue
    raise leaves[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _outcome(result: types.CallToolResult) -> CallOutcome:
    content = tuple(
        cast("dict[str, Json]", block.model_dump(mode="json", by_alias=True, exclude_none=True))
        for block in result.content
    )
    text = "\n".join(str(block["text"]) for block in content if block.get("type") == "text")
    structured = cast("Json", result.structured_content)
    members = structured if isinstance(structured, dict) else {}
    is_pending = not result.is_error and members.get("status") == "pending" and "call_id" in members
    return CallOutcome(
        state="pending" if is_pending else "failed" if result.is_error else "done",
        text=text,
        structured=structured,
        content=content,
        call_id=str(members["call_id"]) if is_pending else None,
        approve_at=str(members.get("approve_at", "")) or None if is_pending else None,
    )
