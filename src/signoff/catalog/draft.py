"""A first catalogue for a spec: everything that asks keeps asking, and some more does.

Owns the guesses. A guess is made from words in a method, a path or an operation's name, and can
only raise a risk; each says what it was made from. Writes text, no file.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from signoff.canonical import Json
from signoff.catalog.model import Capability, Risk
from signoff.catalog.openapi.compiler import Index, Indexed, Target
from signoff.catalog.openapi.documents import Document, dict_of, list_of
from signoff.catalog.openapi.security import schemes_of
from signoff.catalog.openapi.servers import Places, origin_of, root_urls
from signoff.catalog.openapi.texts import plain_text
from signoff.catalog.wire import SecurityScheme

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SLUG: Final = re.compile(r"[^a-z0-9]+")
_MANY: Final = 60
_TAGS: Final = 12
_GROUPS: Final[Mapping[str, frozenset[str]]] = {
    "money": frozenset({
        "balance", "billing", "capture", "charge", "checkout", "invoice", "order", "pay", "payment",
        "payout", "price", "purchase", "refund", "subscription", "transfer", "withdraw",
    }),
    "e-mail": frozenset({
        "announcement", "email", "invitation", "invite", "mail", "message", "newsletter", "notify",
        "send", "sms", "tweet",
    }),
    "delete": frozenset({
        "archive", "delete", "destroy", "drop", "erase", "purge", "remove", "terminate", "wipe",
    }),
    "admin": frozenset({
        "admin", "credential", "grant", "impersonate", "key", "member", "owner", "password",
        "permission", "policy", "role", "secret", "token", "webhook",
    }),
    "publish": frozenset({
        "deploy", "deployment", "merge", "publish", "release", "rollback", "share", "visibility",
    }),
}  # fmt: skip
_SENSITIVE: Final = frozenset({
    "admin", "credential", "impersonate", "key", "password", "secret", "token",
})  # fmt: skip
"""Reading a balance or a message harms nobody by itself; reading these may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """Why an operation should ask. `is_raised`: its method alone would not have made it."""

    operation: str
    group: str
    word: str
    is_raised: bool

    def __str__(self) -> str:
        raised = "raised to high" if self.is_raised else "high, as its method says"
        return f"{self.operation}: {self.group}, for the word {self.word!r}: {raised}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The text of a catalogue, what was guessed in it, and what the operator has to do."""

    text: str
    guesses: tuple[Guess, ...]
    todo: tuple[str, ...]
    tools: int


def draft(document: Document, *, spec: str, user: str) -> Draft:
    """Write a first catalogue for `document`, which stands at `spec` as seen from there."""
    index = Index(document, Target(upstream="draft"))
    about = dict_of(document.root.get("info"))
    title = plain_text(about.get("title"), limit=60)
    name = _SLUG.sub("-", title.lower()).strip("-")[:40].strip("-") or "api"
    guesses = [guess for one in index.offered if (guess := _guess(one)) is not None]
    base_url, todo = _base_url(document)
    schemes = _wanted(document)
    lines = [
        "# A first catalogue. Reads are allowed, everything else asks a person; risks below were",
        "# guessed from names, and only upward. Read it through before you rely on it.",
        "signoff: 1",
        f"server: {{name: {_text(name)}}}",
        "upstreams:",
        f"  {name}:",
        f"    openapi: {_text(spec)}",
        f"    base_url: {_text(base_url)}",
    ]
    if schemes:
        lines.append("    credentials:")
        for scheme in schemes:
            lines += [f"      {_text(scheme.name)}: {_credential(scheme, todo)}"]
    if any(scheme.kind == "mutual_tls" for scheme in schemes_of(document).values()):
        todo.append(
            "client_certificate: the spec has operations that want one; name the PEM files of "
            'yours, {cert: "${file:…}", key: "${file:…}"}'
        )
    lines += _exposed(index.offered)
    lines += _operations(index.offered, guesses)
    lines += ["users:", f"  - {{id: {_text(user)}}}", ""]
    return Draft(
        text="\n".join(lines), guesses=tuple(guesses), todo=tuple(todo), tools=len(index.offered)
    )


