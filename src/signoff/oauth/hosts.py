"""Hosts: the clients that send a person to us with a browser, and where their answers may go.

Owns what a host is, which redirect URIs one may have, and where a host is looked up: registered
ones in the store, those whose id is a URL by their document. Nothing a host says of itself is
trusted: its name is a claim, only its redirect URIs bind it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol
from urllib.parse import parse_qsl, urlsplit

from signoff.oauth.clients import (
    AUTHORIZATION_CODE,
    DEVICE_CODE,
    REFRESH_TOKEN,
    Client,
    Known,
    Secrets,
)

HOST_GRANTS: Final = frozenset({AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE})
"""What a client that registered itself may use. Never the CIBA grant."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_MAX_URI: Final = 1024
_URI: Final = re.compile(
    r"[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+"
)  # RFC 3986, no `"<>\^`
_HOST: Final = re.compile(r"(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
# Schemes that run code, read files or are the browser's own: a code must never go there.
_NEVER: Final = frozenset({
    *("javascript", "data", "file", "vbscript", "blob", "about", "filesystem", "view-source"),
    *("ftp", "ws", "wss", "mailto", "tel", "sms", "chrome", "ms-appinstaller"),
    *("intent", "market", "itms-services", "facetime", "search", "search-ms", "ms-msdt"),
    *("ms-officecmd", "ms-settings", "ms-cxh", "ms-cxh-full", "shell", "hcp", "ldap", "ldaps"),
    *("smb", "nfs", "sftp", "ssh", "telnet", "gopher", "jar", "res", "resource", "mhtml", "mk"),
    *("edge", "opera", "chrome-extension", "moz-extension", "urn", "cid", "mid"),
})
_OF_ANSWERS: Final = frozenset({"code", "state", "iss", "error", "error_description"})
"""An answer that has one of these twice could be read in two ways."""


class RedirectError(ValueError):
    """A redirect URI that nobody may have. The message is public."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A client that sends people here.

    `known_since` is when it first showed itself under its name and with its redirect URIs.
    """

    client: Client
    redirect_uris: tuple[str, ...]
    known_since: datetime
    source: Literal["operator", "registered", "document"]


class HostStore(Protocol):
    """Registered hosts at rest."""

    async def host(self, client_id: str) -> Host | None:
        """Return the registered host with this id."""
        ...


class DocumentHosts(Protocol):
    """Hosts whose id is the URL of their document."""

    async def fetched(self, client_id: str) -> Host | None:
        """Return the host, its document read again when it is due; None when it does not hold.

        Raises:
            DocumentError: why it cannot be had, for the person who waits.
        """
        ...

    async def current(self, client_id: str) -> Host | None:
        """Return the host as its document was last read; keys that are due are read again."""
        ...


class Hosts:
    """Where the authorization endpoint looks a host up."""

    def __init__(self, store: HostStore, documents: DocumentHosts | None) -> None:
        """`documents` is None when ids that are URLs are not taken."""
        self._store, self._documents = store, documents

    async def find(self, client_id: str) -> Host | None:
        """Return the host; for a URL its document is fetched when it is due.

        Raises:
            DocumentError: why a document cannot be had.
        """
        if is_document_id(client_id):
            return None if self._documents is None else await self._documents.fetched(client_id)
        return await self._store.host(client_id)

    async def client(self, client_id: str) -> Known | None:
        """Implement `clients.Documents`: a client by its last document."""
        if self._documents is None:
            return None
        host = await self._documents.current(client_id)
        return None if host is None else Known(client=host.client, secrets=Secrets(current=None))


def is_document_id(client_id: str) -> bool:
    """Tell whether a client id is the address of a document."""
    return client_id.startswith(("https://", "http://"))


def check_redirect_uris(uris: Sequence[str]) -> None:
    """Refuse what a code may not be sent to.

    https anywhere; http on loopback only; an application's own scheme (RFC 8252 §7). No fragment
    (RFC 6749 §3.1.2), no user, no wildcard.

    Raises:
        RedirectError: names what is wrong.
    """
    if not 0 < len(uris) <= 10:  # noqa: PLR2004 — a bound
        raise RedirectError("redirect_uris has 1 to 10 members")
    for uri in uris:
        _check(uri)


def allowed(uri: str, registered: Sequence[str]) -> bool:
    """Tell whether `uri` is one of `registered`, compared exactly.

    RFC 8252 §7.3: on loopback any port will do, for the application takes one that is free.
    """
    if uri in registered:
        return True
    try:
        parts = urlsplit(uri)
        _check(uri)
    except (RedirectError, ValueError):
        return False
    if parts.scheme != "http" or parts.hostname not in LOOPBACK:
        return False
    return any(_without_port(uri) == _without_port(one) for one in registered)


def form_source(uri: str) -> str:
    """Return what `form-action` needs besides 'self' so that a browser follows to `uri`."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.hostname == "::1":
        return f"{parts.scheme}:"  # CSP has no words for an IPv6 host
    return f"{parts.scheme}://{parts.netloc}"


def place(uri: str) -> str:
    """Return where `uri` leads, for a person: a host, this computer, or an application."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return f"the application that opens {parts.scheme}: links on this device"
    if parts.hostname in LOOPBACK:
        return "a program on this computer"
    return str(parts.hostname)


def is_near(uri: str) -> bool:
    """Tell whether `uri` stays on the device of the person."""
    parts = urlsplit(uri)
    return parts.scheme not in ("http", "https") or parts.hostname in LOOPBACK


def _check(uri: str) -> None:
    if len(uri) > _MAX_URI or not _URI.fullmatch(uri):
        raise RedirectError("a redirect URI holds characters that a URI cannot, or is too long")
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise RedirectError("a redirect URI cannot be read") from None
    problems: Mapping[str, bool] = {
        "a redirect URI is absolute": not _SCHEME.fullmatch(parts.scheme),
        "a redirect URI has no fragment": "#" in uri,
        "a redirect URI names no user": "@" in parts.netloc,
        "a redirect URI has no wildcard": "*" in uri,
        "a redirect URI may not have this scheme": parts.scheme in _NEVER,
        "a redirect URI is lower case up to its path": not uri.startswith(
            f"{parts.scheme}:{'//' + parts.netloc.lower() if parts.netloc else ''}"
        ),
        "a redirect URI has no dot segments": any(
            segment.lower().replace("%2e", ".") in (".", "..") for segment in parts.path.split("/")
        ),
        "a redirect URI holds no parameter of an answer": any(
            name in _OF_ANSWERS for name, _ in parse_qsl(parts.query, keep_blank_values=True)
        ),
    }
    for problem, found in problems.items():
        if found:
            raise RedirectError(problem)
    if parts.scheme in ("http", "https"):
        if not _HOST.fullmatch(parts.netloc):
            raise RedirectError("a redirect URI names a host")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise RedirectError("http is for loopback only: use https")
    elif not parts.netloc and not parts.path:
        raise RedirectError("a redirect URI names a place")


def _without_port(uri: str) -> tuple[str, str | None, str]:
    """Return scheme, host and, to the letter, what comes after the port."""
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname, uri.removeprefix(f"{parts.scheme}://{parts.netloc}")
