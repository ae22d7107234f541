"""`tools/list` and `tools/call`, for every transport and both protocol eras.

Owns who the caller of a message is, the checks before the gate, and the answer to everything that
goes wrong: nothing internal leaves. Decides nothing about a call; the gate does. Knows no HTTP
and no stream; `edge.py` brings messages here.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final, TypeAlias, assert_never, cast

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from starlette.requests import Request

from signoff.assistant.attach import BEAT_S, Attachments, Report
from signoff.assistant.auth import CALLER_KEY
from signoff.assistant.builtin import BuiltinName, builtin_named, validator
from signoff.assistant.direct import admit
from signoff.assistant.large import Finder, meta_named
from signoff.assistant.listing import NOTE, NOTE_MAX, CursorError, Listing
from signoff.assistant.ports import Gate
from signoff.assistant.results import WireResult, answered, failure, finished, pending
from signoff.assistant.telling import telling
from signoff.canonical import Json
from signoff.catalog.model import Capability, ToolSpec
from signoff.catalog.registry import Registry
from signoff.gate import outcomes
from signoff.gate.answers import Answer, Finished, Refused, Waiting
from signoff.identity import Caller, ClientInfo
from signoff.schema import Validator, Violation

RESENT: Final = "io.signoff/resent"
"""In `_meta`: a relay sends this request again, for the owner it first went to is gone."""

_INVALID_PARAMS: Final = -32602
_CACHE_MS: Final = 60_000
_SOON_S: Final = 30.0  # a client that leaves before does not end the call
_HEADER_MARK: Final = "x-mcp-header"  # arguments that the protocol compares with headers
_CLAIMED_MAX: Final = 100
_NO_SUCH_CALL: Final = (
    "You have no call with this call_id. A call can be asked about until 24 hours after its end."
)
_PENDING_WORDS: Final = (
    "A tool that needs a person's approval may answer with status pending and a call_id before the "
    "person has decided: tell the user where to approve, then call call_status with that call_id "
    "until it ends. Nothing is sent before the approval, and the same call made again joins the "
    "one that waits."
)
_STOPPED: Final = (
    "The server stopped while this call was running, so whether it was done is not known. Check "
    "before you make it again."
)
_log = logging.getLogger(__name__)

Context: TypeAlias = ServerRequestContext[Any, Any]


class _NotDoneError(Exception):
    """The call stops before the gate. The message is for the assistant."""


class Tools:
    """Answers the two methods, whatever the transport."""

    def __init__(
        self,
        gate: Gate,
        registry: Registry,
        *,
        asks: Callable[[Capability], bool],
        waits: Attachments,
        now: Callable[[], datetime],
        beat_s: float = BEAT_S,
    ) -> None:
        self._beat_s = beat_s
        self._gate = gate
        self._registry = registry
        self._waits = waits
        self._now = now
        self._builtin_arguments = validator()
        self.listing = Listing(registry, asks=asks)
        self._finder = Finder(registry, asks=asks)
        self._plain: dict[str, bool] = {}

    async def list_tools(
        self, context: Context, params: types.PaginatedRequestParams
    ) -> dict[str, Any]:
        caller = _caller(context)
        try:
            client = _claimed(context).name
            return await self.listing.page_in_slices(caller, params.cursor, client)
        except CursorError:
            raise MCPError(_INVALID_PARAMS, "unknown cursor; list again from the start") from None

    async def call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> dict[str, Any]:
        request: object = context.request
        if isinstance(request, Request):
            admit(request.scope, _claimed(context), context.protocol_version)
        return await self._told_whatever(self._call(context, params))

    async def call_directly(
        self, caller: Caller, info: ClientInfo, name: str, arguments: dict[str, Json]
    ) -> WireResult | None:
        """Answer a call that needs nobody and has nothing to report; None for any other."""
        spec = self._registry.find(caller, name)
        if spec is None or not self._is_plain(spec):
            return None
        try:
            return await self._told_whatever(self._call_plain(spec, caller, info, arguments))
        except MCPError:
            return None

    async def _call_plain(
        self, spec: ToolSpec, caller: Caller, info: ClientInfo, arguments: dict[str, Json]
    ) -> WireResult:
        answer = await self._call_tool(
            spec, caller, info, arguments, again=False, report=_to_nobody
        )
        return await self._told(caller, spec.name, answer, self.listing.output(spec))

    def _is_plain(self, spec: ToolSpec) -> bool:
        """Tell whether a call is over soon, says nothing before its end and sends no headers."""
        plain = self._plain.get(spec.name)
        if plain is None:
            upstream = self._registry.catalogue.upstreams[spec.upstream]
            plain = self._plain[spec.name] = (
                not self.listing.asks(spec)
                and upstream.timeout_s <= _SOON_S
                and (spec.pagination is None or spec.pagination.fetch is None)
                and _HEADER_MARK not in str(spec.input_schema)
            )
        return plain

    async def _told_whatever(self, answering: Awaitable[WireResult]) -> WireResult:
        try:
            return await answering
        except MCPError:
            raise
        except _NotDoneError as error:
            return failure(str(error))
        except Exception:  # noqa: BLE001 — the outermost loop of this edge; the SDK would leak it
            reference = secrets.token_hex(4)
            _log.exception("tools/call failed, reference %s", reference)
            return failure(f"internal error, reference {reference}")

    async def _call(self, context: Context, params: types.CallToolRequestParams) -> WireResult:
        caller, info = _caller(context), _claimed(context)
        arguments = cast("dict[str, Json]", params.arguments or {})
        meta = meta_named(params.name)
        if meta is not None and (broken := self._finder.violations(meta, arguments)):
            raise _invalid(broken)
        match meta:
            case "search_tools":
                return answered(self._finder.search(caller, str(arguments["query"])))
            case "describe_tool":
                return self._describe(caller, info, str(arguments["name"]))
            case "execute_tool":
                name, inner = self._unwrapped(caller, arguments)
            case None:
                name, inner = params.name, arguments
        spec = self._registry.find(caller, name)
        answer = await self._ask_gate(context, caller, info, name, spec, inner)
        if isinstance(answer, Waiting):
            answer = await self._attach(context, caller, info, answer)
        promised = self.listing.output(spec) if spec is not None and meta is None else None
        return await self._told(caller, name, answer, promised)

    async def _told(
        self, caller: Caller, name: str, answer: Answer, promised: Validator | None
    ) -> WireResult:
        match answer:
            case Waiting(call=call):
                nobody = await self._gate.reachable(call) if call.is_undecided else None
                told = outcomes.pending(call, now=self._now(), reachable=nobody)
                return pending(answer, told)
            case Finished():
                return finished(answer, promised=promised)
            case Refused(code="unknown_tool"):
                raise self._unknown(caller, name)
            case Refused(message=message):
                return failure(message)
            case _:
                assert_never(answer)

    async def _ask_gate(
        self,
        context: Context,
        caller: Caller,
        info: ClientInfo,
        name: str,
        spec: ToolSpec | None,
        arguments: dict[str, Json],
    ) -> Answer:
        builtin = builtin_named(name)
        if builtin is not None:
            return await self._call_builtin(builtin, caller, info, arguments)
        if spec is None:
            raise self._unknown(caller, name)
        again = _was_sent_before(context)
        # Of a call that asks, whoever waits beside it speaks: nothing is with its upstream yet.
        waiting = "" if self.listing.asks(spec) else f"Waiting for {spec.upstream} to answer"
        async with telling(_reporter(context), beat_s=self._beat_s, waiting=waiting) as report:
            return await self._call_tool(spec, caller, info, arguments, again=again, report=report)

    def _describe(self, caller: Caller, info: ClientInfo, name: str) -> WireResult:
        described = self.listing.described(caller, name, info.name)
        if described is None:
            raise _NotDoneError(self._finder.unknown(caller, name))
        return answered(described)

    def _unwrapped(
        self, caller: Caller, arguments: Mapping[str, Json]
    ) -> tuple[str, dict[str, Json]]:
        """Return the tool that is meant and its arguments; from here on only they count."""
        name = str(arguments["name"])
        if builtin_named(name) is None and self._registry.find(caller, name) is None:
            raise _NotDoneError(self._finder.unknown(caller, name))
        return name, cast("dict[str, Json]", arguments.get("arguments", {}))

    async def _call_tool(
        self,
        spec: ToolSpec,
        caller: Caller,
        info: ClientInfo,
        arguments: dict[str, Json],
        *,
        again: bool,
        report: Callable[[str], None],
    ) -> Answer:
        said: str | None = None
        if self.listing.takes_note(spec) and NOTE in arguments:
            note = arguments[NOTE]
            arguments = {name: value for name, value in arguments.items() if name != NOTE}
            if not isinstance(note, str) or len(note) > NOTE_MAX:
                raise _invalid([_bad_note(note)])
            said = note.strip() or None
        if again and not self._safe_again(spec):
            raise _NotDoneError(_STOPPED)
        return await self._gate.call(caller, info, spec.name, arguments, said=said, report=report)

    async def _call_builtin(
        self,
        builtin: BuiltinName,
        caller: Caller,
        info: ClientInfo,
        arguments: Mapping[str, Json],
    ) -> Answer:
        broken = self._builtin_arguments.violations(dict(arguments))
        if broken:
            raise _invalid(broken)
        call_id = str(arguments["call_id"])
        match builtin:
            case "call_status":
                answer = await self._gate.look(caller, call_id)
            case "withdraw_call":
                answer = await self._gate.withdraw(caller, call_id)
            case "repeat_call":
                answer = await self._gate.repeat(caller, info, call_id)
            case _:
                assert_never(builtin)
        if answer is None:
            raise _NotDoneError(_NO_SUCH_CALL)  # unknown and somebody else's are the same
        return answer

    async def _attach(
        self, context: Context, caller: Caller, info: ClientInfo, waiting: Waiting
    ) -> Answer:
        budget_s = self._waits.budget_s(info.name)
        report = _reporter(context)
        answer = await self._waits.wait(caller, waiting, report=report, budget_s=budget_s)
        if answer is None:
            raise _NotDoneError(_NO_SUCH_CALL)
        return answer

    def _safe_again(self, spec: ToolSpec) -> bool:
        """Tell whether sending the call twice does no harm: the gate deduplicates what it asks."""
        return self.listing.asks(spec) or spec.read_only or spec.idempotent

    def _unknown(self, caller: Caller, name: str) -> MCPError:
        known = [spec.name for spec in self._registry.visible(caller)]
        close = self._finder.nearest(known, name)
        hint = f"; did you mean {close}?" if close else ""
        return MCPError(_INVALID_PARAMS, f"unknown tool {name[:_CLAIMED_MAX]!r}{hint}")


def build_server(tools: Tools, *, name: str, instructions: str) -> Server[Any]:
    """Return the SDK's server, which speaks both eras on every transport."""
    server: Server[Any] = Server(
        name,
        version=version("signoff"),
        instructions="\n\n".join(part for part in (instructions.strip(), _PENDING_WORDS) if part),
        cache_hints={"tools/list": CacheHint(_CACHE_MS, "private")},
        # Without it the SDK walks tools/list on every modern call.
        get_tool_input_schema=tools.listing.input_schema,
    )
    # Spans would carry error texts to whatever exporter the environment names.
    server.middleware.clear()
    server.add_request_handler("tools/list", types.PaginatedRequestParams, tools.list_tools)
    server.add_request_handler("tools/call", types.CallToolRequestParams, tools.call_tool)
    return server


