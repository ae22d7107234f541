"""The pages of an approver: the list, the card, the decision, and marking an unknown outcome.

Owns which page answers what. The decision itself is `approvals/service.py`'s, the checks before it
`session.py`'s, the words `present.py`'s and `endings.py`'s. A GET changes nothing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, assert_never

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from signoff.approvals.ports import Changes, Decided, Mismatch, NotYours, TooLate
from signoff.approvals.request import Approval, Status
from signoff.approvals.service import Approvals
from signoff.catalog.model import DetailsType, User
from signoff.web.endings import (
    Ending,
    Stage,
    ending,
    inbox_version,
    seconds_left,
    settled,
    stage,
    version,
)
from signoff.web.present import Card, beside, card, heading
from signoff.web.render import HEADERS, Renderer
from signoff.web.session import PageError, SignIn, Viewer, one_of, read_form
from signoff.web.text import Shown, show

MAX_REASON: Final = 500
_SETTLE_WAIT_S: Final = 3.0
_RIVALS: Final = 5
"""So many other requests for the same tool are compared with the one that is shown."""
_QUICK: Final = 16_384
"""Details of so many characters are drawn in a few milliseconds."""
_ACR: Final = "session"


class Reconcile(Protocol):
    """The way to settle an outcome that is unknown: at the gate, or until the gate hears of it."""

    async def __call__(self, approval: Approval, *, done: bool, by: str) -> bool:
        """Settle it; False when it was not unknown any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the list."""

    card: Card
    ending: Ending | None
    left: int


class Pages:
    """The approver's pages."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        sign_in: SignIn,
        renderer: Renderer,
        changes: Changes,
        reconcile: Reconcile,
        users: Mapping[str, User],
        details_types: Mapping[str, DetailsType],
        now: Callable[[], datetime],
    ) -> None:
        self._approvals, self._sign_in, self._renderer = approvals, sign_in, renderer
        self._changes, self._reconcile, self._users, self._now = changes, reconcile, users, now
        self._types = details_types

    async def inbox(self, request: Request) -> Response:
        """Show what waits for the viewer, then what was decided lately."""
        viewer = await self._sign_in.require(request)
        now = self._now()
        approvals = [
            settled(approval, now=now) for approval in await self._approvals.inbox(viewer.user_id)
        ]
        lines = [
            Line(
                card=heading(approval, self._users, self._types),
                ending=ending(approval),
                left=seconds_left(approval, now=now),
            )
            for approval in approvals
        ]
        return self._page(
            "inbox.html",
            viewer,
            waiting=[line for line in lines if line.ending is None],
            recent=[line for line in lines if line.ending is not None],
            version=inbox_version(approvals),
        )

    async def card(self, request: Request) -> Response:
        """Show one approval: the card, or how it ended."""
        viewer = await self._sign_in.require(request)
        approval = await self._view(request, viewer)
        if approval.status is not Status.PENDING:
            return await self._ended(viewer, approval)
        rivals = await self._approvals.rivals(approval, user_id=viewer.user_id, limit=_RIVALS + 1)

        def drawn() -> Card:
            others = [card(other, self._users, self._types) for other in rivals[:_RIVALS]]
            return beside(card(approval, self._users, self._types), others)

        return await self._drawn(
            (approval, *rivals),
            "card.html",
            viewer,
            drawn,
            more_rivals=len(rivals) > _RIVALS,
            left=seconds_left(approval, now=self._now()),
            version=version(approval),
            csrf=viewer.csrf(approval.id, approval.digest),
            https=self._sign_in.https,
            key_id=viewer.session.device_key.id if viewer.session.device_key else "",
            enforceable=approval.acr == _ACR,
            max_reason=MAX_REASON,
        )

    async def decide(self, request: Request) -> Response:
        """Take the viewer's yes or no."""
        self._sign_in.check_origin(request)
        viewer = await self._sign_in.require(request)
        fields = await read_form(
            request, required={"csrf", "digest", "decision"}, optional={"reason", "proof"}
        )
        approval = await self._view(request, viewer)
        viewer.check_csrf(fields["csrf"], approval.id, fields["digest"])
        verdict = one_of(fields, "decision", "approve", "deny")
        if fields["digest"] != approval.digest:
            raise _changed(approval.id)
        if verdict == "approve":
            self._check_approve(viewer, approval, fields.get("proof", ""))
            return await self._decided(viewer, approval, verdict="approve", reason=None)
        reason = _reason(fields.get("reason", ""))
        return await self._decided(viewer, approval, verdict="deny", reason=reason)

    async def settle(self, request: Request) -> Response:
        """Mark an unknown outcome as done or not done."""
        self._sign_in.check_origin(request)
        viewer = await self._sign_in.require(request)
        fields = await read_form(request, required={"csrf", "digest", "done"}, optional={"proof"})
        approval = await self._view(request, viewer)
        viewer.check_csrf(fields["csrf"], approval.id, fields["digest"])
        done = one_of(fields, "done", "yes", "no") == "yes"
        if fields["digest"] != approval.digest:
            raise _changed(approval.id)
        if stage(approval) is not Stage.UNKNOWN or approval.call_id is None:
            return await self._ended(viewer, approval, status=409, late=True)
        self._sign_in.check_proof(
            viewer, approval, fields.get("proof", ""), verb="done" if done else "not-done"
        )
        with self._changes.watch("approval", approval.id) as watch:
            if not await self._reconcile(approval, done=done, by=viewer.user_id):
                settled_now = await self._view(request, viewer)
                return await self._ended(viewer, settled_now, status=409, late=True)
            # The outcome comes back through the authorization server; the next page may show it.
            await watch.changed(_SETTLE_WAIT_S)
        return _to(approval.id)

    def _check_approve(self, viewer: Viewer, approval: Approval, proof: str) -> None:
        if approval.acr != _ACR:
            raise PageError(
                403,
                "This needs a passkey",
                "A sign-in by link may read and deny it, but not approve it.",
                back=f"/approvals/{approval.id}",
            )
        if approval.status is Status.PENDING:
            self._sign_in.check_proof(viewer, approval, proof, verb="approve")

    async def _decided(
        self,
        viewer: Viewer,
        approval: Approval,
        *,
        verdict: Literal["approve", "deny"],
        reason: str | None,
    ) -> Response:
        decision = await self._approvals.decide(
            approval.id,
            user_id=viewer.user_id,
            digest=approval.digest,
            verdict=verdict,
            reason=reason,
            acr=_ACR,
        )
        match decision:
            case Decided():
                return _to(approval.id)
            case TooLate(approval=now_is):
                after = settled(now_is, now=self._now())
                return await self._ended(viewer, after, status=409, late=True)
            case Mismatch():
                raise _changed(approval.id)
            case NotYours():
                raise PageError.not_found()
            case _:
                assert_never(decision)

    async def _view(self, request: Request, viewer: Viewer) -> Approval:
        approval = await self._approvals.view(request.path_params["id"], user_id=viewer.user_id)
        if approval is None:
            raise PageError.not_found()
        return settled(approval, now=self._now())

    async def _ended(
        self, viewer: Viewer, approval: Approval, *, status: int = 200, late: bool = False
    ) -> Response:
        words = ending(approval)
        if words is None:
            # The store's clock says it is open after all: read again.
            return _to(approval.id)
        by = self._decider(viewer, approval)
        return await self._drawn(
            (approval,),
            "ended.html",
            viewer,
            lambda: card(approval, self._users, self._types),
            status=status,
            ending=words,
            stage=stage(approval),
            by=by,
            by_other=approval.decided_by not in (None, viewer.user_id),
            late=late,
            note=None
            if approval.outcome_note is None
            else show(approval.outcome_note, spaces="prose"),
            reason=None if approval.reason is None else show(approval.reason, spaces="prose"),
            version=version(approval),
            csrf=viewer.csrf(approval.id, approval.digest),
            https=self._sign_in.https,
            key_id=viewer.session.device_key.id if viewer.session.device_key else "",
        )

    def _decider(self, viewer: Viewer, approval: Approval) -> Shown:
        if approval.decided_by is None:
            return show("Nobody")
        if approval.decided_by == viewer.user_id:
            return show("You")
        user = self._users.get(approval.decided_by)
        return show(user.name if user else approval.decided_by)

    async def _drawn(
        self,
        approvals: Sequence[Approval],
        template: str,
        viewer: Viewer,
        card: Callable[[], Card],
        *,
        status: int = 200,
        **context: object,
    ) -> Response:
        """Return a page with a card; one that takes long to draw holds nobody else up."""

        def page() -> Response:
            return self._page(template, viewer, status=status, card=card(), **context)

        size = sum(len(repr(one.authorization_details)) for one in approvals)
        return page() if size < _QUICK else await asyncio.to_thread(page)

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


def _to(approval_id: str) -> Response:
    return RedirectResponse(f"/approvals/{approval_id}", 303, headers=HEADERS)


def _reason(text: str) -> str | None:
    reason = text.replace("\r\n", "\n").strip()
    if len(reason) > MAX_REASON:
        raise PageError(
            400,
            "The reason is too long",
            f"It may have {MAX_REASON} characters, not {len(reason)}.",
        )
    return reason or None


def _changed(approval_id: str) -> PageError:
    return PageError(
        409,
        "This is not what you were shown",
        "The request differs from the one on your page. Nothing was decided. Look at it again.",
        back=f"/approvals/{approval_id}",
    )
