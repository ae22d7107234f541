"""The answer to a method that an address does not have, where the address speaks JSON.

Owns `405` with `Allow` (RFC 9110 §15.5.6) as an error body that is not stored. An unknown address
is nobody's, and stays a plain 404.
"""

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from signoff.oauth.errors import NO_STORE, json_response

_STATUS: Final = 405


class _Refusal:
    """ASGI for every method that the routes before it did not take."""

    def __init__(self, methods: Sequence[str]) -> None:
        self._allowed = ", ".join(methods)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        members = {
            "error": "invalid_request",
            "error_description": f"this address takes {self._allowed}",
        }
        headers = {**NO_STORE, "allow": self._allowed}
        answer = json_response(members, status=_STATUS, headers=headers)
        await answer(scope, receive, send)


def refusing_other_methods(routes: Sequence[Route]) -> list[Route]:
    """Return the routes, and behind them what answers every other method at their addresses."""
    allowed: dict[str, set[str]] = {}
    for route in routes:
        allowed.setdefault(route.path, set()).update(route.methods or ())
    return [*routes, *(Route(path, _Refusal(sorted(those))) for path, those in allowed.items())]
