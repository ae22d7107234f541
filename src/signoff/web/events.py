"""Live state of a page, as server-sent events.

Owns the streams and their limits. An event says how many seconds are left by the server's clock
and a version that changes when the page must be read again; it carries no content of a card. With
`?once` the same is told once: a browser has few connections for its many windows.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from signoff.approvals.ports import Changes
from signoff.approvals.request import Approval
from signoff.approvals.service import Approvals
from signoff.web.endings import inbox_version, seconds_left, settled, stage, version
from signoff.web.render import HEADERS
from signoff.web.session import PageError, SignIn, Viewer

_HEARTBEAT_S: Final = 15.0
_STREAMS: Final = 12
"""Open streams of one session; a browser keeps at most six connections to a host anyway."""


class Events:
    """The streams."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        sign_in: SignIn,
        changes: Changes,
        draining: asyncio.Event,
        now: Callable[[], datetime],
    ) -> None:
        self._approvals, self._sign_in, self._changes, self._now = approvals, sign_in, changes, now
        self._draining = draining
        self._open: Counter[str] = Counter()

    async def one(self, request: Request) -> Response:
        """Stream the state of one approval until it and its call are over."""
        viewer = await self._admitted(request)
        approval_id = request.path_params["id"]
        if await self._look(approval_id, viewer) is None:
            raise PageError.not_found()

        async def state() -> tuple[str, float] | None:
            approval = await self._look(approval_id, viewer)
            if approval is None:
                return None
            approval = settled(approval, now=self._now())
            return self._state(approval)

        return await self._told(request, viewer, approval_id, state)

    async def inbox(self, request: Request) -> Response:
        """Stream the version of the viewer's list."""
        viewer = await self._admitted(request)

        async def state() -> tuple[str, float] | None:
            now = self._now()
            approvals = [
                settled(approval, now=now)
                for approval in await self._approvals.inbox(viewer.user_id, details=False)
            ]
            return json.dumps({"version": inbox_version(approvals)}), _HEARTBEAT_S

        return await self._told(request, viewer, "*", state)

    async def _look(self, approval_id: str, viewer: Viewer) -> Approval | None:
        # Where it stands is all a stream tells: nothing is unsealed for it.
        return await self._approvals.view(approval_id, user_id=viewer.user_id, details=False)

    def _state(self, approval: Approval) -> tuple[str, float]:
        left = seconds_left(approval, now=self._now())
        members = {
            "version": version(approval),
            "stage": stage(approval),
            "left": left,
            "listener_left_at": None
            if approval.listener_left_at is None
            else approval.listener_left_at.isoformat(timespec="seconds"),
        }
        return json.dumps(members), min(_HEARTBEAT_S, left + 0.2) if left else _HEARTBEAT_S

    async def _admitted(self, request: Request) -> Viewer:
        viewer = await self._sign_in.require(request)
        if "once" not in request.query_params and self._open[viewer.session.id] >= _STREAMS:
            raise PageError(429, "Too many windows", "Close some windows of this page first.")
        return viewer

    async def _told(
        self,
        request: Request,
        viewer: Viewer,
        watched: str,
        state: Callable[[], Awaitable[tuple[str, float] | None]],
    ) -> Response:
        if "once" not in request.query_params:
            return self._stream(request, viewer, watched, state)
        found = await state()
        if found is None:
            raise PageError.not_found()
        return Response(found[0], media_type="application/json", headers=HEADERS)

    def _stream(
        self,
        request: Request,
        viewer: Viewer,
        watched: str,
        state: Callable[[], Awaitable[tuple[str, float] | None]],
    ) -> Response:
        session_id = viewer.session.id

        async def events() -> AsyncGenerator[str, None]:
            self._open[session_id] += 1
            try:
                with (
                    self._changes.watch("approval", watched) as watch,
                    self._changes.watch("session", session_id) as signed_in,
                ):
                    while not self._draining.is_set():
                        # A session that ended stops its streams at once.
                        if await self._sign_in.viewer(request) is None:
                            return
                        found = await state()
                        if found is None:
                            return
                        text, wait_s = found
                        yield f"event: state\ndata: {text}\n\n"
                        await _first_of(
                            watch.changed(wait_s), signed_in.changed(wait_s), self._draining.wait()
                        )
            finally:
                self._open[session_id] -= 1
                if not self._open[session_id]:
                    del self._open[session_id]

        headers = {**HEADERS, "X-Accel-Buffering": "no"}
        return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when one of `waits` does; the others end."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
