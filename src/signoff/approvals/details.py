"""The `tool_call` authorization details: what is shown, signed, put into the token and sent.

Owns the shape, the digest and the token's form of the details (RFC 9396 §2). The gate builds them,
the authorization server recomputes the digest, both through this file; it does no I/O.

    {"type": "tool_call", "version": 1, "call_id": "call_…", "nonce": "…", "tool": "transfer_funds",
     "title": [{"text": "Transfer "}, {"argument": "amount", "value": "25"}, …], "risk": "high",
     "catalogue_digest": "sha-256:…", "caller": {…}, "client_info": {"name": "…", "version": "…"},
     "approvers": ["alice"], "acr": "session", "arguments": {…}, "said": "…" | null,
     "repeat_of": {"call_id", "outcome", "at"} | null, "again": bool,
     "request": {"method", "url", "url_sha256", "template", "headers": {name: value |
                 {"reference", "fingerprint"}}, "body", "body_sha256", "body_bytes",
                 "body_media_type", "masked": ["arguments…"],
                 "credentials"?: [{"in": "query" | "cookie", "name", "reference", "fingerprint"}],
                 "parts"?: [{"name", "filename", "media_type", "bytes", "sha256", "text",
                            "headers"?: {name: value}}]},
     "digest": "sha-256:…"}

`url` and `body` stand as they will be sent unless they hold a masked value, are larger than
64 KiB or are not text (then `body` is null and the page describes it by type, size and hash, a
multipart body by its `parts`). `url` never holds a credential: those in the query stand in
`credentials`. The digest covers every member but itself; `url` and `body` are covered through
`url_sha256` and `body_sha256`, which are over the true bytes. Where `masked` is not empty these
and the hashes in `parts` are `hmac-sha-256:…`, keyed for this call by the gate alone, because a
plain hash of a request whose only unknown is a PIN gives the PIN away.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from signoff.canonical import Json, canonical_bytes, digest, sha256_hex
from signoff.schema import Validator

TYPE: Final = "tool_call"
VERSION: Final = 1
INLINE_BYTES: Final = 65_536
_TOKEN_ARGUMENT_BYTES: Final = 2_048

_SHA256: Final[dict[str, Json]] = {"type": "string", "pattern": "^sha-256:[0-9a-f]{64}$"}
_HASH: Final[dict[str, Json]] = {
    "type": "string",
    "pattern": "^(sha-256|hmac-sha-256):[0-9a-f]{64}$",
}
_ID: Final[dict[str, Json]] = {"type": "string", "minLength": 1, "maxLength": 200}
SCHEMA: Final[dict[str, Json]] = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "type",
        "version",
        "call_id",
        "nonce",
        "tool",
        "title",
        "risk",
        "catalogue_digest",
        "caller",
        "client_info",
        "approvers",
        "acr",
        "arguments",
        "said",
        "repeat_of",
        "again",
        "request",
        "digest",
    ],
    "properties": {
        "type": {"const": TYPE},
        "version": {"const": VERSION},
        "call_id": _ID,
        "nonce": _ID,
        "tool": _ID,
        "title": {
            "type": "array",
            "minItems": 1,
            "maxItems": 64,
            "items": {
                "anyOf": [
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["text"],
                        "properties": {"text": {"type": "string", "maxLength": 500}},
                    },
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["argument", "value"],
                        "properties": {"argument": _ID, "value": {"type": "string"}},
                    },
                ],
            },
        },
        "risk": {"enum": ["low", "high", "critical"]},
        "catalogue_digest": _SHA256,
        "caller": {
            "type": "object",
            "required": ["kind", "issuer", "client_id"],
            "additionalProperties": {"type": "string", "maxLength": 500},
        },
        "client_info": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "version"],
            "properties": {
                "name": {"type": "string", "maxLength": 200},
                "version": {"type": "string", "maxLength": 200},
            },
        },
        "approvers": {
            "type": "array",
            "items": _ID,
            "minItems": 1,
            "maxItems": 200,
            "uniqueItems": True,
        },
        "acr": {"enum": ["session", "passkey"]},
        "arguments": {"type": "object"},
        "said": {"type": ["string", "null"], "maxLength": 500},
        "repeat_of": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "required": ["call_id", "outcome", "at"],
            "properties": {
                "call_id": _ID,
                "outcome": _ID,
                "at": {"type": "string", "maxLength": 40},
            },
        },
        "again": {"type": "boolean"},
        "request": {
            "type": "object",
            "additionalProperties": False,
            "required": [
                "method",
                "url",
                "url_sha256",
                "template",
                "headers",
                "body",
                "body_sha256",
                "body_bytes",
                "body_media_type",
                "masked",
            ],
            "properties": {
                "method": {"type": "string", "pattern": "^[A-Z]{1,20}$"},
                "url": {"type": "string"},
                "url_sha256": _HASH,
                "template": {"type": "string"},
                "headers": {
                    "type": "object",
                    "additionalProperties": {
                        "anyOf": [
                            {"type": "string"},
                            {
                                "type": "object",
                                "additionalProperties": False,
                                "required": ["reference", "fingerprint"],
                                "properties": {
                                    "reference": {"type": "string"},
                                    "fingerprint": {"type": ["string", "null"]},
                                },
                            },
                        ],
                    },
                },
                "body": {"type": ["string", "null"]},
                "body_sha256": _HASH,
                "body_bytes": {"type": "integer", "minimum": 0},
                "body_media_type": {"type": ["string", "null"]},
                "masked": {"type": "array", "items": {"type": "string"}},
                "credentials": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["in", "name", "reference", "fingerprint"],
                        "properties": {
                            "in": {"enum": ["query", "cookie"]},
                            "name": {"type": "string"},
                            "reference": {"type": "string"},
                            "fingerprint": {"type": ["string", "null"]},
                        },
                    },
                },
                "parts": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["name", "filename", "media_type", "bytes", "sha256", "text"],
                        "properties": {
                            "name": {"type": "string"},
                            "filename": {"type": ["string", "null"]},
                            "media_type": {"type": "string"},
                            "bytes": {"type": "integer", "minimum": 0},
                            "sha256": _HASH,
                            "text": {"type": ["string", "null"]},
                            "headers": {
                                "type": "object",
                                "additionalProperties": {"type": "string"},
                            },
                        },
                    },
                },
            },
        },
        "digest": _SHA256,
    },
}
_SHAPE: Final = Validator(SCHEMA)


class DetailsError(ValueError):
    """The details are not what they claim. The message names the member."""


def details_digest(details: Mapping[str, Json]) -> str:
    """Return the digest over every member but `digest`; see the file's header."""
    request = cast("Mapping[str, Json]", details["request"])
    covered = {name: value for name, value in details.items() if name != "digest"}
    covered["request"] = {
        name: value for name, value in request.items() if name not in ("url", "body")
    }
    return digest(covered)


