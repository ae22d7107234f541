"""The documents elsewhere that a spec may refer to: which they are, and when they are fetched.

Owns the operator's list (`allow_refs`), how an address is written so that two ways to write it are
one, and that nothing is fetched once the catalogue is loaded. Opens no connection: what fetches is
a function that was given.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from signoff.catalog.yaml_source import SPEC_LIMITS

Fetch = Callable[[str, Sequence[str]], bytes]
"""Takes an address and the private ones that may be reached; raises `FetchError`."""

_SCHEMES: Final = ("http", "https")
_DEFAULTS: Final = {"http": 80, "https": 443}
_WRITTEN: Final = re.compile(r"[\x21-\x5b\x5d-\x7e]{1,2000}")  # no blank, no backslash
_DECODINGS: Final = 8
_MOST: Final = 200


class FetchError(Exception):
    """A document could not be fetched. The message says why, and holds nothing of what came."""


class AddressError(ValueError):
    """The reference is no address that could be fetched. The message says why."""


def is_address(path: str) -> bool:
    """Say whether a reference, or the name of a document, leads out of the file system."""
    return path.startswith("//") or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", path) is not None


def address(path: str, base: str) -> str:
    """Return the address of `path`, as written in the document `base`, in its one form.

    Raises:
        AddressError: it is none.
    """
    if _WRITTEN.fullmatch(path) is None:
        raise AddressError("is not an address")
    try:
        parts = urlsplit(urljoin(base, path))
        port = parts.port
    except ValueError:
        raise AddressError("is not an address") from None
    if parts.scheme not in _SCHEMES or not parts.hostname or "@" in parts.netloc or port == 0:
        raise AddressError("is neither a file below the spec's folder nor an http or https address")
    if _has_dots(parts.path):
        raise AddressError("holds a dot segment")
    return _normal(parts)


class Remote:
    """The documents elsewhere of one spec, by address."""

    def __init__(
        self,
        allowed: Sequence[str] = (),
        fetch: Fetch | None = None,
        *,
        allow_private: Sequence[str] = (),
    ) -> None:
        """`allowed` are addresses; one that ends in `/` allows all below it."""
        self._allowed = tuple(_normal(urlsplit(one)) for one in allowed)
        self._fetch, self._private = fetch, tuple(allow_private)
        self._texts: dict[str, bytes | FetchError] = {}
        self._is_open = True

    def allows(self, url: str) -> bool:
        """Say whether the operator listed `url`."""
        return any(
            url == one or (one.endswith("/") and url.startswith(one)) for one in self._allowed
        )

    def read(self, url: str) -> bytes:
        """Return the document; each is asked for once, and none after `close`.

        Raises:
            FetchError: it cannot be had.
        """
        if url not in self._texts:
            self._texts[url] = self._fetched(url)
        found = self._texts[url]
        if isinstance(found, FetchError):
            raise found
        return found

    def close(self) -> None:
        """Fetch nothing from now on: a call must never wait for, or change by, a document."""
        self._is_open = False

    def _fetched(self, url: str) -> bytes | FetchError:
        if not self.allows(url):
            return FetchError("it is not listed in allow_refs")
        if self._fetch is None or not self._is_open:
            return FetchError("documents are fetched only while the catalogue is loaded")
        if len(self._texts) >= _MOST:
            return FetchError(f"it is one of more than {_MOST} documents")
        try:
            text = self._fetch(url, self._private)
        except FetchError as error:
            return error
        if len(text) > SPEC_LIMITS.size:
            return FetchError(f"it is larger than {SPEC_LIMITS.size} bytes")
        return text


def _normal(parts: SplitResult) -> str:
    port = parts.port
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    place = host if port in (None, _DEFAULTS.get(parts.scheme)) else f"{host}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{place}{parts.path or '/'}{query}"


def _has_dots(path: str) -> bool:
    """Say whether a server might take `path` for one above what the operator listed."""
    for _ in range(_DECODINGS):
        if any(step in (".", "..") for step in re.split(r"[/\\]", path)):
            return True
        decoded = unquote(path)
        if decoded == path:
            return False
        path = decoded
    return True
