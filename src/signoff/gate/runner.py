"""Detached jobs: one for each open call, owned by the application's lifespan.

Owns who waits for a decision and when the dispatcher is called. MCP requests never run here, they
only read the call's record. A job acts on the stored state alone, reads it again after each step
and so continues wherever an earlier process was killed.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, assert_never, cast

from signoff.audit import AuditEvent
from signoff.canonical import Json, parse
from signoff.gate import ciba
from signoff.gate.call import Call, Event, Facts, State
from signoff.gate.ciba import CibaClient
from signoff.gate.dispatch import Dispatcher, NotNowError
from signoff.gate.failpoints import Reach
from signoff.gate.opening import binding_message
from signoff.gate.ports import Calls, Lost, Moved, Reused, StoreUnavailableError, SwitchedOff
from signoff.gate.telling import Teller
from signoff.gate.verify import TokensRefusedError, Verifier
from signoff.sealed import SealError
from signoff.tokens.keys import KeysUnavailableError

# A yes given in the last moment may be fetched for this long after the expiry.
_REDEEM_WITHIN: Final = timedelta(seconds=120)
_LEAST_EXPIRY_S: Final = 30
_ASK_AGAIN_S: Final = 5.0
_STANDS_WITHIN_S: Final = 5.0
_logger = logging.getLogger(__name__)


class Runner:
    """Runs the jobs of every open call. Use `running` as the lifespan's context manager."""

    def __init__(
        self,
        *,
        calls: Calls,
        client: CibaClient,
        verifier: Verifier,
        dispatcher: Dispatcher,
        reach: Reach,
        pause_s: Callable[[int], float],
        grace_s: float,
        over: Callable[[str], None],
    ) -> None:
        """`over` is called with the id of each call whose job has ended."""
        self._calls = calls
        self._client = client
        self._verifier = verifier
        self._dispatcher = dispatcher
        self._reach = reach
        self._pause_s = pause_s
        self._grace_s = grace_s
        self._job_over = over
        self.teller = Teller(calls=calls, client=client, rest=self._rest, pause_s=pause_s)
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._stopping.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Take up every call an earlier process left, and run jobs until the block ends.

        At the end nothing new is claimed, and what runs has `grace_s` to finish.
        """
        self._stopping.clear()
        try:
            for call_id in (*await self._calls.unfinished(), *await self._calls.untold()):
                self.start(call_id)
            yield
        finally:
            self._stopping.set()
            await self._drain()

    async def _drain(self) -> None:
        self._client.release()
        if jobs := set(self._jobs.values()):
            _, late = await asyncio.wait(jobs, timeout=self._grace_s)
            for job in late:
                job.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._client.close()

    def start(self, call_id: str) -> None:
        """Begin the job of one call; nothing happens if it has one, or while we stop."""
        self._begin(call_id, self._run(call_id))

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        if self._stopping.is_set() or name in self._jobs:
            work.close()
            return
        job = asyncio.get_running_loop().create_task(work, name=name)
        self._jobs[name] = job
        job.add_done_callback(lambda _: self._over(name))

    def _over(self, name: str) -> None:
        self._jobs.pop(name, None)
        self._job_over(name)

    async def _run(self, call_id: str) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                call = await self._calls.load(call_id)
                if call is None:
                    return
                if not call.is_open:
                    await self.teller.tell(call)
                    return
                await self._step(call)
                failures = 0
            except NotNowError as error:
                failures += 1
                if failures == 1:
                    _logger.warning("call %s: %s; it is asked for again", call_id, error)
                await self._rest(error.retry_after_s or min(_ASK_AGAIN_S, self._pause_s(failures)))
                continue
            except StoreUnavailableError as error:
                _logger.warning("call %s waits for the store: %s", call_id, error)
                failures += 1
            except Exception:
                _logger.exception("call %s is taken up again", call_id)
                failures += 1
            if failures:
                await self._rest(self._pause_s(failures))

    async def _step(self, call: Call) -> None:
        match call.state:
            case State.OPENING:
                await self._ask(call)
            case State.WAITING:
                await self._wait(call)
            case State.AUTHORIZED:
                await self._dispatcher.claim(call)
            case State.CLAIMED:
                # Only ever met when the process that claimed it is gone: nothing was sent.
                if await self._is_left(call):
                    await self._calls.move(call, Event.RELEASE)
            case State.DISPATCHING:
                if await self._is_left(call):
                    await self._dispatcher.resume(call)
            case _:
                return

    async def _is_left(self, call: Call) -> bool:
        """Say whether nobody else can be working on the call; wait for its lease if unsure."""
        now = self._calls.now()
        if self._calls.exclusive or call.lease_until is None or now >= call.lease_until:
            return True
        await self._rest((call.lease_until - now).total_seconds())
        return False

    async def _ask(self, call: Call) -> None:
        """Open the backchannel request. Asked again after a crash it is the same card."""
        now = self._calls.now()
        if now >= call.expires_at:
            await self._calls.move(call, Event.FAIL, Facts(note="nobody could be asked in time"))
            return
        try:
            details = await self._details(call)
        except SealError:
            await self._calls.move(call, Event.FAIL, Facts(note="the stored call was changed"))
            return
        self._reach("after_open")
        left_s = int((call.expires_at - now).total_seconds())
        answer = await self._client.ask(
            details,
            login_hint=call.approvers[0],
            binding_message=binding_message(call.tool, call.digest),
            requested_expiry_s=max(_LEAST_EXPIRY_S, left_s),
            acr=call.acr,
            resource=call.audience,
        )
        match answer:
            case ciba.Asked():
                self._reach("after_ask")
                facts = Facts(
                    expires_at=self._calls.now() + timedelta(seconds=answer.expires_in_s),
                    interval_s=answer.interval_s,
                    approve_at=answer.approve_at,
                )
                auth_req_id = answer.auth_req_id.get_secret_value()
                await self._calls.move(call, Event.ASK, facts, auth_req_id=auth_req_id)
            case ciba.Refused():
                note = f"the approval could not be asked for: {answer.description}"
                await self._calls.move(call, Event.FAIL, Facts(note=note[:300]))
            case ciba.Unavailable():
                raise _not_now(answer)

    async def _wait(self, call: Call) -> None:
        """Poll until a person or the clock has decided (CIBA Core §11)."""
        try:
            sealed = await self._calls.load_payload(call.id, "auth_req_id")
        except SealError:
            sealed = None
        if sealed is None:
            await self._calls.move(call, Event.REFUSE, Facts(note="the stored call was changed"))
            return
        auth_req_id = sealed.decode()
        answer = await self._decision(call, auth_req_id)
        match answer:
            case None:
                return
            case ciba.Granted():
                await self._granted(call, auth_req_id, answer)
            case ciba.Denied() | ciba.Expired() | ciba.Gone():
                await self._ended(call, answer)
            case _:
                assert_never(answer)

    async def _decision(
        self, call: Call, auth_req_id: str
    ) -> ciba.Granted | ciba.Denied | ciba.Expired | ciba.Gone | None:
        """Ask until there is an answer; None when we stop, or when the call was taken back."""
        interval_s, failures = float(call.interval_s), 0
        loop = asyncio.get_running_loop()
        while await self._is_waiting(call):
            last = self._stopping.is_set()
            if self._calls.now() >= call.expires_at + _REDEEM_WITHIN:
                return ciba.Expired()
            asked_at = loop.time()
            answer = await self._client.poll(auth_req_id)
            match answer:
                case ciba.Pending():
                    failures = 0
                case ciba.SlowDown():
                    interval_s += 5  # CIBA Core §11: for this and every later poll
                case ciba.Unavailable():
                    failures += 1
                    if not self._stopping.is_set():
                        _logger.warning("call %s: %s", call.id, answer.reason)
                    await self._rest(answer.retry_after_s or self._pause_s(failures))
                case _:
                    return answer
            if last:
                return None
            await self._rest(asked_at + interval_s - loop.time())
        return None

    async def _is_waiting(self, call: Call) -> bool:
        current = await self._calls.load(call.id)
        return current is not None and current.fence == call.fence

    async def _ended(self, call: Call, answer: ciba.Denied | ciba.Expired | ciba.Gone) -> None:
        match answer:
            case ciba.Denied(by=None):
                # Nobody said no: the request was taken back at the authorization server.
                await self._calls.move(call, Event.WITHDRAW, Facts(note=answer.reason))
            case ciba.Denied():
                facts = Facts(decided_by=answer.by, reason=answer.reason)
                await self._calls.move(call, Event.DENY, facts)
            case ciba.Expired():
                await self._calls.move(call, Event.EXPIRE)
            case ciba.Gone():
                # The yes was spent by a process that died, or was fetched too late.
                note = "approved, nothing was sent, ask again"
                await self._calls.move(call, Event.LAPSE, Facts(note=note))
            case _:
                assert_never(answer)

    async def _granted(self, call: Call, auth_req_id: str, granted: ciba.Granted) -> None:
        """Verify both tokens and bind their jti to this call; from here the yes is ours."""
        self._reach("after_redeem")
        current = await self._calls.load(call.id)
        if current is None or current.fence != call.fence:
            await self._ignored(current)
            return
        call, access_token = current, granted.access_token.get_secret_value()
        try:
            warrant = await self._verifier.verify(
                call,
                await self._details(call),
                auth_req_id=auth_req_id,
                access_token=access_token,
                id_token=granted.id_token.get_secret_value(),
                now=self._calls.now(),
            )
        except (TokensRefusedError, KeysUnavailableError, SealError) as error:
            why = "the stored call was changed" if isinstance(error, SealError) else str(error)
            await self._calls.move(call, Event.REFUSE, Facts(note=why[:300]))
            return
        facts = Facts(
            jti=warrant.jti,
            decided_by=warrant.decided_by,
            decided_at=warrant.decided_at,
            execute_by=warrant.execute_by,
        )
        swap = await self._calls.move(call, Event.AUTHORIZE, facts, access_token=access_token)
        match swap:
            case Moved():
                self._reach("after_authorized")
            case SwitchedOff():
                note = f"{swap.id} is switched off"
                await self._calls.move(call, Event.REFUSE, Facts(note=note))
            case Reused():
                note = "the approval token was used for another call"
                await self._calls.move(call, Event.REFUSE, Facts(note=note))
            case Lost(call=after):
                await self._late(call, after)
            case _:
                assert_never(swap)

    async def _late(self, call: Call, after: Call | None) -> None:
        if after is not None and after.fence == call.fence:
            # Nobody was faster: the yes itself had ended by our clock.
            note = "the approval had ended when it came"
            await self._calls.move(call, Event.LAPSE, Facts(note=note))
        else:
            await self._ignored(after)

    async def _ignored(self, call: Call | None) -> None:
        """Audit a yes that came too late; a withdrawn call is not brought back by it."""
        if call is not None:
            details: dict[str, Json] = {"tool": call.tool, "state": call.state.value}
            event = AuditEvent(
                event="call.yes_ignored", subject=call.id, actor="system", details=details
            )
            await self._calls.record(event)

    def tell_now(self, call: Call) -> None:
        """Tell the authorization server at once how the call ended."""
        self._begin(f"tell {call.id}", self._told(call))

    async def _told(self, call: Call) -> None:
        try:
            await self.teller.tell(call)
        except StoreUnavailableError as error:
            _logger.warning("the end of %s is told after the next start: %s", call.id, error)
        except Exception:
            _logger.exception("the end of %s is told after the next start", call.id)

    async def _details(self, call: Call) -> dict[str, Json]:
        """Return the details as they were stored.

        Raises:
            SealError: they were changed, or are gone.
        """
        frozen = await self._calls.load_frozen(call.id)
        if frozen is None:
            raise SealError(f"calls.details of {call.id} is gone")
        return cast("dict[str, Json]", parse(frozen.details))

    async def _rest(self, seconds: float) -> bool:
        """Wait, but not past the order to stop; False when that was given."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
        return not self._stopping.is_set()


def standing_of(client: CibaClient) -> Callable[[str], Awaitable[bool]]:
    """Return what asks the authorization server whether nobody took an approval's token back.

    It raises `NotNowError`, and soon: an upstream is connected already and waits too.
    """

    async def stands(token: str) -> bool:
        answer: bool | ciba.Unavailable = ciba.Unavailable(reason=f"{client.issuer} is slow")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STANDS_WITHIN_S):
                answer = await client.stands(token)
        if isinstance(answer, ciba.Unavailable):
            raise _not_now(answer)
        return answer

    return stands


def _not_now(answer: ciba.Unavailable) -> NotNowError:
    return NotNowError(answer.reason, retry_after_s=answer.retry_after_s)
