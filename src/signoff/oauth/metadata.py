"""The documents a client discovers us by (OIDC Discovery §3, RFC 8414 §2).

Owns what we say of ourselves. A field stands here only if it is true: what is not built is absent.
"""

from typing import cast

from signoff.canonical import Json
from signoff.oauth.client_auth import METHODS
from signoff.oauth.clients import CIBA, CLIENT_CREDENTIALS, REFRESH_TOKEN
from signoff.oauth.delivery import MODES
from signoff.oauth.host_metadata import with_hosts
from signoff.oauth.host_tokens import OFFLINE
from signoff.oauth.profile import (
    BACKCHANNEL_PATH,
    INTROSPECT_PATH,
    JWKS_PATH,
    OUTCOME_PATH,
    REVOKE_PATH,
    TOKEN_PATH,
    WITHDRAW_PATH,
    Profile,
)
from signoff.tokens.keys import ALGORITHM
from signoff.tokens.verify import ASSERTION_ALGORITHMS


def metadata(profile: Profile) -> dict[str, Json]:
    """Return the one document served at every well-known address."""
    types = ["tool_call", *sorted(profile.details_types)]
    document: dict[str, Json] = {
        "issuer": profile.issuer,
        "token_endpoint": profile.url(TOKEN_PATH),
        "jwks_uri": profile.url(JWKS_PATH),
        "backchannel_authentication_endpoint": profile.url(BACKCHANNEL_PATH),
        "backchannel_token_delivery_modes_supported": [*MODES],
        "backchannel_authentication_request_signing_alg_values_supported": [*ASSERTION_ALGORITHMS],
        "backchannel_user_code_parameter_supported": True,
        "introspection_endpoint": profile.url(INTROSPECT_PATH),
        "revocation_endpoint": profile.url(REVOKE_PATH),
        "grant_types_supported": [CIBA, CLIENT_CREDENTIALS, REFRESH_TOKEN],
        # Required by both specifications, also where there is no authorization endpoint.
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "scopes_supported": [
            "openid",
            OFFLINE,
            *(profile.host_scopes if profile.host_resources else ()),
        ],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": [*METHODS],
        "token_endpoint_auth_signing_alg_values_supported": [*ASSERTION_ALGORITHMS],
        "introspection_endpoint_auth_methods_supported": [*METHODS],
        "introspection_endpoint_auth_signing_alg_values_supported": [*ASSERTION_ALGORITHMS],
        "revocation_endpoint_auth_methods_supported": [*METHODS],
        "revocation_endpoint_auth_signing_alg_values_supported": [*ASSERTION_ALGORITHMS],
        # Ours: by these a gate in a process of its own tells a sidecar from any other provider.
        "signoff_withdraw_endpoint": profile.url(WITHDRAW_PATH),
        "signoff_outcome_endpoint": profile.url(OUTCOME_PATH),
        "dpop_signing_alg_values_supported": [*ASSERTION_ALGORITHMS],
        "acr_values_supported": [*profile.acr_values],
        "authorization_details_types_supported": cast("list[Json]", types),
        "claims_supported": [
            *("iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "at_hash"),
        ],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }
    return with_hosts(document, profile) if profile.hosts else document


def well_known_paths(profile: Profile) -> list[str]:
    """Return every path the document is served at.

    For an issuer with a path: appended (OIDC Discovery §4) and inserted (RFC 8414 §3.1).
    """
    names: list[str] = [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ]
    if not profile.path:
        return names
    inserted = [name + profile.path for name in names]
    return names + inserted + [profile.path + name for name in names]
