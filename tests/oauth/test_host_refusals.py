"""Every refusal of a registration and of an authorization request, in its very words."""

import ast
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from as_parts import ISSUER, refused
from host_house import CALLBACK, HostHouse, query, registration, returned
from signoff.oauth import register
from signoff.oauth.clients import CIBA

METADATA, REDIRECT = "invalid_client_metadata", "invalid_redirect_uri"
PLACE = "https://tools.example/cb"
GRANTS = "grant_types holds one that a self-registered client cannot have"
METHOD = "token_endpoint_auth_method is not one that a host may have"
NAME = "client_name is 1 to 100 visible characters"
CHARACTERS = "a redirect URI holds characters that a URI cannot, or is too long"
REGISTERED: list[tuple[dict[str, Any], str, str]] = [
    ({"token_endpoint_auth_method": "private_key_jwt"}, METADATA, METHOD),
    ({"token_endpoint_auth_method": None}, METADATA, ""),
    ({"grant_types": [CIBA]}, METADATA, GRANTS),
    ({"grant_types": ["refresh_token"]}, METADATA, GRANTS),
    ({"grant_types": "authorization_code"}, METADATA, "grant_types is a list of strings"),
    ({"response_types": ["token"]}, METADATA, "the only response_type is code"),
    ({"response_types": "code"}, METADATA, "response_types is a list of strings"),
    ({"redirect_uris": "https://a.example"}, METADATA, "redirect_uris is a list of strings"),
    ({"client_name": "x" * 101}, METADATA, NAME),
    ({"client_name": "a\u202eb"}, METADATA, NAME),
    ({"scope": ["mcp"]}, METADATA, "scope is a string"),
    *(
        ({name: value}, METADATA, "asking people by a backchannel is the operator's to allow")
        for name, value in {
            "backchannel_token_delivery_mode": "carrier",
            "backchannel_client_notification_endpoint": "https://a.example/cb",
            "backchannel_authentication_request_signing_alg": "ES256",
            "backchannel_user_code_parameter": True,
        }.items()
    ),
    (
        {"authorization_details_types": ["payment"]},
        METADATA,
        "authorization details are the operator's to allow",
    ),
    (
        {"dpop_bound_access_tokens": "yes"},
        METADATA,
        "dpop_bound_access_tokens is true or false",
    ),
    ({"redirect_uris": []}, REDIRECT, "redirect_uris has 1 to 10 members"),
    ({"redirect_uris": [PLACE] * 11}, REDIRECT, "redirect_uris has 1 to 10 members"),
    ({"redirect_uris": ["https://a b"]}, REDIRECT, CHARACTERS),
    ({"redirect_uris": ["https://a.example/" + "x" * 1024]}, REDIRECT, CHARACTERS),
    ({"redirect_uris": ["https://a:x/"]}, REDIRECT, "a redirect URI cannot be read"),
    ({"redirect_uris": ["/cb"]}, REDIRECT, "a redirect URI is absolute"),
    ({"redirect_uris": [f"{PLACE}#f"]}, REDIRECT, "a redirect URI has no fragment"),
    ({"redirect_uris": ["https://u@a.example/"]}, REDIRECT, "a redirect URI names no user"),
    ({"redirect_uris": ["https://*.example/"]}, REDIRECT, "a redirect URI has no wildcard"),
    (
        {"redirect_uris": ["javascript:alert(1)"]},
        REDIRECT,
        "a redirect URI may not have this scheme",
    ),
    (
        {"redirect_uris": ["https://A.example/"]},
        REDIRECT,
        "a redirect URI is lower case up to its path",
    ),
    (
        {"redirect_uris": ["https://a.example/../cb"]},
        REDIRECT,
        "a redirect URI has no dot segments",
    ),
    ({"redirect_uris": ["https:///cb"]}, REDIRECT, "a redirect URI names a host"),
    (
        {"redirect_uris": ["http://a.example/"]},
        REDIRECT,
        "http is for loopback only: use https",
    ),
    ({"redirect_uris": ["app:"]}, REDIRECT, "a redirect URI names a place"),
]
BODIES = [
    (b"{}", "text/plain", "the body must be application/json", 400),
    (b"{", "application/json", "the body is not JSON", 400),
    (b"[]", "application/json", "the body is not a JSON object", 400),
    (b'"' + b"x" * 65_536 + b'"', "application/json", "the body is too large", 413),
]
REPLACED: list[tuple[dict[str, Any], str]] = [
    ({"client_id": "another"}, "client_id must be the registered one"),
    ({"client_secret": "x"}, "client_secret cannot be chosen"),
    ({"registration_access_token": "x"}, "registration_access_token cannot be chosen"),
    ({"registration_client_uri": "x"}, "registration_client_uri cannot be chosen"),
]
ASKED: list[tuple[dict[str, Any], str, str]] = [
    (
        {"request": "x"},
        "request_not_supported",
        "this server takes plain parameters only",
    ),
    (
        {"request_uri": "x"},
        "request_uri_not_supported",
        "this server takes plain parameters only",
    ),
    (
        {"response_type": "token"},
        "unsupported_response_type",
        "the only response_type is code",
    ),
    (
        {"response_mode": "fragment"},
        "invalid_request",
        "the only response_mode is query",
    ),
    ({"prompt": "none"}, "consent_required", "a person is asked every time"),
    (
        {"code_challenge_method": "plain"},
        "invalid_request",
        "a code_challenge by S256 is needed",
    ),
    (
        {"code_challenge_method": None, "code_challenge": None},
        "invalid_request",
        "a code_challenge by S256 is needed",
    ),
    (
        {"dpop_jkt": "x"},
        "invalid_request",
        "dpop_jkt is the thumbprint of a key by SHA-256",
    ),
    (
        {"resource": ISSUER},
        "invalid_target",
        "resource must name the MCP server, exactly",
    ),
    (
        {"nonce": "n" * 501},
        "invalid_request",
        "nonce is longer than 500 printable characters",
    ),
    (
        {"scope": "mcp admin"},
        "invalid_scope",
        "this server does not have one of these scopes",
    ),
    ({"scope": "openid"}, "invalid_scope", "the scope must contain mcp"),
]


