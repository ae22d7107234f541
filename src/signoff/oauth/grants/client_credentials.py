"""The client_credentials grant (RFC 6749 §4.4): a machine acts for itself.

Owns what such a token says. `sub` is the client (RFC 9068 §2.2): no person stands behind it, and
there is no refresh token (§4.4.3).
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import assert_never

from signoff.canonical import Json
from signoff.oauth.clients import Client, Directory
from signoff.oauth.errors import OAuthError, busy, invalid_client
from signoff.oauth.forms import Form
from signoff.oauth.pacing import MayNot, Recorded, TooSoon
from signoff.oauth.profile import Profile
from signoff.oauth.rich import refuse_details
from signoff.tokens.keyring import Keyring


class ClientCredentialsGrant:
    """Implements `token.Grant`."""

    def __init__(
        self,
        profile: Profile,
        directory: Directory,
        keyring: Keyring,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._profile, self._directory, self._keyring, self._now = profile, directory, keyring, now

    async def issue(
        self, client: Client, form: Form, *, hold_s: int, jkt: str | None = None
    ) -> Mapping[str, Json]:
        """Return a token for the client itself; recorded before it leaves."""
        del hold_s
        refuse_details(form)
        scope = _scope(form, client)
        audience = _audience(form, client, self._profile)
        now, jti = self._now(), secrets.token_urlsafe(16)
        issued = int(now.timestamp())
        expires = issued + self._profile.client_token_s
        if client.expires_at is not None:
            expires = min(expires, int(client.expires_at.timestamp()))
        if expires <= issued:
            raise invalid_client(basic=False, detail="expires this second")
        claims: dict[str, Json] = {
            "iss": self._profile.issuer,
            "aud": audience,
            "sub": client.id,
            "client_id": client.id,
            "jti": jti,
            "iat": issued,
            "exp": expires,
            "scope": scope,
            **({"cnf": {"jkt": jkt}} if jkt else {}),
        }
        token = self._keyring.mint_access_token(claims)
        recorded = await self._directory.record_token(
            client.id, jti=jti, scope=scope, pace=self._profile.token_pace
        )
        match recorded:
            case Recorded():
                pass
            case TooSoon(retry_after_s=retry_after_s):
                raise busy(retry_after_s=retry_after_s, status=429)
            case MayNot():
                raise invalid_client(basic=False, detail="switched off meanwhile")
            case _:
                assert_never(recorded)
        return {
            "access_token": token,
            "token_type": "Bearer" if jkt is None else "DPoP",
            "expires_in": expires - issued,
            "scope": scope,
        }


def _scope(form: Form, client: Client) -> str:
    asked = form.get("scope")
    wanted = client.scopes if asked is None else tuple(dict.fromkeys(asked.split(" ")))
    if not set(wanted) <= set(client.scopes):
        raise OAuthError("invalid_scope", "the client may not have one of these scopes")
    return " ".join(wanted)


def _audience(form: Form, client: Client, profile: Profile) -> str:
    if len(form.resources) > 1:
        raise OAuthError("invalid_target", "a token has one audience: name one resource")
    if form.resources:
        if form.resources[0] not in client.audiences:
            raise OAuthError("invalid_target", "the client may not have a token for this resource")
        return form.resources[0]
    return client.audiences[0] if client.audiences else profile.default_audience
