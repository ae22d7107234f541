"""The body of a request to an OAuth endpoint, read strictly.

Owns: form-encoded UTF-8 in the body only, bounded, no parameter twice (RFC 6749 §3.2), empty means
absent (§3.1). Knows nothing of what the parameters mean.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote_plus

from starlette.requests import Request

from signoff.oauth.errors import ErrorCode, OAuthError

MAX_BYTES: Final = 1_048_576
"""A `tool_call` shows up to 64 KiB of body, escaped twice over; nobody else needs as much."""
BODY_DEADLINE_S: Final = 30.0
_MAX_FIELDS: Final = 50
_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_REPEATABLE: Final = frozenset({"resource"})  # RFC 8707 §2


@dataclass(frozen=True, slots=True)
class Form:
    """Parameters that were given, each once; `resource` may be several."""

    values: Mapping[str, str]
    resources: tuple[str, ...]

    def get(self, name: str) -> str | None:
        """Return a parameter, None when absent or empty."""
        return self.values.get(name)

    def require(self, name: str) -> str:
        """Return a parameter.

        Raises:
            OAuthError: it is absent or empty.
        """
        value = self.values.get(name)
        if value is None:
            raise OAuthError("invalid_request", f"the parameter {name} is missing")
        return value


Read: TypeAlias = Callable[[Request], Awaitable[Form]]
"""How an endpoint reads its parameters: strictly, or as the clients of an alias send them."""


async def read_form(request: Request) -> Form:
    """Read the body.

    Raises:
        OAuthError: it is not what an OAuth endpoint takes.
    """
    content_type = content_type_of(request)
    if content_type != _MEDIA_TYPE and not _is_form(content_type):
        raise OAuthError(
            "invalid_request", "the body must be application/x-www-form-urlencoded in UTF-8"
        )
    if request.scope["query_string"]:
        raise OAuthError("invalid_request", "parameters belong in the body, not in the URL")
    return _parse(await read_body(request))


def content_type_of(request: Request) -> str:
    """Return the one type of the body; of two, readers would choose differently: that is none."""
    given = request.headers.getlist("content-type")
    return given[0] if len(given) == 1 else ""


def _is_form(content_type: str) -> bool:
    media_type, _, parameters = content_type.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    return media_type.strip().lower() == _MEDIA_TYPE and charset in ("", "charset=utf-8")


async def read_body(
    request: Request, *, most: int = MAX_BYTES, code: ErrorCode = "invalid_request"
) -> bytes:
    """Return the body, bounded in size and time: a stranger who trickles holds nothing for long.

    `code` is what the endpoint calls a body that it does not take.

    Raises:
        OAuthError: it is too large, or did not arrive.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise OAuthError(code, "the body is too large", status=413)
                parts.append(chunk)
    except TimeoutError:
        raise OAuthError(code, "the body took too long", status=408) from None
    return b"".join(parts)


def _parse(body: bytes) -> Form:
    try:
        pairs = _pairs(body.decode("ascii"))
    except ValueError:
        raise OAuthError("invalid_request", "the body is not a well-formed form") from None
    values: dict[str, str] = {}
    resources: list[str] = []
    for name, value in pairs:
        if name in _REPEATABLE:
            resources += [value] if value else []
        elif name in values:
            raise OAuthError("invalid_request", "a parameter is repeated")
        else:
            values[name] = value
    given = {name: value for name, value in values.items() if value}
    return Form(given, tuple(dict.fromkeys(resources)))


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return what stands in a form, in its order.

    Raises:
        ValueError: it is none.
    """
    pairs: list[tuple[str, str]] = []
    for field in text.split("&", _MAX_FIELDS) if text else ():
        name, equals, value = field.partition("=")
        if not equals or len(pairs) == _MAX_FIELDS:
            raise ValueError(field)
        pairs.append((unquoted(name), unquoted(value)))
    return pairs


def unquoted(text: str) -> str:
    """Return a form-encoded text in clear; most need no work.

    Raises:
        ValueError: what it encodes is not UTF-8.
    """
    if "%" in text or "+" in text:
        return unquote_plus(text, errors="strict")
    return text
