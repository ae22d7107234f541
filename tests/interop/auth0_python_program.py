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
known = {
    "client_id": os.environ["CLIENT_ID"],
    "client_secret": os.environ["CLIENT_SECRET"],
    "protocol": "http",
}
login, tokens = login_class(domain, **known), token_class(domain, **known)


def attempt(user: str) -> dict[str, Any]:
    try:
        asked = login.back_channel_login(
            binding_message="W4SCT",
            login_hint=json.dumps({"format": "iss_sub", "iss": f"{issuer}/", "sub": user}),
            scope="openid",
            audience=os.environ["RESOURCE"],
            authorization_details=[{"type": "payment", "amount": 25}],
        )
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


sys.stdout.write(
    json.dumps({
        "approved": attempt("alice"),
        "denied": attempt("bob"),
        "unknown": attempt("nobody"),
        "machine": tokens.client_credentials(os.environ["RESOURCE"])["scope"],
    })
)
