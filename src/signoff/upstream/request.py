"""Arguments become the exact request: method, URL, headers and body, fixed once.

Owns `FrozenRequest`: the bytes that are shown, hashed and sent. Resolves no credential for
sending and opens no connection. Every header but three is fixed here: `Host` follows from the
URL, `Content-Length` from the body, `Connection` from the kind of connection.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from signoff.approvals.details import INLINE_BYTES
from signoff.canonical import Json, sha256_hex
from signoff.catalog.model import ToolSpec, Upstream
from signoff.identity import Caller
from signoff.sealed import Sealer
from signoff.upstream import masking
from signoff.upstream.frozen import FrozenHeader, HeaderSet
from signoff.upstream.headers import References, folded
from signoff.upstream.masking import mask_arguments
from signoff.upstream.serialise import UnserialisableError, compact, form_body
from signoff.upstream.target import Parts, RequestError, UpstreamError

__all__ = [
    "FrozenHeader",
    "FrozenRequest",
    "RequestError",
    "UpstreamError",
    "freeze",
    "idempotency_key",
    "mask_arguments",
]

_METHOD: Final = re.compile(r"[A-Z]{1,20}")
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRequest:
    """The request as it will be sent. `shown_url` and `shown_body` are set where it is masked."""

    method: str
    url: str
    template: str
    headers: tuple[FrozenHeader, ...]
    body: bytes | None
    masked: tuple[str, ...] = ()
    shown_url: str | None = None
    shown_body: str | None = None

    def details(self) -> dict[str, Json]:
        """Return the `request` member of `approvals/details.py`."""
        body = self.body or b""
        shown: str | None = None
        if self.body is not None and len(body) <= INLINE_BYTES:
            shown = self.shown_body if self.shown_body is not None else body.decode()
        return {
            "method": self.method,
            "url": self.url if self.shown_url is None else self.shown_url,
            "url_sha256": sha256_hex(self.url.encode()),
            "template": self.template,
            "headers": {header.name: _shown(header) for header in self.headers},
            "body": shown,
            "body_sha256": sha256_hex(body),
            "body_bytes": len(body),
            "body_media_type": self._media_type(),
            "masked": list(self.masked),
        }

    def _media_type(self) -> str | None:
        if self.body is None:
            return None
        named = (one.value for one in self.headers if folded(one.name) == "content-type")
        return next(named, None)

    def to_record(self) -> bytes:
        """Return the form that is stored, sealed: it holds unmasked values."""
        headers: list[Json] = [
            [header.name, header.value, header.reference, header.fingerprint]
            for header in self.headers
        ]
        record: dict[str, Json] = {
            "method": self.method,
            "url": self.url,
            "template": self.template,
            "headers": headers,
            "body": None if self.body is None else base64.b64encode(self.body).decode(),
            "masked": list(self.masked),
            "shown_url": self.shown_url,
            "shown_body": self.shown_body,
        }
        return compact(record).encode()

    @classmethod
    def from_record(cls, record: bytes) -> "FrozenRequest":
        """Read back what `to_record` wrote.

        Raises:
            ValueError, KeyError: the record is damaged.
        """
        members = cast("dict[str, Json]", json.loads(record))
        rows = cast("list[tuple[str, str | None, str | None, str | None]]", members["headers"])
        body = cast("str | None", members["body"])
        return cls(
            method=str(members["method"]),
            url=str(members["url"]),
            template=str(members["template"]),
            headers=tuple(
                FrozenHeader(name=name, value=value, reference=reference, fingerprint=fingerprint)
                for name, value, reference, fingerprint in rows
            ),
            body=None if body is None else base64.b64decode(body, validate=True),
            masked=tuple(cast("list[str]", members["masked"])),
            shown_url=cast("str | None", members["shown_url"]),
            shown_body=cast("str | None", members["shown_body"]),
        )


def freeze(
    tool: ToolSpec,
    upstream: Upstream,
    arguments: Mapping[str, Json],
    *,
    caller: Caller,
    call_id: str | None,
    sealer: Sealer,
    references: References,
) -> FrozenRequest:
    """Build the one request that these arguments mean.

    `call_id` is None for a call that needs no approval: it gets no idempotency key.

    Raises:
        RequestError: names the argument that cannot be sent.
        UpstreamError: the operator's base URL, headers or template cannot be used.
    """
    if _METHOD.fullmatch(tool.method) is None:
        raise UpstreamError(f"{tool.source}: {tool.method[:20]!r} is not a method")
    secrets = masking.secrets_of(tool)
    parts = Parts(tool, upstream, arguments)
    body = _body(tool, arguments)
    headers = HeaderSet(upstream, references, call_id=call_id)
    headers.add_fixed(caller, None if body is None else tool.body.content_type)
    key_header = tool.retry.header or "Idempotency-Key"
    for parameter, text in parts.headers:
        if folded(parameter.name) == folded(key_header):
            raise RequestError(parameter.argument, f"may not set the header {key_header}")
        hidden = masking.marker(text) if parameter.argument in secrets.whole else None
        headers.add_argument(parameter, text, masked=hidden)
    cookie = parts.cookie()
    if cookie:
        shown_cookie = parts.cookie(secrets)
        headers.add_cookies(
            parts.cookies[0][0].argument,
            cookie,
            masked=None if shown_cookie == cookie else shown_cookie,
        )
    if call_id is not None:
        headers.add_idempotency_key(key_header, idempotency_key(sealer, call_id))
    masked = secrets.present(arguments)
    shown_url = shown_body = None
    if masked:
        shown_url = parts.shown_url(secrets)
        if body is not None:
            shown_body = (_body(tool, secrets.hide(arguments)) or b"").decode()
    return FrozenRequest(
        method=tool.method,
        url=parts.url,
        template=tool.path,
        headers=headers.done(),
        body=body,
        masked=masked,
        shown_url=shown_url if shown_url != parts.url else None,
        shown_body=shown_body,
    )


def idempotency_key(sealer: Sealer, call_id: str) -> str:
    """Return the key under which the upstream knows every attempt of this call."""
    return base64.b32encode(sealer.keyed_hash("idempotency", call_id.encode())).decode().rstrip("=")


def _shown(header: FrozenHeader) -> Json:
    if header.reference is None:
        return header.value
    return {"reference": header.reference, "fingerprint": header.fingerprint}


def _body(tool: ToolSpec, arguments: Mapping[str, Json]) -> bytes | None:
    """Return the body's bytes, in the order of the arguments; None when there is no body."""
    content = _body_value(tool, arguments)
    if content is _NOTHING:
        return None
    value = cast("Json", content)
    essence = tool.body.content_type.partition(";")[0].strip().lower()
    try:
        if essence == "application/json" or essence.endswith("+json"):
            return compact(value).encode()
        if essence == _FORM and isinstance(value, dict):
            return form_body(value).encode()
        if essence.startswith("text/") and isinstance(value, str):
            return value.encode()
    except (UnserialisableError, UnicodeEncodeError) as error:
        reason = str(error) if isinstance(error, UnserialisableError) else "is not text"
        raise RequestError(tool.body.argument, reason) from None
    raise RequestError(tool.body.argument, f"cannot be sent as {essence}")


_NOTHING: Final = object()


def _body_value(tool: ToolSpec, arguments: Mapping[str, Json]) -> object:
    body = tool.body
    placed = {parameter.argument for parameter in tool.parameters}
    rest = {name: value for name, value in arguments.items() if name not in placed}
    if body.kind == "whole":
        value: object = rest.pop(body.argument, _NOTHING)
        _refuse_unplaced(rest)
        if value is _NOTHING and body.required:
            raise RequestError(body.argument, "is required")
        return value
    if body.kind == "none":
        _refuse_unplaced(rest)
        return _NOTHING
    members: dict[str, Json] = {}
    for argument, value in rest.items():
        key = body.members.get(argument)
        if key is None:
            if not body.open_members:
                _refuse_unplaced({argument: value})
            key = argument
        if key in members:
            raise RequestError(argument, f"sets the body's {key[:60]!r} a second time")
        members[key] = value
    # A required body whose members are all optional is still sent, as `{}`.
    return members if members or body.required else _NOTHING


def _refuse_unplaced(arguments: Mapping[str, Json]) -> None:
    for name in arguments:
        raise RequestError(name[:100], "is not an argument of this tool")