async def managed(house: HostHouse) -> tuple[str, dict[str, str]]:
    host = await house.register()
    where = str(host["registration_client_uri"]).removeprefix(ISSUER)
    return where, {"authorization": f"Bearer {host['registration_access_token']}"}


def worded(answer: httpx2.Response, code: Any, words: str, *, status: int = 400) -> None:
    assert refused(answer, code, status=status) == words
    assert re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]+", words)


@pytest.mark.seed("CIBA-6")
async def test_a_registration_is_refused_in_these_very_words(house: HostHouse) -> None:
    for changed, code, words in REGISTERED:
        answer = await house.http.post("/oauth2/register", json=registration(**changed))
        if words:
            worded(answer, code, words)
        else:
            assert answer.status_code == 201, "the control"
    for body, media_type, words, status in BODIES:
        headers = {"content-type": media_type}
        answer = await house.http.post("/oauth2/register", content=body, headers=headers)
        worded(answer, METADATA, words, status=status)
    answer = await house.http.post(
        "/oauth2/register", json={**registration(), "software_statement": "x"}
    )
    worded(answer, METADATA, "software statements are not taken")


async def test_a_replacement_is_refused_in_these_very_words(house: HostHouse) -> None:
    where, token = await managed(house)
    client_id = where.rsplit("/", 1)[1]
    for changed, words in REPLACED:
        sent = registration(**{"client_id": client_id, **changed})
        worded(await house.http.put(where, json=sent, headers=token), METADATA, words)
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": "Basic x"}):
        answer = await house.http.get(where, headers=headers)
        words = "the registration access token is not valid here"
        worded(answer, "invalid_token", words, status=401)


async def test_an_authorization_request_is_refused_in_these_very_words(house: HostHouse) -> None:
    client_id, alice = (await house.register())["client_id"], await house.person()
    for changed, code, words in ASKED:
        answer = await alice.ask(query(client_id, **changed))
        assert answer.status_code == 303
        back = returned(answer.headers["location"])
        told = {"error": code, "error_description": words, "state": "xyz", "iss": ISSUER}
        assert back == told, changed
        assert answer.headers["location"].startswith(f"{CALLBACK}?")


def test_no_words_are_missing_above() -> None:
    here = Path(str(register.__file__)).parent
    found: set[str] = set()
    for name in ("register", "hosts", "authorize"):
        for node in ast.walk(ast.parse((here / f"{name}.py").read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                at = {"OAuthError": 1, "_metadata": 0, "RedirectError": 0}.get(node.func.id)
                if at is not None and len(node.args) > at:
                    said = node.args[at]
                    if isinstance(said, ast.Constant):
                        found.add(str(said.value))
    above = {words for _, _, words in REGISTERED} | {words for _, words in REPLACED}
    above |= {words for _, _, words, _ in BODIES}
    above |= {words for _, _, words in ASKED}
    above |= {
        "software statements are not taken",
        "the registration access token is not valid here",
    }
    assert len(found) > 20, "the words are found no longer"
    assert found - above == set()