def _caller(context: Context) -> Caller:
    """Return who sent this message: its own bearer over HTTP, the connection's on a stream."""
    request = context.request
    found: object = (
        request.scope.get(CALLER_KEY) if isinstance(request, Request) else context.lifespan_context
    )
    if not isinstance(found, Caller):
        raise MCPError(_INVALID_PARAMS, "who is asking is not known")
    return found


def _to_nobody(_: str) -> None:
    """Report to nobody."""


def _reporter(context: Context) -> Report:
    async def report(count: int, text: str) -> None:
        await context.session.report_progress(count, None, text)

    return report


def _claimed(context: Context) -> ClientInfo:
    params = context.session.client_params
    if params is None:
        return ClientInfo()
    claimed = params.client_info
    return ClientInfo(name=claimed.name[:_CLAIMED_MAX], version=claimed.version[:_CLAIMED_MAX])


def _was_sent_before(context: Context) -> bool:
    meta: object = (context.params or {}).get("_meta")
    return isinstance(meta, Mapping) and cast("Mapping[str, object]", meta).get(RESENT) is True


def _invalid(violations: Sequence[Violation]) -> _NotDoneError:
    lines = ("The arguments of this call are not valid; nothing was done.", *map(str, violations))
    return _NotDoneError("\n".join(lines))


def _bad_note(said: Json) -> Violation:
    rule = "maxLength" if isinstance(said, str) else "type"
    return Violation(
        path=NOTE, rule=rule, message=f"must be a text of at most {NOTE_MAX} characters"
    )
