"""POST /ciba/withdraw and /ciba/outcome: what the gate alone tells the page.

Owns both endpoints. Neither reads nor changes a decision: withdrawing ends a request that nobody
decided, an outcome is news for the page.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from starlette.requests import Request

from signoff.approvals.service import Approvals
from signoff.canonical import Json
from signoff.oauth.client_auth import ClientAuthenticator
from signoff.oauth.clients import Client
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import Form, read_form

STATES: Final = frozenset({
    *("opening", "waiting", "authorized", "claimed", "dispatching"),
    *("succeeded", "failed", "denied", "expired", "withdrawn", "refused", "lapsed"),
    *("outcome_unknown", "listener_left", "listener_back"),
})
_MAX_NOTE: Final = 200
_SINCE: Final = 2000
_UNTIL: Final = 9998


class Settlements(Protocol):
    """What approvers found out about outcomes that nobody knew."""

    async def found(self, auth_req_id: str, *, client_id: str) -> tuple[bool, str] | None:
        """Return whether it was done and who says so; None while nobody does."""
        ...


class GateEndpoints:
    """The two endpoints of role `gate`."""

    def __init__(
        self, authenticator: ClientAuthenticator, approvals: Approvals, settlements: Settlements
    ) -> None:
        self._authenticator, self._approvals = authenticator, approvals
        self._settlements = settlements

    async def withdraw(self, http: Request) -> Mapping[str, Json]:
        """End a pending request; a decided one stays as it is. `status` says which."""
        form, client = await self._gate(http)
        auth_req_id = form.require("auth_req_id")
        status = await self._approvals.withdraw(auth_req_id, client_id=client.id)
        if status is None:
            raise OAuthError("invalid_grant", "the auth_req_id is not valid")
        return {"status": status}

    async def outcome(self, http: Request) -> Mapping[str, Json]:
        """Keep how the call goes, or since when nobody listens."""
        form, client = await self._gate(http)
        auth_req_id, state = form.require("auth_req_id"), form.require("state")
        note = form.get("note")
        if state not in STATES:
            raise OAuthError("invalid_request", "state is not one of a call")
        if note is not None and len(note) > _MAX_NOTE:
            raise OAuthError("invalid_request", "note is longer than 200 characters")
        if not await self._approvals.note(
            auth_req_id, client_id=client.id, state=state, at=_moment(form.require("at")), note=note
        ):
            raise OAuthError("invalid_grant", "the auth_req_id is not valid")
        # A gate in this process is told at once; one elsewhere hears of it when it asks again.
        found = await self._settlements.found(auth_req_id, client_id=client.id)
        return {} if found is None else {"settled": {"done": found[0], "by": found[1]}}

    async def _gate(self, http: Request) -> tuple[Form, Client]:
        form = await read_form(http)
        client = await self._authenticator.authenticate(http, form)
        if client.role != "gate":
            raise OAuthError("unauthorized_client", "this endpoint is for the gate")
        return form, client


def _moment(text: str) -> datetime:
    wrong = OAuthError("invalid_request", "at must be an ISO 8601 time with an offset")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise wrong from None
    if moment.tzinfo is None or not _SINCE <= moment.year <= _UNTIL:
        raise wrong
    return moment.astimezone(UTC)
