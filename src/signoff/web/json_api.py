"""JSON at the web edge: a body read strictly, and an error as `error` and `error_description`.

Owns both for the endpoints of a person's session and of the admin. Knows none of them.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from signoff.canonical import Json, JsonError, parse
from signoff.oauth.errors import OAuthError
from signoff.oauth.forms import content_type_of, read_body

MAX_BODY: Final = 16_384
_HEADERS: Final = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}

Members = Mapping[str, Json]
Handler = Callable[[Request], Awaitable[tuple[Json, int]]]


class ApiError(Exception):
    """A request that is refused. `headers` belong to the refusal."""

    def __init__(
        self, status: int, code: str, description: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.status, self.code, self.description = status, code, description
        self.headers = headers or {}


def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return `handler` as an endpoint whose errors are answered here."""

    async def answer(request: Request) -> Response:
        try:
            members, status = await handler(request)
        except ApiError as error:
            told: Json = {"error": error.code, "error_description": error.description}
            return _json(told, error.status, error.headers)
        return _json(members, status)

    return answer


async def read_members(request: Request, known: frozenset[str]) -> Members:
    """Return the JSON object of the body, with no member but the known ones.

    Raises:
        ApiError: 400, 408, 413 or 415.
    """
    # A form of another site cannot send this type without asking first.
    if content_type_of(request).split(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "invalid_request", "this address takes JSON")
    try:
        body = await read_body(request, most=MAX_BODY)
    except OAuthError as error:
        raise ApiError(error.status, error.code, error.description) from error
    try:
        value = parse(body or b"{}")
    except JsonError as error:
        raise ApiError(400, "invalid_request", "the body is not JSON") from error
    if not isinstance(value, dict) or not set(value) <= known:
        raise ApiError(400, "invalid_request", f"the members are {', '.join(sorted(known))}")
    return value


def text(given: Members, name: str) -> str:
    """Return a member that is a text.

    Raises:
        ApiError: it is not there, or is something else.
    """
    value = given.get(name)
    if not isinstance(value, str):
        raise ApiError(400, "invalid_request", f"{name} is a text")
    return value


def count(request: Request, name: str, default: int) -> int:
    """Return a parameter of the query that is a whole number.

    Raises:
        ApiError: it is something else.
    """
    given = request.query_params.get(name, str(default))
    if not given.isascii() or not given.isdecimal() or len(given) > 6:  # noqa: PLR2004 — a bound
        raise ApiError(400, "invalid_request", f"{name} is a whole number")
    return int(given)


def _json(members: Json, status: int, headers: Mapping[str, str] | None = None) -> Response:
    challenge = {"www-authenticate": "Bearer"} if status == 401 else {}  # noqa: PLR2004 — HTTP
    return Response(
        json.dumps(members, ensure_ascii=False),
        status,
        media_type="application/json",
        headers={**_HEADERS, **challenge, **(headers or {})},
    )
