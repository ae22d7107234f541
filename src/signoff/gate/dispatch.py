"""From a yes to its one effect: claim, check again, connect, intent, send, outcome.

Owns the order in which an authorized call becomes an upstream request, and what each failure on
the way means. Everything fallible happens while the call is claimed; the intent commits inside the
transport's hook right before the first byte, and before that whoever gave the yes is asked whether
it stands. Knows no approval protocol.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast

from pydantic import SecretStr

from signoff.audit import AuditEvent
from signoff.canonical import Json, JsonError, canonical_bytes, parse
from signoff.catalog.model import RetryKind, ToolSpec, Upstream
from signoff.catalog.registry import Registry
from signoff.gate.arrivals import Arrivals
from signoff.gate.call import LEASE, MAX_ATTEMPTS, Call, Event, Facts, State
from signoff.gate.failpoints import Reach
from signoff.gate.opening import is_the_call_of
from signoff.gate.policy import Deny, decide
from signoff.gate.ports import Calls, Moved, StoreUnavailableError, Swap, SwitchedOff
from signoff.sealed import SealError
from signoff.upstream.request import FrozenRequest
from signoff.upstream.response import (
    Failed,
    OutcomeUnknown,
    Succeeded,
    ToolResult,
    classify,
    result_of,
)
from signoff.upstream.transport import Answered, Changed, NotSent, Sent, Transports, Unknown

_REPEATABLE: Final[frozenset[RetryKind]] = frozenset({"idempotency_key", "natural"})
_MARGIN: Final = timedelta(seconds=10)
_WRITES_S: Final = (0.1, 1.0, 5.0)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A call whose every part still is what was approved."""

    tool: ToolSpec
    upstream: Upstream
    arguments: Mapping[str, Json]
    request: FrozenRequest
    token: SecretStr

    def result(self, sent: Sent) -> ToolResult:
        """Return what the assistant sees of how the send ended."""
        return result_of(self.tool, sent, self.arguments)


class _BrokenError(Exception):
    """What was approved no longer holds. The message says why, to all who ask."""


