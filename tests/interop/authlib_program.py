"""Authlib, unmodified: it knows no CIBA, but any grant type by its name."""

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

# By name: what they are is known in the venv this runs in, and not in ours.
OAuthError: Any = import_module("authlib.integrations.base_client.errors").OAuthError
OAuth2Session: Any = import_module("authlib.integrations.requests_client").OAuth2Session

issuer, resource = os.environ["ISSUER"], os.environ["RESOURCE"]
grant = "urn:openid:params:grant-type:ciba"


def attempt(hint: str, method: str) -> dict[str, Any]:
    session = OAuth2Session(
        os.environ["CLIENT_ID"],
        os.environ["CLIENT_SECRET"],
        token_endpoint_auth_method=method,
    )
    asked = session.post(
        f"{issuer}/oauth2/bc-authorize",
        data={"scope": "openid", "login_hint": hint, "resource": resource},
        auth=(session.client_id, session.client_secret),
        withhold_token=True,
    ).json()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            token = session.fetch_token(
                f"{issuer}/oauth2/token", grant_type=grant, auth_req_id=asked["auth_req_id"]
            )
        except OAuthError as error:
            if error.error == "authorization_pending":
                time.sleep(asked["interval"])
                continue
            return {"error": error.error}
        return {"type": token["token_type"], "scope": token["scope"]}
    return {"error": "nothing"}


sys.stdout.write(
    json.dumps({
        "basic": attempt("alice", "client_secret_basic"),
        "post": attempt("alice", "client_secret_post"),
        "denied": attempt("bob", "client_secret_basic"),
    })
)
