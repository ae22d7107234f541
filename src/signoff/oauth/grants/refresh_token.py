"""The refresh token grant (RFC 6749 §6): each token works once and gives its successor.

Owns rotation and what a reuse means: two parties hold the same token, so everything that came from
the consent ends (RFC 9700 §4.14.2). There is no grace: a client that lost an answer signs in again.
Who cannot prove the key of a bound token (RFC 9449 §5) can neither use nor burn it. What is given
is at most what was consented to, and nothing at all once person or client may not have it any more.
"""

from collections.abc import Container, Mapping
from typing import Final, assert_never

from signoff.canonical import Json
from signoff.oauth.clients import Client
from signoff.oauth.errors import OAuthError, busy
from signoff.oauth.forms import Form
from signoff.oauth.host_tokens import (
    OFFLINE,
    Consent,
    Minter,
    RefreshStore,
    check_key,
    check_resource,
    key_of_refresh,
    may_last,
    new_refresh_token,
)
from signoff.oauth.pacing import MayNot, Recorded, TokenPace, TooSoon
from signoff.oauth.rich import narrowed_details

_MAX_TOKEN: Final = 256


class RefreshTokenGrant:
    """Implements `token.Grant`."""

    def __init__(
        self,
        tokens: RefreshStore,
        minter: Minter,
        *,
        users: Container[str],
        default_audience: str,
        pace: TokenPace,
    ) -> None:
        """`users` are the people there are; `default_audience` is any client's.

        `pace` is how often one consent may be refreshed: each time, the store grows.
        """
        self._tokens, self._minter, self._users = tokens, minter, users
        self._default_audience, self._pace = default_audience, pace

    async def issue(
        self, client: Client, form: Form, *, hold_s: int, jkt: str | None = None
    ) -> Mapping[str, Json]:
        """Check: found, its key, unused, still allowed, nothing wider, not too soon; use it."""
        del hold_s
        token = form.require("refresh_token")
        found = None
        if len(token) <= _MAX_TOKEN:
            found = await self._tokens.find(token, client_id=client.id)
        if found is None:
            raise _no_such_token("unknown, too old or revoked")
        check_key(found.jkt, jkt)
        consent = found.consent
        if found.used:
            await self._replayed(consent, client)
        if consent.user_id not in self._users or not self._may_still(client, consent):
            raise _no_such_token("the person or the client may not have it any more")
        check_resource(form, consent)
        scope = _narrowed(form, consent)
        details = narrowed_details(form, consent.authorization_details)
        successor = new_refresh_token(client)
        if successor is None:
            raise OAuthError("unauthorized_client", "the client may not use this grant")
        answer = self._minter.answer(
            consent, client, scope=scope, refresh_token=successor, jkt=jkt, details=details
        )
        rotated = await self._tokens.rotate(
            token,
            client_id=client.id,
            successor=successor,
            bound_to=key_of_refresh(client, jkt),
            pace=self._pace,
        )
        match rotated:
            case Recorded():
                return answer
            case TooSoon(retry_after_s=retry_after_s):
                raise busy(retry_after_s=retry_after_s, status=429)
            case MayNot():
                again = await self._tokens.find(token, client_id=client.id)
                if again is not None and again.used:
                    await self._replayed(consent, client)
                raise _no_such_token("somebody was first, or it no longer holds")
            case _:
                assert_never(rotated)

    async def _replayed(self, consent: Consent, client: Client) -> None:
        await self._tokens.end(consent.id, why="refresh_token_replayed", by=client.id)
        raise _no_such_token("used before; everything from its consent is revoked")

    def _may_still(self, client: Client, consent: Consent) -> bool:
        """Tell whether a client of the operator's may still have what it was given on a card."""
        if consent.approval_id is None:
            return True
        types = {str(one["type"]) for one in consent.authorization_details}
        return (
            may_last(client)
            and set(consent.scope.split()) <= {"openid", OFFLINE, *client.scopes}
            and consent.resource in {*client.audiences, self._default_audience}
            and types <= {*client.details_types}
        )


def _narrowed(form: Form, consent: Consent) -> str:
    """Return the scope of the new access token; the refresh token keeps the consent's."""
    asked = form.get("scope")
    if asked is None:
        return consent.scope
    wanted = tuple(dict.fromkeys(asked.split(" ")))
    if not set(wanted) <= set(consent.scope.split()):
        raise OAuthError("invalid_scope", "the scope is wider than the consent")
    return " ".join(wanted)


def _no_such_token(detail: str) -> OAuthError:
    return OAuthError("invalid_grant", "the refresh_token is not valid", detail=detail)
