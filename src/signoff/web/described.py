"""What the JSON endpoints of people and admins look like, for the server's own OpenAPI document.

Owns the description of `/m2m` and of the approver's API; what they do stands beside them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from signoff.approvals.service import MAX_REASON
from signoff.canonical import Json
from signoff.oauth.client_settings import (
    DELIVERY_MODE,
    DETAILS_TYPES,
    DPOP_BOUND,
    MOST_DAYS,
    NOTIFICATION_ENDPOINT,
    SIGNING_ALG,
    USER_CODE,
)
from signoff.oauth.delivery import MODES
from signoff.oauth.openapi import Beside
from signoff.tokens.verify import ASSERTION_ALGORITHMS
from signoff.web.machine_clients import SCOPE

_ERROR: Final[Json] = {"$ref": "#/components/responses/Error"}
_TEXT: Final[Json] = {"type": "string"}
_LIST: Final[Mapping[str, Json]] = {"type": "array", "items": _TEXT}
_TEXTS: Final[Json] = dict(_LIST)
_FLAG: Final[Json] = {"type": "boolean"}
_TIME: Final[Json] = {"type": ["string", "null"], "format": "date-time"}
_DONE: Final[Json] = {
    "type": "object", "required": ["success"], "properties": {"success": _FLAG}
}  # fmt: skip
_ID: Final[Json] = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
_PAGE: Final[Sequence[Json]] = [
    {
        "name": name,
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "maximum": 999_999},
    }
    for name in ("limit", "offset")
]
_SETTINGS: Final[Mapping[str, Json]] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 100},
    "scopes": _TEXTS,
    "audiences": _TEXTS,
    "metadata": {"type": "object", "description": "Words of your own, up to 4 KiB."},
    "expiresIn": {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": MOST_DAYS,
        "description": "Days; null is for ever.",
    },
    "jwks": {
        "type": "object",
        "description": "Its public keys (RFC 7517): it signs, and has no secret. A client that "
        "was made with a secret takes none.",
    },
    DETAILS_TYPES: _TEXTS,
    DPOP_BOUND: _FLAG,
    DELIVERY_MODE: {"enum": [*MODES], "description": "How it hears of decisions (CIBA Core §5)."},
    NOTIFICATION_ENDPOINT: {
        "type": ["string", "null"],
        "description": "Where a ping or push goes: an https URL.",
    },
    SIGNING_ALG: {
        "enum": [*ASSERTION_ALGORITHMS, None],
        "description": "Every request of its is a request object, signed by this algorithm.",
    },
    USER_CODE: {"type": "boolean", "description": "It asks its user for a code."},
}
_NEW: Final[Mapping[str, Json]] = {
    **_SETTINGS,
    "grantTypes": {
        **_LIST,
        "description": "client_credentials (the default), refresh_token, and the grants of CIBA "
        "and of devices by their URN, or as ciba and device_code.",
    },
    "role": {
        "enum": ["machine"],
        "description": "A gate is made at the terminal only: signoff clients create --role gate.",
    },
}
_CLIENT: Final[Mapping[str, Json]] = {
    **dict.fromkeys(("id", "clientId", "name"), _TEXT),
    **dict.fromkeys(("scopes", "audiences", "grantTypes", DETAILS_TYPES), _TEXTS),
    **dict.fromkeys((DPOP_BOUND, USER_CODE, "disabled"), _FLAG),
    DELIVERY_MODE: {"enum": [*MODES]},
    NOTIFICATION_ENDPOINT: {"type": ["string", "null"]},
    SIGNING_ALG: {"type": ["string", "null"]},
    "jwks": {"type": ["object", "null"]},
    "metadata": {"type": "object"},
    "startingCharacters": {"type": ["string", "null"]},
    **dict.fromkeys(("createdAt", "updatedAt", "expiresAt", "lastUsedAt"), _TIME),
}
_HOST: Final[Mapping[str, Json]] = {
    **dict.fromkeys(("id", "clientId", "name"), _TEXT),
    "source": {"enum": ["operator", "registered", "document"]},
    **dict.fromkeys(("confidential", "disabled"), _FLAG),
    "redirectUris": _TEXTS,
    **dict.fromkeys(("knownSince", "lastUsedAt"), _TIME),
}
_SECRET: Final[Mapping[str, Json]] = {"clientSecret": {"type": ["string", "null"]}}
_CARD: Final[Mapping[str, Json]] = {
    **dict.fromkeys(("approval_id", "client_id", "scope", "status", "acr"), _TEXT),
    **dict.fromkeys(("digest", "nonce", "opened_at", "expires_at"), _TEXT),
    "binding_message": {"type": ["string", "null"]},
    "authorization_details": {"type": "array"},
}
_DECIDED: Final[Mapping[str, Json]] = {"success": _FLAG, "status": _TEXT}
_MEANT: Final[Mapping[str, Json]] = {"approval_id": _TEXT, "digest": _TEXT}

_SECURITY: Final[Mapping[str, Json]] = {
    "manager": {
        "type": "http",
        "scheme": "bearer",
        "description": f"A token for the audience ISSUER/m2m with the scope {SCOPE}; or the "
        "session of an admin, which changes things only over https.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "signoff",
        "description": "The session of a person who signed in; the cookie's name ends in the port, "
        "over https it is __Host-signoff.",
    },
}


def described() -> Beside:
    """Return the description."""
    return Beside(paths=_paths(), security=_SECURITY)


def _paths() -> dict[str, Json]:
    client, host = "/m2m/clients/{id}", "/m2m/hosts/{id}"
    made = {**_CLIENT, **_SECRET}
    create = _body(_NEW, "name")
    changes = _body({**_SETTINGS, "disabled": _FLAG})
    entered = _body(
        {"name": _SETTINGS["name"], "redirectUris": _TEXTS, "confidential": _FLAG, "device": _FLAG},
        "name",
        "redirectUris",
    )
    change = _managed("Change what is given of a client", _object(_CLIENT), changes, path=_ID)
    return {
        "/m2m/clients": {
            "post": _managed("Create a machine client", _object(made), create, status="201"),
            "get": _managed("List machine clients, the newest first", _list(_CLIENT), page=True),
        },
        client: {
            "get": _managed("Show a machine client", _object(_CLIENT), path=_ID),
            "put": change,
            "patch": change,
            "delete": _managed("Delete a machine client and its tokens", _DONE, path=_ID),
        },
        f"{client}/rotate": {
            "post": _managed(
                "Give a machine client a new secret",
                _object(made),
                _body({"overlapHours": {"type": "integer", "minimum": 0, "maximum": 168}}),
                path=_ID,
            )
        },
        "/m2m/hosts": {
            "post": _managed(
                "Make an MCP host known beforehand", _object(_HOST), entered, status="201"
            ),
            "get": _managed("List hosts, the newest first", _list(_HOST), page=True),
        },
        host: {
            "get": _managed("Show a host", _object(_HOST), path=_ID),
            "delete": _managed("Delete a host and all it was given", _DONE, path=_ID),
        },
        "/ciba/verify": {
            "get": {
                "summary": "Read what is asked of the person who is signed in",
                "security": [{"session": []}],
                "parameters": [
                    {"name": "approval_id", "in": "query", "required": True, "schema": _TEXT}
                ],
                "responses": _responses("200", _object(_CARD), "401", "404"),
            }
        },
        "/ciba/authorize": {"post": _decision("Say yes", {"proof": _TEXT})},
        "/ciba/reject": {
            "post": _decision("Say no", {"reason": {"type": "string", "maxLength": MAX_REASON}})
        },
    }


def _managed(
    summary: str,
    answer: Json,
    body: Json = None,
    *,
    status: str = "200",
    path: Json = None,
    page: bool = False,
) -> dict[str, Json]:
    with_body: dict[str, Json] = {} if body is None else {"requestBody": body}
    parameters = [] if path is None else [path]
    refused = ("400", "401", "403", *(() if path is None else ("404",)))
    refused += () if body is None else ("408", "413", "415")
    return {
        "summary": summary,
        "security": [{"manager": []}, {"session": []}],
        "parameters": [*parameters, *(_PAGE if page else ())],
        **with_body,
        "responses": _responses(status, answer, *refused),
    }


def _decision(summary: str, more: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "summary": summary,
        "security": [{"session": []}],
        "requestBody": _body({**_MEANT, **more}, *_MEANT),
        "responses": _responses(
            "200", _object(_DECIDED), *("400", "401", "403", "404", "408", "409", "413", "415")
        ),
    }


def _body(members: Mapping[str, Json], *required: str) -> dict[str, Json]:
    schema: Json = {
        "type": "object",
        "properties": dict(members),
        "required": [*required],
        "additionalProperties": False,
    }
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _object(members: Mapping[str, Json]) -> dict[str, Json]:
    required: list[Json] = [name for name in members if name not in _SECRET]
    return {"type": "object", "properties": dict(members), "required": required}


def _list(members: Mapping[str, Json]) -> dict[str, Json]:
    return {"type": "array", "items": _object(members)}


def _responses(status: str, answer: Json, *refused: str) -> dict[str, Json]:
    done: Json = {"description": "Done.", "content": {"application/json": {"schema": answer}}}
    return {status: done, **dict.fromkeys(refused, _ERROR)}
