"""Device authorization (RFC 8628): a device without a browser shows a code, a person enters it.

Owns the endpoint, the user code's alphabet and the ports of the store. What a device's request may
become is the table of `approvals/request.py`: pending, decided once, redeemed once. Who enters five
wrong codes enters none until every code that was open then is over.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from starlette.requests import Request

from signoff.approvals.request import Status
from signoff.canonical import Json, canonical_bytes, sha256_hex
from signoff.oauth.client_auth import ClientAuthenticator
from signoff.oauth.clients import DEVICE_CODE, Client, Directory
from signoff.oauth.errors import OAuthError, busy
from signoff.oauth.forms import read_form
from signoff.oauth.host_tokens import Consent, host_scope
from signoff.oauth.profile import Profile
from signoff.peer import network_of

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""RFC 8628 §6.1: 20 letters, no vowels, so that no word comes out."""
USER_CODE_LENGTH: Final = 8
LIFE: Final = timedelta(seconds=600)
INTERVAL_S: Final = 5
VERIFICATION_PATH: Final = "/device"
MAX_TRIES: Final = 5
_RETRY_AFTER_S: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device's request, as its page and its poll know it."""

    id: str
    client_id: str
    scope: str
    resource: str
    status: Status
    interval_s: int
    opened_at: datetime
    expires_at: datetime
    consent: Consent | None = None

    def digest(self) -> str:
        """Return the hash of everything the yes is about."""
        members: dict[str, Json] = {
            "id": self.id,
            "client_id": self.client_id,
            "scope": self.scope,
            "resource": self.resource,
        }
        return sha256_hex(canonical_bytes(members))


@dataclass(frozen=True, slots=True)
class WrongCode:
    """No open request has this code. `left` are the tries that remain."""

    left: int


@dataclass(frozen=True, slots=True)
class LockedOut:
    """Too many wrong codes: none is looked at for now."""


class DeviceStore(Protocol):
    """Device requests at rest, by hash."""

    async def open(
        self, device: Device, *, device_code: str, user_code: str, network: str
    ) -> bool | None:
        """Keep a request. False: the user code is taken; None: too many are open."""
        ...

    async def enter(self, user_code: str, *, user_id: str) -> Device | WrongCode | LockedOut:
        """Return the open request of a code; a wrong one is counted in its own transaction."""
        ...

    async def decide(
        self, device_id: str, *, verdict: Literal["approve", "deny"], consent: Consent
    ) -> bool:
        """Decide an open request, once; False when it is not open any more."""
        ...

    async def find(self, device_code: str, *, client_id: str) -> Device | None:
        """Return the request of a device code of this client, what is due ended."""
        ...

    async def slow_down(self, device_code: str) -> None:
        """Lengthen the interval by five seconds, for this and every later poll."""
        ...

    async def redeem(
        self,
        device_code: str,
        *,
        client_id: str,
        refresh_token: str | None,
        bound_to: str | None = None,
    ) -> Consent | None:
        """Use an approved request up; None when somebody was first or it no longer holds.

        `bound_to` is the key that the refresh token is of use with.
        """
        ...


class DeviceEndpoint:
    """POST /oauth2/device_authorization."""

    def __init__(
        self,
        profile: Profile,
        authenticator: ClientAuthenticator,
        store: DeviceStore,
        *,
        now: Callable[[], datetime],
        new_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._profile, self._authenticator, self._store = profile, authenticator, store
        self._now, self._new_token = now, new_token

    async def __call__(self, http: Request) -> Mapping[str, Json]:
        """Check in this order: body, client, grant allowed, resource, scope; then open."""
        form = await read_form(http)
        client = await self._authenticator.authenticate(http, form)
        if DEVICE_CODE not in client.grant_types:
            raise OAuthError("unauthorized_client", "the client may not use this grant")
        if len(form.resources) != 1 or form.resources[0] not in self._profile.host_resources:
            raise OAuthError("invalid_target", "resource must name the MCP server, exactly")
        resource = form.resources[0]
        scope = host_scope(form.get("scope"), client, self._profile)
        device_code, user_code = await self._open(
            client, scope=scope, resource=resource, network=network_of(http.scope)
        )
        shown = f"{user_code[:4]}-{user_code[4:]}"
        uri = self._profile.url(VERIFICATION_PATH)
        return {
            "device_code": device_code,
            "user_code": shown,
            "verification_uri": uri,
            "verification_uri_complete": f"{uri}?user_code={shown}",
            "expires_in": int(LIFE.total_seconds()),
            "interval": INTERVAL_S,
        }

    async def _open(
        self, client: Client, *, scope: str, resource: str, network: str
    ) -> tuple[str, str]:
        now = self._now()
        while True:
            device_code = self._new_token(32)
            user_code = "".join(secrets.choice(ALPHABET) for _ in range(USER_CODE_LENGTH))
            device = Device(
                id="device_" + self._new_token(16),
                client_id=client.id,
                scope=scope,
                resource=resource,
                status=Status.PENDING,
                interval_s=INTERVAL_S,
                opened_at=now,
                expires_at=now + LIFE,
            )
            opened = await self._store.open(
                device, device_code=device_code, user_code=user_code, network=network
            )
            if opened is None:
                raise busy(retry_after_s=_RETRY_AFTER_S, status=429)
            if opened:
                return device_code, user_code


class Devices:
    """What the page needs: a code's request with its client, and the decision."""

    def __init__(
        self,
        store: DeviceStore,
        clients: Directory,
        *,
        now: Callable[[], datetime],
        new_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._store, self._clients = store, clients
        self._now, self._new_token = now, new_token

    async def enter(
        self, typed: str, *, user_id: str
    ) -> tuple[Device, Client] | WrongCode | LockedOut:
        """Return what waits behind a typed code; anything that is no code counts as wrong."""
        found = await self._store.enter(normal(typed), user_id=user_id)
        if not isinstance(found, Device):
            return found
        known = await self._clients.find(found.client_id)
        # A request whose client is gone is as unknown as a wrong code, but it is nobody's guess.
        return WrongCode(left=MAX_TRIES) if known is None else (found, known.client)

    async def decide(
        self, device: Device, *, verdict: Literal["approve", "deny"], user_id: str, acr: str
    ) -> bool:
        """Decide for a person, once; False when the request is not open any more."""
        consent = Consent(
            id="consent_" + self._new_token(16),
            client_id=device.client_id,
            user_id=user_id,
            scope=device.scope,
            resource=device.resource,
            acr=acr,
            decided_at=self._now(),
        )
        return await self._store.decide(device.id, verdict=verdict, consent=consent)


def normal(typed: str) -> str:
    """Return a typed code as it was made: upper case, without what people put between letters.

    What cannot be a code becomes the empty string.
    """
    letters = "".join(one for one in typed[:64] if one not in " -–—_.\t")  # noqa: RUF001
    # Some letters become others in upper case: only ASCII is taken.
    code = letters.upper() if letters.isascii() else ""
    whole = len(code) == USER_CODE_LENGTH and all(one in ALPHABET for one in code)
    return code if whole else ""
