"""The page of what may act for a person, and the button that takes it back.

Owns what is shown of a connection: what an application calls itself is a claim, where its answers
go is not. Taking back is the denying direction: it needs the session and its own form, no key and
no JavaScript.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from signoff.catalog.model import User
from signoff.oauth.connections import Connection, ConnectionStore
from signoff.oauth.hosts import place
from signoff.web.consent import Wish, age, wishes
from signoff.web.render import HEADERS, Renderer
from signoff.web.session import PageError, SignIn, Viewer, read_form
from signoff.web.text import Shown, show

CONNECTIONS_PATH: Final = "/applications"
TAKE_BACK_PATH: Final = f"{CONNECTIONS_PATH}/{{id}}/take-back"
_ACT: Final = "take-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One application of the list, its strangers' words made safe."""

    name: Shown
    vouched: bool
    place: Shown | None
    redirect_uri: Shown | None
    approval_id: str | None
    client_id: Shown
    resource: Shown
    wishes: list[Wish]
    since: datetime
    age: str
    used_at: datetime | None
    used: str | None
    action: str
    csrf: str


class ConnectionPages:
    """GET /applications, and the POST that takes one back."""

    def __init__(
        self,
        *,
        connections: ConnectionStore,
        sign_in: SignIn,
        renderer: Renderer,
        users: Mapping[str, User],
        now: Callable[[], datetime],
    ) -> None:
        self._connections, self._sign_in, self._renderer = connections, sign_in, renderer
        self._users, self._now = users, now

    async def show(self, request: Request) -> Response:
        """Show the viewer's connections, and nobody else's."""
        viewer = await self._sign_in.require(request)
        found = await self._connections.of(viewer.user_id)
        user = self._users.get(viewer.user_id)
        return self._renderer.page(
            "connections.html",
            viewer=show(user.name if user else viewer.user_id),
            logout_csrf=viewer.csrf("logout"),
            entries=[self._entry(one, viewer) for one in found],
        )

    async def take_back(self, request: Request) -> Response:
        """End one of the viewer's connections. Doing it again changes nothing."""
        self._sign_in.check_origin(request)
        viewer = await self._sign_in.require(request)
        fields = await read_form(request, required={"csrf"}, optional=set())
        connection_id = str(request.path_params["id"])
        viewer.check_csrf(fields["csrf"], _ACT, connection_id)
        ended = await self._connections.take_back(
            connection_id, user_id=viewer.user_id, by=viewer.user_id
        )
        if ended == "unknown":
            raise PageError.not_found()
        return RedirectResponse(CONNECTIONS_PATH, 303, headers=HEADERS)

    def _entry(self, one: Connection, viewer: Viewer) -> Entry:
        now, uri = self._now(), one.redirect_uri
        return Entry(
            name=show(one.name),
            vouched=one.vouched,
            place=None if uri is None else show(place(uri)),
            redirect_uri=None if uri is None else show(uri),
            approval_id=one.approval_id,
            client_id=show(one.client_id),
            resource=show(one.resource),
            wishes=wishes(one.scope, tools=one.approval_id is None),
            since=one.since,
            age=age(one.since, now=now),
            used_at=one.last_used_at,
            used=None if one.last_used_at is None else age(one.last_used_at, now=now),
            action=TAKE_BACK_PATH.format(id=one.id),
            csrf=viewer.csrf(_ACT, one.id),
        )
