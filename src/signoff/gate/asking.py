"""Opening a call that a person must sign off, or meeting the same one again.

Owns repetition (one open call for one request_key, the 15 minutes in which an end is remembered)
and the limits. Nothing is asked and nothing is sent here: it ends with a stored call.
"""

import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, assert_never

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec
from signoff.catalog.registry import Registry
from signoff.gate import outcomes
from signoff.gate.answers import Answer, Finished, RefusedError, Waiting
from signoff.gate.call import REPEAT_WINDOW, Call, State
from signoff.gate.opening import (
    Asking,
    approvers_of,
    audience_of,
    build_call,
    build_details,
    request_key,
)
from signoff.gate.ports import (
    Calls,
    Frozen,
    Limits,
    Opened,
    Opening,
    Overtaken,
    SwitchedOff,
    TooMany,
)
from signoff.identity import Caller, ClientInfo
from signoff.sealed import Sealer, SealError
from signoff.upstream.headers import References
from signoff.upstream.request import (
    AuthRequiredError,
    FrozenRequest,
    RequestError,
    UpstreamError,
    freeze,
    mask_arguments,
)
from signoff.upstream.response import ToolResult

_LOOKS: Final = 5


class Freezer:
    """Turns arguments into the exact request, with this process's key and references."""

    def __init__(self, *, registry: Registry, references: References, sealer: Sealer) -> None:
        self._registry = registry
        self._references = references
        self._sealer = sealer

    def freeze(
        self, caller: Caller, tool: ToolSpec, arguments: Mapping[str, Json], *, call_id: str | None
    ) -> FrozenRequest:
        """Return the request as it will be sent.

        Raises:
            RefusedError: an argument cannot be sent, or the operator's set-up does not hold.
        """
        try:
            return freeze(
                tool,
                self._registry.catalogue.upstreams[tool.upstream],
                arguments,
                caller=caller,
                call_id=call_id,
                sealer=self._sealer,
                references=self._references,
            )
        except RequestError as error:
            raise RefusedError(
                "invalid_arguments", f"{tool.name} was not called, nobody was asked:\n- {error}"
            ) from error
        except AuthRequiredError as error:
            raise RefusedError("auth_required", f"Nothing was sent: {error}.") from error
        except UpstreamError as error:
            raise RefusedError(
                "unavailable", f"{tool.name} cannot be called: the operator must mend its upstream"
            ) from error


class Asker:
    """Opens calls."""

    def __init__(
        self,
        *,
        registry: Registry,
        calls: Calls,
        freezer: Freezer,
        sealer: Sealer,
        issuer: str,
        limits: Limits,
    ) -> None:
        self._registry = registry
        self._calls = calls
        self._freezer = freezer
        self._sealer = sealer
        self._issuer = issuer
        self._limits = limits

    async def ask(
        self,
        caller: Caller,
        info: ClientInfo,
        tool: ToolSpec,
        arguments: Mapping[str, Json],
        *,
        said: str | None,
        again: bool,
    ) -> Answer:
        """Open a call, attach to the same one, or tell how it ended a while ago.

        `again` is a repetition on purpose: it overrides every remembered end but a no.

        Raises:
            RefusedError: it does not open.
        """
        key = request_key(self._sealer, caller, tool, arguments)
        for _ in range(_LOOKS):
            latest = await self._calls.latest(key)
            if latest is not None and latest.is_open:
                return Waiting(call=latest, attached=True)
            if latest is not None and self._is_remembered(latest, again=again):
                return await self.finished(latest, repeat=True)
            opening = await self._open(
                caller, info, tool, arguments, key=key, said=said, earlier=latest, again=again
            )
            match opening:
                case Opened(call=call):
                    return Waiting(call=call, attached=False)
                case Overtaken():
                    continue
                case TooMany() as full:
                    raise RefusedError("too_many_open", _too_many(full))
                case SwitchedOff():
                    raise RefusedError("unavailable", "This client, or its user, is switched off.")
                case _:
                    assert_never(opening)
        raise RefusedError("unavailable", "The same call is being made many times. Try again.")

    async def finished(self, call: Call, *, repeat: bool = False) -> Finished:
        """Return the end of a call as its result."""
        stored: ToolResult | None = None
        try:
            if record := await self._calls.load_payload(call.id, "result"):
                stored = ToolResult.from_record(record)
        except (SealError, ValueError, KeyError):
            stored = None  # changed behind our back: told without the upstream's answer
        result = outcomes.ended(call, stored)
        return Finished(
            call=call,
            result=outcomes.repeated(call, result) if repeat else result,
            repeat=repeat,
        )

    def _is_remembered(self, latest: Call, *, again: bool) -> bool:
        """Say whether the end of the same call is the answer to this one too."""
        if latest.finished_at is None or latest.finished_at + REPEAT_WINDOW <= self._calls.now():
            return False
        if latest.state is State.DENIED:
            return True
        # Where nobody could be asked, nobody has decided: asking again is no repetition.
        never_asked = latest.state is State.FAILED and latest.decided_at is None
        return not again and not never_asked

    async def _open(
        self,
        caller: Caller,
        info: ClientInfo,
        tool: ToolSpec,
        arguments: Mapping[str, Json],
        *,
        key: bytes,
        said: str | None,
        earlier: Call | None,
        again: bool,
    ) -> Opening:
        catalogue = self._registry.catalogue
        approvers = approvers_of(tool, caller, catalogue.users, issuer=self._issuer)
        if off := await self._calls.disabled(approvers):
            approvers = approvers_of(
                tool, caller, catalogue.users, issuer=self._issuer, disabled=off
            )
        call_id = f"call_{secrets.token_urlsafe(16)}"
        request = self._freezer.freeze(caller, tool, arguments, call_id=call_id)
        asking = Asking(
            tool=tool,
            catalogue=catalogue,
            caller=caller,
            client_info=info,
            masked=mask_arguments(tool, arguments, call_id=call_id, sealer=self._sealer),
            request=request,
            approvers=approvers,
            said=said,
            earlier=earlier,
            again=again,
        )
        details = build_details(asking, call_id=call_id, nonce=secrets.token_urlsafe(16))
        now = self._calls.now()
        call = build_call(
            asking,
            details,
            key=key,
            audience=audience_of(catalogue.upstreams[tool.upstream], self._issuer),
            approve_at=f"{self._issuer.rstrip('/')}/approvals",
            now=now,
            expires_at=now + timedelta(seconds=tool.approval.expires_in_s),
        )
        frozen = Frozen(
            arguments=_stored(dict(arguments)),
            details=_stored(details),
            request=request.to_record(),
        )
        return await self._calls.open(
            call, frozen, seen=None if earlier is None else earlier.id, limits=self._limits
        )


def _stored(value: Json) -> bytes:
    # Not the canonical form: that folds large integers, and these are read back.
    return json.dumps(value, separators=(",", ":")).encode()


def _too_many(full: TooMany) -> str:
    if full.whose == "caller":
        return (
            f"You have {full.limit} calls open that wait for a person. "
            "Wait until one is decided, or withdraw one with withdraw_call."
        )
    return (
        f"{full.whose} is already asked about {full.limit} calls. "
        "Wait until some are decided before you ask for more."
    )
