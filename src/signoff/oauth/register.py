"""Dynamic registration (RFC 7591) and its management (RFC 7592): a host introduces itself.

Owns what a stranger may register and the four operations on it. A registration is a claim: it never
gets the CIBA grant nor a machine's, its name is shown as claimed, and it opens nothing until a
person has said yes. What is not used within a day is forgotten.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol, assert_never, cast

from starlette.requests import Request

from signoff.canonical import Json, JsonError, parse
from signoff.oauth.clients import (
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    hash_secret,
    is_name,
)
from signoff.oauth.errors import OAuthError, busy
from signoff.oauth.forms import content_type_of, read_body
from signoff.oauth.hosts import HOST_GRANTS, Host, RedirectError, check_redirect_uris
from signoff.oauth.pacing import MayNot, Recorded, TokenPace, TokenRecord, TooSoon
from signoff.oauth.profile import REGISTER_PATH, Profile
from signoff.peer import network_of

_MAX_BYTES: Final = 65_536
_MAX_TOKEN: Final = 256
_METHODS: Final = ("none", "client_secret_basic", "client_secret_post")
_REPLACEMENTS: Final = TokenPace(per_hour=60, burst=20)
"""Anybody may register, and each change is kept and audited."""
# Dropped in silence, a host would think that it has them.
_NOT_TAKEN: Final[Mapping[str, str]] = {
    "software_statement": "software statements are not taken",
    "authorization_details_types": "authorization details are the operator's to allow",
    **dict.fromkeys(
        (
            "backchannel_token_delivery_mode",
            "backchannel_client_notification_endpoint",
            "backchannel_authentication_request_signing_alg",
            "backchannel_user_code_parameter",
        ),
        "asking people by a backchannel is the operator's to allow",
    ),
}

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a host says of itself, checked."""

    name: str
    redirect_uris: tuple[str, ...]
    grant_types: frozenset[str]
    auth_method: AuthMethod
    scopes: tuple[str, ...]
    dpop_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A registered host, and what it said its token endpoint authentication is."""

    host: Host
    claims: Claims


class RegistrationStore(Protocol):
    """Registrations at rest. Each change is one transaction with its audit row."""

    async def register(
        self,
        client_id: str,
        claims: Claims,
        *,
        secret: bytes | None,
        token: bytes,
        network: str,
    ) -> Recorded | TooSoon:
        """Keep a new host, unless too many of its network, or of all, registered just now."""
        ...

    async def registration(self, client_id: str, *, token: bytes) -> Registration | None:
        """Return a registration to who holds its token."""
        ...

    async def replace(
        self,
        client_id: str,
        claims: Claims,
        *,
        secret: bytes | None,
        token: bytes,
        pace: TokenPace,
    ) -> TokenRecord:
        """Replace what a host says of itself, if it is there and so soon."""
        ...

    async def unregister(self, client_id: str, *, token: bytes) -> bool:
        """Delete a host with everything it was given; False when it is gone."""
        ...


class RegistrationEndpoints:
    """POST /oauth2/register, and GET, PUT, DELETE on what it answers."""

    def __init__(
        self,
        profile: Profile,
        store: RegistrationStore,
        *,
        now: Callable[[], datetime],
        new_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._profile, self._store = profile, store
        self._now, self._new_token = now, new_token

    async def register(self, http: Request) -> Mapping[str, Json]:
        """Check what it says, then keep it; secrets are in this answer only."""
        claims = _claims(await _read(http), self._profile)
        client_id = "host_" + self._new_token(16)
        secret = None if claims.auth_method == "none" else self._new_token(32)
        token = self._new_token(32)
        registered = await self._store.register(
            client_id,
            claims,
            secret=None if secret is None else hash_secret(secret),
            token=hash_secret(token),
            network=network_of(http.scope),
        )
        if isinstance(registered, TooSoon):
            raise busy(retry_after_s=registered.retry_after_s, status=429)
        return self._answer(client_id, claims, at=self._now(), secret=secret, token=token)

    async def show(self, http: Request) -> Mapping[str, Json]:
        """Return what is registered."""
        found, token = await self._managed(http)
        return self._answer(
            found.host.client.id, found.claims, at=_issued_at(found.host), token=token
        )

    async def replace(self, http: Request) -> Mapping[str, Json]:
        """Replace everything (RFC 7592 §2.2): what is left out is gone."""
        found, token = await self._managed(http)
        client_id = found.host.client.id
        sent = await _read(http)
        if sent.get("client_id") != client_id:
            raise _metadata("client_id must be the registered one")
        for name in ("registration_access_token", "registration_client_uri"):
            if name in sent:
                raise _metadata(f"{name} cannot be chosen")
        if "client_secret" in sent:
            raise _metadata("client_secret cannot be chosen")
        claims = _claims(sent, self._profile)
        had_secret = found.claims.auth_method != "none"
        needs_secret = claims.auth_method != "none"
        secret = self._new_token(32) if needs_secret and not had_secret else None
        replaced = await self._store.replace(
            client_id,
            claims,
            secret=None if secret is None else hash_secret(secret),
            token=hash_secret(token),
            pace=_REPLACEMENTS,
        )
        match replaced:
            case Recorded():
                return self._answer(
                    client_id, claims, at=_issued_at(found.host), secret=secret, token=token
                )
            case TooSoon(retry_after_s=retry_after_s):
                raise busy(retry_after_s=retry_after_s, status=429)
            case MayNot():
                raise _not_yours()
            case _:
                assert_never(replaced)

    async def unregister(self, http: Request) -> Mapping[str, Json]:
        """Delete the registration; every token it got ends with it."""
        found, token = await self._managed(http)
        if not await self._store.unregister(found.host.client.id, token=hash_secret(token)):
            raise _not_yours()
        return {}

    async def _managed(self, http: Request) -> tuple[Registration, str]:
        headers = http.headers.getlist("authorization")
        scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
        token = token.strip()
        if scheme.lower() != "bearer" or not 0 < len(token) <= _MAX_TOKEN or not token.isascii():
            raise _not_yours()
        client_id = str(http.path_params["client_id"])[:_MAX_TOKEN]
        found = await self._store.registration(client_id, token=hash_secret(token))
        # An unknown id and a wrong token are one answer (RFC 7592 §2.1).
        if found is None or found.host.client.disabled:
            raise _not_yours()
        return found, token

    def _answer(
        self,
        client_id: str,
        claims: Claims,
        *,
        at: datetime,
        token: str,
        secret: str | None = None,
    ) -> dict[str, Json]:
        answer: dict[str, Json] = {
            "client_id": client_id,
            "client_id_issued_at": int(at.timestamp()),
            "client_name": claims.name,
            "redirect_uris": [*claims.redirect_uris],
            "grant_types": cast("list[Json]", sorted(claims.grant_types)),
            "response_types": ["code"] if AUTHORIZATION_CODE in claims.grant_types else [],
            "token_endpoint_auth_method": claims.auth_method,
            "scope": " ".join(claims.scopes),
            "dpop_bound_access_tokens": claims.dpop_bound,
            "registration_access_token": token,
            "registration_client_uri": self._profile.url(f"{REGISTER_PATH}/{client_id}"),
        }
        if secret is not None:
            answer |= {"client_secret": secret, "client_secret_expires_at": 0}
        return answer


def _issued_at(host: Host) -> datetime:
    """Return when the id was given: a host that renames itself is new, its id is not."""
    return host.client.created_at or host.known_since


async def _read(http: Request) -> Mapping[str, Json]:
    media_type = content_type_of(http).partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise _metadata("the body must be application/json")
    body = await read_body(http, most=_MAX_BYTES, code="invalid_client_metadata")
    try:
        value = parse(body)
    except (JsonError, ValueError):
        raise _metadata("the body is not JSON") from None
    if not isinstance(value, dict):
        raise _metadata("the body is not a JSON object")
    return value


def _claims(sent: Mapping[str, Json], profile: Profile) -> Claims:
    """Check in this order: never taken, method, grants, responses, redirect URIs, name, scope."""
    _refuse_what_is_the_operators(sent)
    method = sent.get("token_endpoint_auth_method", "client_secret_basic")
    if method not in _METHODS:
        raise _metadata("token_endpoint_auth_method is not one that a host may have")
    grants = frozenset(_texts(sent, "grant_types") or (AUTHORIZATION_CODE,))
    if not grants <= HOST_GRANTS or not grants - {REFRESH_TOKEN}:
        # The CIBA grant asks people: it is the operator's to give, never a stranger's to take.
        raise _metadata("grant_types holds one that a self-registered client cannot have")
    if not set(_texts(sent, "response_types") or ("code",)) <= {"code"}:
        raise _metadata("the only response_type is code")
    uris = _texts(sent, "redirect_uris")
    if AUTHORIZATION_CODE in grants or uris:
        try:
            check_redirect_uris(uris)
        except RedirectError as error:
            raise OAuthError("invalid_redirect_uri", str(error)) from error
    name = sent.get("client_name") or "unnamed"
    if not isinstance(name, str) or not is_name(name):
        raise _metadata("client_name is 1 to 100 visible characters")
    if not isinstance(sent.get("scope") or "", str):
        raise _metadata("scope is a string")
    return Claims(
        name=name,
        redirect_uris=tuple(uris),
        grant_types=grants,
        auth_method=method,
        dpop_bound=_flag(sent, "dpop_bound_access_tokens"),
        # RFC 7591 §2 lets the server choose: a tool may need a scope that the host learns of only
        # later, and a person is asked about each.
        scopes=(*profile.host_scopes, "openid"),
    )


def _refuse_what_is_the_operators(sent: Mapping[str, Json]) -> None:
    for name, description in _NOT_TAKEN.items():
        if sent.get(name) not in (None, False, []):
            raise _metadata(description)


def _flag(sent: Mapping[str, Json], name: str) -> bool:
    value = sent.get(name) or False
    if not isinstance(value, bool):
        raise _metadata(f"{name} is true or false")
    return value


def _texts(sent: Mapping[str, Json], name: str) -> tuple[str, ...]:
    value = sent.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _metadata(f"{name} is a list of strings")
    return tuple(cast("list[str]", value))


def _metadata(description: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", description)


def _not_yours() -> OAuthError:
    return OAuthError(
        "invalid_token",
        "the registration access token is not valid here",
        status=401,
        headers={"www-authenticate": 'Bearer error="invalid_token"'},
    )
