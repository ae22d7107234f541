"""The catalogue's sections about the server and its people.

Owns `server`, `storage`, `auth`, `approvals` and `users`. Knows no upstream and no tool.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

from signoff.catalog.fields import Fields, Word, suggest
from signoff.catalog.model import (
    EMBEDDED,
    Approvals,
    AssertionAudience,
    RefStyle,
    ServerConfig,
    User,
)

RESERVED_IDS: Final = ("signoff-gate",)
_REF_STYLES: Final = ("keep", "inline")
_ASSERTION_AUDIENCES: Final = ("issuer", "ciba")
_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}")
_GROUP: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")  # RFC 6749 §3.3
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,63}")
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The users and who is in which group."""

    users: Mapping[str, User]
    groups: Mapping[str, tuple[str, ...]]


def read_people(root: Fields) -> People:
    """Read `users`."""
    users: dict[str, User] = {}
    for path, node in root.nodes("users"):
        fields = root.as_fields(node, path)
        if fields is not None and (user := _user(fields)) is not None:
            if user.id in users:
                fields.complain("id", f'"{user.id}" is written twice')
            else:
                users[user.id] = user
    groups: dict[str, tuple[str, ...]] = {}
    for user in users.values():
        for group in user.groups:
            groups[group] = (*groups.get(group, ()), user.id)
    return People(users=users, groups=groups)


def _user(fields: Fields) -> User | None:
    fields.needs("id")
    id_ = fields.text("id")
    email = fields.text("email") or None
    user = User(
        id=id_,
        name=fields.text("name", id_),
        email=email,
        admin=fields.flag("admin"),
        groups=tuple(_groups(fields)),
        subjects=_subjects(fields),
    )
    fields.close()
    if not id_:
        return None
    if not _ID.fullmatch(id_):
        fields.complain("id", "must be 1 to 64 letters, digits or _ . @ + -")
        return None
    if id_ in RESERVED_IDS:
        fields.complain("id", f'"{id_}" is signoff\'s own name')
        return None
    if email is not None and not _EMAIL.fullmatch(email):
        fields.complain("email", "is not an e-mail address")
    return user


def _groups(fields: Fields) -> list[str]:
    found: list[str] = []
    for word in fields.words("groups"):
        if not _GROUP.fullmatch(word.text):
            fields.problems.add(word.spot, f"{fields.at('groups')}: {word.text[:40]!r} is no name")
        elif word.text not in found:
            found.append(word.text)
    return found


def _subjects(fields: Fields) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, member in fields.members("subjects"):
        word = fields.as_word(member.node, path)
        if urlsplit(member.key).scheme != "https":
            fields.problems.add(member.spot, f"{path}: an issuer begins with https://")
        elif word is not None:
            found[member.key] = word.text
    return found


def read_server(root: Fields, people: People) -> ServerConfig:
    """Read `server`, `storage`, `auth` and `approvals`."""
    empty = Fields({}, path="", spot=root.spot, problems=root.problems)
    server = root.section("server") or empty
    auth = root.section("auth") or Fields({}, path="auth", spot=root.spot, problems=root.problems)
    default = ServerConfig()
    public_url = server.word("public_url")
    if public_url is not None and (fault := origin_fault(public_url.text)):
        server.complain("public_url", fault)
    config = ServerConfig(
        name=server.text("name", default.name),
        instructions=server.text("instructions"),
        public_url=public_url.text.rstrip("/") if public_url else default.public_url,
        allowed_hosts=tuple(word.text for word in _hosts(server)),
        allowed_origins=tuple(word.text for word in _origins(server)),
        client_address_header=_address_header(server),
        max_tools=server.integer("max_tools", default.max_tools, least=1, most=10_000),
        storage_url=_storage(root),
        local_user=_local_user(root, auth, people),
        registration=auth.flag("registration", default=default.registration),
        client_documents=auth.flag("client_documents", default=default.client_documents),
        assertion_audience=cast(
            "AssertionAudience",
            auth.choice("assertion_audience", _ASSERTION_AUDIENCES, default.assertion_audience),
        ),
        approvals=_approvals(root),
        resources=tuple(_resources(auth)),
        resource_scopes=tuple(_scopes(auth)),
        session_lifetime_s=auth.duration(
            "session_lifetime", default.session_lifetime_s, least="1h", most="365d"
        ),
        wait_budgets_s=_wait_budgets(server),
        refs=cast("RefStyle", server.choice("refs", _REF_STYLES, default.refs)),
        client_refs=_client_refs(server),
        tool_bytes=server.integer("tool_bytes", default.tool_bytes, least=512, most=1_048_576),
        list_bytes=server.integer("list_bytes", default.list_bytes, least=4_096, most=67_108_864),
    )
    server.close()
    auth.close()
    return config


def _hosts(server: Fields) -> list[Word]:
    words = server.words("allowed_hosts")
    for word in words:
        if not _HOST.fullmatch(word.text):
            message = f"{server.at('allowed_hosts')}: {word.text[:60]!r} is not a host or host:port"
            server.problems.add(word.spot, message)
    return words


