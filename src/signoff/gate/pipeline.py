"""The gate: every tool call comes through here, and nothing else sends one.

Owns the order visible → arguments → policy → allow or ask, and what a caller may see and do with
its own calls. The decision itself is a person's, at the authorization server; the sending is
`dispatch`'s. Calls over MCP only attach to what runs here.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Final, assert_never, cast

from signoff.approvals.ports import Changes
from signoff.audit import AuditEvent
from signoff.canonical import Json, parse
from signoff.catalog.model import ToolSpec
from signoff.catalog.registry import Registry
from signoff.gate.allowed import AllowedCall, AllowedCalls, Report, quiet
from signoff.gate.answers import UNAVAILABLE, Answer, Finished, Refused, RefusedError, Waiting
from signoff.gate.arrivals import Arrivals
from signoff.gate.asking import Asker, Freezer
from signoff.gate.call import ANSWERS_FOR, Call, Event, Facts, State
from signoff.gate.ciba import CibaClient, Unavailable
from signoff.gate.dispatch import Dispatcher
from signoff.gate.failpoints import Reach, pass_by
from signoff.gate.policy import Allow, Ask, Deny, decide
from signoff.gate.ports import Calls, Limits, Moved, People, StoreUnavailableError
from signoff.gate.presence import Presence
from signoff.gate.runner import Runner, standing_of
from signoff.gate.uncut import Uncut
from signoff.gate.verify import Verifier
from signoff.identity import Caller, ClientInfo
from signoff.sealed import Sealer, SealError
from signoff.tokens.keys import KeySource
from signoff.upstream.headers import References
from signoff.upstream.request import FrozenRequest
from signoff.upstream.transport import Transports

SAID_LENGTH: Final = 500
_OPENING_S: Final = 5.0
_LIMITS: Final = Limits()
_NO_FACTS: Final = Facts()
_LONGEST_PAUSE_S: Final = 30.0
_DOUBLINGS: Final = 7  # the longest pause by then; of a thousand, no float holds the power


def pause_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row: doubled each time, at most 30 s."""
    return min(_LONGEST_PAUSE_S, 0.25 * 2 ** min(failures, _DOUBLINGS))


