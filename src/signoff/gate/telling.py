"""Telling the authorization server how calls ended, and hearing what people found out there.

Owns what is told of which end, and telling it again while nobody hears. What it has heard is
remembered in the store: whatever was not is told by the next look, or the next start.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from signoff.gate import ciba
from signoff.gate.call import Call, State
from signoff.gate.ciba import CibaClient
from signoff.gate.ports import Calls
from signoff.sealed import SealError

_TELLS: Final = 6
_TOLD_BY_US: Final = frozenset({
    State.WITHDRAWN,  # perhaps after the yes: then the page would say for ever that it runs
    State.SUCCEEDED,
    State.FAILED,
    State.REFUSED,
    State.LAPSED,
    State.OUTCOME_UNKNOWN,
})
# The card must go where nobody has decided yet; what the server ended by itself it knows.
_TAKEN_BACK: Final = frozenset({State.WITHDRAWN, State.REFUSED})


class Teller:
    """Tells ends. `rest` waits so long or until we stop, and says whether to go on."""

    def __init__(
        self,
        *,
        calls: Calls,
        client: CibaClient,
        rest: Callable[[float], Awaitable[bool]],
        pause_s: Callable[[int], float],
    ) -> None:
        self._calls, self._client = calls, client
        self._rest, self._pause_s = rest, pause_s

    async def tell(self, call: Call) -> None:
        """Tell how the call ended, a few times if need be."""
        auth_req_id = await self._auth_req_id(call)
        if auth_req_id is None:
            return
        for attempt in range(1, _TELLS + 1):
            heard = await self._told(call, auth_req_id)
            if not isinstance(heard, ciba.Unavailable):
                await self._calls.mark_told(call)
                return
            if not await self._rest(heard.retry_after_s or self._pause_s(attempt)):
                return

    async def found_out(self, call: Call) -> tuple[bool, str] | ciba.Unavailable | None:
        """Return whether a call of unknown outcome was done, and who says so on the page."""
        auth_req_id = await self._auth_req_id(call)
        if auth_req_id is None:
            return None
        match await self._told(call, auth_req_id):
            case ciba.Heard(settled=settled):
                return settled
            case ciba.Unavailable() as unavailable:
                return unavailable
            case ciba.Refused():
                return None  # the request is forgotten there, and with it the page

    async def _told(
        self, call: Call, auth_req_id: str
    ) -> ciba.Heard | ciba.Refused | ciba.Unavailable:
        heard: ciba.Heard | ciba.Refused | ciba.Unavailable = ciba.Heard()
        if call.decided_at is None and call.state in _TAKEN_BACK:
            heard = await self._client.withdraw(auth_req_id)
        if not isinstance(heard, ciba.Unavailable) and call.state in _TOLD_BY_US:
            at = call.finished_at or self._calls.now()
            heard = await self._client.report(
                auth_req_id, state=call.state.value, at=at, note=call.note
            )
        return heard

    async def _auth_req_id(self, call: Call) -> str | None:
        try:
            sealed = await self._calls.load_payload(call.id, "auth_req_id")
        except SealError:
            return None
        return None if sealed is None else sealed.decode()
