"""Client id metadata documents: a client whose id is the https address of what it says of itself.

Owns which addresses may be ids, how a document is fetched without being led astray, what must stand
in it, and for how long it is believed. The name is resolved once, only public addresses are
connected to, no redirect is followed, and little is read. Loopback is for development only. A
document may say that its client proves itself by a key (private_key_jwt): its keys stand in it, or
at an address that is fetched in the same way and believed no longer.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

import httpx2

from signoff.canonical import Json, JsonError, parse
from signoff.oauth.clients import AUTHORIZATION_CODE, REFRESH_TOKEN, Client, is_name
from signoff.oauth.hosts import HOST_GRANTS, LOOPBACK, Host, RedirectError, check_redirect_uris
from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import ASSERTION_ALGORITHMS
from signoff.upstream.guard import Guard, RefusedAddressError

MAX_BYTES: Final = 16_384
_MAX_ID: Final = 256
_DEADLINE_S: Final = 5.0
_AT_ONCE: Final = 8
_DEFAULT_LIFE: Final = timedelta(hours=1)
_SHORTEST_LIFE: Final = timedelta(minutes=5)
_LONGEST_LIFE: Final = timedelta(hours=24)
_FAILED_FOR: Final = timedelta(seconds=30)
_REMEMBERED: Final = 1000
_PORTS: Final = {"https": 443, "http": 80}
_ID: Final = re.compile(
    r"https?://[a-z0-9.-]{1,253}(?::[0-9]{1,5})?/[\x21\x24-\x3b\x3d\x40-\x5b\x5d\x5f\x61-\x7a\x7e]+"
)
"""A path and no query, no fragment, no user."""
_MAX_URL: Final = 2048
_URL: Final = re.compile(
    r"https?://[a-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:/[\x21\x24-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]*)?"
)
"""A query too, and still no fragment and no user."""
_NO_DOCUMENT: Final = "The address in the client id does not answer with its document."
_TOO_MANY: Final = "Too many applications introduced themselves just now: try again in a minute."
_NO_KEYS: Final = "The address of the keys does not answer with them."
_MAX_AGE: Final = re.compile(r"(?:^|,)\s*max-age=([0-9]{1,8})\s*(?:,|$)")


class DocumentError(Exception):
    """A document cannot be had or does not hold. The message is for the person who waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What we take from a document."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    grant_types: frozenset[str]
    jwks: str | None = None
    """Its public keys, when it proves itself by private_key_jwt."""
    dpop_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDocument:
    """A document as it was last read."""

    document: Document
    first_seen_at: datetime
    fresh_until: datetime
    disabled: bool

    def host(self) -> Host:
        """Return the host that the document describes."""
        client = Client(
            id=self.document.client_id,
            name=self.document.name,
            origin="self",
            auth_method="none" if self.document.jwks is None else "private_key_jwt",
            jwks=self.document.jwks,
            dpop_bound=self.document.dpop_bound,
            grant_types=self.document.grant_types,
            created_at=self.first_seen_at,
            disabled=self.disabled,
        )
        return Host(
            client=client,
            redirect_uris=self.document.redirect_uris,
            known_since=self.first_seen_at,
            source="document",
        )


class DocumentStore(Protocol):
    """Documents at rest."""

    async def document(self, client_id: str) -> KeptDocument | None:
        """Return a document as it was last read."""
        ...

    async def keep(self, document: Document, *, fresh_for: timedelta) -> bool:
        """Keep a document that was just read; False when too many were new in the last minute."""
        ...


