"""Calls that policy lets go without a person.

Owns sending them at once over pooled connections, and reading on where the catalogue says that one
call reads several pages. A read is written nowhere; anything else has an audit row before it
leaves and one after. Knows no call record: nothing of these is kept.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from signoff.audit import AuditEvent
from signoff.canonical import Json
from signoff.catalog.model import ToolSpec, Upstream
from signoff.catalog.wire import FetchAll
from signoff.gate.answers import RefusedError
from signoff.gate.policy import Allow
from signoff.gate.ports import Calls, StoreUnavailableError
from signoff.gate.uncut import Uncut
from signoff.identity import Caller
from signoff.upstream.all_pages import Reading
from signoff.upstream.request import FrozenRequest
from signoff.upstream.response import ToolResult, classify, result_of
from signoff.upstream.transport import Answered, Sent, Transports, Unknown

Report: TypeAlias = Callable[[str], None]
"""Hears how far a call is. Returns at once, and whoever listens may be slow, or gone."""

_READS: Final = frozenset({"GET", "HEAD"})
_logger = logging.getLogger(__name__)


def quiet(_: str) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedCall:
    """One call that policy lets go, and its request.

    `again` freezes the same call with other arguments, for a further page; it raises
    `RefusedError` where these cannot be sent. `report` hears how far the call is, in few words.
    """

    caller: Caller
    tool: ToolSpec
    upstream: Upstream
    arguments: Mapping[str, Json]
    request: FrozenRequest
    again: Callable[[Mapping[str, Json]], FrozenRequest]
    allow: Allow
    report: Report = quiet


class AllowedCalls:
    """Sends what needs nobody."""

    def __init__(self, *, calls: Calls, transports: Transports, uncut: Uncut) -> None:
        self._calls = calls
        self._transports = transports
        self._uncut = uncut

    async def send(self, call: AllowedCall) -> ToolResult:
        """Send and return what the assistant sees.

        A change whose end could not be audited afterwards is told as one of unknown outcome.

        Raises:
            StoreUnavailableError: a change could not be audited beforehand; nothing was sent.
        """
        tool = call.tool
        if tool.method in _READS:
            sent = await self._sent(call)
            fetch = tool.pagination.fetch if tool.pagination is not None else None
            if fetch is not None and tool.method == "GET":
                return await self._read_on(call, sent, fetch)
            return result_of(tool, sent, call.arguments)
        # A change is not cut in half, and its audit row not lost.
        return await self._uncut.run(self._send_audited(call), name=f"allowed {tool.name}")

    async def _read_on(self, call: AllowedCall, sent: Sent, fetch: FetchAll) -> ToolResult:
        """Read the pages after the first, each as its own request of the same call."""
        reading = Reading(call.tool, fetch, call.arguments)
        if not reading.take(sent, url=call.request.url):
            return result_of(call.tool, sent, call.arguments)
        loop = asyncio.get_running_loop()
        until = loop.time() + fetch.max_time_s
        while reading.following is not None:
            call.report(reading.progress)
            try:
                request = call.again(reading.next_arguments())
            except RefusedError:
                reading.stop("what the API names as its next page is no argument of this tool")
                break
            try:
                async with asyncio.timeout_at(until):
                    sent = await self._transports.send(request, call.upstream, fresh=False)
            except TimeoutError:
                reading.stop(f"the time for one call, {fetch.max_time_s:g} s, is over")
                break
            reading.take(sent, url=request.url)
        return reading.result()

    async def _sent(self, call: AllowedCall) -> Sent:
        def tell(number: int, shown: str) -> None:
            # The upstream's words, as such: the assistant gets them all as the result.
            call.report(f"Event {number} from {call.upstream.name}: {shown}")

        return await self._transports.send(call.request, call.upstream, fresh=False, tell=tell)

    async def _send_audited(self, call: AllowedCall) -> ToolResult:
        tool = call.tool
        told = _Told(subject=f"call_{secrets.token_urlsafe(16)}", actor=call.caller.client_id)
        facts = {"tool": tool.name, "rule": call.allow.rule}
        await self._calls.record(told.event("call.allowed", facts))
        sent = await self._sent(call)
        facts["outcome"] = type(classify(tool, sent)).__name__
        if isinstance(sent, Answered):
            facts["status"] = str(sent.status)
        try:
            await self._calls.record(told.event("capability.executed", facts))
        except StoreUnavailableError as error:
            _logger.warning("how %s of %s ended is not audited: %s", told.subject, tool.name, error)
            if isinstance(sent, Answered):
                # It may not be told as not sent, nor as known: nothing says so tomorrow.
                sent = Unknown(reason="signoff could not write down how it ended")
        return result_of(tool, sent, call.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """Whom the audit rows of one allowed change name."""

    subject: str
    actor: str

    def event(self, name: str, facts: Mapping[str, Json]) -> AuditEvent:
        return AuditEvent(event=name, subject=self.subject, actor=self.actor, details=dict(facts))
