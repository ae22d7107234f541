"""The operator's small templates: `${env:NAME}` in headers, `{argument}` in titles.

Owns their grammar and the rule that a secret never stands in the catalogue. Resolves nothing.
"""

import re
from collections.abc import Callable, Collection
from typing import Final

from signoff.catalog.fields import Word, suggest
from signoff.catalog.model import HeaderTemplate, Reference, ReferenceKind, Template, Text

CALLER_MEMBERS: Final = ("sub", "client_id", "issuer", "kind", "agent_id", "host_id")
_REFERENCE: Final = re.compile(r"\$\{([^{}]*)\}")
_COLON: Final[dict[str, ReferenceKind]] = {"env": "env", "file": "file"}
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VISIBLE: Final = re.compile(r"[\x20-\x7e]*")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_OURS: Final = frozenset({
    "accept-encoding", "connection", "content-length", "expect", "host", "idempotency-key",
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_SECRET_NAME: Final = re.compile(
    r"(?i)authorization|cookie|token|secret|password|passwd|credential|api[-_]?key|access[-_]?key"
)
_SECRET_VALUE: Final = re.compile(
    r"(?i)\b(bearer|basic|token)\s+\S|\beyJ[\w-]{8,}\.|\b(sk|pk|rk)[-_](live|test|proj)?[-_]?\w{12,}"
    r"|\bgh[pousr]_\w{16,}|\bgithub_pat_\w{16,}|\bxox[abprs]-\S{10,}|\bAKIA[0-9A-Z]{12,}"
)
_TITLE_LENGTH: Final = 200

Complain = Callable[[str], None]


def header(name: str, word: Word, complain: Complain) -> HeaderTemplate | None:
    """Read one header of an upstream; mistakes go to `complain`."""
    fault = header_fault(name)
    if fault is not None:
        complain(fault)
        return None
    if not _VISIBLE.fullmatch(word.text) or word.text != word.text.strip():
        complain("a header carries visible ASCII only, without space at either end")
        return None
    parts = template(word, complain)
    if parts is None:
        return None
    _refuse_secret(name, parts, complain)
    return HeaderTemplate(name=name, parts=parts)


def header_fault(name: str) -> str | None:
    """Return why the operator may not set a header of this name, or None."""
    if not _TOKEN.fullmatch(name):
        return "is not a header name"
    if name.lower().replace("_", "-") in _OURS:
        return "signoff sets this header itself; leave it out"
    return None


def secret(name: str, word: Word, complain: Complain) -> Template:
    """Read a text that is a secret, so it has to refer to one; mistakes go to `complain`."""
    parts = template(word, complain)
    if parts is None:
        return ()
    if not any(isinstance(part, Reference) for part in parts):
        complain('a secret may not stand in the catalogue; write "${env:NAME}" and set NAME')
        return ()
    _refuse_secret(name, parts, complain)
    return parts


def template(word: Word, complain: Complain) -> Template | None:
    """Read a text with references; mistakes go to `complain`."""
    parts: list[Text | Reference] = []
    end = 0
    for found in _REFERENCE.finditer(word.text):
        if found.start() > end:
            parts.append(Text(text=word.text[end : found.start()]))
        reference = _reference(found[1], complain)
        if reference is None:
            return None
        parts.append(reference)
        end = found.end()
    if end < len(word.text):
        parts.append(Text(text=word.text[end:]))
    if any(isinstance(part, Text) and "${" in part.text for part in parts):
        complain('"${" begins a reference that is not closed by "}"')
        return None
    return tuple(parts)


def _refuse_secret(name: str, parts: Template, complain: Complain) -> None:
    texts = "".join(part.text if isinstance(part, Text) else "\x00" for part in parts)
    refers = any(isinstance(part, Reference) for part in parts)
    if (not refers and _SECRET_NAME.search(name)) or _SECRET_VALUE.search(
        texts.replace("\x00", "")
    ):
        scheme = re.match(r"(?i)(bearer|basic|token)\s", texts)
        example = f"{scheme[0] if scheme else ''}${{env:NAME}}"
        complain(f'a secret may not stand in the catalogue; write "{example}" and set NAME')


def _reference(inside: str, complain: Complain) -> Reference | None:
    kind, separator, name = inside.partition(":")
    if separator and kind in _COLON:
        if not name or (kind == "env" and not _ENV_NAME.fullmatch(name)):
            complain(f"${{{inside}}}: {name[:60]!r} is not a name that {kind} can have")
            return None
        return Reference(kind=_COLON[kind], name=name)
    kind, separator, name = inside.partition(".")
    if kind == "caller" and name in CALLER_MEMBERS:
        return Reference(kind="caller", name=name)
    if inside == "approval.token":
        return Reference(kind="approval", name="token")
    known = [*(f"caller.{member}" for member in CALLER_MEMBERS), "approval.token"]
    hint = suggest(inside, known)
    complain(
        f"${{{inside[:60]}}} is not a reference{hint}"
        + ("" if hint else "; ${env:NAME}, ${file:path}, ${caller.sub} and ${approval.token} are")
    )
    return None


def check_title(word: Word, arguments: Collection[str], secret: Collection[str]) -> str | None:
    """Return what is wrong with an approval's title, or None."""
    if "${" in word.text:
        return 'a title takes arguments as "{name}", not references'
    if len(word.text) > _TITLE_LENGTH or not word.text.isprintable():
        return f"must be one line of at most {_TITLE_LENGTH} characters"
    if set(_PLACEHOLDER.sub("", word.text)) & {"{", "}"}:
        return "a brace without its pair"
    for name in _PLACEHOLDER.findall(word.text):
        if name not in arguments:
            return f'"{{{name[:60]}}}" is no argument of this tool{suggest(name, arguments)}'
        if name in secret:
            return f'"{{{name}}}" is secret and may not stand in a title'
    return None
