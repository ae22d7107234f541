"""The authorization server described in OpenAPI 3.1, for those who write a client by hand.

Owns the document that is served at `/openapi.json`. It describes what a client calls, or sends a
browser to; the other pages a person sees are not an API. What the parameters mean stands in the
specifications it names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from signoff.canonical import Json
from signoff.oauth.metadata import metadata
from signoff.oauth.profile import (
    AUTHORIZE_PATH,
    BACKCHANNEL_PATH,
    DEVICE_PATH,
    INTROSPECT_PATH,
    JWKS_PATH,
    REGISTER_PATH,
    REVOKE_PATH,
    TOKEN_PATH,
    Profile,
)

OPENAPI_PATH: Final = "/openapi.json"

Fields: TypeAlias = Mapping[str, str]
"""Names of form parameters with what they are; a name that ends in `*` is required."""

_CREDENTIALS: Final[Fields] = {
    "client_id": "For client_secret_post, and for public clients.",
    "client_secret": "For client_secret_post.",
    "client_assertion_type": "For private_key_jwt.",
    "client_assertion": "For private_key_jwt (RFC 7523).",
}
_BACKCHANNEL: Final[Fields] = {
    "scope*": "Contains openid; with offline_access a yes gives a refresh token too.",
    "login_hint": "A user id, an e-mail address, or RFC 9493 iss_sub JSON.",
    "login_hint_token": "A signed hint.",
    "id_token_hint": "An ID token of this server for this client.",
    "binding_message": "At most 256 visible characters, no links.",
    "user_code": "Where the client must send one.",
    "requested_expiry": "Seconds.",
    "acr_values": "session or passkey.",
    "client_notification_token": "For ping and push.",
    "resource": "The audience of the token (RFC 8707).",
    "authorization_details": "A JSON array (RFC 9396).",
    "request": "A signed request object; then nothing else but credentials.",
}
_TOKEN: Final[Fields] = {
    "grant_type*": "One of grant_types_supported.",
    "auth_req_id": "For the CIBA grant.",
    "code": "For authorization_code.",
    "redirect_uri": "For authorization_code: the one of the request.",
    "code_verifier": "For authorization_code (RFC 7636).",
    "refresh_token": "For refresh_token; it works once.",
    "device_code": "For the device code grant.",
    "scope": "For client_credentials and refresh_token.",
    "resource": "The audience of the token (RFC 8707).",
    "authorization_details": "For ciba and refresh_token: some of the approved ones (RFC 9396).",
}
_AUTHORIZE: Final[Fields] = {
    "response_type*": "code.",
    "client_id*": "The host.",
    "redirect_uri*": "One that it has, exactly; of 127.0.0.1 and localhost any port.",
    "code_challenge*": "By S256 (RFC 7636).",
    "code_challenge_method*": "S256.",
    "resource*": "The MCP server, exactly (RFC 8707).",
    "scope": "Contains mcp.",
    "state": "Comes back as it is.",
    "nonce": "For an ID token: with the scope openid.",
    "dpop_jkt": "The thumbprint of the key that the code is bound to (RFC 9449).",
}
_DEVICE: Final[Fields] = {"scope": "Contains mcp.", "resource*": "The MCP server, exactly."}
_ISSUED: Final[Fields] = {"token*": "The token.", "token_type_hint": "Not needed."}
_WAIT: Final[Json] = {
    "name": "Prefer",
    "in": "header",
    "description": "wait=N holds a poll for up to N seconds, 25 at most (RFC 7240).",
    "schema": {"type": "string"},
}
_PROOF: Final[Json] = {
    "name": "DPoP",
    "in": "header",
    "description": "A proof of the key that the tokens are to be bound to (RFC 9449).",
    "schema": {"type": "string"},
}
_CLIENT_ID: Final[Json] = {
    "name": "client_id", "in": "path", "required": True, "schema": {"type": "string"}
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is served beside the authorization server: its paths, and how one proves who one is."""

    paths: Mapping[str, Json]
    security: Mapping[str, Json]


def openapi(profile: Profile, beside: Beside | None = None) -> dict[str, Json]:
    """Return the document; only what this server has stands in it."""
    paths: dict[str, Json] = {
        BACKCHANNEL_PATH: {
            "post": _form(
                "Ask a person (CIBA Core §7)",
                _BACKCHANNEL,
                answer=_object("auth_req_id", "expires_in:integer", "interval:integer"),
            )
        },
        TOKEN_PATH: {
            "post": _form(
                "Get tokens (RFC 6749 §3.2)",
                _TOKEN,
                answer=_object("access_token", "token_type", "expires_in:integer", "scope"),
                parameters=[_WAIT, _PROOF],
            )
        },
        INTROSPECT_PATH: {
            "post": _form("Ask about a token (RFC 7662)", _ISSUED, answer=_object("active:boolean"))
        },
        REVOKE_PATH: {
            "post": _form("Take a token back (RFC 7009)", _ISSUED, answer={"type": "object"})
        },
        JWKS_PATH: {"get": _read("The keys that sign tokens (RFC 7517)", _object("keys:array"))},
        "/.well-known/oauth-authorization-server": {
            "get": _read("What this server does (RFC 8414)", _with(*metadata(profile)))
        },
        "/.well-known/openid-configuration": {
            "get": _read("The same (OpenID Discovery)", _with(*metadata(profile)))
        },
    }
    if profile.hosts:
        paths[AUTHORIZE_PATH] = _authorization()
        paths[DEVICE_PATH] = {
            "post": _form(
                "Begin on a device without a browser (RFC 8628)",
                _DEVICE,
                answer=_object(
                    *("device_code", "user_code", "verification_uri", "expires_in:integer"),
                    *("verification_uri_complete", "interval:integer"),
                ),
            )
        }
    if profile.registration:
        paths |= _registration()
    if beside is not None:
        paths |= beside.paths
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "signoff authorization server",
            "version": "1",
            "description": "CIBA, and OAuth for machines and MCP hosts.",
        },
        "servers": [{"url": profile.issuer}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "client": {"type": "http", "scheme": "basic"},
                "registration": {"type": "http", "scheme": "bearer"},
                **({} if beside is None else beside.security),
            },
            "schemas": {
                "Error": {
                    **_object("error", "error_description"),
                    "description": "RFC 6749 §5.2; the codes are those of the specifications.",
                }
            },
            "responses": {
                "Error": {
                    "description": "It was refused; `error` says why.",
                    "content": _json({"$ref": "#/components/schemas/Error"}),
                }
            },
        },
    }


