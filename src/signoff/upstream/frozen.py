"""The headers of one request, fixed when it is frozen.

Owns their order, that no name stands twice, and what an argument may set. `Host` and
`Content-Length` follow from URL and body and are not listed here.
"""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenHeader:
    """One header. With `value` it is sent as it stands; else `reference` is resolved at send.

    A header with both carries a masked argument: sent from `value`, shown as `reference`.
    """

    name: str
    value: str | None
    reference: str | None = None
    fingerprint: str | None = None


class HeaderSet:
    """Collects the headers of one request: defaults, the operator's, arguments', ours."""

    def __init__(self, upstream: Upstream, references: References, *, call_id: str | None) -> None:
        self._upstream = upstream
        self._references = references
        self._call_id = call_id
        self._headers: dict[str, FrozenHeader] = {}

    def add_fixed(self, caller: Caller, content_type: str | None) -> None:
        """Add what every request of the upstream carries; the operator's replace our defaults."""
        defaults: dict[str, str | None] = {
            "Accept": ACCEPT,
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            "Content-Type": content_type,
        }
        own = {folded(header.name) for header in self._upstream.headers}
        for name, value in defaults.items():
            if value is not None and folded(name) not in own:
                self._add(FrozenHeader(name=name, value=value))
        for template in self._upstream.headers:
            where = f"upstreams.{self._upstream.name}.headers.{template.name}"
            if folded(template.name) in self._headers or not is_token(template.name):
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
        if folded(name) in self._headers:
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
        if folded(name) in self._headers or not is_token(name):
            raise UpstreamError(f"upstreams.{self._upstream.name}: {name} is signoff's own header")
        self._add(FrozenHeader(name=name, value=key))

    def _add(self, header: FrozenHeader) -> None:
        self._headers[folded(header.name)] = header

    def done(self) -> tuple[FrozenHeader, ...]:
        """Return the headers in the order they are sent."""
        return tuple(self._headers.values())


def str_of(part: object) -> str:
    """Return a template's part as it is written."""
    return part.text if isinstance(part, Text) else str(part)
