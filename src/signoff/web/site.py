"""The routes of everything that needs an approver's session, put together.

Owns the order of routes, the strict headers of every answer and where a `PageError` becomes a
page. Knows what it needs by ports and arguments; reads no environment and keeps no state.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from signoff.approvals.ports import Changes
from signoff.approvals.service import Approvals
from signoff.approvals.sessions import SessionStore
from signoff.catalog.model import DetailsType, User
from signoff.web.assets import Assets
from signoff.web.events import Events
from signoff.web.login import Login
from signoff.web.pages import Pages, Reconcile
from signoff.web.render import HEADERS, Renderer
from signoff.web.session import PageError, SignIn

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteConfig:
    """What the pages need to know. `public_url` is the one origin that may post to them."""

    public_url: str
    name: str
    users: Mapping[str, User]
    details_types: Mapping[str, DetailsType] = field(default_factory=dict[str, DetailsType])
    """The operator's words for what applications ask for by `authorization_details`."""


def pages(
    config: SiteConfig,
    *,
    approvals: Approvals,
    sessions: SessionStore,
    changes: Changes,
    reconcile: Reconcile,
    now: Callable[[], datetime],
    draining: asyncio.Event | None = None,
) -> list[BaseRoute]:
    """Return the approver's routes.

    `now` is the store's clock. Once `draining` is set, open streams end by themselves.
    """
    assets = Assets()
    renderer = Renderer(name=config.name, assets=assets)
    sign_in = SignIn(sessions, public_url=config.public_url)
    cards = Pages(
        approvals=approvals,
        sign_in=sign_in,
        renderer=renderer,
        changes=changes,
        reconcile=reconcile,
        users=config.users,
        details_types=config.details_types,
        now=now,
    )
    login = Login(
        approvals=approvals,
        sessions=sessions,
        sign_in=sign_in,
        renderer=renderer,
        users=config.users,
    )
    events = Events(
        approvals=approvals,
        sign_in=sign_in,
        changes=changes,
        draining=draining or asyncio.Event(),
        now=now,
    )

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except PageError as error:
                return renderer.problem(error)

        return answer

    return [
        Route("/", _home, methods=["GET"]),
        Route("/approvals", guarded(cards.inbox), methods=["GET"]),
        Route("/approvals/events", guarded(events.inbox), methods=["GET"]),
        Route("/approvals/{id}", guarded(cards.card), methods=["GET"]),
        Route("/approvals/{id}/decision", guarded(cards.decide), methods=["POST"]),
        Route("/approvals/{id}/reconcile", guarded(cards.settle), methods=["POST"]),
        Route("/approvals/{id}/events", guarded(events.one), methods=["GET"]),
        Route("/login/{code}", guarded(login.ask), methods=["GET"]),
        Route("/login/{code}", guarded(login.enter), methods=["POST"]),
        Route("/logout", guarded(login.leave), methods=["POST"]),
        Route("/static/{name}", guarded(assets.serve), methods=["GET"]),
    ]


async def _home(_: Request) -> Response:
    """Lead who types the bare address, as the start prints it, to what waits for them."""
    return RedirectResponse("/approvals", 303, headers=HEADERS)
