"""Calls that policy lets go without a person.

Owns sending them at once over pooled connections. A read is written nowhere; anything else has an
audit row before it leaves and one after. Knows no call record: nothing of these is kept.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from signoff.audit import AuditEvent
from signoff.canonical import Json
from signoff.catalog.model import ToolSpec, Upstream
from signoff.gate.policy import Allow
from signoff.gate.ports import Calls
from signoff.identity import Caller
from signoff.upstream.request import FrozenRequest
from signoff.upstream.response import ToolResult, classify, result_of
from signoff.upstream.transport import Answered, Transports

_READS: Final = frozenset({"GET", "HEAD"})


class AllowedCalls:
    """Sends what needs nobody."""

    def __init__(self, *, calls: Calls, transports: Transports) -> None:
        self._calls = calls
        self._transports = transports
        self._sends: set[asyncio.Task[ToolResult]] = set()

    async def send(
        self,
        caller: Caller,
        tool: ToolSpec,
        upstream: Upstream,
        request: FrozenRequest,
        allow: Allow,
    ) -> ToolResult:
        """Send and return what the assistant sees.

        Raises:
            StoreUnavailableError: a change could not be audited beforehand; nothing was sent.
        """
        if tool.method in _READS:
            return result_of(tool, await self._transports.send(request, upstream, fresh=False))
        # A client that leaves must not cut a change in half, nor lose its audit row.
        send = asyncio.get_running_loop().create_task(
            self._send_audited(caller, tool, upstream, request, allow), name=f"allowed {tool.name}"
        )
        self._sends.add(send)
        send.add_done_callback(self._sends.discard)
        return await asyncio.shield(send)

    async def drain(self) -> None:
        """Wait for the changes that are on their way; each has its upstream's deadline."""
        await asyncio.gather(*self._sends, return_exceptions=True)

    async def _send_audited(
        self,
        caller: Caller,
        tool: ToolSpec,
        upstream: Upstream,
        request: FrozenRequest,
        allow: Allow,
    ) -> ToolResult:
        told = _Told(subject=f"call_{secrets.token_urlsafe(16)}", actor=caller.client_id)
        facts = {"tool": tool.name, "rule": allow.rule}
        await self._calls.record(told.event("call.allowed", facts))
        sent = await self._transports.send(request, upstream, fresh=False)
        facts["outcome"] = type(classify(tool, sent)).__name__
        if isinstance(sent, Answered):
            facts["status"] = str(sent.status)
        await self._calls.record(told.event("capability.executed", facts))
        return result_of(tool, sent)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """Whom the audit rows of one allowed change name."""

    subject: str
    actor: str

    def event(self, name: str, facts: Mapping[str, Json]) -> AuditEvent:
        return AuditEvent(event=name, subject=self.subject, actor=self.actor, details=dict(facts))
