"""What the metadata says of hosts (RFC 8414, RFC 8628 §4, RFC 9207 §3, client id documents).

Owns the fields that are true only when hosts may sign people in.
"""

from collections.abc import Mapping
from typing import cast

from signoff.canonical import Json
from signoff.oauth.clients import AUTHORIZATION_CODE, DEVICE_CODE
from signoff.oauth.host_tokens import OFFLINE
from signoff.oauth.profile import AUTHORIZE_PATH, DEVICE_PATH, REGISTER_PATH, Profile


def with_hosts(document: Mapping[str, Json], profile: Profile) -> dict[str, Json]:
    """Return the metadata with what hosts need to know."""
    grants = cast("list[Json]", document["grant_types_supported"])
    methods = cast("list[Json]", document["token_endpoint_auth_methods_supported"])
    told: dict[str, Json] = {
        **document,
        "authorization_endpoint": profile.url(AUTHORIZE_PATH),
        "device_authorization_endpoint": profile.url(DEVICE_PATH),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": profile.client_documents,
        "grant_types_supported": [*grants, AUTHORIZATION_CODE, DEVICE_CODE],
        "scopes_supported": [*profile.host_scopes, "openid", OFFLINE],
        "token_endpoint_auth_methods_supported": [*methods, "none"],
        # A public host takes its own tokens back when its person signs out.
        "revocation_endpoint_auth_methods_supported": [*methods, "none"],
    }
    if profile.registration:
        told["registration_endpoint"] = profile.url(REGISTER_PATH)
    return told
