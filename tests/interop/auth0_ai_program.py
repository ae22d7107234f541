"""auth0-ai, unmodified: a tool that runs only after a person said yes."""

import asyncio
import json
import os
import sys
from importlib import import_module
from typing import Any

# By name: what they are is known in the venv this runs in, and not in ours.
authorizing: Any = import_module("auth0_ai.authorizers.async_authorization.async_authorizer_base")
interrupts: Any = import_module("auth0_ai.interrupts.async_authorization_interrupts")
Auth0Error: Any = import_module("auth0.exceptions").Auth0Error
decode: Any = import_module("jwt").decode

known: dict[str, Any] = {
    "domain": os.environ["ISSUER"].removeprefix("http://"),
    "protocol": "http",
    "client_id": os.environ["CLIENT_ID"],
}
if os.environ["CLIENT_SECRET"]:
    known["client_secret"] = os.environ["CLIENT_SECRET"]
else:
    known["client_assertion_signing_key"] = os.environ["PRIVATE_PEM"]
    known["client_assertion_signing_alg"] = "ES256"


def context(amount: int) -> dict[str, str]:
    return {"thread_id": "t", "tool_call_id": f"c{amount}", "tool_name": "pay"}


def pay(amount: int) -> dict[str, Any]:
    """Run the tool: it sees the tokens of the yes, or never runs."""
    credentials = authorizing.get_async_authorization_credentials()
    claims = decode(credentials["access_token"], options={"verify_signature": False})
    return {
        "paid": amount,
        "sub": claims["sub"],
        "aud": claims["aud"],
        "scope": credentials["scope"],
        "details": claims["authorization_details"],
    }


def details(amount: int) -> list[dict[str, Any]]:
    return [{"type": "payment", "amount": amount}]


def message(amount: int) -> str:
    return f"pay {amount}"


def protected(user: str, mode: str, expiry: int) -> Any:
    parameters: dict[str, Any] = {
        "scopes": ["openid", "payments"],
        "user_id": user,
        "binding_message": message,
        "authorization_details": details,
        "audience": os.environ["RESOURCE"],
        "requested_expiry": expiry,
        "on_authorization_request": mode,
    }
    return authorizing.AsyncAuthorizerBase(parameters, known).protect(context, pay)


async def told(tool: Any) -> dict[str, Any]:
    try:
        return await tool(25)
    except Auth0Error as error:
        return {"error": error.error_code}
    except interrupts.AsyncAuthorizationInterrupt as interrupt:
        waits = getattr(interrupt, "next_retry_interval", lambda: None)()
        return {"interrupt": interrupt.code, "again_after": waits}


async def main() -> dict[str, Any]:
    waiting = protected("carol", "interrupt", 300)
    return {
        "approved": await told(protected("alice", "block", 60)),
        "denied": await told(protected("bob", "block", 60)),
        "expired": await told(protected("carol", "block", 1)),
        "unknown": await told(protected("nobody", "block", 60)),
        "pending": await told(waiting),
        "too early": await told(waiting),
    }


sys.stdout.write(json.dumps(asyncio.run(main())))
