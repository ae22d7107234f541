"""POST /oauth2/introspect and /oauth2/revoke (RFC 7662, RFC 7009), for our signed tokens.

Owns who may ask about a token, and what is told. A token that is no longer good for whatever
reason is `active: false`, and a token that is not the client's is revoked for nobody: neither
answer tells why.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol, cast

from starlette.requests import Request

from signoff.approvals.details import NOBODY, Acting, acting
from signoff.approvals.service import tool_call_of
from signoff.canonical import Json
from signoff.oauth.client_auth import ClientAuthenticator
from signoff.oauth.clients import Client
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import Form, read_form
from signoff.oauth.host_tokens import CONSENT_CLAIM
from signoff.oauth.profile import Profile
from signoff.tokens.keyring import Keyring
from signoff.tokens.keys import TokenError
from signoff.tokens.verify import VerifiedClaims, unverified_claims, verify_access_token

INTROSPECT: Final = "signoff:introspect"
"""The scope of a resource server: it may ask about tokens for the audiences of its client."""
_INACTIVE: Final[Mapping[str, Json]] = {"active": False}
_TOLD: Final = (
    *("iss", "sub", "aud", "client_id", "exp", "iat", "jti", "scope", "auth_time", "acr"),
    *("act", "txn", "authorization_details", "cnf"),
)


class Revocations(Protocol):
    """Tokens that were taken back, at rest."""

    async def revoke(self, jti: str, *, expires_at: datetime, by: str) -> None:
        """Take a token back; doing it twice is doing it once."""
        ...

    async def revoke_of(self, approval_id: str, *, client_id: str) -> None:
        """Take back what a redeemed approval of this client gave: its id was used again."""
        ...

    async def standing(
        self,
        jti: str,
        *,
        sub: str,
        client_id: str,
        consent_id: str | None = None,
        by: Acting = NOBODY,
    ) -> bool:
        """Tell whether nobody took the token back, and whom it names may still act.

        A client that is switched off, deleted or expired may not, nor may a person switched off.
        The same holds for who makes the call that it approves.
        """
        ...

    async def forget(self) -> None:
        """Forget tokens that have expired anyway. Call hourly."""
        ...


class RefreshRevocation(Protocol):
    """Ends what hangs on a refresh token."""

    async def revoke(self, token: str, *, client_id: str) -> bool:
        """End the consent behind a token of this client; False when there is none."""
        ...


class TokenEndpoints:
    """Introspection and revocation."""

    def __init__(
        self,
        profile: Profile,
        authenticator: ClientAuthenticator,
        keyring: Keyring,
        revocations: Revocations,
        *,
        refresh_tokens: RefreshRevocation,
        used: Callable[[str], Awaitable[object]] | None = None,
        now: Callable[[], datetime],
    ) -> None:
        """`used` notes that a consent is made use of, at an MCP edge elsewhere that asks."""
        self._used = used
        self._profile, self._authenticator, self._keyring = profile, authenticator, keyring
        self._revocations, self._refresh_tokens, self._now = revocations, refresh_tokens, now

    async def introspect(self, http: Request) -> Mapping[str, Json]:
        """Tell its own client, or the resource server it is for, what a token is worth now."""
        form, client = await self._asking(http)
        if client.auth_method == "none":
            # RFC 7662 §2.1: who cannot prove who it is could try tokens at will.
            raise OAuthError("unauthorized_client", "introspection needs an authenticated client")
        claims = self._read(form.require("token"))
        if (
            claims is None
            or not _may_ask(client, claims, self._profile)
            or not await self._standing(claims)
        ):
            return _INACTIVE
        consent_id = claims.get(CONSENT_CLAIM)
        if self._used is not None and client.role == "gate" and isinstance(consent_id, str):
            await self._used(consent_id)
        told = {name: claims[name] for name in _TOLD if name in claims}
        return {"active": True, "token_type": "DPoP" if "cnf" in claims else "Bearer", **told}

    async def revoke(self, http: Request) -> Mapping[str, Json]:
        """Take a token of the asking client back; any other token changes nothing (§2.2)."""
        form, client = await self._asking(http)
        token = form.require("token")
        claims = self._read(token)
        if claims is not None and claims["client_id"] == client.id:
            expires_at = datetime.fromtimestamp(float(cast("float", claims["exp"])), UTC)
            jti = str(claims["jti"])
            await self._revocations.revoke(jti, expires_at=expires_at, by=client.id)
        elif claims is None:
            await self._refresh_tokens.revoke(token, client_id=client.id)
        return {}

    async def _asking(self, http: Request) -> tuple[Form, Client]:
        form = await read_form(http)
        return form, await self._authenticator.authenticate(http, form)

    def _read(self, token: str) -> VerifiedClaims | None:
        """Return the claims of a living access token of ours, whatever its audience."""
        try:
            return verify_access_token(
                token,
                keys=self._keyring.public,
                issuer=self._profile.issuer,
                audience=str(unverified_claims(token).get("aud")),
                now=self._now(),
                leeway_s=0,
            )
        except TokenError:
            return None

    async def _standing(self, claims: VerifiedClaims) -> bool:
        consent_id = claims.get(CONSENT_CLAIM)
        return await self._revocations.standing(
            str(claims["jti"]),
            sub=str(claims["sub"]),
            client_id=str(claims["client_id"]),
            consent_id=None if consent_id is None else str(consent_id),
            by=acting(_call_of(claims)),
        )


def _call_of(claims: VerifiedClaims) -> Mapping[str, Json] | None:
    details = claims.get("authorization_details")
    return tool_call_of(cast("list[Mapping[str, Json]]", details)) if details else None


def _may_ask(client: Client, claims: VerifiedClaims, profile: Profile) -> bool:
    if claims["client_id"] == client.id:
        return True
    if client.role == "gate" and claims["aud"] in profile.resources:
        return True  # it stands behind an MCP edge elsewhere, and lets hosts in there
    return INTROSPECT in client.scopes and claims["aud"] in client.audiences
