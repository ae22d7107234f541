"""requests-oauth2client, unmodified: poll until there is an end, whatever it is."""

import json
import os
import sys
import time
from importlib import import_module
from typing import Any
from uuid import uuid4

# By name: what it is is known in the venv this runs in, and not in ours.
library: Any = import_module("requests_oauth2client")

issuer, resource = os.environ["ISSUER"], os.environ["RESOURCE"]
client_id, secret = os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]
key = {**json.loads(os.environ["PRIVATE_JWK"]), "alg": "ES256"}
proof = {"client_secret": secret} if secret else {"private_key": key}
client = library.OAuth2Client.from_discovery_endpoint(
    issuer=issuer,
    client_id=client_id,
    id_token_signed_response_alg="ES256",
    testing=True,
    backchannel_authentication_endpoint=f"{issuer}/oauth2/bc-authorize",
    **proof,
)


def ask(hint: str, expiry: int = 60) -> Any:
    details = [{"type": "payment", "amount": 25}]
    asked: dict[str, Any] = {
        "scope": "openid",
        "login_hint": hint,
        "binding_message": "W4SCT",
        "requested_expiry": expiry,
        "resource": resource,
        "authorization_details": json.dumps(details),
    }
    if not secret:
        now = int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + 60, "jti": str(uuid4())}
        asked |= {"iss": client_id, "aud": issuer, **times, "private_jwk": key}
    return client.backchannel_authentication_request(**asked)


def attempt(hint: str, *, expiry: int = 60, dpop: bool = False) -> dict[str, Any]:
    try:
        job = library.BackChannelAuthenticationPollingJob(
            client, ask(hint, expiry), interval=1, requests_kwargs={"dpop": dpop}
        )
        until = time.monotonic() + 20
        token: Any = None
        while token is None and time.monotonic() < until:
            token = job()
        assert token is not None
    except library.OAuth2Error as error:
        return {"error": type(error).__name__}
    return {
        "sub": token.id_token.sub,
        "details": token.authorization_details,
        "type": token.token_type,
    }


def polled(asked: Any) -> str:
    try:
        client.ciba(asked)
    except library.OAuth2Error as error:
        return type(error).__name__
    return "a token"


waiting = ask("carol")
sys.stdout.write(
    json.dumps({
        "approved": attempt("alice"),
        "bound": attempt("alice", dpop=True),
        "denied": attempt("bob"),
        "unknown": attempt("nobody"),
        "expired": attempt("carol", expiry=1),
        "twice": [polled(waiting), polled(waiting)],
        "machine": client.client_credentials(resource=resource).scope,
    })
)
