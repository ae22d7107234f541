"""auth0-python, unmodified: /bc-authorize and a JSON body at /oauth/token."""

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

# By name: what they are is known in the venv this runs in, and not in ours.
login_class: Any = import_module("auth0.authentication.back_channel_login").BackChannelLogin
token_class: Any = import_module("auth0.authentication.get_token").GetToken
try:
    Auth0Error: Any = import_module("auth0.authentication.exceptions").Auth0Error
except ImportError:
    Auth0Error = import_module("auth0.exceptions").Auth0Error

issuer = os.environ["ISSUER"]
domain = issuer.removeprefix("http://")
known = {"client_id": os.environ["CLIENT_ID"], "protocol": "http"}
if os.environ["CLIENT_SECRET"]:
    known["client_secret"] = os.environ["CLIENT_SECRET"]
else:
    known["client_assertion_signing_key"] = os.environ["PRIVATE_PEM"]
    known["client_assertion_signing_alg"] = "ES256"
login, tokens = login_class(domain, **known), token_class(domain, **known)


def ask(user: str, expiry: int = 60) -> dict[str, Any]:
    return login.back_channel_login(
        binding_message="W4SCT",
        login_hint=json.dumps({
            "format": "iss_sub",
            "iss": f"{os.environ['NAME']}/",
            "sub": user,
        }),
        scope="openid",
        audience=os.environ["RESOURCE"],
        requested_expiry=expiry,
        authorization_details=[{"type": "payment", "amount": 25}],
    )


def polled(auth_req_id: str) -> str:
    try:
        tokens.backchannel_login(auth_req_id=auth_req_id)
    except Auth0Error as error:
        return error.error_code
    return "a token"


def attempt(user: str, expiry: int = 60) -> dict[str, Any]:
    try:
        asked = ask(user, expiry)
    except Auth0Error as error:
        return {"error": error.error_code}
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            token = tokens.backchannel_login(auth_req_id=asked["auth_req_id"])
        except Auth0Error as error:
            if error.error_code == "authorization_pending":
                time.sleep(asked["interval"])
                continue
            return {"error": error.error_code}
        return {"scope": token["scope"], "details": token["authorization_details"]}
    return {"error": "nothing"}


waiting = ask("carol")["auth_req_id"]
sys.stdout.write(
    json.dumps({
        "approved": attempt("alice"),
        "denied": attempt("bob"),
        "unknown": attempt("nobody"),
        "expired": attempt("carol", 1),
        "twice": [polled(waiting), polled(waiting)],
        "machine": tokens.client_credentials(os.environ["RESOURCE"])["scope"],
    })
)
