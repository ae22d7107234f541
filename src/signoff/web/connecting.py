"""The routes of the pages on which a person lets an application act for them, or takes it back.

Owns which path is which page. Everything arrives as an argument.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from signoff.approvals.sessions import SessionStore
from signoff.oauth.authorize import Authorizations
from signoff.oauth.connections import ConnectionStore
from signoff.oauth.device import VERIFICATION_PATH, Devices
from signoff.oauth.profile import AUTHORIZE_PATH, Profile
from signoff.web import connections as connected
from signoff.web import consent, device
from signoff.web.assets import Assets
from signoff.web.render import Renderer
from signoff.web.session import PageError, SignIn
from signoff.web.site import SiteConfig

Endpoint = Callable[[Request], Awaitable[Response]]


def connecting_pages(
    config: SiteConfig,
    profile: Profile,
    *,
    authorizations: Authorizations,
    devices: Devices,
    connections: ConnectionStore,
    sessions: SessionStore,
    now: Callable[[], datetime],
) -> list[BaseRoute]:
    """Return the routes. `now` is the store's clock."""
    renderer = Renderer(name=config.name, assets=Assets())
    sign_in = SignIn(sessions, public_url=config.public_url)
    consents = consent.ConsentPages(
        authorizations=authorizations,
        sign_in=sign_in,
        renderer=renderer,
        users=config.users,
        now=now,
    )
    codes = device.DevicePages(
        devices=devices, sign_in=sign_in, renderer=renderer, users=config.users, now=now
    )
    applications = connected.ConnectionPages(
        connections=connections,
        sign_in=sign_in,
        renderer=renderer,
        users=config.users,
        now=now,
    )

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except PageError as error:
                return renderer.problem(error)

        return answer

    endpoints = (
        (AUTHORIZE_PATH, consents.ask, "GET"),
        (AUTHORIZE_PATH, consents.posted, "POST"),
        (consent.DECISION_PATH, consents.decide, "POST"),
        (VERIFICATION_PATH, codes.ask, "GET"),
        (VERIFICATION_PATH, codes.enter, "POST"),
        (device.DECISION_PATH, codes.decide, "POST"),
        (connected.CONNECTIONS_PATH, applications.show, "GET"),
        (connected.TAKE_BACK_PATH, applications.take_back, "POST"),
    )
    # A reverse proxy may hand on the issuer's path or take it off: both arrive.
    prefixes = ("", profile.path) if profile.path else ("",)
    return [
        Route(prefix + path, guarded(page), methods=[method])
        for prefix in prefixes
        for path, page, method in endpoints
    ]
