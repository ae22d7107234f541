"""The approver's JSON API: /ciba/verify, /ciba/authorize, /ciba/reject.

Owns a person's own programs' way to what the page does: the same session, the same digest, the
same proof by the device key, the same answer to strangers. No token of any client opens it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from starlette.requests import Request
from starlette.routing import Route

from signoff.approvals.ports import Decided, Mismatch, NotYours, TooLate, Verdict
from signoff.approvals.request import Approval, Status
from signoff.approvals.service import MAX_REASON, Approvals
from signoff.canonical import Json
from signoff.oauth.methods import refusing_other_methods
from signoff.web.endings import settled
from signoff.web.json_api import ApiError, Members, endpoint, read_members, text
from signoff.web.session import PageError, SignIn, Viewer

_ACR: Final = "session"
_AUTHORIZE: Final = frozenset({"approval_id", "digest", "proof"})
_REJECT: Final = frozenset({"approval_id", "digest", "reason"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproverApi:
    """What the API works on."""

    approvals: Approvals
    sign_in: SignIn
    now: Callable[[], datetime]

    def routes(self) -> list[Route]:
        """Return the routes."""
        return refusing_other_methods([
            Route("/ciba/verify", endpoint(self._verify), methods=["GET"]),
            Route("/ciba/authorize", endpoint(self._authorize), methods=["POST"]),
            Route("/ciba/reject", endpoint(self._reject), methods=["POST"]),
        ])

    async def _verify(self, request: Request) -> tuple[Json, int]:
        """Tell an eligible person what is asked of them."""
        viewer = await self._viewer(request)
        approval = await self._approval(viewer, request.query_params.get("approval_id", ""))
        return _shown(approval), 200

    async def _authorize(self, request: Request) -> tuple[Json, int]:
        viewer, given = await self._acting(request, _AUTHORIZE)
        approval = await self._meant(viewer, given)
        if approval.acr != _ACR:
            raise ApiError(403, "insufficient_authentication", "this needs a passkey")
        proof = given.get("proof", "")
        if not isinstance(proof, str):
            raise ApiError(400, "invalid_request", "proof is a text")
        if approval.status is Status.PENDING:
            try:
                self.sign_in.check_proof(viewer, approval, proof, verb="approve")
            except PageError as error:
                raise ApiError(403, "proof_required", error.text) from error
        return await self._decided(viewer, approval, "approve", reason=None)

    async def _reject(self, request: Request) -> tuple[Json, int]:
        viewer, given = await self._acting(request, _REJECT)
        approval = await self._meant(viewer, given)
        reason = given.get("reason")
        if reason is not None and (not isinstance(reason, str) or len(reason) > MAX_REASON):
            raise ApiError(400, "invalid_request", f"reason is a text of {MAX_REASON} at most")
        return await self._decided(viewer, approval, "deny", reason=reason)

    async def _decided(
        self, viewer: Viewer, approval: Approval, verdict: Verdict, *, reason: str | None
    ) -> tuple[Json, int]:
        decision = await self.approvals.decide(
            approval.id,
            user_id=viewer.user_id,
            digest=approval.digest,
            verdict=verdict,
            reason=reason,
            acr=_ACR,
        )
        match decision:
            case Decided():
                return {"success": True, "status": str(decision.approval.status)}, 200
            case TooLate():
                raise ApiError(409, "already_ended", f"it is {decision.approval.status}")
            case Mismatch():
                raise _changed()
            case NotYours():
                raise _not_found()
            case _:
                assert_never(decision)

    async def _viewer(self, request: Request) -> Viewer:
        viewer = await self.sign_in.viewer(request)
        if viewer is None:
            raise ApiError(401, "login_required", "sign in with a link of signoff login")
        return viewer

    async def _acting(self, request: Request, known: frozenset[str]) -> tuple[Viewer, Members]:
        try:
            self.sign_in.check_origin(request)
        except PageError as error:
            raise ApiError(403, "access_denied", error.text) from error
        return await self._viewer(request), await read_members(request, known)

    async def _meant(self, viewer: Viewer, given: Members) -> Approval:
        approval = await self._approval(viewer, text(given, "approval_id"))
        if text(given, "digest") != approval.digest:
            raise _changed()
        return approval

    async def _approval(self, viewer: Viewer, approval_id: str) -> Approval:
        approval = await self.approvals.view(approval_id, user_id=viewer.user_id)
        if approval is None:
            raise _not_found()
        return settled(approval, now=self.now())


def _shown(approval: Approval) -> dict[str, Json]:
    details: list[Json] = [dict(member) for member in approval.authorization_details]
    return {
        "approval_id": approval.id,
        "client_id": approval.client_id,
        "scope": approval.scope,
        "binding_message": approval.binding_message,
        "authorization_details": details,
        "status": str(approval.status),
        "acr": approval.acr,
        "digest": approval.digest,
        "nonce": approval.nonce,
        "opened_at": approval.opened_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
    }


def _not_found() -> ApiError:
    return ApiError(404, "not_found", "there is nothing here for you")


def _changed() -> ApiError:
    return ApiError(409, "digest_mismatch", "this is not what you were shown; nothing was decided")
