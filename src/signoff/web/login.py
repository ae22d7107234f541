"""Signing in by a link, and out.

Owns the three steps: a GET that only shows a button (mail scanners follow links), a POST that uses
the link up, and the sign-out. The device key's public half comes with that POST and never later.
"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from signoff.approvals.request import Status
from signoff.approvals.service import Approvals
from signoff.approvals.sessions import DeviceKey, DeviceKeyError, SessionStore
from signoff.canonical import JsonError, parse
from signoff.catalog.model import User
from signoff.web.render import HEADERS, Renderer
from signoff.web.session import PageError, SignIn, read_form
from signoff.web.text import show


class Login:
    """The sign-in pages."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        sessions: SessionStore,
        sign_in: SignIn,
        renderer: Renderer,
        users: Mapping[str, User],
    ) -> None:
        self._approvals, self._sessions = approvals, sessions
        self._sign_in, self._renderer, self._users = sign_in, renderer, users

    async def ask(self, request: Request) -> Response:
        """Show the button. Whatever reads this page, the link still works afterwards.

        It says who will be signed in: a link that somebody else slipped in shows it.
        """
        user_id = await self._sessions.link_user(request.path_params["code"])
        if user_id is None:
            raise _used()
        user = self._users.get(user_id)
        return self._renderer.page(
            "login.html",
            https=self._sign_in.https,
            who=show(user_id if user is None else user.name),
            user_id=show(user_id),
        )

    async def enter(self, request: Request) -> Response:
        """Use the link up, and sign this browser in."""
        self._sign_in.check_origin(request)
        fields = await read_form(request, required=set(), optional={"device_key"})
        device_key = _device_key(fields.get("device_key", ""))
        before = await self._sign_in.viewer(request)
        signed_in = await self._sessions.sign_in(request.path_params["code"], device_key=device_key)
        if signed_in is None:
            raise _used()
        if before is not None:
            await self._sessions.end(before.session.id, by=before.user_id)
        inbox = await self._approvals.inbox(signed_in.session.user_id, details=False)
        waiting = [approval.id for approval in inbox if approval.status is Status.PENDING]
        target = f"/approvals/{waiting[0]}" if len(waiting) == 1 else "/approvals"
        response = RedirectResponse(target, 303, headers=HEADERS)
        self._sign_in.set_cookie(response, signed_in)
        return response

    async def leave(self, request: Request) -> Response:
        """End this session, here and on the server."""
        self._sign_in.check_origin(request)
        viewer = await self._sign_in.require(request)
        fields = await read_form(request, required={"csrf"}, optional=set())
        viewer.check_csrf(fields["csrf"], "logout")
        await self._sessions.end(viewer.session.id, by=viewer.user_id)
        response = self._renderer.page("signed_out.html")
        self._sign_in.drop_cookie(response)
        return response


def _device_key(text: str) -> DeviceKey | None:
    if not text:
        return None
    try:
        jwk = parse(text)
        return DeviceKey.from_jwk(jwk if isinstance(jwk, dict) else {})
    except (JsonError, DeviceKeyError):
        raise PageError(
            400, "Not signed in", "The browser sent a device key that cannot be used."
        ) from None


def _used() -> PageError:
    return PageError(
        410,
        "This sign-in link no longer works",
        "Each link works once, for 10 minutes. Run “signoff login” for a new one.",
    )
