"""The authorization server, put together: endpoints and the paths they answer at.

Owns which path is which endpoint. Everything an endpoint needs arrives as an argument; the
composition root makes it.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signoff.approvals.service import Approvals
from signoff.canonical import Json
from signoff.catalog.model import User
from signoff.oauth.alias_forms import read_alias_form
from signoff.oauth.backchannel import BackchannelEndpoint, People
from signoff.oauth.client_auth import ClientAuthenticator
from signoff.oauth.clients import CIBA, CLIENT_CREDENTIALS, REFRESH_TOKEN, Directory
from signoff.oauth.dpop import Dpop
from signoff.oauth.draining import Draining
from signoff.oauth.errors import Endpoint, Handler, endpoint, json_response
from signoff.oauth.exchange import Exchange
from signoff.oauth.grants.ciba import CibaGrant
from signoff.oauth.grants.client_credentials import ClientCredentialsGrant
from signoff.oauth.grants.refresh_token import RefreshTokenGrant
from signoff.oauth.host_server import HostParts, host_grants, host_routes
from signoff.oauth.host_tokens import Minter
from signoff.oauth.metadata import metadata, well_known_paths
from signoff.oauth.methods import refusing_other_methods
from signoff.oauth.openapi import OPENAPI_PATH, Beside, openapi
from signoff.oauth.outcome import GateEndpoints
from signoff.oauth.profile import (
    ALIAS_BACKCHANNEL_PATH,
    ALIAS_TOKEN_PATH,
    BACKCHANNEL_PATH,
    INTROSPECT_PATH,
    JWKS_PATH,
    OUTCOME_PATH,
    REVOKE_PATH,
    TOKEN_PATH,
    WITHDRAW_PATH,
    Profile,
)
from signoff.oauth.revocation import TokenEndpoints
from signoff.oauth.stores import Stores
from signoff.oauth.token import Grant, TokenEndpoint
from signoff.oauth.user_codes import UserCodes
from signoff.tokens.keyring import Keyring

# Shorter than `keyring.PUBLISH_AHEAD`, so that a key is known everywhere before it signs.
_CACHED: Final = {"cache-control": "public, max-age=300"}


def authorization_server(
    profile: Profile,
    *,
    approvals: Approvals,
    clients: Directory,
    keyring: Keyring,
    users: Mapping[str, User],
    people: People,
    stores: Stores,
    now: Callable[[], datetime],
    monotonic: Callable[[], float] = time.monotonic,
    unavailable: tuple[type[Exception], ...] = (),
    draining: Draining | None = None,
    hosts: HostParts | None = None,
    beside: Beside | None = None,
) -> list[Route]:
    """Return the routes of the authorization server.

    `clients` holds the reserved client `signoff-gate` too when the gate is in this process; one
    that runs elsewhere is a registered client of role `gate` with a key. `unavailable` are the
    store's errors that mean "later": they are answered 503. Once `draining` begins, every held
    poll is answered `authorization_pending` at once. `hosts` is there when `profile.hosts` is.
    `beside` is what else stands in the OpenAPI document.
    """
    authenticator = ClientAuthenticator(
        clients,
        audiences=profile.assertion_audiences(),
        now=now,
    )
    backchannel = BackchannelEndpoint(
        profile,
        authenticator,
        approvals,
        directory=clients,
        users=users,
        people=people,
        keyring=keyring,
        user_codes=UserCodes(stores.user_codes),
        now=now,
    )
    minter = Minter(profile, keyring, now=now)
    host: dict[str, Grant] = {}
    if hosts is not None:
        host = host_grants(hosts, profile, minter, now=now, monotonic=monotonic, draining=draining)
    token = TokenEndpoint(
        authenticator,
        Dpop(clients, urls=profile.token_urls(), now=now),
        grants={
            CIBA: CibaGrant(
                profile,
                approvals,
                Exchange(profile, approvals, keyring, users=users, now=now),
                callbacks=stores.callbacks,
                revocations=stores.revocations,
                now=now,
                monotonic=monotonic,
                draining=draining,
            ),
            CLIENT_CREDENTIALS: ClientCredentialsGrant(profile, clients, keyring, now=now),
            REFRESH_TOKEN: RefreshTokenGrant(
                stores.refresh_tokens,
                minter,
                users=users,
                default_audience=profile.default_audience,
                pace=profile.token_pace,
            ),
            **host,
        },
    )
    issued = TokenEndpoints(
        profile,
        authenticator,
        keyring,
        stores.revocations,
        refresh_tokens=stores.refresh_tokens,
        used=None if hosts is None else hosts.used,
        now=now,
    )
    gate_endpoints = GateEndpoints(authenticator, approvals, stores.settlements)
    posts: tuple[tuple[str, Handler], ...] = (
        (BACKCHANNEL_PATH, backchannel),
        (TOKEN_PATH, token),
        (ALIAS_BACKCHANNEL_PATH, partial(backchannel, read=read_alias_form)),
        (ALIAS_TOKEN_PATH, partial(token, read=read_alias_form)),
        (INTROSPECT_PATH, issued.introspect),
        (REVOKE_PATH, issued.revoke),
        (WITHDRAW_PATH, gate_endpoints.withdraw),
        (OUTCOME_PATH, gate_endpoints.outcome),
    )
    # A reverse proxy may hand on the issuer's path or take it off: both arrive.
    prefixes = ("", profile.path) if profile.path else ("",)
    routes = [
        Route(prefix + path, endpoint(handler, unavailable=unavailable), methods=["POST"])
        for prefix in prefixes
        for path, handler in posts
    ]
    known = _document(metadata(profile))
    routes += [Route(path, known) for path in well_known_paths(profile)]
    routes += [Route(prefix + JWKS_PATH, _jwks(keyring)) for prefix in prefixes]
    described = _document(openapi(profile, beside))
    routes += [Route(prefix + OPENAPI_PATH, described) for prefix in prefixes]
    if hosts is not None:
        routes += host_routes(hosts, profile, authenticator, now=now, unavailable=unavailable)
    return refusing_other_methods(routes)


def _document(document: Mapping[str, Json]) -> Endpoint:
    async def answer(_: Request) -> Response:
        return json_response(document, headers=_CACHED)

    return answer


def _jwks(keyring: Keyring) -> Endpoint:
    async def answer(_: Request) -> Response:
        return json_response(keyring.public.as_json(), headers=_CACHED)

    return answer