class ClientDocuments:
    """Implements `hosts.DocumentHosts`."""

    def __init__(
        self,
        store: DocumentStore,
        *,
        now: Callable[[], datetime],
        loopback: bool = False,
        guard: Guard | None = None,
        tls: ssl.SSLContext | None = None,
        deadline_s: float = _DEADLINE_S,
    ) -> None:
        """`loopback`: documents of this computer are read too, over plain http."""
        self._store, self._now, self._loopback = store, now, loopback
        networks = ("127.0.0.0/8", "::1/128") if loopback else ()
        self._guard = Guard(networks) if guard is None else guard
        self._tls, self._deadline_s = tls, deadline_s
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._failed: dict[str, tuple[datetime, str]] = {}

    async def current(self, client_id: str) -> Host | None:
        """Return the host to an endpoint that it proves itself to.

        Only keys are read again when they are due: who lost one must not be believed by it for
        ever. While they cannot be had, the old ones count for another day.
        """
        kept = await self._store.document(client_id) if len(client_id) <= _MAX_ID else None
        if kept is None:
            return None
        if kept.document.jwks is None or self._now() < kept.fresh_until:
            return kept.host()
        try:
            return await self.fetched(client_id)
        except DocumentError:
            return kept.host() if self._now() < kept.fresh_until + _LONGEST_LIFE else None

    async def fetched(self, client_id: str) -> Host | None:
        """Return the host, its document read again when it is due.

        Raises:
            DocumentError: it cannot be had, or does not hold.
        """
        self._check_id(client_id)
        kept = await self._store.document(client_id)
        if kept is not None and self._now() < kept.fresh_until:
            return kept.host()
        failed = self._failed.get(client_id)
        if failed is not None and self._now() < failed[0]:
            raise DocumentError(failed[1])
        try:
            await self._read_anew(client_id)
        except DocumentError as error:
            self._remember(client_id, str(error))
            raise
        kept = await self._store.document(client_id)
        return None if kept is None else kept.host()

    async def _read_anew(self, client_id: str) -> None:
        document, fresh_for = await self._fetch(client_id)
        if not await self._store.keep(document, fresh_for=fresh_for):
            raise DocumentError(_TOO_MANY)

    def _check_id(self, client_id: str) -> None:
        if len(client_id) > _MAX_ID or not _ID.fullmatch(client_id):
            raise DocumentError("The client id is not an address that can be read.")
        parts = urlsplit(client_id)
        segments = parts.path.split("/")
        if "." in segments or ".." in segments:
            raise DocumentError("The client id is not an address that can be read.")
        if parts.scheme != "https" and not (self._loopback and parts.hostname in LOOPBACK):
            raise DocumentError("The client id must be an https address.")

    def _remember(self, client_id: str, reason: str) -> None:
        if len(self._failed) >= _REMEMBERED:
            self._failed.clear()
        self._failed[client_id] = (self._now() + _FAILED_FOR, reason)

    async def _fetch(self, client_id: str) -> tuple[Document, timedelta]:
        try:
            async with asyncio.timeout(self._deadline_s), self._slots:
                body, cache_control = await self._get(client_id, _NO_DOCUMENT)
                document, jwks_uri = read(client_id, body)
                life = _life(cache_control)
                if jwks_uri is not None:
                    self._check_address(jwks_uri)
                    keys, cache_control = await self._get(jwks_uri, _NO_KEYS)
                    document = replace(document, jwks=_checked_keys(keys))
                    life = min(life, _life(cache_control))
        except TimeoutError:
            raise DocumentError("The document did not come in time.") from None
        except RefusedAddressError:
            raise DocumentError("The document is at a private address.") from None
        except (httpx2.HTTPError, OSError, ValueError) as error:
            raise DocumentError("The document cannot be reached.") from error
        return document, life

    def _check_address(self, url: str) -> None:
        if len(url) > _MAX_URL or not _URL.fullmatch(url):
            raise DocumentError("The address of the keys is none that can be read.")
        parts = urlsplit(url)
        if parts.scheme != "https" and not (self._loopback and parts.hostname in LOOPBACK):
            raise DocumentError("The address of the keys must be an https address.")

    async def _get(self, url: str, missing: str) -> tuple[bytes, str]:
        parts = urlsplit(url)
        host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
        address = (await self._guard.addresses(parts.scheme, host, port))[0]
        # The connection goes to the very address that was checked; the certificate must be the
        # name's all the same.
        pinned = httpx2.URL(url).copy_with(host=address, port=port)
        headers = {
            "host": parts.netloc,
            "accept": "application/json",
            "accept-encoding": "identity",
        }
        async with (
            httpx2.AsyncClient(
                trust_env=False, follow_redirects=False, verify=self._tls or True
            ) as client,
            client.stream(
                "GET", pinned, headers=headers, extensions={"sni_hostname": host}
            ) as response,
        ):
            media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            is_json = media_type == "application/json" or media_type.endswith("+json")
            if response.status_code != 200 or not is_json:  # noqa: PLR2004 — says itself
                raise DocumentError(missing)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise DocumentError("The document is too large.")
            return bytes(body), response.headers.get("cache-control", "")


