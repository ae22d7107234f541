"""What a person's lasting yes is worth: a consent, and the tokens that come from it.

Owns the record of a consent, what its access token says (RFC 9068) and the ports of the store that
keeps both. A host's has one audience, the assistants' own door; one that was asked for by a
backchannel request has the audience and the `authorization_details` that were approved.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol, TypeAlias

from signoff.canonical import Json
from signoff.oauth.clients import REFRESH_TOKEN, Client
from signoff.oauth.errors import OAuthError, invalid_client
from signoff.oauth.forms import Form
from signoff.oauth.pacing import TokenPace, TokenRecord
from signoff.oauth.profile import Profile
from signoff.tokens.keyring import Keyring

CONSENT_CLAIM: Final = "consent_id"
"""Names the consent in an access token, so that it ends when the consent is revoked."""
REFRESH_LIFE: Final = timedelta(days=30)
APPROVED_LIFE_S: Final = 600
"""How long an access token lives that a card was approved for."""
AMR: Final[Mapping[str, tuple[str, ...]]] = {"session": ("user",), "passkey": ("hwk", "user")}
OFFLINE: Final = "offline_access"
"""The scope that asks for a refresh token (OIDC Core §11)."""

Revocation: TypeAlias = Literal[
    "code_replayed",
    "refresh_token_replayed",
    "auth_req_id_replayed",
    "revoked",
    "registration_deleted",
    "client_deleted",
    "user_removed",
    "taken_back",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """One yes of one person to one client. With `approval_id`, it was given on that card."""

    id: str
    client_id: str
    user_id: str
    scope: str
    resource: str
    acr: str
    decided_at: datetime
    approval_id: str | None = None
    authorization_details: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCode:
    """An authorization code as the store knows it, and the consent behind it."""

    consent: Consent
    redirect_uri: str
    code_challenge: str
    nonce: str | None
    dpop_jkt: str | None
    expires_at: datetime
    used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRefresh:
    """A refresh token as the store knows it. `jkt`: it is of use with this key only."""

    consent: Consent
    jkt: str | None
    used: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCode:
    """An authorization code to be kept. `request_id` names the page: one yes a page."""

    code: str
    request_id: str
    redirect_uri: str
    code_challenge: str
    nonce: str | None
    expires_in: timedelta
    dpop_jkt: str | None = None


class CodeStore(Protocol):
    """Consents and their codes at rest, by hash."""

    async def consent(self, consent: Consent, code: NewCode) -> bool:
        """Keep a yes and its code, with an audit row.

        False: this page was answered before, or the person or the client may not act now.
        """
        ...

    async def find(self, code: str, *, client_id: str) -> HeldCode | None:
        """Return a code of this client, used ones too."""
        ...

    async def redeem(
        self,
        code: str,
        *,
        client_id: str,
        refresh_token: str | None,
        bound_to: str | None = None,
    ) -> bool:
        """Use a code up and keep its refresh token, bound to a key or not, by one guard.

        False: used, too old, revoked, or the person or client may not act now.
        """
        ...

    async def revoke(self, consent_id: str, *, why: Revocation, by: str) -> bool:
        """End everything that came from a consent; False when it had ended before."""
        ...


class RefreshStore(Protocol):
    """Refresh tokens at rest, by hash."""

    async def find(self, token: str, *, client_id: str) -> HeldRefresh | None:
        """Return a live or used token of this client."""
        ...

    async def rotate(
        self,
        token: str,
        *,
        client_id: str,
        successor: str,
        bound_to: str | None = None,
        pace: TokenPace,
    ) -> TokenRecord:
        """Use a token up and keep its successor, in one transaction, if it may be and so soon.

        `bound_to` is the key of the successor, `pace` how often one consent may be refreshed.
        """
        ...

    async def end(self, consent_id: str, *, why: Revocation, by: str) -> bool:
        """End everything that came from a consent; False when it had ended before."""
        ...

    async def revoke(self, token: str, *, client_id: str) -> bool:
        """End the consent behind a token of this client; False when there is none."""
        ...


class Minter:
    """Signs what a consent is worth."""

    def __init__(self, profile: Profile, keyring: Keyring, *, now: Callable[[], datetime]) -> None:
        self._profile, self._keyring, self._now = profile, keyring, now

    def answer(
        self,
        consent: Consent,
        client: Client,
        *,
        scope: str,
        refresh_token: str | None,
        nonce: str | None = None,
        jkt: str | None = None,
        details: Sequence[Mapping[str, Json]] = (),
    ) -> Mapping[str, Json]:
        """Return the token response, its access token bound to `jkt` if there is one.

        `details` are those of the consent's `authorization_details` that the token is for.
        """
        issued = int(self._now().timestamp())
        by_card = consent.approval_id is not None
        expires = issued + (APPROVED_LIFE_S if by_card else self._profile.client_token_s)
        if client.expires_at is not None:
            expires = min(expires, int(client.expires_at.timestamp()))
        if expires <= issued:
            raise invalid_client(basic=False, detail="expires this second")
        told: dict[str, Json] = {}
        if details:
            told["authorization_details"] = [dict(member) for member in details]
        shared: dict[str, Json] = {
            "iss": self._profile.issuer,
            "sub": consent.user_id,
            "iat": issued,
            "exp": expires,
            "auth_time": int(consent.decided_at.timestamp()),
            "acr": consent.acr,
        }
        access_token = self._keyring.mint_access_token({
            **shared,
            "aud": consent.resource,
            "client_id": client.id,
            "jti": secrets.token_urlsafe(16),
            "scope": scope,
            CONSENT_CLAIM: consent.id,
            **({"act": {"sub": client.id, "client_id": client.id}} if by_card else {}),
            **told,
            **({"cnf": {"jkt": jkt}} if jkt else {}),
        })
        answer: dict[str, Json] = {
            "access_token": access_token,
            "token_type": "Bearer" if jkt is None else "DPoP",
            "expires_in": expires - issued,
            "scope": scope,
            **told,
        }
        if refresh_token is not None:
            answer["refresh_token"] = refresh_token
        if "openid" in scope.split():
            said: dict[str, Json] = {} if nonce is None else {"nonce": nonce}
            answer["id_token"] = self._keyring.mint_id_token(
                {**shared, "aud": client.id, "amr": [*AMR[consent.acr]], **said},
                access_token=access_token,
            )
        return answer


def new_refresh_token(client: Client) -> str | None:
    """Return a fresh refresh token for a client that may use one."""
    return secrets.token_urlsafe(32) if REFRESH_TOKEN in client.grant_types else None


def may_last(client: Client) -> bool:
    """Tell whether a backchannel request of this client may ask for access that lasts.

    Never the gate's: each of its approvals is for one call.
    """
    return REFRESH_TOKEN in client.grant_types and client.role != "gate"


def key_of_refresh(client: Client, jkt: str | None) -> str | None:
    """Return the key that a refresh token is bound to.

    RFC 9449 §5: a public client's to the key it proves; any other proves who it is anyway.
    """
    return jkt if client.auth_method == "none" else None


def check_key(bound_to: str | None, jkt: str | None) -> None:
    """Refuse who does not prove the key that a code or a refresh token is bound to.

    Raises:
        OAuthError: `invalid_dpop_proof` without a proof, `invalid_grant` with another key's.
    """
    if bound_to is None:
        return
    if jkt is None:
        raise OAuthError("invalid_dpop_proof", "this grant is bound to a key: prove it")
    if not hmac.compare_digest(bound_to, jkt):
        raise OAuthError("invalid_grant", "this grant is bound to another key")


def check_resource(form: Form, consent: Consent) -> None:
    """Refuse a token request for anything but what was consented to (RFC 8707 §2.2).

    Raises:
        OAuthError: `invalid_target`.
    """
    if form.resources and form.resources != (consent.resource,):
        raise OAuthError("invalid_target", "the consent is for another resource")


def host_scope(text: str | None, client: Client, profile: Profile) -> str:
    """Return the scope a host asked for: known, each once, and always the door itself.

    Raises:
        OAuthError: `invalid_scope`.
    """
    wanted = tuple(dict.fromkeys((text or profile.host_scopes[0]).split(" ")))
    if not set(wanted) <= {"openid", OFFLINE, *profile.host_scopes}:
        raise OAuthError("invalid_scope", "this server does not have one of these scopes")
    if REFRESH_TOKEN not in client.grant_types:
        # OIDC Core §11: ignored where it cannot be. Hosts ask for all that the metadata names.
        wanted = tuple(one for one in wanted if one != OFFLINE)
    if profile.host_scopes[0] not in wanted:
        raise OAuthError("invalid_scope", f"the scope must contain {profile.host_scopes[0]}")
    return " ".join(wanted)
