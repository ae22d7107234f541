"""The request as it will be sent, fixed when its call opens, and what people see of it.

Owns the record of those bytes, its stored form and the `request` member of the details. Builds
nothing and sends nothing.
"""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from signoff.approvals.details import INLINE_BYTES
from signoff.canonical import Json, sha256_hex
from signoff.identity import Caller
from signoff.upstream.credentials import FrozenCredential
from signoff.upstream.frozen import FrozenHeader
from signoff.upstream.headers import folded
from signoff.upstream.hooks import HookContext
from signoff.upstream.serialise import compact


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRequest:
    """What is shown, hashed and sent.

    `shown_url` and `shown_body` are set where values are masked, and `hash_key` with them: the
    hashes that people see are keyed then, or a masked PIN could be found by trying them all.
    `opaque` shows no body text; `parts` describe the parts of a multipart body. `url` holds no
    credential. `server` is set where the operation has a server of its own.
    """

    method: str
    url: str
    template: str
    headers: tuple[FrozenHeader, ...]
    body: bytes | None
    masked: tuple[str, ...] = ()
    shown_url: str | None = None
    shown_body: str | None = None
    opaque: bool = False
    parts: tuple[Mapping[str, Json], ...] = ()
    hash_key: bytes | None = field(default=None, repr=False)
    credentials: tuple[FrozenCredential, ...] = ()
    server: str | None = None
    repeatable: bool = False
    context: HookContext | None = None

    def details(self) -> dict[str, Json]:
        """Return the `request` member of `approvals/details.py`."""
        body = self.body or b""
        hashed = hasher(self.hash_key)
        headers: dict[str, Json] = {header.name: _shown(header) for header in self.headers}
        elsewhere: list[Json] = []
        for one in self.credentials:
            seen: dict[str, Json] = {"reference": one.reference, "fingerprint": one.fingerprint}
            if one.carrier == "header":
                headers[one.name] = seen
            else:
                elsewhere.append({"in": one.carrier, "name": one.name, **seen})
        details: dict[str, Json] = {
            "method": self.method,
            "url": self.url if self.shown_url is None else self.shown_url,
            "url_sha256": hashed(self.url.encode()),
            "template": self.template,
            "headers": headers,
            "body": self._shown_text(body),
            "body_sha256": hashed(body),
            "body_bytes": len(body),
            "body_media_type": self._media_type(),
            "masked": list(self.masked),
        }
        if elsewhere:
            details["credentials"] = elsewhere
        if self.parts:
            details["parts"] = [dict(part) for part in self.parts]
        return details

    def _shown_text(self, body: bytes) -> str | None:
        if self.body is None or self.opaque or len(body) > INLINE_BYTES:
            return None
        return self.shown_body if self.shown_body is not None else body.decode()

    def _media_type(self) -> str | None:
        if self.body is None:
            return None
        named = (one.value for one in self.headers if folded(one.name) == "content-type")
        return next(named, None)

    def to_record(self) -> bytes:
        """Return the form that is stored, sealed: it holds unmasked values."""
        record: dict[str, Json] = {
            "method": self.method,
            "url": self.url,
            "template": self.template,
            "headers": [
                [header.name, header.value, header.reference, header.fingerprint]
                for header in self.headers
            ],
            "body": _text64(self.body),
            "masked": list(self.masked),
            "shown_url": self.shown_url,
            "shown_body": self.shown_body,
            "opaque": self.opaque,
            "parts": [dict(part) for part in self.parts],
            "hash_key": _text64(self.hash_key),
            "credentials": [one.to_row() for one in self.credentials],
            "server": self.server,
            "repeatable": self.repeatable,
            "context": None if self.context is None else _context_record(self.context),
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
        context = cast("dict[str, Json] | None", members["context"])
        return cls(
            method=str(members["method"]),
            url=str(members["url"]),
            template=str(members["template"]),
            headers=tuple(
                FrozenHeader(name=str(name), value=value, reference=reference, fingerprint=mark)
                for name, value, reference, mark in rows
            ),
            body=_bytes64(members["body"]),
            masked=tuple(cast("list[str]", members["masked"])),
            shown_url=cast("str | None", members["shown_url"]),
            shown_body=cast("str | None", members["shown_body"]),
            opaque=bool(members["opaque"]),
            parts=tuple(cast("list[dict[str, Json]]", members["parts"])),
            hash_key=_bytes64(members["hash_key"]),
            credentials=tuple(
                FrozenCredential.from_row(row)
                for row in cast("list[list[Json]]", members["credentials"])
            ),
            server=cast("str | None", members["server"]),
            repeatable=bool(members["repeatable"]),
            context=None if context is None else _context(context),
        )


def hasher(key: bytes | None) -> Callable[[bytes], str]:
    """Return how content is hashed for people: plainly, or under the key of its call."""
    if key is None:
        return sha256_hex
    return lambda content: f"hmac-sha-256:{hmac.digest(key, content, 'sha256').hex()}"


def _shown(header: FrozenHeader) -> Json:
    if header.reference is None:
        return header.value
    return {"reference": header.reference, "fingerprint": header.fingerprint}


def _text64(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _bytes64(text: Json) -> bytes | None:
    return None if text is None else base64.b64decode(str(text), validate=True)


def _context_record(context: HookContext) -> dict[str, Json]:
    return {
        "upstream": context.upstream,
        "tool": context.tool,
        "method": context.method,
        "url": context.url,
        "caller": dict(context.caller.as_json()),
        "call_id": context.call_id,
    }


def _context(members: Mapping[str, Json]) -> HookContext:
    return HookContext(
        upstream=str(members["upstream"]),
        tool=str(members["tool"]),
        method=str(members["method"]),
        url=str(members["url"]),
        caller=Caller.from_json(cast("dict[str, str]", members["caller"])),
        call_id=cast("str | None", members["call_id"]),
    )
