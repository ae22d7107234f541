"""A first catalogue for a spec: everything that asks keeps asking, and some more does.

Owns its text: where the API is, which credentials it wants, and what was guessed of its risks.
What it cannot know it leaves to the operator, and says so. Writes text, no file.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from signoff.canonical import Json
from signoff.catalog.guesses import Guess, guess
from signoff.catalog.openapi.compiler import Index, Indexed, Target
from signoff.catalog.openapi.documents import Document, dict_of, list_of
from signoff.catalog.openapi.parameters import security_schemes
from signoff.catalog.openapi.security import schemes_of
from signoff.catalog.openapi.servers import Places, filled, origin_of, root_urls, variable_names
from signoff.catalog.openapi.texts import plain_text
from signoff.catalog.wire import SecurityScheme

_SLUG: Final = re.compile(r"[^a-z0-9]+")
_POSSESSIVE: Final = re.compile(r"['\u2019]s\b")
_NAME: Final = 24
_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_MANY: Final = 60
_TAGS: Final = 12
_SERVERS: Final = 3
_PREFIX: Final = 3
_INSIDE: Final = frozenset({"corp", "home", "internal", "lan", "local", "localhost"})
_EXAMPLE: Final = "https://api.example.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The text of a catalogue, what was guessed in it, and what the operator has to do.

    `left_out` has what cannot become a tool, a sentence each.
    """

    text: str
    guesses: tuple[Guess, ...]
    todo: tuple[str, ...]
    tools: int
    left_out: tuple[str, ...] = ()


def draft(document: Document, *, spec: str, user: str) -> Draft:
    """Write a first catalogue for `document`, which stands at `spec` as seen from there."""
    index = Index(document, Target(upstream="draft"))
    about = dict_of(document.root.get("info"))
    title = plain_text(about.get("title"), limit=60)
    name = _named(title)
    guesses = [found for one in index.offered if (found := guess(one)) is not None]
    todo: list[str] = []
    if not index.offered:
        todo.append("the spec has no operation that can be a tool: name another spec")
    lines = [
        "# A first catalogue. Reads are allowed, everything else asks a person; risks below were",
        "# guessed from names, and only upward. Read it through before you rely on it.",
        "signoff: 1",
        f"server: {{name: {_text(name)}}}",
        "upstreams:",
        f"  {name}:",
        f"    openapi: {_text(spec)}",
        *_places(document, todo),
        *_credentials(document, _prefix(name), todo),
    ]
    lines += _exposed(index.offered)
    lines += _operations(index.offered, guesses)
    lines += ["users:", f"  - {{id: {_text(user)}}}", ""]
    return Draft(
        text="\n".join(lines), guesses=tuple(guesses), todo=tuple(todo), tools=len(index.offered)
    )


def _named(title: str) -> str:
    """Return a name for the API: whole words of its title, few enough to be typed."""
    words = [word for word in _SLUG.split(_POSSESSIVE.sub("", title.lower())) if word]
    name = ""
    for word in words:
        longer = f"{name}-{word}" if name else word[:_NAME]
        if len(longer) > _NAME:
            break
        name = longer
    return name or "api"


def _places(document: Document, todo: list[str]) -> list[str]:
    """Write where the API is, and where else its operations go."""
    written = root_urls(document, Places())
    urls = [url.rstrip("/") for url in written if origin_of(url) is not None]
    if not urls:
        path = next((url.rstrip("/") for url in written if _is_path(url)), "")
        said = f"only the path {path}" if path else "no server"
        example = f"{_EXAMPLE}{path}"
        todo.append(f"base_url: the spec names {said}; say where the API is")
        return [f"    # base_url: {_text(example)}"]
    lines = [f"    base_url: {_text(urls[0])}"]
    if (doubt := _doubt(urls[0])) is not None:
        todo.append(f"base_url: {urls[0]} {doubt}; keep it only if it is yours")
    if more := [url for url in dict.fromkeys(urls[1:]) if url != urls[0]]:
        lines.append(f"    # or: {', '.join(map(_text, more[:_SERVERS]))}")
    if variable_names(document) and urls[0] not in str(document.root.get("servers")):
        todo.append(f"base_url: {urls[0]} has the spec's default variables in it; check them")
    own = {origin_of(url) for url in urls}
    foreign = Counter(
        origin
        for operation in document.operations()
        for raw in (list_of(operation.members.get("servers")) or list_of(operation.servers))[:1]
        if (origin := origin_of(filled(raw, {}) or "")) is not None and origin not in own
    )
    for origin, count in foreign.most_common(_SERVERS):
        host = origin.removesuffix(":443" if origin.startswith("https:") else ":80")
        noun = "operation goes" if count == 1 else "operations go"
        lines.append(f"    # allow_servers: [{_text(host)}]")
        todo.append(f"allow_servers: {count} {noun} to {host}; list it if you trust it")
    return lines


