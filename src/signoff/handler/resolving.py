"""The headers that the program itself gives for a request, made when it is about to leave.

Owns asking `resolve_headers`, and where its values stand meanwhile: a frozen request holds a
reference, the value is looked up when the request is sent and forgotten when the call has ended.
What is secret in a value stands apart, so that it is found again in an answer and taken out.
"""

import asyncio
import inspect
import logging
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from pydantic import SecretStr

from signoff.canonical import Json
from signoff.catalog.model import HeaderTemplate, Reference, Template, Text
from signoff.catalog.standalone import Headers, Outbound, ResolveHeaders
from signoff.catalog.templates import header_fault
from signoff.handler.answers import CallError
from signoff.sealed import Sealer
from signoff.upstream.headers import References, folded, is_sendable

_logger = logging.getLogger(__name__)

_SCHEME: Final = re.compile(r"((?:Bearer|Basic|DPoP|Token|ApiKey|Digest)\s+)(.+)", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"\$\{env:[^{}]*\}")
_SHOWN: Final = "${resolve_headers}"


class Resolver:
    """Header values by names of our own; `references` reads them."""

    def __init__(self, resolve: ResolveHeaders | None, sealer: Sealer, *, timeout_s: float) -> None:
        self._resolve, self._timeout_s = resolve, timeout_s
        self._values: dict[str, str] = {}
        self.references: Final = References(sealer, environment=self._values, root=Path())

    @property
    def is_needed(self) -> bool:
        """Whether the program gives headers at all."""
        return self._resolve is not None

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

    async def _written(self, outbound: Outbound) -> Headers:
        if self._resolve is None:
            return {}
        try:
            found = self._resolve(outbound)
            if inspect.isawaitable(found):
                async with asyncio.timeout(self._timeout_s):
                    found = await found
            return dict(found)
        except Exception as error:  # noqa: BLE001 — the program's own code may raise anything
            # Its words may hold what it handled, and a model reads ours.
            _logger.warning("resolve_headers failed: %s", type(error).__name__)
            raise CallError(
                "headers_failed", f"resolve_headers failed ({type(error).__name__})"
            ) from None


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


def shown(header: Json) -> Json:
    """Return a header of `FrozenRequest.details` as people see it, the same before and after."""
    reference = header.get("reference") if isinstance(header, dict) else None
    if not isinstance(reference, str) or _REFERENCE.search(reference) is None:
        return header
    return {"reference": _REFERENCE.sub(_SHOWN, reference)}


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
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
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