class Gate:
    """What stands between an assistant and every upstream."""

    def __init__(
        self,
        *,
        registry: Registry,
        calls: Calls,
        client: CibaClient,
        keys: KeySource,
        transports: Transports,
        references: References,
        sealer: Sealer,
        changes: Changes,
        people: People,
        limits: Limits = _LIMITS,
        reach: Reach = pass_by,
        grace_s: float = 10.0,
        pause_s: Callable[[int], float] = pause_s,
    ) -> None:
        """Put the gate together.

        `client` is the gate at the authorization server, `keys` that server's. `reach` is called
        at each failpoint. `pause_s` says how long to wait after so many failures in a row.
        """
        self._registry = registry
        self._client = client
        self._calls = calls
        self._changes = changes
        self._people = people
        self._freezer = Freezer(registry=registry, references=references, sealer=sealer)
        self._uncut = Uncut()
        self._allowed = AllowedCalls(calls=calls, transports=transports, uncut=self._uncut)
        self._asker = Asker(
            registry=registry,
            calls=calls,
            freezer=self._freezer,
            sealer=sealer,
            issuer=client.issuer,
            limits=limits,
        )
        self._arrivals = Arrivals()
        self._presence = Presence(calls=calls, client=client)
        self._runner = Runner(
            calls=calls,
            client=client,
            verifier=Verifier(
                issuer=client.issuer, client_id=client.client_id, keys=keys, skew_s=client.skew_s
            ),
            dispatcher=Dispatcher(
                registry=registry,
                calls=calls,
                transports=transports,
                arrivals=self._arrivals,
                stands=standing_of(client),
                reach=reach,
                pause_s=pause_s,
            ),
            reach=reach,
            pause_s=pause_s,
            grace_s=grace_s,
            over=self._presence.forget,
        )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Gate", None]:
        """Take up what an earlier process left, and serve until the block ends."""
        async with self._runner.running():
            try:
                yield self
            finally:
                await self._presence.close()
                await self._uncut.drain()

    async def call(
        self,
        caller: Caller,
        info: ClientInfo,
        tool: str,
        arguments: Mapping[str, Json],
        *,
        said: str | None = None,
        report: Report = quiet,
    ) -> Answer:
        """Answer a tool call: its result, that a person is being asked, or why it does not go.

        Never waits for a person. `said` is the assistant's own reason, shown as such. `report`
        hears how far a call is that needs nobody.
        """
        try:
            return await self._call(
                caller, info, tool, arguments, said=said, again=False, report=report
            )
        except RefusedError as refused:
            return refused.answer
        except StoreUnavailableError:
            return UNAVAILABLE

    async def look(self, caller: Caller, call_id: str) -> Answer | None:
        """Return how the caller's own call stands; None for any other, and after 24 hours."""
        try:
            call = await self._own(caller, call_id)
            return None if call is None else await self._standing(call)
        except StoreUnavailableError:
            return UNAVAILABLE

    async def withdraw(self, caller: Caller, call_id: str) -> Answer | None:
        """Take back the caller's own call, if nothing of it was sent, and return how it stands."""
        try:
            call = await self._own(caller, call_id)
            if call is not None and call.state is State.OPENING:
                call = await self._asked(call)
            if call is None:
                return None
            if call.state in (State.WAITING, State.AUTHORIZED):
                ended = await self._ended(call, Event.WITHDRAW)
                call = ended or await self._calls.load(call_id) or call
            return await self._standing(call)
        except StoreUnavailableError:
            return UNAVAILABLE

    async def repeat(self, caller: Caller, info: ClientInfo, call_id: str) -> Answer | None:
        """Make the caller's own call once more, on purpose; while it is open, attach to it.

        Within 15 minutes of a person's no, the answer is that no again.
        """
        try:
            return await self._repeat(caller, info, call_id)
        except RefusedError as refused:
            return refused.answer
        except SealError:
            return Refused(code="unavailable", message="The stored call was changed.")
        except StoreUnavailableError:
            return UNAVAILABLE

    def listening(self, call_id: str) -> AbstractContextManager[None]:
        """Count as a listener of a call; the card says when the last one left."""
        return self._presence.listening(call_id)

    def arrived(self, call_id: str) -> int:
        """Return how many events have come of the answer to a call that is being sent."""
        return self._arrivals.count(call_id)

    async def reachable(self, call: Call) -> str | None:
        """Return why nobody can be asked now, None when somebody can."""
        if (trouble := self._client.trouble) is not None:
            return f"nobody can be asked now: {trouble}"
        if await self._people.signed_in(call.approvers):
            return None
        names = ", ".join(call.approvers)
        which = f"run `signoff login {call.approvers[0]}`"
        verb = "has" if len(call.approvers) == 1 else "have"
        return f"nobody can be asked: {names} {verb} no device signed in, {which}"

    async def end_calls_of(self, user_or_client_id: str) -> int:
        """End what a user or client, switched off just now, has not sent yet; return how much."""
        ended = 0
        for call in await self._calls.unsent_of(user_or_client_id):
            note = f"{user_or_client_id} is switched off"
            ended += await self._ended(call, Event.REFUSE, Facts(note=note)) is not None
        return ended

    async def reconcile(self, call_id: str, *, done: bool, by: str) -> bool:
        """Note what an eligible approver found out about a call of unknown outcome."""
        call = await self._calls.load(call_id)
        if call is None or by not in call.approvers or call.state is not State.OUTCOME_UNKNOWN:
            return False
        found = "done" if done else "not done"
        details: dict[str, Json] = {"tool": call.tool, "digest": call.digest, "found": found}
        event = AuditEvent(event="call.reconciled", subject=call.id, actor=by, details=details)
        marked = await self._ended(
            call,
            Event.SUCCEED if done else Event.FAIL,
            Facts(note=f"{by} marked it as {found}"),
            audit=event,
        )
        return marked is not None

    async def remind(self) -> None:
        """Tell what the authorization server has not heard, and ask what people found out there."""
        for call_id in await self._calls.untold():
            self._runner.start(call_id)
        for call_id in await self._calls.unknown():
            call = await self._calls.load(call_id)
            found = None if call is None else await self._runner.teller.found_out(call)
            if isinstance(found, Unavailable):
                return
            if found is not None:
                await self.reconcile(call_id, done=found[0], by=found[1])

    async def take_back(self, call_id: str, *, why: str) -> bool:
        """End a call of whatever caller of which nothing was sent; False when there is none."""
        call = await self._calls.load(call_id)
        if call is not None and call.state is State.OPENING:
            call = await self._asked(call)
        if call is None or call.state not in (State.WAITING, State.AUTHORIZED):
            return False
        return await self._ended(call, Event.WITHDRAW, Facts(note=why)) is not None

    async def _ended(
        self,
        call: Call,
        event: Event,
        facts: Facts = _NO_FACTS,
        *,
        audit: AuditEvent | None = None,
    ) -> Call | None:
        """End a call and have its card told so; None when somebody was first.

        Whoever leaves meanwhile ends it all the same: else its card would stay, and take a yes.
        """

        async def end() -> Call | None:
            swap = await self._calls.move(call, event, facts, audit=audit)
            if not isinstance(swap, Moved):
                return None
            self._runner.tell_now(swap.call)
            return swap.call

        return await self._uncut.run(end(), name=f"{event} {call.id}")

    async def _repeat(self, caller: Caller, info: ClientInfo, call_id: str) -> Answer | None:
        call = await self._own(caller, call_id)
        if call is None:
            return None
        if call.is_open:
            return Waiting(call=call, attached=True)
        frozen = await self._calls.load_frozen(call.id)
        if frozen is None:
            return None
        arguments = cast("dict[str, Json]", parse(frozen.arguments))
        return await self._call(caller, info, call.tool, arguments, said=None, again=True)

    async def _call(
        self,
        caller: Caller,
        info: ClientInfo,
        name: str,
        arguments: Mapping[str, Json],
        *,
        said: str | None,
        again: bool,
        report: Report = quiet,
    ) -> Answer:
        tool = self._registry.find(caller, name)
        if tool is None:
            raise RefusedError("unknown_tool", f"There is no tool {name[:100]!r}.")
        self._check_arguments(tool, arguments, said)
        verdict = decide(self._registry.catalogue.policy, tool)
        match verdict:
            case Allow() as allow:
                return await self._send_allowed(caller, tool, arguments, allow, report)
            case Deny() as deny:
                raise RefusedError(
                    "denied_by_policy",
                    f"{tool.name} is not allowed here: {deny.reason} Do not try it again.",
                )
            case Ask():
                # A call that is stored is asked about, also when its client left meanwhile.
                ask = self._asker.ask(caller, info, tool, arguments, said=said, again=again)
                return await self._uncut.run(self._begun(ask), name=f"ask {tool.name}")
            case _:
                assert_never(verdict)

    async def _begun(self, ask: Awaitable[Answer]) -> Answer:
        answer = await ask
        if isinstance(answer, Waiting) and not answer.attached:
            self._runner.start(answer.call.id)
        return answer

    async def _send_allowed(
        self,
        caller: Caller,
        tool: ToolSpec,
        arguments: Mapping[str, Json],
        allow: Allow,
        report: Report,
    ) -> Finished:
        def again(changed: Mapping[str, Json]) -> FrozenRequest:
            self._check_arguments(tool, changed, None)
            return self._freezer.freeze(caller, tool, changed, call_id=None)

        call = AllowedCall(
            caller=caller,
            tool=tool,
            upstream=self._registry.catalogue.upstreams[tool.upstream],
            arguments=arguments,
            request=self._freezer.freeze(caller, tool, arguments, call_id=None),
            again=again,
            allow=allow,
            report=report,
        )
        return Finished(call=None, result=await self._allowed.send(call))

    def _check_arguments(
        self, tool: ToolSpec, arguments: Mapping[str, Json], said: str | None
    ) -> None:
        found = self._registry.validator(tool).violations(dict(arguments))
        faults = [str(violation) for violation in found]
        if said is not None and len(said) > SAID_LENGTH:
            faults.append(f"signoff_note: longer than {SAID_LENGTH} characters (maxLength)")
        if faults:
            listed = "\n".join(f"- {fault}" for fault in faults)
            raise RefusedError(
                "invalid_arguments", f"{tool.name} was not called, nobody was asked:\n{listed}"
            )

    async def _own(self, caller: Caller, call_id: str) -> Call | None:
        """Return the call if it is this caller's and not too old; others are unknown to it."""
        call = await self._calls.load(call_id)
        if call is None or call.caller != caller:
            return None
        if call.finished_at is not None and call.finished_at + ANSWERS_FOR <= self._calls.now():
            return None
        return call

    async def _standing(self, call: Call) -> Answer:
        if call.is_open:
            return Waiting(call=call, attached=True)
        return await self._asker.finished(call)

    async def _asked(self, call: Call) -> Call | None:
        """Wait until the call is no longer being opened, so that it can be taken back."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + _OPENING_S
        with self._changes.watch("call", call.id) as watch:
            current = await self._calls.load(call.id)
            while current is not None and current.state is State.OPENING:
                if not await watch.changed(max(0.0, give_up_at - loop.time())):
                    break
                current = await self._calls.load(call.id)
        return current
