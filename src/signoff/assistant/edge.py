"""How messages reach the tools: streamable HTTP behind a bearer, and streams of the desk.

Owns the routes, the session manager and the pumps of a stream. Knows no tool and no call.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.message import SessionMessage
from pydantic import ValidationError
from starlette.routing import Route

from signoff.approvals.ports import Changes
from signoff.assistant.attach import BEAT_S, Attachments
from signoff.assistant.auth import Authenticate, BearerGuard, resource_metadata
from signoff.assistant.direct import Direct
from signoff.assistant.ports import Gate
from signoff.assistant.server import Tools, build_server
from signoff.assistant.step_up import StepUp, needs_of
from signoff.assistant.strict import MAX_BODY_BYTES, StrictJson, read_message, refusal
from signoff.canonical import JsonError
from signoff.catalog.model import Capability, ServerConfig
from signoff.catalog.registry import Registry
from signoff.identity import Caller

_MAX_SESSIONS: Final = 2_000
_log = logging.getLogger(__name__)

_Incoming = SessionMessage | Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The assistant's door.

    `routes` go into the one application. `lifespan()` is entered once around serving, inside the
    gate's own lifespan, and left by the same task. `serve_stream` serves one desk connection until
    either side closes. `waiting()` counts the requests that wait beside a call; `drain()` sends
    them away with a pending result, and is awaited before anything of the server stops.
    """

    routes: tuple[Route, ...]
    lifespan: Callable[[], AbstractAsyncContextManager[None]]
    serve_stream: "StreamServer"
    waiting: Callable[[], int]
    drain: Callable[[], Awaitable[None]]


def mcp_edge(
    gate: Gate,
    registry: Registry,
    config: ServerConfig,
    *,
    authenticate: Authenticate,
    issuer: str | None = None,
    draining: asyncio.Event,
    changes: Changes,
    now: Callable[[], datetime],
    asks: Callable[[Capability], bool],
    beat_s: float = BEAT_S,
) -> Edge:
    """Build the edge.

    `asks(tool)` tells whether policy may put the tool before a person. Once `draining` is set,
    every waiting request is handed a pending result at once. `issuer` signs people in for hosts;
    none means this very server.
    """
    waits = Attachments(
        gate, changes, now=now, draining=draining, budgets_s=config.wait_budgets_s, beat_s=beat_s
    )
    tools = Tools(gate, registry, asks=asks, waits=waits, now=now, beat_s=beat_s)
    server = build_server(tools, name=config.name, instructions=config.instructions)
    manager = StreamableHTTPSessionManager(
        server,
        json_response=False,  # it would end progress and the notice of a client that left
        # `origin.OriginGuard` stands before every route of the application, this one too.
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        max_request_body_size=MAX_BODY_BYTES,
        max_sessions=_MAX_SESSIONS,
    )

    door = BearerGuard(
        StrictJson(
            StepUp(
                Direct(manager.handle_request, server=server, call=tools.call_directly),
                needed=needs_of(gate, registry),
                public_url=config.public_url,
            )
        ),
        authenticate=authenticate,
        public_url=config.public_url,
    )

    scopes = [scope for card in registry.everything for scope in card.scopes]

    # A reverse proxy may hand on the path of the public URL or take it off: both arrive.
    below = urlsplit(config.public_url).path.rstrip("/")

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None, None]:
        failed: Exception | None = None
        async with manager.run(), asyncio.TaskGroup() as group:
            drain = group.create_task(waits.hand_back_on_drain(), name="mcp-drain")
            try:
                yield
            except Exception as error:  # noqa: BLE001 — kept out of the groups, raised below
                failed = error
            finally:
                drain.cancel()
        if failed is not None:
            raise failed

    return Edge(
        routes=(
            *(Route(path, door) for path in dict.fromkeys(("/mcp", f"{below}/mcp"))),
            *resource_metadata(
                public_url=config.public_url,
                name=config.name,
                scopes=scopes,
                issuer=issuer,
            ),
        ),
        lifespan=lifespan,
        serve_stream=StreamServer(server),
        waiting=waits.waiting,
        drain=waits.drain,
    )


class StreamServer:
    """Serves MCP on a connection of the desk, one JSON-RPC message a line."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server

    async def __call__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller
    ) -> None:
        incoming_send, incoming = anyio.create_memory_object_stream[_Incoming](0)
        outgoing, outgoing_receive = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as group:
            group.start_soon(_read, reader, writer, incoming_send)
            group.start_soon(_write, outgoing_receive, writer)
            await serve_dual_era_loop(
                self._server,
                incoming,
                outgoing,
                lifespan_state=caller,
                init_options=self._server.create_initialization_options(),
            )
            group.cancel_scope.cancel()


async def _read(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    incoming: MemoryObjectSendStream[_Incoming],
) -> None:
    with suppress(ConnectionError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with incoming:
            while True:
                try:
                    line = await reader.readline()
                except ValueError:
                    _log.warning("a stream sent a line over the limit; it is closed")
                    return
                if not line:
                    return
                message = _parsed(line, writer)
                if message is not None:
                    await incoming.send(SessionMessage(message))


def _parsed(line: bytes, writer: asyncio.StreamWriter) -> types.JSONRPCMessage | None:
    """Return the message, or answer why it is none."""
    try:
        value = read_message(line)
        return types.jsonrpc_message_adapter.validate_python(value, by_name=False)
    except JsonError as error:
        writer.write(refusal(line, str(error)) + b"\n")
    except ValidationError:
        writer.write(refusal(line, "not a JSON-RPC message") + b"\n")
    return None


async def _write(
    outgoing: MemoryObjectReceiveStream[SessionMessage], writer: asyncio.StreamWriter
) -> None:
    with suppress(ConnectionError, anyio.ClosedResourceError):
        async with outgoing:
            async for sent in outgoing:
                text = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
                writer.write(text.encode() + b"\n")
                await writer.drain()
