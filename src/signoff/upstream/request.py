"""Arguments become the exact request: method, URL, headers and body, fixed once.

Owns turning a tool and its arguments into a `FrozenRequest`. Resolves no credential for sending
and opens no connection. Every header but three is fixed here: `Host` follows from the URL,
`Content-Length` from the body, `Connection` from the kind of connection.
"""

import base64
import re
from collections.abc import Mapping
from typing import Final

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec, Upstream
from signoff.identity import Caller
from signoff.sealed import Sealer
from signoff.upstream import masking
from signoff.upstream.bodies import Payload, payload_of
from signoff.upstream.credentials import AuthRequiredError, FrozenCredential, freeze_credentials
from signoff.upstream.frozen import FrozenHeader, HeaderSet, accept_of
from signoff.upstream.frozen_request import FrozenRequest, hasher
from signoff.upstream.headers import References, folded, read_as
from signoff.upstream.hooks import HookContext
from signoff.upstream.masking import mask_arguments
from signoff.upstream.target import Parts, RequestError, UpstreamError, base_of

__all__ = [
    "AuthRequiredError",
    "FrozenHeader",
    "FrozenRequest",
    "RequestError",
    "UpstreamError",
    "freeze",
    "idempotency_key",
    "mask_arguments",
]

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Z-]{1,20}")  # RFC 9110 §9.1: a token
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"})
"""RFC 9110 §9.2.2: what may be sent again when nobody knows whether it arrived."""


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
        AuthRequiredError: the operation needs credentials that the catalogue does not give.
        UpstreamError: the operator's base URL, headers or template cannot be used.
    """
    if _METHOD.fullmatch(tool.method) is None:
        raise UpstreamError(f"{tool.source}: {tool.method[:20]!r} is not a method")
    base = base_of(upstream, tool.server)
    credentials = freeze_credentials(tool, upstream, caller, references) if base.trusted else ()
    secrets = masking.secrets_of(tool)
    masked = secrets.present(arguments)
    parts = Parts(tool, base, arguments)
    for carrier in ("query", "cookie"):
        names = {read_as(one.name) for one in credentials if one.carrier == carrier}
        parts.refuse_names(carrier, names)
    # A hash of a few digits is no secret: with masked values every hash is keyed for this call.
    key = _derived(sealer, "masked request", call_id or "") if masked else None
    payload = payload_of(
        tool,
        arguments,
        secrets if masked else None,
        seed=lambda: _derived(sealer, "boundary", call_id or tool.name),
        hashed=hasher(key),
    )
    headers = HeaderSet(
        upstream,
        references,
        call_id=call_id,
        trusted=base.trusted,
        taken=[one.name for one in credentials if one.carrier == "header"],
    )
    _add_headers(headers, tool, parts, payload, secrets=secrets, caller=caller)
    if call_id is not None:
        headers.add_idempotency_key(_key_header(tool), idempotency_key(sealer, call_id))
    _refuse_two_cookie_headers(upstream, headers, credentials)
    shown_url = parts.shown_url(secrets) if masked else None
    context: HookContext | None = None
    if any(one.kind == "hook" for one in credentials):
        context = HookContext(
            upstream=upstream.name,
            tool=tool.name,
            method=tool.method,
            url=parts.url,
            caller=caller,
            call_id=call_id,
        )
    return FrozenRequest(
        method=tool.method,
        url=parts.url,
        template=tool.path,
        headers=headers.done(),
        body=None if payload is None else payload.content,
        masked=masked,
        shown_url=shown_url if shown_url != parts.url else None,
        shown_body=None if payload is None else payload.shown,
        opaque=payload is not None and payload.opaque,
        parts=() if payload is None else payload.parts,
        hash_key=key,
        credentials=credentials,
        server=None if tool.server is None else tool.server.url,
        repeatable=tool.method in _REPEATABLE or tool.retry.kind == "natural",
        context=context,
    )


def idempotency_key(sealer: Sealer, call_id: str) -> str:
    """Return the key under which the upstream knows every attempt of this call."""
    return base64.b32encode(_derived(sealer, "idempotency", call_id)).decode().rstrip("=")


def _derived(sealer: Sealer, purpose: str, text: str) -> bytes:
    return sealer.keyed_hash(purpose, text.encode())


def _key_header(tool: ToolSpec) -> str:
    return tool.retry.header or "Idempotency-Key"


def _add_headers(
    headers: HeaderSet,
    tool: ToolSpec,
    parts: Parts,
    payload: Payload | None,
    *,
    secrets: masking.Secrets,
    caller: Caller,
) -> None:
    headers.add_fixed(
        caller,
        None if payload is None else payload.content_type,
        accept=accept_of(tool.accept),
    )
    key_header = folded(_key_header(tool))
    for parameter, text in parts.headers:
        if folded(parameter.name) == key_header:
            raise RequestError(parameter.argument, f"may not set the header {_key_header(tool)}")
        hidden = masking.marker(text) if parameter.argument in secrets.whole else None
        headers.add_argument(parameter, text, masked=hidden)
    if cookie := parts.cookie():
        shown = parts.cookie(secrets)
        argument = parts.cookies[0][0].argument
        headers.add_cookies(argument, cookie, masked=None if shown == cookie else shown)


def _refuse_two_cookie_headers(
    upstream: Upstream, headers: HeaderSet, credentials: tuple[FrozenCredential, ...]
) -> None:
    if headers.has_reference("cookie") and any(one.carrier == "cookie" for one in credentials):
        raise UpstreamError(
            f"upstreams.{upstream.name}.headers.Cookie: a credential is a cookie too"
        )