def _doubt(url: str) -> str | None:
    """Say what speaks against an address that only the spec named."""
    parts = urlsplit(url)
    labels = (parts.hostname or "").rstrip(".").split(".")
    if len(labels) == 1 or not labels[-1].replace("-", "").isalnum() or labels[-1] in _INSIDE:
        return "is on this computer or inside a network"
    if labels[-1][0].isdigit():
        return "is a number and no name"
    return "is not https, so credentials go in clear" if parts.scheme == "http" else None


def _is_path(url: str) -> bool:
    parts = urlsplit(url)
    return not parts.scheme and not parts.netloc and re.fullmatch(r"/[\w./~-]+", url) is not None


def _credentials(document: Document, prefix: str, todo: list[str]) -> list[str]:
    lines: list[str] = []
    schemes = _wanted(document)
    if schemes:
        lines.append("    credentials:")
        for scheme in schemes:
            written = _credential(document, scheme, prefix, todo)
            lines.append(f"      {_text(scheme.name)}: {written}")
    if any(scheme.kind == "mutual_tls" for scheme in schemes_of(document).values()):
        todo.append(
            "client_certificate: the spec has operations that want one; name the PEM files of "
            'yours, {cert: "${file:…}", key: "${file:…}"}'
        )
    return lines


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


def _credential(document: Document, scheme: SecurityScheme, prefix: str, todo: list[str]) -> str:
    # With the API's name in front: a variable called TOKEN may hold another's.
    variable = f"{prefix}_{_variable(scheme.name)}"
    if scheme.kind == "basic":
        todo.append(f"set {variable}_USER and {variable}_PASSWORD in the environment")
        user, password = f"${{env:{variable}_USER}}", f"${{env:{variable}_PASSWORD}}"
        return f"{{username: {_text(user)}, password: {_text(password)}}}"
    token_url = _client_token_url(document, scheme)
    if token_url is not None:
        todo.append(f"set {variable}_ID and {variable}_SECRET in the environment")
        todo.append(f"credentials: the secret of {scheme.name} goes to {token_url}; check it")
        client, secret = f"${{env:{variable}_ID}}", f"${{env:{variable}_SECRET}}"
        return (
            f"{{client_id: {_text(client)}, client_secret: {_text(secret)}, "
            f"token_url: {_text(token_url)}}}"
        )
    todo.append(f"set {variable} in the environment: the key or token of {scheme.name}")
    return _text(f"${{env:{variable}}}")


def _client_token_url(document: Document, scheme: SecurityScheme) -> str | None:
    """Return where a program gets a token by itself, if the scheme offers nothing else."""
    flows = dict_of(security_schemes(document).get(scheme.name, {}).get("flows"))
    url = dict_of(flows.get("clientCredentials")).get("tokenUrl")
    is_only = flows.keys() == {"clientCredentials"}
    is_secure = isinstance(url, str) and url.startswith("https://") and origin_of(url) is not None
    return url if is_only and is_secure and isinstance(url, str) else None


def _prefix(name: str) -> str:
    words = _variable(name).removesuffix("_API").split("_")
    return "_".join(words[:_PREFIX])


def _variable(name: str) -> str:
    parts = [part.upper() for part in _PART.findall(name)]
    text = "_".join(parts) or "API"
    return f"API_{text}" if text[0].isdigit() else text


def _exposed(offered: Sequence[Indexed]) -> list[str]:
    if len(offered) <= _MANY:
        return []
    tags = Counter(tag for one in offered for tag in one.card.tags)
    listed = ", ".join(f"{_text(tag)}" for tag, _ in tags.most_common(_TAGS))
    fewer = f"{{tags: [{listed}]}}" if tags else '{methods: [GET]}, {paths: ["/…/*"]}'
    return [
        f"    # {len(offered)} operations: assistants search them. To offer fewer, name some:",
        f"    # expose: [{fewer}]",
    ]


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
