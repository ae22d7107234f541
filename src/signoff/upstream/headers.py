"""Header names that arguments may never set, header values that may leave, and `${…}` references.

Owns resolving `${env:NAME}` and `${file:path}` when a request is sent, `${caller.*}` when it is
frozen, and the keyed fingerprint that ties the two moments together. The process's environment
arrives as a mapping; nothing a caller sends is ever read as a reference.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus, unquote

from pydantic import SecretStr

from signoff.catalog.model import HeaderTemplate, Reference, Text, Upstream
from signoff.catalog.wire import DESCRIBING_HEADERS
from signoff.identity import Caller
from signoff.sealed import Sealer

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_REFERENCE: Final = re.compile(r"\$\{(?:(env|file):([^{}]+)|(caller|approval)\.([^{}]+))\}")
_INSIDE: Final = re.compile(r"[\[\]]")
_FILE_BYTES: Final = 65_536
_KEPT: Final = 256
_SHORT: Final = 4  # shorter secrets would be found in every answer
_EXACT_ALIGNMENT: Final = 9
_CALLER: Final = ("sub", "client_id", "issuer", "kind", "agent_id", "host_id")

_DENIED: Final = frozenset({
    "accept",
    "accept-encoding",
    "authorization",
    "cf-connecting-ip",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "idempotency-key",
    "keep-alive",
    "origin",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "user-agent",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
})
_DENIED_PREFIXES: Final = ("content-", "proxy-", "sec-", "x-forwarded-")
_FRAMING: Final = frozenset({
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
})


class CredentialError(Exception):
    """A reference cannot be resolved. The message names the reference, never a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A header value ready to send, and the secrets inside it."""

    value: SecretStr
    secrets: tuple[str, ...] = field(repr=False)


@lru_cache(maxsize=1_024)
def folded(name: str) -> str:
    """Return the form under which servers compare header names.

    WSGI, CGI and several proxies read `_` as `-`, so both spellings are one name.
    """
    return name.lower().replace("_", "-")


def read_as(name: str) -> str:
    """Return the form under which servers may compare names in a query or a Cookie.

    PHP reads `a.b` and `a b` as `a_b`; it, Rack and others read `a[]`, `a[x]` and `[a]` as `a`.
    """
    text = unquote(name).lower().strip().lstrip("[")
    return _INSIDE.split(text, maxsplit=1)[0].replace(".", "_").replace(" ", "_")


def is_protected(name: str) -> bool:
    """Say whether arguments must never set this header."""
    lowered = folded(name)
    return (
        _TOKEN.fullmatch(name) is None
        or lowered in _DENIED
        or (lowered.startswith(_DENIED_PREFIXES) and lowered not in DESCRIBING_HEADERS)
    )


def is_token(name: str) -> bool:
    """Say whether `name` is a field name of RFC 9110 §5.1."""
    return _TOKEN.fullmatch(name) is not None


def is_sendable(value: str) -> bool:
    """Say whether `value` arrives as it is written: visible ASCII, no space at either end."""
    return _VALUE.fullmatch(value) is not None and value == value.strip(" ")


@lru_cache(maxsize=1_024)
def parsed(reference: str) -> tuple[Text | Reference, ...]:
    """Read back the parts of a frozen header's reference.

    Raises:
        CredentialError: it holds a `${` that is no reference.
    """
    parts: list[Text | Reference] = []
    end = 0
    for found in _REFERENCE.finditer(reference):
        _add_text(parts, reference[end : found.start()])
        end = found.end()
        match found[1] or found[3]:
            case "env":
                parts.append(Reference(kind="env", name=found[2]))
            case "file":
                parts.append(Reference(kind="file", name=found[2]))
            case "caller":
                parts.append(Reference(kind="caller", name=found[4]))
            case _:
                parts.append(Reference(kind="approval", name=found[4]))
    _add_text(parts, reference[end:])
    return tuple(parts)


def _add_text(parts: list[Text | Reference], text: str) -> None:
    if "${" in text:
        raise CredentialError(f"{text[:60]!r} is not a reference")
    if text:
        parts.append(Text(text=text))


def for_caller(template: HeaderTemplate, caller: Caller) -> tuple[Text | Reference, ...]:
    """Return the template's parts with `${caller.*}` replaced by the caller's own members.

    Raises:
        CredentialError: the caller has no such member, or it cannot stand in a header.
    """
    members = caller.as_json()
    parts: list[Text | Reference] = []
    for part in template.parts:
        if isinstance(part, Text) or part.kind != "caller":
            parts.append(part)
            continue
        value = members.get(part.name)
        if value is None:
            raise CredentialError(f"{part} has no value: the caller has no {part.name}")
        # A value that looks like a reference must not become one when the record is read back.
        if "${" in value or not is_sendable(value):
            raise CredentialError(f"{part} holds characters that a header cannot carry")
        parts.append(Text(text=value))
    return tuple(parts)


class References:
    """Resolves what an operator's header templates refer to.

    `environment` is the process's environment, `root` the directory of the catalogue, against
    which relative `${file:…}` paths are read. Values are read anew on each send, so a rotated
    file counts at once.
    """

    def __init__(self, sealer: Sealer, *, environment: Mapping[str, str], root: Path) -> None:
        self._key = sealer.derive("upstream header fingerprint")
        self._environment = environment
        self._root = root
        self._traces: dict[str, tuple[bytes, ...]] = {}
        self._fingerprints: dict[str, str] = {}

    def check(self, upstreams: Iterable[Upstream]) -> tuple[str, ...]:
        """Return one sentence for each header that could not be sent now; empty when all can."""
        problems: list[str] = []
        for upstream in upstreams:
            seen: set[str] = set()
            for header in upstream.headers:
                where = f"upstreams.{upstream.name}.headers.{header.name}"
                if folded(header.name) in seen:
                    problems.append(f"{where}: stands twice")
                seen.add(folded(header.name))
                if problem := self._problem(header):
                    problems.append(f"{where}: {problem}")
        return tuple(problems)

    def _problem(self, header: HeaderTemplate) -> str | None:
        if not is_token(header.name):
            return "not a header name"
        if folded(header.name) in _FRAMING:
            return "signoff sets this header itself"
        return next(iter(self.problems(header.parts)), None)

    def problems(self, parts: Iterable[Text | Reference]) -> list[str]:
        """Return one sentence for each part of a template that has no value now."""
        return [problem for problem in map(self._part_problem, parts) if problem]

    def _part_problem(self, part: Text | Reference) -> str | None:
        if isinstance(part, Text):
            fits = "${" not in part.text and _VALUE.fullmatch(part.text)
            return None if fits else "holds characters that a header cannot carry"
        if part.kind == "caller":
            known = ", ".join(_CALLER)
            return None if part.name in _CALLER else f"{part} is none of a caller's: {known}"
        if part.kind == "approval":
            return None if part.name == "token" else f"{part}: only ${{approval.token}} exists"
        try:
            self._secret(part)
        except CredentialError as error:
            return str(error)
        return None

    def path(self, parts: Sequence[Text | Reference]) -> Path:
        """Return the file that a template of one `${file:…}` names.

        Raises:
            CredentialError: it names none, or the file cannot be read.
        """
        part = parts[0] if len(parts) == 1 else None
        if not isinstance(part, Reference) or part.kind != "file":
            raise CredentialError('is no file; write "${file:path}"')
        path = self._root / part.name
        try:
            with path.open("rb"):
                return path
        except OSError as error:
            raise CredentialError(f"{part} cannot be read: {error.strerror}") from None

    def fingerprint(self, name: str, parts: Sequence[Text | Reference]) -> str | None:
        """Return the keyed hash of a header's static value as hex.

        None where nothing but `${approval.token}` is referred to: that differs each time.

        Raises:
            CredentialError: a reference cannot be resolved.
        """
        kinds = {part.kind for part in parts if isinstance(part, Reference)}
        if not kinds & {"env", "file"}:
            return None
        pieces = [folded(name)]
        after_text = False
        for part in parts:
            if not isinstance(part, Text):
                pieces.append(str(part) if part.kind == "approval" else self._secret(part))
            elif after_text:
                # A caller's member beside a text is one text once the reference is read back.
                pieces[-1] += part.text
            else:
                pieces.append(part.text)
            after_text = isinstance(part, Text)
        text = "\x00".join(pieces)
        known = self._fingerprints.get(text)
        if known is None:
            known = hmac.digest(self._key, text.encode(), "sha256").hex()
            if len(self._fingerprints) >= _KEPT:  # callers' names make texts without end
                self._fingerprints.clear()
            self._fingerprints[text] = known
        return known

    def hidden_fingerprint(self, name: str, value: str, *, call_id: str | None) -> str:
        """Return the keyed hash of a masked argument that travels in a header, for one call."""
        text = "\x00".join(("masked", call_id or "", folded(name), value))
        return hmac.digest(self._key, text.encode(), "sha256").hex()

    def resolve(
        self, parts: Sequence[Text | Reference], *, approval_token: SecretStr | None
    ) -> Resolved:
        """Return the value to send.

        Raises:
            CredentialError: a reference has no value, or one that a header cannot carry.
        """
        pieces: list[str] = []
        secrets: list[str] = []
        for part in parts:
            if isinstance(part, Text):
                pieces.append(part.text)
                continue
            if part.kind == "approval":
                if approval_token is None:
                    raise CredentialError(f"{part} has no value: this call needs no approval")
                secret = approval_token.get_secret_value()
            else:
                secret = self._secret(part)
            pieces.append(secret)
            secrets.append(secret)
        value = "".join(pieces)
        if not is_sendable(value):
            raise CredentialError("a resolved header holds characters that a header cannot carry")
        return Resolved(value=SecretStr(value), secrets=tuple(secrets))

    def traces(self, secret: str) -> tuple[bytes, ...]:
        """Return the byte strings under which `secret` could come back in an answer."""
        known = self._traces.get(secret)
        if known is None:
            known = spellings(secret)
            if len(self._traces) >= _KEPT:  # approval tokens differ each time
                self._traces.clear()
            self._traces[secret] = known
        return known

    def _secret(self, part: Text | Reference) -> str:
        if isinstance(part, Text) or part.kind not in ("env", "file"):
            raise CredentialError(f"{part} is not resolved here")
        if part.kind == "env":
            value = self._environment.get(part.name)
            if not value:
                raise CredentialError(f"{part}: the environment variable {part.name} is not set")
            return self._sendable(part, value)
        try:
            with (self._root / part.name).open("rb") as file:
                content = file.read(_FILE_BYTES + 1)
        except OSError as error:
            raise CredentialError(f"{part} cannot be read: {error.strerror}") from None
        if len(content) > _FILE_BYTES:
            raise CredentialError(f"{part} is larger than {_FILE_BYTES} bytes")
        value = content.decode("utf-8", "replace").rstrip("\r\n")
        if not value:
            raise CredentialError(f"{part} is empty")
        return self._sendable(part, value)

    @staticmethod
    def _sendable(part: Reference, value: str) -> str:
        if not is_sendable(value):
            raise CredentialError(f"{part} holds characters that a header cannot carry")
        return value


def spellings(secret: str) -> tuple[bytes, ...]:
    """Return raw, JSON, URL and base64 forms of `secret`, the longest first."""
    if len(secret) < _SHORT:
        return ()
    forms = {secret, quote(secret, safe=""), quote_plus(secret), quote(secret)}
    forms |= {form.replace("/", "\\/") for form in (secret,)}
    forms.add(secret.replace("\\", "\\\\").replace('"', '\\"'))
    raw = secret.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(raw).decode()
        forms |= {text, text.rstrip("=")}
        if len(raw) >= _EXACT_ALIGNMENT:
            # Inside a longer base64 text the secret starts at one of three offsets; the characters
            # that depend on its neighbours are left out.
            for lead in (1, 2):
                whole = encode(b"\x00" * lead + raw).decode().rstrip("=")
                forms.add(whole[lead + 1 : -1])
            forms.add(text.rstrip("=")[:-1])
    forms |= _inside_basic(secret)
    kept = {form.encode() for form in forms if len(form) >= _SHORT}
    return tuple(sorted(kept, key=lambda form: (-len(form), form)))


def _inside_basic(secret: str) -> set[str]:
    """Return `user:password` and the password of a Basic credential (RFC 7617 §2)."""
    try:
        text = base64.b64decode(secret, validate=True).decode()
    except (binascii.Error, ValueError):
        return set()
    if ":" not in text or not text.isprintable():
        return set()
    return {text, text.split(":", 1)[1]}