def _authorization() -> dict[str, Json]:
    schema = _parameters(_AUTHORIZE)
    query: list[Json] = [
        {
            "name": name.rstrip("*"),
            "in": "query",
            "required": name.endswith("*"),
            "description": text,
            "schema": {"type": "string"},
        }
        for name, text in _AUTHORIZE.items()
    ]
    return {
        "get": {
            "summary": "Have a browser ask its person (RFC 6749 §4.1.1)",
            "parameters": query,
            "responses": _pages("200", "303", "400", "401"),
        },
        "post": {
            "summary": "The same, from a form (OpenID Connect Core §3.1.2.1)",
            "description": "Parameters stand in the body. The answer leads to the GET.",
            "requestBody": {
                "required": True,
                "content": {"application/x-www-form-urlencoded": {"schema": schema}},
            },
            "responses": _pages("303", "400", "408", "413", "415"),
        },
    }


def _registration() -> dict[str, Json]:
    texts: Json = {"type": "array", "items": {"type": "string"}}
    claims: Json = {
        "type": "object",
        "properties": {
            "client_name": {"type": "string", "maxLength": 100},
            "redirect_uris": texts,
            "grant_types": texts,
            "response_types": texts,
            "token_endpoint_auth_method": {
                "enum": ["none", "client_secret_basic", "client_secret_post"]
            },
            "scope": {"type": "string"},
            "dpop_bound_access_tokens": {"type": "boolean"},
        },
    }
    told = _object(
        *("client_id", "client_id_issued_at:integer", "client_name", "redirect_uris:array"),
        *("registration_access_token", "registration_client_uri"),
    )
    body: Json = {"required": True, "content": _json(claims)}
    managed: dict[str, Json] = {"security": [{"registration": []}], "parameters": [_CLIENT_ID]}
    return {
        REGISTER_PATH: {
            "post": {
                "summary": "Register a host (RFC 7591)",
                "requestBody": body,
                "responses": _responses("201", told, "400", "408", "413", "429", "503"),
            }
        },
        REGISTER_PATH + "/{client_id}": {
            "get": {
                "summary": "Read a registration (RFC 7592)",
                **managed,
                "responses": _responses("200", told, "401", "503"),
            },
            "put": {
                "summary": "Replace a registration",
                **managed,
                "requestBody": body,
                "responses": _responses("200", told, "400", "401", "408", "413", "429", "503"),
            },
            "delete": {
                "summary": "Delete a registration and all it was given",
                **managed,
                "responses": {"204": {"description": "Gone."}, **_refusals("401", "503")},
            },
        },
    }


def _form(
    summary: str, fields: Fields, *, answer: Json, parameters: Sequence[Json] = ()
) -> dict[str, Json]:
    schema = _parameters({**fields, **_CREDENTIALS})
    return {
        "summary": summary,
        "security": [{"client": []}, {}],
        "parameters": [*parameters],
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": schema}},
        },
        "responses": _responses("200", answer, "400", "401", "408", "413", "429", "503"),
    }


def _parameters(fields: Fields) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": {
            name.rstrip("*"): {"type": "string", "description": text}
            for name, text in fields.items()
        },
        "required": [name.rstrip("*") for name in fields if name.endswith("*")],
    }


def _pages(*statuses: str) -> dict[str, Json]:
    """Return answers for a browser: pages, and where it goes on."""
    words = {"200": "The page that asks.", "303": "Where the browser goes on."}
    page: Json = {"text/html": {"schema": {"type": "string"}}}
    return {
        status: {
            "description": words.get(status, "A page that says what is wrong."),
            **({} if status == "303" else {"content": page}),
        }
        for status in statuses
    }


def _read(summary: str, answer: Json) -> dict[str, Json]:
    return {"summary": summary, "responses": _responses("200", answer)}


def _responses(status: str, answer: Json, *refused: str) -> dict[str, Json]:
    done: Json = {"description": "Done.", "content": _json(answer)}
    return {status: done, **_refusals(*refused)}


def _refusals(*statuses: str) -> dict[str, Json]:
    return {status: {"$ref": "#/components/responses/Error"} for status in statuses}


def _json(schema: Json) -> dict[str, Json]:
    return {"application/json": {"schema": schema}}


def _object(*members: str) -> dict[str, Json]:
    """Return the schema of an object whose members are all there: `name` (text) or `name:type`."""
    properties: dict[str, Json] = {}
    for member in members:
        name, _, kind = member.partition(":")
        properties[name] = {"type": kind or "string"}
    return {"type": "object", "properties": properties, "required": [*properties]}


def _with(*members: str) -> dict[str, Json]:
    """Return the schema of an object that has these members, of whatever type."""
    return {"type": "object", "required": [*members]}
