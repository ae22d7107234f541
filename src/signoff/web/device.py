"""A person enters the code that a device shows, sees who asks, and decides (RFC 8628 §3.3).

Owns the two pages. A code in the address only fills the field: the person still compares, submits
and decides. Wrong codes are counted by the store; the form and its proof are those of `consent.py`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from signoff.catalog.model import User
from signoff.oauth.clients import Client
from signoff.oauth.device import VERIFICATION_PATH, Device, Devices, LockedOut, WrongCode, normal
from signoff.web.consent import (
    Question,
    age,
    check_question,
    check_signed,
    new_question,
    wishes,
)
from signoff.web.render import Renderer
from signoff.web.session import PageError, SignIn, Viewer, one_of, read_form
from signoff.web.text import show

DECISION_PATH: Final = f"{VERIFICATION_PATH}/decision"
_ACR: Final = "session"


class DevicePages:
    """GET and POST /device, and the decision."""

    def __init__(
        self,
        *,
        devices: Devices,
        sign_in: SignIn,
        renderer: Renderer,
        users: Mapping[str, User],
        now: Callable[[], datetime],
    ) -> None:
        self._devices, self._sign_in, self._renderer = devices, sign_in, renderer
        self._users, self._now = users, now

    async def ask(self, request: Request) -> Response:
        """Show the field."""
        given = normal(request.query_params.get("user_code", ""))
        viewer = await self._sign_in.viewer(request)
        if viewer is None:
            again = f"{VERIFICATION_PATH}?user_code={given}" if given else VERIFICATION_PATH
            return self._renderer.page("connect_sign_in.html", status=401, again=again)
        return self._entry(viewer, given=given, wrong=None)

    async def enter(self, request: Request) -> Response:
        """Look the code up and show who asks; a wrong one costs a try."""
        self._sign_in.check_origin(request)
        viewer = await self._sign_in.require(request)
        fields = await read_form(request, required={"csrf", "user_code"}, optional=set())
        viewer.check_csrf(fields["csrf"], "device")
        found = await self._find(viewer, fields["user_code"])
        if isinstance(found, WrongCode):
            return self._entry(viewer, given="", wrong=found)
        return self._question(viewer, *found, user_code=normal(fields["user_code"]))

    async def decide(self, request: Request) -> Response:
        """Take the yes or the no; the code is looked up again, for the form proves nothing."""
        self._sign_in.check_origin(request)
        viewer = await self._sign_in.require(request)
        fields = await read_form(
            request, required={"csrf", "user_code", "id", "at", "decision"}, optional={"proof"}
        )
        found = await self._find(viewer, fields["user_code"])
        if isinstance(found, WrongCode):
            raise PageError(409, "This no longer holds", "Start again on the device.")
        device, _ = found
        question = Question(
            verb="connect-device", id=fields["id"], at=fields["at"], digest=device.digest()
        )
        check_question(viewer, question, fields["csrf"], now=self._now())
        verdict = one_of(fields, "decision", "approve", "deny")
        if verdict == "approve":
            check_signed(self._sign_in, viewer, question, fields.get("proof", ""))
        if not await self._devices.decide(
            device, verdict="approve" if verdict == "approve" else "deny",
            user_id=viewer.user_id, acr=_ACR,
        ):  # fmt: skip
            raise PageError(409, "This was answered already", "Start again on the device.")
        return self._page("device_done.html", viewer, approved=verdict == "approve")

    async def _find(self, viewer: Viewer, typed: str) -> tuple[Device, Client] | WrongCode:
        found = await self._devices.enter(typed, user_id=viewer.user_id)
        if isinstance(found, LockedOut):
            raise PageError(
                429,
                "Too many wrong codes",
                "No code is taken from you for ten minutes. Start again on the device then.",
            )
        return found

    def _entry(self, viewer: Viewer, *, given: str, wrong: WrongCode | None) -> Response:
        return self._page(
            "device.html",
            viewer,
            status=200 if wrong is None else 400,
            given=f"{given[:4]}-{given[4:]}" if given else "",
            left=None if wrong is None else wrong.left,
            csrf=viewer.csrf("device"),
            action=VERIFICATION_PATH,
        )

    def _question(
        self, viewer: Viewer, device: Device, client: Client, *, user_code: str
    ) -> Response:
        question = new_question("connect-device", device.digest(), now=self._now())
        # Whoever renames itself is as new as its name.
        renamed = client.updated_at if client.origin == "self" else None
        since = renamed or client.created_at
        return self._page(
            "device_consent.html",
            viewer,
            name=show(client.name),
            client_id=show(client.id),
            vouched=client.origin == "operator",
            age=None if since is None else age(since, now=self._now()),
            opened=age(device.opened_at, now=self._now()),
            user_code=f"{user_code[:4]}-{user_code[4:]}",
            wishes=wishes(device.scope),
            action=DECISION_PATH,
            question=question,
            csrf=question.csrf(viewer),
            https=self._sign_in.https,
            key_id=viewer.session.device_key.id if viewer.session.device_key else "",
        )

    def _page(
        self, template: str, viewer: Viewer, *, status: int = 200, **context: object
    ) -> Response:
        user = self._users.get(viewer.user_id)
        return self._renderer.page(
            template,
            status=status,
            viewer=show(user.name if user else viewer.user_id),
            logout_csrf=viewer.csrf("logout"),
            **context,
        )
