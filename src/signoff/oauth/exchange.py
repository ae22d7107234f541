"""A yes becomes tokens, once: minted first, consumed second, handed out last.

Owns that order, for a poll and for a push alike. What the tokens say is `approval_tokens`.
"""

import json
import secrets
from collections.abc import Callable, Container
from datetime import datetime

from signoff.approvals.ports import Lasting
from signoff.approvals.request import Approval, Status
from signoff.approvals.service import Approvals, tool_call_of
from signoff.oauth.approval_tokens import Minted, Offline, mint
from signoff.oauth.clients import Client
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import Form
from signoff.oauth.host_tokens import OFFLINE, may_last
from signoff.oauth.profile import Profile
from signoff.oauth.rich import narrowed_details
from signoff.sealed import hash_id
from signoff.tokens.keyring import Keyring


class Exchange:
    """Exchanges approvals for tokens."""

    def __init__(
        self,
        profile: Profile,
        approvals: Approvals,
        keyring: Keyring,
        *,
        users: Container[str],
        now: Callable[[], datetime],
    ) -> None:
        """`users` are the people there are."""
        self._profile, self._approvals, self._keyring, self._now = profile, approvals, keyring, now
        self._users = users

    async def tokens(
        self,
        client: Client,
        auth_req_id: str,
        approval_id: str,
        *,
        form: Form | None = None,
        jkt: str | None = None,
        to_push: bool = False,
    ) -> Minted:
        """Mint, then consume: what can fail fails before the yes is gone.

        `form` is the token request: it may narrow what the token is for, never widen it. `jkt` is
        the key the token is bound to. `to_push`: the answer is kept until it arrived.

        Raises:
            OAuthError: `invalid_grant`: somebody was first, or the yes no longer holds;
                `invalid_target`, `invalid_authorization_details`: the yes is for something else.
        """
        approval = await self._approvals.load(approval_id)
        if approval is None or approval.status is not Status.APPROVED:
            raise no_such_grant("decided elsewhere")
        if form is not None and form.resources and form.resources != approval.resources:
            # RFC 8707 §2.2: the token request narrows, and one resource has nothing narrower.
            raise OAuthError("invalid_target", "the approval is for another resource")
        if approval.decided_by is None or approval.decided_by not in self._users:
            raise no_such_grant("who decided is none of ours any more")
        if not self._may_still(approval, client):
            raise no_such_grant("the client may have less by now")
        details = approval.authorization_details
        if form is not None:
            details = narrowed_details(form, details)
        offline = _offline(approval, client)
        minted = mint(
            approval,
            client,
            profile=self._profile,
            keyring=self._keyring,
            auth_req_id=auth_req_id,
            jti=secrets.token_urlsafe(16),
            now=self._now(),
            details=details,
            jkt=jkt,
            offline=offline,
            to_push=to_push,
        )
        if minted is None:
            raise no_such_grant("its token would be over already")
        redeemed = await self._approvals.redeem(
            auth_req_id,
            client_id=client.id,
            jti=minted.jti,
            decided_at=minted.decided_at,
            undelivered=json.dumps(minted.answer).encode() if to_push else None,
            lasting=offline
            and Lasting(
                consent_id=offline.consent_id, refresh_token=hash_id(offline.refresh_token)
            ),
        )
        if redeemed is None or redeemed.digest != approval.digest:
            raise no_such_grant("somebody was first, or it no longer holds")
        return minted

    def _may_still(self, approval: Approval, client: Client) -> bool:
        """Tell whether the client may have now what it asked for then."""
        if client.role == "gate":
            return True  # what it asks for is its call, and is checked against that
        audiences = {*client.audiences, self._profile.default_audience}
        types = {str(one["type"]) for one in approval.authorization_details}
        return (
            set(approval.scope.split()) <= {"openid", OFFLINE, *client.scopes}
            and set(approval.resources) <= audiences
            and types <= {*client.details_types}
        )


def _offline(approval: Approval, client: Client) -> Offline | None:
    """Return what makes this yes last: the card said so, and the client may still have it."""
    is_call = tool_call_of(approval.authorization_details) is not None
    if is_call or OFFLINE not in approval.scope.split() or not may_last(client):
        return None
    return Offline(
        consent_id="consent_" + secrets.token_urlsafe(16), refresh_token=secrets.token_urlsafe(32)
    )


def no_such_grant(detail: str) -> OAuthError:
    """Return the one answer to an id that is unknown, another's, used, lapsed or over."""
    return OAuthError("invalid_grant", "the auth_req_id is not valid", detail=detail)
