"""Authlib, unmodified: it knows no CIBA, but any grant type by its name, and how to sign."""

import json
import os
import sys
import time
from importlib import import_module
from typing import Any
from uuid import uuid4

# By name: what they are is known in the venv this runs in, and not in ours.
OAuthError: Any = import_module("authlib.integrations.base_client.errors").OAuthError
OAuth2Session: Any = import_module("authlib.integrations.requests_client").OAuth2Session
PrivateKeyJWT: Any = import_module("authlib.oauth2.rfc7523").PrivateKeyJWT
encode: Any = import_module("joserfc.jwt").encode
ECKey: Any = import_module("joserfc.jwk").ECKey

issuer, resource = os.environ["ISSUER"], os.environ["RESOURCE"]
client_id, secret = os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]
key = ECKey.import_key(json.loads(os.environ["PRIVATE_JWK"]))
grant = "urn:openid:params:grant-type:ciba"
details = [{"type": "payment", "amount": 25}]
ENDPOINT, TOKENS = f"{issuer}/oauth2/bc-authorize", f"{issuer}/oauth2/token"


def session(method: str) -> Any:
    known = secret or key
    made = OAuth2Session(client_id, known, token_endpoint_auth_method=method)
    if method == "private_key_jwt":
        made.register_client_auth_method(PrivateKeyJWT(TOKENS, alg="ES256", headers={"kid": "one"}))
    return made


def ask(made: Any, hint: str, method: str, expiry: int) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "scope": "openid",
        "login_hint": hint,
        "resource": resource,
        "requested_expiry": expiry,
    }
    if method == "private_key_jwt":
        now = int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + 60, "jti": str(uuid4())}
        claims = {**asked, **times, "iss": client_id, "aud": issuer}
        form = {
            "request": encode(
                {"alg": "ES256", "kid": "one"}, {**claims, "authorization_details": details}, key
            )
        }
    else:
        form = {**asked, "authorization_details": json.dumps(details)}
    return made.post(ENDPOINT, data=form, auth=made.client_auth(method), withhold_token=True).json()


def poll(made: Any, auth_req_id: str) -> dict[str, Any]:
    try:
        token = made.fetch_token(TOKENS, grant_type=grant, auth_req_id=auth_req_id)
    except OAuthError as error:
        return {"error": error.error}
    return {"type": token["token_type"], "details": token["authorization_details"]}


def attempt(hint: str, method: str, expiry: int = 60) -> dict[str, Any]:
    made = session(method)
    asked = ask(made, hint, method, expiry)
    until = time.monotonic() + 20
    told: dict[str, Any] = {}
    while time.monotonic() < until:
        told = poll(made, asked["auth_req_id"])
        if told.get("error") not in ("authorization_pending", "slow_down"):
            break
        time.sleep(asked["interval"] + 0.1)
    return told


def twice(method: str) -> list[str]:
    made = session(method)
    waiting = ask(made, "carol", method, 60)["auth_req_id"]
    return [poll(made, waiting)["error"] for _ in range(2)]


methods = ["client_secret_basic", "client_secret_post"] if secret else ["private_key_jwt"]
sys.stdout.write(
    json.dumps({
        method: {
            "approved": attempt("alice", method),
            "denied": attempt("bob", method),
            "expired": attempt("carol", method, 1),
            "twice": twice(method),
        }
        for method in methods
    })
)