def _origins(server: Fields) -> list[Word]:
    words = server.words("allowed_origins")
    for word in words:
        parts = urlsplit(word.text) if is_http_url(word.text) else None
        whole = parts is not None and word.text == f"{parts.scheme}://{parts.netloc}"
        near = parts is not None and parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not whole or (parts is not None and parts.scheme == "http" and not near):
            message = (
                f"{server.at('allowed_origins')}: {word.text[:60]!r} must be an origin, "
                "https://host[:port], or http:// on localhost"
            )
            server.problems.add(word.spot, message)
    return words


def _address_header(server: Fields) -> str | None:
    word = server.word("client_address_header")
    if word is None:
        return None
    if word.text.lower() == "forwarded":
        server.complain(
            "client_address_header", "Forwarded is not read: let the proxy write X-Forwarded-For"
        )
    elif not _HEADER.fullmatch(word.text):
        server.complain("client_address_header", "is no header, such as X-Forwarded-For")
    return word.text


def _wait_budgets(server: Fields) -> dict[str, float]:
    found: dict[str, float] = {}
    for path, member in server.members("wait_budgets"):
        seconds = server.as_duration(member.node, path, 45.0, least="1s", most="1h")
        found[member.key] = seconds
    return found


def _client_refs(server: Fields) -> dict[str, RefStyle]:
    found: dict[str, RefStyle] = {}
    for path, member in server.members("client_refs"):
        word = server.as_word(member.node, path)
        if word is None:
            continue
        if word.text not in _REF_STYLES:
            message = f"{path}: must be {' or '.join(_REF_STYLES)}{suggest(word.text, _REF_STYLES)}"
            server.problems.add(word.spot, message)
        else:
            found[member.key] = word.text
    return found


def origin_fault(url: str) -> str | None:
    """Return why `url` is no origin where people may sign in."""
    if not is_http_url(url):
        return "must be https://… or http://localhost:PORT"
    parts = urlsplit(url)
    if parts.path not in ("", "/"):
        return "must be an origin, without a path"
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        return "must be https:// anywhere but on localhost: it is where people sign in"
    return None


def is_http_url(text: str) -> bool:
    """Say whether `text` is an http(s) URL without credentials, query or fragment."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and "@" not in parts.netloc
        and not set(text) & set("?#\\")
        and text.isascii()
        and text.isprintable()
        and " " not in text
    )


def _storage(root: Fields) -> str:
    storage = root.section("storage")
    if storage is None:
        return ServerConfig().storage_url
    url = storage.text("url", ServerConfig().storage_url)
    if url.startswith(("postgres:", "postgresql:", "postgresql+")):
        storage.complain("url", "PostgreSQL is not built yet; use sqlite")
    elif url != "sqlite":
        storage.complain("url", f'must be sqlite, not "{url[:40]}"{suggest(url, ["sqlite"])}')
    storage.close()
    return url


def _local_user(root: Fields, auth: Fields, people: People) -> str | None:
    word = auth.word("local_user")
    later = "is not built yet; leave it out"
    auth.reserved({"issuer": later, "required_scopes": later})
    if word is not None:
        if word.text not in people.users:
            hint = suggest(word.text, people.users)
            auth.complain("local_user", f'there is no user "{word.text[:60]}"{hint}')
        return word.text
    # Without a tool there is no caller, as at a sidecar.
    if len(people.users) > 1 and ("upstreams" in root or "capabilities" in root):
        root.problems.add(
            auth.spot,
            "auth.local_user: is needed: with several users, say for whom a local caller acts",
        )
    return next(iter(people.users)) if len(people.users) == 1 else None


def _resources(auth: Fields) -> list[str]:
    """Read the MCP edges elsewhere whose hosts sign people in here."""
    found: list[str] = []
    for word in auth.words("resources"):
        fault = origin_fault(word.text.removesuffix("/mcp"))
        if not word.text.endswith("/mcp") or fault is not None:
            message = "must be the address of an MCP server: https://…/mcp"
            auth.problems.add(word.spot, f"{auth.at('resources')}: {message}")
        elif word.text not in found:
            found.append(word.text)
    return found


def _scopes(auth: Fields) -> list[str]:
    """Read what single tools of those edges need beside the door's own scope."""
    found: list[str] = []
    for word in auth.words("scopes"):
        if not _SCOPE.fullmatch(word.text):
            auth.problems.add(word.spot, f"{auth.at('scopes')}: {word.text[:40]!r} is no scope")
        elif word.text not in found:
            found.append(word.text)
    return found


def _approvals(root: Fields) -> Approvals:
    section = root.section("approvals")
    if section is None:
        return Approvals()
    issuer = section.text("issuer", EMBEDDED)
    client_id, ca = section.text("client_id"), section.text("ca")
    if issuer == EMBEDDED:
        for key, given in (("client_id", client_id), ("ca", ca)):
            if given:
                section.complain(key, "belongs to an issuer elsewhere, and this one is embedded")
    else:
        if (fault := origin_fault(issuer)) is not None:
            section.complain("issuer", f"{fault}, or embedded")
        section.needs("client_id", "is needed: what the sidecar calls this gate")
        if client_id and not _CLIENT_ID.fullmatch(client_id):
            section.complain("client_id", "is no client id")
    section.reserved({"accept": "belongs to other providers, and they are not built yet"})
    section.close()
    return Approvals(issuer=issuer.rstrip("/"), client_id=client_id, ca=ca or None)
