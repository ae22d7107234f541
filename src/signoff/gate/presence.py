"""Whether anybody still listens to a waiting call, for the line on the card.

Owns the count of listeners and telling the authorization server when the last one leaves or one
returns. Leaving never ends a call.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from signoff.gate.ciba import CibaClient
from signoff.gate.ports import Calls, StoreUnavailableError
from signoff.sealed import SealError


@dataclass(slots=True)
class _Listeners:
    count: int = 0
    told: bool = True  # whether the server believes that somebody listens
    telling: bool = False


class Presence:
    """Counts listeners of each call."""

    def __init__(self, *, calls: Calls, client: CibaClient) -> None:
        self._calls = calls
        self._client = client
        self._calls_heard: dict[str, _Listeners] = {}
        self._tellers: set[asyncio.Task[None]] = set()

    @contextmanager
    def listening(self, call_id: str) -> Generator[None, None, None]:
        """Count as a listener of the call for the length of the block."""
        listeners = self._calls_heard.setdefault(call_id, _Listeners())
        listeners.count += 1
        self._sync(call_id, listeners)
        try:
            yield
        finally:
            listeners.count -= 1
            self._sync(call_id, listeners)

    def forget(self, call_id: str) -> None:
        """Forget a call that has ended, unless somebody still listens."""
        listeners = self._calls_heard.get(call_id)
        if listeners is not None and listeners.count == 0 and not listeners.telling:
            del self._calls_heard[call_id]

    async def close(self) -> None:
        """Stop telling."""
        for teller in tuple(self._tellers):
            teller.cancel()
        await asyncio.gather(*self._tellers, return_exceptions=True)

    def _sync(self, call_id: str, listeners: _Listeners) -> None:
        if listeners.telling or listeners.told == (listeners.count > 0):
            return
        listeners.telling = True
        teller = asyncio.create_task(self._tell(call_id, listeners), name="presence")
        self._tellers.add(teller)
        teller.add_done_callback(self._tellers.discard)

    async def _tell(self, call_id: str, listeners: _Listeners) -> None:
        try:
            while listeners.told != (listeners.count > 0):
                listeners.told = listeners.count > 0
                call = await self._calls.load(call_id)
                if call is None or not call.is_undecided:
                    break
                sealed = await self._calls.load_payload(call_id, "auth_req_id")
                if sealed is not None:
                    state = "listener_back" if listeners.told else "listener_left"
                    await self._client.report(sealed.decode(), state=state, at=self._calls.now())
            last = await self._calls.load(call_id)
            ended = last is None or not last.is_open
        except (SealError, StoreUnavailableError):
            ended = False  # the call's own job meets that too, and says it
        finally:
            listeners.telling = False
        if ended:
            self.forget(call_id)