class NotNowError(Exception):
    """The authorization server did not answer what has to be asked, and may later."""

    def __init__(self, reason: str, *, retry_after_s: float | None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class _TakenBackError(Exception):
    """The yes does not stand any more, so nothing is sent."""


class _NoIntentError(Exception):
    """The intent was not stored, so nothing is sent."""

    def __init__(self, swap: Swap) -> None:
        super().__init__("no intent")
        self.swap = swap


class Dispatcher:
    """Sends authorized calls, each at most once unless the catalogue declares a retry."""

    def __init__(
        self,
        *,
        registry: Registry,
        calls: Calls,
        transports: Transports,
        arrivals: Arrivals,
        stands: Callable[[str], Awaitable[bool]],
        reach: Reach,
        pause_s: Callable[[int], float],
    ) -> None:
        """`stands` tells whether nobody took an approval back; it raises `NotNowError`."""
        self._registry = registry
        self._calls = calls
        self._transports = transports
        self._arrivals = arrivals
        self._stands = stands
        self._reach = reach
        self._pause_s = pause_s

    async def claim(self, call: Call) -> None:
        """Take an authorized call through to its outcome, or let it lapse.

        Raises:
            NotNowError: whether the approval stands cannot be asked now; nothing was sent.
        """
        swap = await self._calls.move(
            call, Event.CLAIM, Facts(lease_until=self._calls.now() + LEASE)
        )
        if isinstance(swap, SwitchedOff):
            await self._refuse(call, f"{swap.id} is switched off")
            return
        if not isinstance(swap, Moved) or swap.call.state is not State.CLAIMED:
            return
        self._reach("after_claim")
        claimed = swap.call
        try:
            ready = await self._check(claimed)
        except _BrokenError as broken:
            await self._refuse(claimed, str(broken))
            return
        try:
            dispatched, sent = await self._send(claimed, ready, again=False)
        except NotNowError:
            await self._calls.move(claimed, Event.RELEASE)
            raise
        if dispatched is None:
            await self._unsent(claimed, sent)
            return
        self._reach("after_answer")
        await self._conclude(dispatched, ready, sent)

    async def resume(self, call: Call) -> None:
        """Decide about a call that may have been sent before this process looked at it.

        Where the catalogue declares a retry, the same bytes go out again under the same key;
        otherwise its outcome is unknown.
        """
        tool = self._registry.find(call.caller, call.tool)
        if tool is None or tool.retry.kind not in _REPEATABLE:
            await self._lose(call, "signoff was interrupted after the request may have left")
            return
        try:
            ready = await self._check(call)
        except _BrokenError as broken:
            await self._lose(call, f"interrupted, and not tried again: {broken}")
            return
        await self._try_again(call, ready, "signoff was interrupted")

    async def _check(self, call: Call) -> _Ready:
        """Return what to send, if every part of it still is what the person approved.

        Raises:
            _BrokenError: something was changed, or may no longer be done.
        """
        arguments, request, token = await self._stored(call)
        catalogue = self._registry.catalogue
        if call.catalogue_digest != catalogue.digest:
            raise _BrokenError("the catalogue changed since the approval")
        tool = self._registry.find(call.caller, call.tool)
        if tool is None:
            raise _BrokenError("the tool is gone since the approval")
        verdict = decide(catalogue.policy, tool)
        if isinstance(verdict, Deny):
            raise _BrokenError(f"policy denies it now: {verdict.reason}")
        if call.decided_by not in catalogue.users:
            raise _BrokenError("who approved it is no user any more")
        upstream = catalogue.upstreams[tool.upstream]
        return _Ready(
            tool=tool, upstream=upstream, arguments=arguments, request=request, token=token
        )

    async def _stored(self, call: Call) -> tuple[dict[str, Json], FrozenRequest, SecretStr]:
        """Return arguments and frozen request, its digest recomputed from the stored bytes."""
        try:
            frozen = await self._calls.load_frozen(call.id)
            token = await self._calls.load_payload(call.id, "access_token")
            if frozen is None or token is None:
                raise _BrokenError("the stored call is incomplete")
            arguments = cast("dict[str, Json]", parse(frozen.arguments))
            details = cast("dict[str, Json]", parse(frozen.details))
            request = FrozenRequest.from_record(frozen.request)
            same = canonical_bytes(request.details()) == canonical_bytes(details["request"])
        except (SealError, JsonError, ValueError, KeyError, TypeError) as error:
            raise _BrokenError("the stored call was changed") from error
        if not same or not is_the_call_of(details, call):
            raise _BrokenError("the digest does not match what was approved")
        return arguments, request, SecretStr(token.decode())

    async def _send(self, call: Call, ready: _Ready, *, again: bool) -> tuple[Call | None, Sent]:
        """Send once; the call comes back `dispatching` if its intent was stored.

        Raises:
            NotNowError, StoreUnavailableError: whether the approval stands could not be asked, or
                the intent not be stored, and nothing was sent.
        """
        dispatched: Call | None = None

        async def commit_intent() -> None:
            nonlocal dispatched
            self._reach("after_connect")
            # The last moment: what is taken back from here on was sent before.
            if not await self._stands(ready.token.get_secret_value()):
                raise _TakenBackError
            lease_until = self._calls.now() + timedelta(seconds=ready.upstream.timeout_s) + _MARGIN
            swap = (
                await self._calls.intend_again(call, lease_until)
                if again
                else await self._calls.move(call, Event.INTEND, Facts(lease_until=lease_until))
            )
            if not isinstance(swap, Moved):
                raise _NoIntentError(swap)
            dispatched = swap.call
            self._reach("after_intent")

        try:
            sent = await self._transports.send(
                ready.request,
                ready.upstream,
                fresh=True,
                approval_token=ready.token,
                before_first_byte=commit_intent,
                tell=lambda number, _: self._arrivals.note(call.id, number),
            )
        except _TakenBackError:
            return None, Changed(reason="the approval was taken back")
        except _NoIntentError as stopped:
            if isinstance(stopped.swap, SwitchedOff):
                return None, Changed(reason=f"{stopped.swap.id} is switched off")
            return None, NotSent(reason="the claim was over before the request could leave")
        finally:
            self._arrivals.forget(call.id)
        return dispatched, sent

    async def _unsent(self, claimed: Call, sent: Sent) -> None:
        match sent:
            case Changed(reason=reason):
                await self._refuse(claimed, reason)
            case NotSent(reason=reason):
                # Lost to the lease or to the clock: the swap finds that out by itself.
                await self._fail_unsent(claimed, reason)
            case _:
                # An answer without an intent: the transport promises that this cannot be.
                await self._fail_unsent(claimed, "the request was stopped before it left")

    async def _fail_unsent(self, claimed: Call, reason: str) -> None:
        note = f"nothing was sent: {reason}"
        await self._calls.move(claimed, Event.FAIL, Facts(note=note))

    async def _refuse(self, call: Call, why: str) -> None:
        await self._calls.move(call, Event.REFUSE, Facts(note=why))

    async def _conclude(self, call: Call, ready: _Ready, sent: Sent) -> None:
        match classify(ready.tool, sent):
            case Succeeded():
                await self._store(call, Event.SUCCEED, sent, ready.result(sent))
            case Failed():
                await self._store(call, Event.FAIL, sent, ready.result(sent))
            case OutcomeUnknown(reason=reason):
                if ready.tool.retry.kind in _REPEATABLE:
                    await self._try_again(call, ready, reason)
                else:
                    await self._lose(call, reason)

    async def _try_again(self, call: Call, ready: _Ready, reason: str) -> None:
        """Send the same bytes under the same key, while attempts are left."""
        for attempt in range(call.attempts, MAX_ATTEMPTS):
            await asyncio.sleep(self._pause_s(attempt))
            try:
                dispatched, sent = await self._send(call, ready, again=True)
            except NotNowError as error:
                dispatched, sent = None, NotSent(reason=str(error))
            if dispatched is None:
                # Not this time; what an earlier attempt did is as unknown as before.
                reason = sent.reason if isinstance(sent, NotSent | Changed | Unknown) else reason
                continue
            call = dispatched
            self._reach("after_answer")
            match classify(ready.tool, sent):
                case Succeeded():
                    await self._store(call, Event.SUCCEED, sent, ready.result(sent))
                    return
                case Failed():
                    await self._store(call, Event.FAIL, sent, ready.result(sent))
                    return
                case OutcomeUnknown(reason=reason):
                    pass
        await self._lose(call, reason)

    async def _lose(self, call: Call, reason: str) -> None:
        await self._store(call, Event.LOSE, Unknown(reason=reason))

    async def _store(
        self, call: Call, event: Event, sent: Sent, result: ToolResult | None = None
    ) -> None:
        """Write the outcome with its audit row.

        Raises:
            StoreUnavailableError: it could not be written; the row still says `dispatching`, which
                the next look at it makes `outcome_unknown`.
        """
        note = sent.reason if isinstance(sent, NotSent | Changed | Unknown) else None
        for pause_s in (*_WRITES_S, None):
            try:
                await self._calls.move(
                    call,
                    event,
                    Facts(note=note),
                    audit=_executed(call, event, sent, note),
                    result=None if result is None else result.to_record(),
                )
            except StoreUnavailableError:
                if pause_s is None:
                    raise
                _logger.warning("the outcome of %s is not stored yet", call.id)
                await asyncio.sleep(pause_s)
            else:
                self._reach("after_outcome")
                return


def _executed(call: Call, event: Event, sent: Sent, note: str | None) -> AuditEvent:
    details: dict[str, Json] = {
        "tool": call.tool,
        "digest": call.digest,
        "outcome": event.value,
        "attempts": call.attempts,
        "approved_by": call.decided_by,
    }
    if isinstance(sent, Answered):
        details["status"] = sent.status
    if note is not None:
        details["note"] = note
    return AuditEvent(
        event="capability.executed",
        subject=call.id,
        actor=call.caller.client_id,
        details=details,
    )