def _guess(indexed: Indexed) -> Guess | None:
    card = indexed.card
    for group, words in _GROUPS.items():
        for word in _words(card):
            if word in words and (card.risk is not Risk.LOW or word in _SENSITIVE):
                return Guess(
                    operation=indexed.operation.label,
                    group=group,
                    word=word,
                    is_raised=card.risk is Risk.LOW,
                )
    return None


def _words(card: Capability) -> Iterator[str]:
    if card.method == "DELETE":
        yield "delete"
    # A summary explains, and would raise far too much: names and paths say what is acted on.
    for text in (card.operation_id or "", card.path):
        for found in _WORD.finditer(text):
            word = found[0].lower()
            yield word
            if word.endswith("s"):
                yield word[:-1]


def _base_url(document: Document) -> tuple[str, list[str]]:
    for url in root_urls(document, Places()):
        origin = origin_of(url)
        if origin is not None:
            return url.rstrip("/"), []
    return "https://api.example.com", ["base_url: the spec names no server; say where the API is"]


def _wanted(document: Document) -> list[SecurityScheme]:
    """Return the schemes of the requirement that most operations could use."""
    schemes = schemes_of(document)
    counts: Counter[tuple[str, ...]] = Counter()
    for operation in document.operations():
        written = operation.members.get("security", document.root.get("security"))
        for raw in list_of(written):
            names = tuple(dict_of(raw))
            usable = [schemes[name].kind != "mutual_tls" for name in names if name in schemes]
            if names and len(usable) == len(names) and all(usable):
                counts[names] += 1

    def rank(names: tuple[str, ...]) -> tuple[int, int, bool, tuple[str, ...]]:
        is_basic = any(schemes[name].kind == "basic" for name in names)
        return -counts[names], len(names), is_basic, names

    best = min(counts, key=rank, default=())
    return [schemes[name] for name in best]


def _credential(scheme: SecurityScheme, todo: list[str]) -> str:
    variable = re.sub(r"[^A-Z0-9]+", "_", scheme.name.upper()).strip("_") or "API_TOKEN"
    if variable[0].isdigit():
        variable = f"API_{variable}"
    if scheme.kind == "basic":
        todo.append(f"set {variable}_USER and {variable}_PASSWORD in the environment")
        user, password = f"${{env:{variable}_USER}}", f"${{env:{variable}_PASSWORD}}"
        return f"{{username: {_text(user)}, password: {_text(password)}}}"
    todo.append(f"set {variable} in the environment: the key or token of {scheme.name}")
    return _text(f"${{env:{variable}}}")


def _exposed(offered: Sequence[Indexed]) -> list[str]:
    if len(offered) <= _MANY:
        return []
    tags = Counter(tag for one in offered for tag in one.card.tags)
    lines = [
        f"    # {len(offered)} operations: assistants search them. To offer fewer, name tags:",
    ]
    listed = ", ".join(f"{_text(tag)}" for tag, _ in tags.most_common(_TAGS))
    return [*lines, f"    # expose: [{{tags: [{listed}]}}]"] if tags else lines


def _operations(offered: Sequence[Indexed], guesses: Sequence[Guess]) -> list[str]:
    """Write what was raised; what asks anyway is only written where the list stays short."""
    is_short = len(offered) <= _MANY
    written = [one for one in guesses if one.is_raised or is_short]
    if not written:
        return []
    labels = Counter(one.operation.label for one in offered)
    lines = ["    operations:"]
    lines += [
        f"      {_text(one.operation)}: {{risk: high}}  # {one.group}: {one.word}"
        for one in written
        if labels[one.operation] == 1
    ]
    return lines if len(lines) > 1 else []


def _text(text: Json) -> str:
    """Return JSON text, which YAML reads the same."""
    return json.dumps(text)