def read(client_id: str, body: bytes) -> tuple[Document, str | None]:
    """Read a document: it names itself, holds no secret, and its redirect URIs may be had.

    With it comes the address of its keys, where they do not stand in it.

    Raises:
        DocumentError: what does not hold.
    """
    document: Json = None
    with suppress(JsonError):
        document = parse(body)
    if not isinstance(document, dict):
        raise DocumentError("The document is not a JSON object.")
    # The one check that ties the document to its address.
    if document.get("client_id") != client_id:
        raise DocumentError("The document names another application.")
    if any(name in document for name in ("client_secret", "client_secret_expires_at")):
        raise DocumentError("The document holds a secret.")
    name = document.get("client_name", urlsplit(client_id).hostname)
    if not isinstance(name, str) or not is_name(name):
        raise DocumentError("The name in the document is not 1 to 100 visible characters.")
    uris = _texts(document, "redirect_uris")
    try:
        check_redirect_uris(uris)
    except RedirectError as error:
        raise DocumentError(f"The document does not hold: {error}.") from error
    if "grant_types" in document:
        grants = frozenset(_texts(document, "grant_types"))
    else:
        grants = frozenset({AUTHORIZATION_CODE, REFRESH_TOKEN})
    if AUTHORIZATION_CODE not in grants:
        raise DocumentError("The document does not ask for authorization codes.")
    dpop_bound = document.get("dpop_bound_access_tokens", False)
    if not isinstance(dpop_bound, bool):
        raise DocumentError("In the document, dpop_bound_access_tokens is neither true nor false.")
    jwks, jwks_uri = _keys(document)
    found = Document(
        client_id=client_id,
        name=name,
        redirect_uris=tuple(uris),
        grant_types=grants & HOST_GRANTS,
        jwks=jwks,
        dpop_bound=dpop_bound,
    )
    return found, jwks_uri


def _keys(document: Mapping[str, Json]) -> tuple[str | None, str | None]:
    """Return the keys of a client that proves itself by one, or the address they are at."""
    method = document.get("token_endpoint_auth_method", "none")
    if method == "none":
        return None, None
    if method != "private_key_jwt":
        raise DocumentError("The document asks for credentials that nobody here could have kept.")
    algorithm = document.get("token_endpoint_auth_signing_alg")
    if algorithm is not None and algorithm not in ASSERTION_ALGORITHMS:
        raise DocumentError("The document names an algorithm that is not taken here.")
    keys, address = document.get("jwks"), document.get("jwks_uri")
    # RFC 7591 §2: not both, and one of them is needed here.
    if (keys is None) == (address is None):
        raise DocumentError("The document has either jwks or jwks_uri.")
    if address is None:
        return _checked_keys(json.dumps(keys).encode()), None
    if not isinstance(address, str):
        raise DocumentError("In the document, jwks_uri is no address.")
    return None, address


def _checked_keys(text: bytes) -> str:
    try:
        usable = len(KeySet.parse(text))
    except TokenError as error:
        raise DocumentError("The keys of the document do not hold.") from error
    if not usable:
        raise DocumentError("The keys of the document hold none that can sign.")
    return text.decode()


def _texts(document: Mapping[str, Json], name: str) -> list[str]:
    value = document.get(name)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise DocumentError(f"The document has no list of {name}.")
    return cast("list[str]", value)


def _life(cache_control: str) -> timedelta:
    found = _MAX_AGE.search(cache_control.lower())
    life = timedelta(seconds=int(found[1])) if found else _DEFAULT_LIFE
    return max(_SHORTEST_LIFE, min(life, _LONGEST_LIFE))
