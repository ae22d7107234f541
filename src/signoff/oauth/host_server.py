"""What the authorization server offers MCP hosts, put together: grants and endpoints.

Owns which of them there are. The pages on which a person decides are `web/connecting.py`'s.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from starlette.routing import Route

from signoff.approvals.ports import Changes
from signoff.oauth.client_auth import ClientAuthenticator
from signoff.oauth.clients import AUTHORIZATION_CODE, DEVICE_CODE
from signoff.oauth.device import DeviceEndpoint, DeviceStore
from signoff.oauth.draining import Draining
from signoff.oauth.errors import endpoint
from signoff.oauth.grants.authorization_code import AuthorizationCodeGrant
from signoff.oauth.grants.device_code import DeviceCodeGrant
from signoff.oauth.host_tokens import CodeStore, Minter
from signoff.oauth.profile import DEVICE_PATH, REGISTER_PATH, Profile
from signoff.oauth.register import RegistrationEndpoints, RegistrationStore
from signoff.oauth.token import Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class HostParts:
    """What hosts need kept. `changes` wakes held polls of devices, `used` notes a consent's use."""

    codes: CodeStore
    devices: DeviceStore
    registrations: RegistrationStore
    changes: Changes
    used: Callable[[str], Awaitable[object]] | None = None


def host_grants(
    parts: HostParts,
    profile: Profile,
    minter: Minter,
    *,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    draining: Draining | None,
) -> dict[str, Grant]:
    """Return the grants of hosts by their type."""
    return {
        AUTHORIZATION_CODE: AuthorizationCodeGrant(parts.codes, minter, now=now),
        DEVICE_CODE: DeviceCodeGrant(
            parts.devices,
            minter,
            parts.changes,
            held_at_most=profile.held_at_most,
            now=now,
            monotonic=monotonic,
            draining=draining,
        ),
    }


def host_routes(
    parts: HostParts,
    profile: Profile,
    authenticator: ClientAuthenticator,
    *,
    now: Callable[[], datetime],
    unavailable: tuple[type[Exception], ...],
) -> list[Route]:
    """Return the endpoints of hosts, below the issuer's path and without it."""
    device = DeviceEndpoint(profile, authenticator, parts.devices, now=now)
    endpoints = [(DEVICE_PATH, device, "POST", 200)]
    if profile.registration:
        registration = RegistrationEndpoints(profile, parts.registrations, now=now)
        managed = REGISTER_PATH + "/{client_id}"
        endpoints += [
            (REGISTER_PATH, registration.register, "POST", 201),
            (managed, registration.show, "GET", 200),
            (managed, registration.replace, "PUT", 200),
            (managed, registration.unregister, "DELETE", 204),
        ]
    return [
        Route(
            prefix + path,
            endpoint(handler, unavailable=unavailable, status=status),
            methods=[method],
        )
        for prefix in (("", profile.path) if profile.path else ("",))
        for path, handler, method, status in endpoints
    ]
