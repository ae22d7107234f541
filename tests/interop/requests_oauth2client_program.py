"""requests-oauth2client, unmodified: poll until there is an end."""

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

# By name: what it is is known in the venv this runs in, and not in ours.
library: Any = import_module("requests_oauth2client")

issuer, resource = os.environ["ISSUER"], os.environ["RESOURCE"]
client = library.OAuth2Client.from_discovery_endpoint(
    issuer=issuer,
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    id_token_signed_response_alg="ES256",
    testing=True,
    backchannel_authentication_endpoint=f"{issuer}/oauth2/bc-authorize",
)


def attempt(hint: str) -> dict[str, Any]:
    try:
        asked = client.backchannel_authentication_request(
            scope="openid",
            login_hint=hint,
            binding_message="W4SCT",
            requested_expiry=60,
            resource=resource,
            authorization_details=json.dumps([{"type": "payment", "amount": 25}]),
        )
        job = library.BackChannelAuthenticationPollingJob(client, asked, interval=1)
        until = time.monotonic() + 20
        token: Any = None
        while token is None and time.monotonic() < until:
            token = job()
        assert token is not None
    except (library.AccessDenied, library.BackChannelAuthenticationError) as error:
        return {"error": type(error).__name__}
    return {"sub": token.id_token.sub, "details": token.authorization_details}


token = client.client_credentials(resource=resource)
sys.stdout.write(
    json.dumps({
        "approved": attempt("alice"),
        "denied": attempt("bob"),
        "unknown": attempt("nobody"),
        "machine": token.scope,
    })
)
