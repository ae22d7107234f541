"""The body of a request to an OAuth endpoint, read strictly.

Owns: form-encoded UTF-8 in the body only, bounded, no parameter twice (RFC 6749 §3.2), empty means
absent (§3.1). Knows nothing of what the parameters mean.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from starlette.requests import Request

from signoff.oauth.errors import OAuthError

MAX_BYTES: Final = 1_048_576
"""A `tool_call` shows up to 64 KiB of body, escaped twice over; nobody else needs as much."""
_MAX_FIELDS: Final = 50
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
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() != "application/x-www-form-urlencoded" or charset not in (
        "",
        "charset=utf-8",
    ):
        raise OAuthError(
            "invalid_request", "the body must be application/x-www-form-urlencoded in UTF-8"
        )
    if request.url.query:
        raise OAuthError("invalid_request", "parameters belong in the body, not in the URL")
    return _parse(await read_body(request))


async def read_body(request: Request) -> bytes:
    """Return the body, bounded.

    Raises:
        OAuthError: it is too large.
    """
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BYTES:
            raise OAuthError("invalid_request", "the body is too large", status=413)
        parts.append(chunk)
    return b"".join(parts)


def _parse(body: bytes) -> Form:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
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
