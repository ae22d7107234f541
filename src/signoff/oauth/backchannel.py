"""POST /oauth2/bc-authorize (CIBA Core §7): a client asks a person.

Owns the order of the checks and the answer. What each parameter may be stands in `requested.py`,
what is stored in `approvals/`. Nothing here consents: every request waits for a person.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol, assert_never, cast

from starlette.requests import Request as HttpRequest

from signoff.approvals.ports import NotOpened
from signoff.approvals.service import Acknowledged, Approvals, Request, tool_call_of
from signoff.canonical import Json
from signoff.catalog.model import User
from signoff.oauth import hints, requested
from signoff.oauth.client_auth import ClientAuthenticator
from signoff.oauth.clients import CIBA, Client, Directory
from signoff.oauth.errors import OAuthError, busy, invalid_client
from signoff.oauth.forms import Read, read_form
from signoff.oauth.profile import Profile
from signoff.oauth.request_object import unwrapped
from signoff.oauth.rich import requested_details
from signoff.oauth.user_codes import UserCodes
from signoff.tokens.keyring import Keyring


class People(Protocol):
    """Who is switched off."""

    async def disabled(self) -> frozenset[str]:
        """Return the ids of users and clients that may not act."""
        ...


class BackchannelEndpoint:
    """Answers one backchannel authentication request."""

    def __init__(
        self,
        profile: Profile,
        authenticator: ClientAuthenticator,
        approvals: Approvals,
        *,
        directory: Directory,
        users: Mapping[str, User],
        people: People,
        keyring: Keyring,
        user_codes: UserCodes,
        now: Callable[[], datetime],
    ) -> None:
        self._profile, self._authenticator, self._approvals = profile, authenticator, approvals
        self._directory, self._users, self._people = directory, users, people
        self._keyring, self._user_codes, self._now = keyring, user_codes, now

    async def __call__(self, http: HttpRequest, *, read: Read = read_form) -> Mapping[str, Json]:
        """Check in this order, then open: the first check that fails is the answer."""
        outer = await read(http)
        client = await self._authenticator.authenticate(http, outer)
        _check_may_ask(client)
        now = self._now()
        form = await unwrapped(outer, client, self._directory, profile=self._profile, now=now)
        scope = requested.scope(form, client)
        user_id = hints.user_of(
            form,
            client,
            users=self._users,
            profile=self._profile,
            keys=self._keyring.public,
            now=now,
        )
        notify = requested.notify(form, client)
        binding_message = requested.binding_message(form)
        expires_in = requested.expiry(form, self._profile)
        acr = requested.acr(form, self._profile)
        resource = requested.resource(form, client, self._profile)
        details = requested_details(form, client, self._profile)
        eligible = await self._eligible(user_id, tool_call_of(details), acr=acr)
        if client.delivery.user_code:
            await self._user_codes.check(eligible[0], client.id, form.get("user_code"))
        opened = await self._approvals.open(
            Request(
                client_id=client.id,
                eligible=eligible,
                scope=scope,
                acr=acr,
                resources=(resource,),
                expires_in=expires_in,
                binding_message=binding_message,
                authorization_details=details,
                notify=notify,
            )
        )
        match opened:
            case Acknowledged():
                return self._acknowledgement(client, opened)
            case NotOpened():
                raise _refusal(opened)
            case _:
                assert_never(opened)

    def _acknowledgement(self, client: Client, opened: Acknowledged) -> dict[str, Json]:
        approval = opened.approval
        # What is left, not what was asked for: the request may be a repetition, or was cut.
        left = approval.expires_at - opened.asked_at
        answer: dict[str, Json] = {
            "auth_req_id": opened.auth_req_id,
            "expires_in": max(1, int(left.total_seconds())),
        }
        if client.delivery.mode != "push":
            answer["interval"] = opened.interval_s  # CIBA Core §7.3: nothing to poll in push mode
        if client.role == "gate":
            # The gate tells its caller where the card is; the page asks for a session anyway.
            answer["approve_at"] = self._profile.url(f"/approvals/{approval.id}")
        return answer

    async def _eligible(
        self, user_id: str | None, call: Mapping[str, Json] | None, *, acr: str
    ) -> tuple[str, ...]:
        """Return who may decide. An unknown and a switched-off user are told apart by nothing."""
        switched_off = await self._people.disabled()
        if call is None:
            if user_id is None or user_id in switched_off:
                raise _unknown_user()
            return (user_id,)
        if call["acr"] != acr:
            raise OAuthError("invalid_authorization_details", "acr does not match acr_values")
        approvers = tuple(cast("list[str]", call["approvers"]))
        if user_id not in approvers or not set(approvers) <= set(self._users):
            raise _unknown_user()
        if set(approvers) <= switched_off:
            raise _unknown_user()
        return approvers


def _check_may_ask(client: Client) -> None:
    if CIBA not in client.grant_types or client.origin == "self":
        raise OAuthError("unauthorized_client", "the client may not use this grant")


def _unknown_user() -> OAuthError:
    return OAuthError("unknown_user_id", "no user can be asked by this hint")


def _refusal(refused: NotOpened) -> OAuthError:
    match refused.why:
        case "conflict":
            return OAuthError(
                "invalid_authorization_details", "this call was requested with other details"
            )
        case "too_many":
            return busy(retry_after_s=30, status=429)
        case "too_often":
            return busy(retry_after_s=60, status=429)
        case "nobody":
            return _unknown_user()
        case "client_off":
            return invalid_client(basic=False, detail="switched off meanwhile")
        case "caller_off":
            return OAuthError("access_denied", "who makes this call may not act here any more")
        case _:
            assert_never(refused.why)
