"""The headers and credentials that a program gives for a request which is about to leave.

Owns asking the program's functions, and where their values stand meanwhile: a frozen request holds
a reference, the value is looked up when the request is sent and forgotten when the call has ended.
What is secret in a value stands apart, so that it is found again in an answer and taken out.
"""

import asyncio
import inspect
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

from pydantic import SecretStr

from signoff.canonical import Json
from signoff.catalog.model import Credential, HeaderTemplate, Reference, Template, Text
from signoff.catalog.standalone import (
    GiveCredential,
    Headers,
    Outbound,
    ResolveHeaders,
    Secret,
)
from signoff.catalog.templates import header_fault
from signoff.catalog.wire import SecurityScheme
from signoff.handler.answers import CallError
from signoff.sealed import Sealer
from signoff.upstream.headers import References, folded, is_sendable

_logger = logging.getLogger(__name__)

_SCHEME: Final = re.compile(r"((?:Bearer|Basic|DPoP|Token|ApiKey|Digest)\s+)(.+)", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"\$\{env:[^{}]*\}")
_SHOWN: Final = "${resolved}"

_T = TypeVar("_T")


class Resolver:
    """Header values and credentials by names of our own; `references` reads them."""

    def __init__(
        self,
        resolve: ResolveHeaders | None,
        credentials: Mapping[SecurityScheme, GiveCredential],
        sealer: Sealer,
        *,
        timeout_s: float,
    ) -> None:
        self._resolve, self._timeout_s = resolve, timeout_s
        self._credentials = {scheme.name: (scheme, give) for scheme, give in credentials.items()}
        self._values: dict[str, str] = {}
        self.references: Final = References(sealer, environment=self._values, root=Path())

    @property
    def is_needed(self) -> bool:
        """Whether the program gives headers or credentials at all."""
        return self._resolve is not None or bool(self._credentials)

    def given(self) -> "Given":
        """Return where the headers of one call are kept, until the block ends."""
        return Given(self._values)

    async def headers(self, outbound: Outbound, given: "Given") -> tuple[HeaderTemplate, ...]:
        """Return the headers that the program gives for this request.

        Raises:
            CallError: it gives none, or what is no header. No value is in the text.
        """
        headers: dict[str, HeaderTemplate] = {}
        for name, value in (await self._written(outbound)).items():
            fault = header_fault(name) or _fault(value)
            if folded(name) in headers:
                fault = "stands twice"
            if fault is not None:
                raise CallError("headers_failed", f"resolve_headers: {name[:60]!r}: {fault}")
            headers[folded(name)] = HeaderTemplate(name=name, parts=_parts(name, value, given))
        return tuple(headers.values())

    async def credentials(
        self, outbound: Outbound, names: Iterable[str], given: "Given"
    ) -> dict[str, Credential]:
        """Return the credentials of these names.

        Raises:
            CallError: the program gives none, or what cannot be sent. No value is in the text.
        """
        found: dict[str, Credential] = {}
        for name in names:
            scheme, give = self._credentials[name]
            value = await self._asked(give, outbound, name) if callable(give) else give
            fault = "has no text" if isinstance(value, Text) else _fault(value)
            if fault is not None:
                raise CallError("headers_failed", f"credentials: {name}: {fault}")
            found[name] = _credential(scheme, _text(value), given)
        return found

    async def _written(self, outbound: Outbound) -> Headers:
        if self._resolve is None:
            return {}
        found = await self._asked(self._resolve, outbound, "resolve_headers")
        if not isinstance(found, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CallError("headers_failed", "resolve_headers gave no mapping")
        return dict(found)

    async def _asked(
        self, give: Callable[[Outbound], Awaitable[_T] | _T], outbound: Outbound, name: str
    ) -> _T:
        try:
            found = give(outbound)
            if inspect.isawaitable(found):
                async with asyncio.timeout(self._timeout_s):
                    return await found
        except Exception as error:  # noqa: BLE001 — the program's own code may raise anything
            # Its words may hold what it handled, and a model reads ours.
            _logger.warning("%s failed: %s", name, type(error).__name__)
            raise CallError("headers_failed", f"{name} failed ({type(error).__name__})") from None
        return found


class Given:
    """The secrets of one call. Use as a context manager: they are forgotten at its end."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values, self._prefix = values, secrets.token_hex(8)
        self._names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._names:
            self._values.pop(name, None)

    def secret(self, value: str) -> Reference:
        """Keep a value and return the reference to it."""
        name = f"{self._prefix}-{len(self._names)}"
        self._names.append(name)
        self._values[name] = value
        return Reference(kind="env", name=name)


def shown(member: Json) -> Json:
    """Return a member of `FrozenRequest.details` as people see it, the same before and after."""
    if not isinstance(member, dict):
        return member
    reference = member.get("reference")
    if not isinstance(reference, str) or _REFERENCE.search(reference) is None:
        return member
    kept = {key: one for key, one in member.items() if key != "fingerprint"}
    return {**kept, "reference": _REFERENCE.sub(_SHOWN, reference)}


def _text(value: Secret) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _credential(scheme: SecurityScheme, text: str, given: Given) -> Credential:
    if scheme.kind != "basic":
        return Credential(scheme=scheme, kind="value", value=(given.secret(text),))
    username, colon, password = text.partition(":")
    if not (username and colon and password):
        raise CallError("headers_failed", f"credentials: {scheme.name}: is not user:password")
    return Credential(
        scheme=scheme,
        kind="basic",
        username=(given.secret(username),),
        password=(given.secret(password),),
    )


def _fault(value: object) -> str | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    text = text.text if isinstance(text, Text) else text
    if not isinstance(text, str) or not text:
        return "has no text"
    if not is_sendable(text) or "${" in text:
        return "holds characters that a header cannot carry"
    return None


def _parts(name: str, value: str | SecretStr | Text, given: Given) -> Template:
    if isinstance(value, Text):
        return (value,)
    text = _text(value)
    if folded(name) == "cookie":
        return tuple(_cookies(text.split("; "), given))
    scheme = _SCHEME.fullmatch(text)
    if scheme is not None:
        return (Text(text=scheme[1]), given.secret(scheme[2]))
    return (given.secret(text),)


def _cookies(pairs: Sequence[str], given: Given) -> list[Text | Reference]:
    parts: list[Text | Reference] = []
    for index, pair in enumerate(pairs):
        key, equals, secret = pair.partition("=")
        parts.append(Text(text=("; " if index else "") + key + equals))
        if secret:
            parts.append(given.secret(secret))
    return parts