def check_details(details: Mapping[str, Json]) -> None:
    """Check shape, hashes and digest of `tool_call` details that arrived from outside.

    Raises:
        DetailsError: names the first member that does not hold.
    """
    if found := _SHAPE.violations(dict(details), limit=1):
        raise DetailsError(str(found[0]))
    request = cast("Mapping[str, Json]", details["request"])
    if not request["masked"]:
        if sha256_hex(str(request["url"]).encode()) != request["url_sha256"]:
            raise DetailsError("request.url does not match request.url_sha256")
        body = request["body"]
        if not str(request["body_sha256"]).startswith("sha-256:"):
            raise DetailsError("request.body_sha256 is keyed, and nothing is masked")
        if body is not None and sha256_hex(str(body).encode()) != request["body_sha256"]:
            raise DetailsError("request.body does not match request.body_sha256")
    if not hmac.compare_digest(details_digest(details), str(details["digest"])):
        raise DetailsError("digest does not match the details")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Who makes a call: a client that has its tokens from us, and the person it acts for."""

    client_id: str | None = None
    sub: str | None = None


NOBODY: Final = Acting()


def acting(call: Mapping[str, Json] | None) -> Acting:
    """Return who makes the call of these details, or of a token's; nobody where there is none."""
    caller = None if call is None else call.get("caller")
    if not isinstance(caller, dict):
        return NOBODY
    client_id, sub = caller.get("client_id"), caller.get("sub")
    return Acting(
        # Any other kind is a program beside the gate, which is no client of ours.
        client_id=str(client_id) if caller.get("kind") == "oauth" else None,
        sub=None if sub is None else str(sub),
    )


def token_details(details: Mapping[str, Json]) -> dict[str, Json]:
    """Return the form that stands in an access token (RFC 9396 §9.1).

    `request` becomes method, URL and hashes; `arguments` beyond 2 KiB become their hash. What a
    resource server compares stays: tool, caller, arguments, digest.
    """
    request = cast("Mapping[str, Json]", details["request"])
    kept = ("type", "version", "call_id", "nonce", "tool", "catalogue_digest", "caller", "digest")
    form: dict[str, Json] = {name: details[name] for name in kept}
    form["request"] = {
        name: request[name] for name in ("method", "url", "url_sha256", "body_sha256")
    }
    arguments = canonical_bytes(details["arguments"])
    if len(arguments) <= _TOKEN_ARGUMENT_BYTES:
        form["arguments"] = details["arguments"]
    else:
        form["arguments_sha256"] = sha256_hex(arguments)
    return form
