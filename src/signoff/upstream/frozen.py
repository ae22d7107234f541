"""The headers of one request, fixed when it is frozen.

Owns their order, that no name stands twice, and what an argument may set. `Host` and
`Content-Length` follow from URL and body and are not listed here.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from signoff.catalog.model import Text, Upstream
from signoff.catalog.wire import Parameter
from signoff.identity import Caller
from signoff.upstream.headers import (
    CredentialError,
    References,
    folded,
    for_caller,
    is_protected,
    is_sendable,
    is_token,
)
from signoff.upstream.target import RequestError, UpstreamError

ACCEPT: Final = "application/json, */*;q=0.1"
USER_AGENT: Final = "signoff"
_MEDIA_RANGE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80}")
_RANGES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenHeader:
    """One header. With `value` it is sent as it stands; else `reference` is resolved at send.

    A header with both carries a masked argument: sent from `value`, shown as `reference`.
    """

    name: str
    value: str | None
    reference: str | None = None
    fingerprint: str | None = None


def accept_of(media_types: Sequence[str]) -> str:
    """Return the Accept header for what an operation documents, best first."""
    known = [one for one in media_types if _MEDIA_RANGE.fullmatch(one)]
    if not known or "application/json" in known:
        return ACCEPT
    ranges = [one if index == 0 else f"{one};q=0.9" for index, one in enumerate(known[:_RANGES])]
    return ", ".join((*ranges, "*/*;q=0.1"))


class HeaderSet:
    """Collects the headers of one request: defaults, the operator's, arguments', ours."""

    def __init__(
        self,
        upstream: Upstream,
        references: References,
        *,
        call_id: str | None,
        trusted: bool = True,
        taken: Collection[str] = (),
    ) -> None:
        """Begin; `trusted` False leaves the operator's headers out, `taken` are credentials'."""
        self._upstream = upstream
        self._references = references
        self._call_id = call_id
        self._templates = upstream.headers if trusted else ()
        self._taken = frozenset(map(folded, taken))
        self._headers: dict[str, FrozenHeader] = {}

    def add_fixed(self, caller: Caller, content_type: str | None, *, accept: str = ACCEPT) -> None:
        """Add what every request of the upstream carries; the operator's replace our defaults."""
        defaults: dict[str, str | None] = {
            "Accept": accept,
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            "Content-Type": content_type,
        }
        own = {folded(header.name) for header in self._templates}
        for name, value in defaults.items():
            if value is not None and folded(name) not in own:
                self._add(FrozenHeader(name=name, value=value))
        for template in self._templates:
            where = f"upstreams.{self._upstream.name}.headers.{template.name}"
            name = folded(template.name)
            if name in self._headers or name in self._taken or not is_token(template.name):
                raise UpstreamError(f"{where}: stands twice, or is not a header name")
            try:
                parts = for_caller(template, caller)
                if all(isinstance(part, Text) for part in parts):
                    self._add_literal(template.name, "".join(str_of(part) for part in parts), where)
                    continue
                self._add(
                    FrozenHeader(
                        name=template.name,
                        value=None,
                        reference="".join(str_of(part) for part in parts),
                        fingerprint=self._references.fingerprint(template.name, parts),
                    )
                )
            except CredentialError as error:
                raise UpstreamError(f"{where}: {error}") from None

    def _add_literal(self, name: str, value: str, where: str) -> None:
        if not is_sendable(value):
            raise UpstreamError(f"{where}: holds characters that a header cannot carry")
        self._add(FrozenHeader(name=name, value=value))

    def add_argument(self, parameter: Parameter, value: str, *, masked: str | None) -> None:
        """Add an argument's header. `masked` is what people see instead of the value.

        Raises:
            RequestError: the header is protected, already set, or cannot carry the value.
        """
        if is_protected(parameter.name):
            raise RequestError(parameter.argument, f"may not set the header {parameter.name[:60]}")
        self._add_from_argument(parameter.argument, parameter.name, value, masked)

    def add_cookies(self, argument: str, value: str, *, masked: str | None) -> None:
        """Add the one Cookie header that all cookie parameters share.

        Raises:
            RequestError: the operator sets the header.
        """
        self._add_from_argument(argument, "Cookie", value, masked)

    def _add_from_argument(self, argument: str, name: str, value: str, masked: str | None) -> None:
        if folded(name) in self._headers or folded(name) in self._taken:
            raise RequestError(argument, f"may not set the header {name[:60]} a second time")
        if not is_sendable(value):
            raise RequestError(argument, "holds characters that a header cannot carry")
        if masked is None:
            self._add(FrozenHeader(name=name, value=value))
            return
        fingerprint = self._references.hidden_fingerprint(name, value, call_id=self._call_id)
        self._add(FrozenHeader(name=name, value=value, reference=masked, fingerprint=fingerprint))

    def add_idempotency_key(self, name: str, key: str) -> None:
        """Add our own key.

        Raises:
            UpstreamError: the operator sets the same header.
        """
        if folded(name) in self._headers or folded(name) in self._taken or not is_token(name):
            raise UpstreamError(f"upstreams.{self._upstream.name}: {name} is signoff's own header")
        self._add(FrozenHeader(name=name, value=key))

    def has_reference(self, name: str) -> bool:
        """Say whether the operator sets this header by a reference, resolved only at send."""
        header = self._headers.get(name)
        return header is not None and header.value is None

    def _add(self, header: FrozenHeader) -> None:
        self._headers[folded(header.name)] = header

    def done(self) -> tuple[FrozenHeader, ...]:
        """Return the headers in the order they are sent."""
        return tuple(self._headers.values())


def str_of(part: object) -> str:
    """Return a template's part as it is written."""
    return part.text if isinstance(part, Text) else str(part)
