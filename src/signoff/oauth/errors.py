"""What goes wrong at an OAuth endpoint, and the one place where it becomes a response.

Owns the codes, their statuses and the headers of every answer. A description is fixed text: what
a stranger sent is never echoed (RFC 6749 §5.2 allows no quote, backslash or line break).
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, TypeAlias

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from signoff.canonical import Json

ErrorCode: TypeAlias = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "invalid_target",
    "invalid_authorization_details",
    "invalid_binding_message",
    "unknown_user_id",
    "expired_login_hint_token",
    "missing_user_code",
    "invalid_user_code",
    "unauthorized_client",
    "unsupported_grant_type",
    "authorization_pending",
    "slow_down",
    "expired_token",
    "access_denied",
    "unsupported_response_type",
    "consent_required",
    "request_not_supported",
    "request_uri_not_supported",
    "invalid_redirect_uri",
    "invalid_client_metadata",
    "invalid_token",
    "temporarily_unavailable",
    "use_dpop_nonce",
    "invalid_dpop_proof",
]
Handler: TypeAlias = Callable[[Request], Awaitable[Mapping[str, Json]]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

NO_STORE: Final = {"cache-control": "no-store", "pragma": "no-cache"}
_CHARACTERS: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")
_log: Final = logging.getLogger(__name__)


class OAuthError(Exception):
    """An error response of RFC 6749 §5.2 and CIBA Core §11, §13. `detail` is for the log only."""

    def __init__(
        self,
        code: ErrorCode,
        description: str,
        *,
        detail: str = "",
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Json] | None = None,
    ) -> None:
        if not _CHARACTERS.fullmatch(description):
            raise ValueError("the description has characters that RFC 6749 does not allow")
        super().__init__(f"{code}: {description} {detail}".strip())
        self.code, self.description, self.detail = code, description, detail
        self.status, self.headers, self.members = status, headers or {}, members or {}


def invalid_client(*, basic: bool, detail: str) -> OAuthError:
    """Return the one answer to every failed authentication, whatever the cause."""
    # RFC 6749 §5.2: who tried with the Authorization header is told the scheme.
    challenge = {"www-authenticate": 'Basic realm="signoff", charset="UTF-8"'} if basic else {}
    return OAuthError(
        "invalid_client",
        "client authentication failed",
        detail=detail,
        status=401,
        headers=challenge,
    )


def busy(*, retry_after_s: int, status: int = 503) -> OAuthError:
    """Return the answer for too much at once."""
    return OAuthError(
        "temporarily_unavailable",
        "too many requests are waiting, try again later",
        status=status,
        headers={"retry-after": str(retry_after_s)},
    )


def slow_down(interval_s: int) -> OAuthError:
    """Return the answer to a poll that came before `interval_s` were over (CIBA Core §11)."""
    return OAuthError(
        "slow_down",
        "poll less often: 5 seconds were added to the interval",
        # Auth0's SDKs keep to the interval they were told first, unless a header says more.
        headers={"retry-after": str(interval_s + 5)},
    )


def json_response(
    members: Mapping[str, Json], *, status: int = 200, headers: Mapping[str, str] = NO_STORE
) -> Response:
    """Return a JSON response; nothing that carries a token or its like is ever cached."""
    return Response(
        _json(members),
        status_code=status,
        media_type="application/json",
        headers=dict(headers),
    )


def _json(members: Mapping[str, Json]) -> bytes:
    try:
        return orjson.dumps(members)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def endpoint(
    handler: Handler, *, unavailable: tuple[type[Exception], ...], status: int = 200
) -> Endpoint:
    """Return `handler` as an endpoint whose errors are answered here.

    `unavailable` are the errors of a store that cannot take the work now; `status` is what an
    answer has that is no error.
    """

    async def answer(request: Request) -> Response:
        try:
            answered = await handler(request)
            if status == 204:  # noqa: PLR2004 — says itself
                return Response(status_code=status, headers=NO_STORE)
            return json_response(answered, status=status)
        except OAuthError as error:
            failed = error
        except unavailable as error:
            _log.warning("%s answered 503: %s", request.url.path, error)
            failed = busy(retry_after_s=2)
        except ClientDisconnect:
            failed = OAuthError("invalid_request", "the request ended early")
        if failed.detail:
            _log.info("%s: %s", request.url.path, failed)
        members: dict[str, Json] = {"error": failed.code, "error_description": failed.description}
        return json_response(
            {**members, **failed.members},
            status=failed.status,
            headers={**NO_STORE, **failed.headers},
        )

    return answer
