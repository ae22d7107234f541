"""The other documents that a spec refers to: files below its own folder, and listed addresses.

Owns turning every `$ref` of such a document into one that is absolute within the set: `#/…` for the
first, `path/from/the/folder.yaml#/…` for files, `https://…#/…` for what is elsewhere. Reads files
only through the function it was given, and addresses only through `Remote`.
"""

import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from signoff.canonical import Json
from signoff.catalog.openapi.remote import AddressError, FetchError, Remote, address, is_address
from signoff.catalog.openapi.sources import DocumentError, ParsedCache, parse
from signoff.catalog.yaml_source import SPEC_LIMITS

ReadFile = Callable[[str], bytes]
"""Takes a path relative to the spec's folder, with `/`; raises OSError."""

_MOST_FILES: Final = 1_000
_REFERENCES: Final = ("$ref", "$dynamicRef")


class OutsideError(ValueError):
    """The reference may not be followed. The message says why."""


def below(folder: Path) -> ReadFile:
    """Return what reads files below `folder`; links are followed first, then judged."""
    root = folder.resolve()

    def read(name: str) -> bytes:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise PermissionError(1, "outside the spec's folder")
        with path.open("rb") as file:
            return file.read(SPEC_LIMITS.size + 1)

    return read


def absolute(
    ref: str, base: str, home: str, allows: Callable[[str], bool] = lambda _: False
) -> str:
    """Return `ref`, as written in the document `base`, as the set of documents knows it.

    `home` is the first document's own file name; `base` is empty there. `allows` says which
    addresses may be fetched.

    Raises:
        OutsideError: it leaves the folder, or leads to an address that is not listed.
    """
    path, _, fragment = ref.partition("#")
    if not path:
        return f"{base}#{fragment}" if base else ref
    if is_address(path) or is_address(base):
        try:
            url = address(path, base)
        except AddressError as error:
            raise OutsideError(str(error)) from None
        if not allows(url):
            raise OutsideError(
                "is not fetched: save the document beside this one and refer to the file, or list "
                f"{url[:200]} in the upstream's allow_refs"
            )
        return f"{url}#{fragment}"
    try:
        parts = urlsplit(path)
    except ValueError:
        raise OutsideError("is not a reference") from None
    name = unquote(parts.path)
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(base), name))
    if joined.startswith(("/", "../")) or joined == ".." or "\\" in name or "\x00" in name:
        raise OutsideError("leaves the folder of the spec")
    where = "" if joined == home else joined
    return f"{where}#{fragment}"


class Files:
    """The documents that were read so far, by path or address."""

    def __init__(
        self,
        read: ReadFile | None,
        *,
        home: str,
        cache: ParsedCache | None,
        remote: Remote | None = None,
    ) -> None:
        self._read, self._home, self._cache = read, home, cache
        self._remote = remote or Remote()
        self._roots: dict[str, Json] = {}
        self.texts: dict[str, bytes] = {}

    def path_of(self, ref: str) -> tuple[str, str]:
        """Return the document that `ref` of the first one leads to, and the fragment within.

        Raises:
            OutsideError: it may not be followed.
        """
        path, _, fragment = absolute(ref, "", self._home, self._remote.allows).partition("#")
        return path, fragment

    def close(self) -> None:
        """Fetch nothing from now on."""
        self._remote.close()

    def root(self, path: str) -> Json:
        """Return the whole of a document.

        Raises:
            OutsideError: it cannot be read, or is not a document.
        """
        if path not in self._roots:
            if len(self._roots) >= _MOST_FILES:
                raise OutsideError(f"is one of more than {_MOST_FILES} files")
            text = self._text(path)
            try:
                value = parse(text, self._cache)
            except DocumentError as error:
                spot = error.spot
                raise OutsideError(
                    f"is broken: {path}:{spot.line}:{spot.column}: {error.message}"
                ) from None
            self.texts[path] = text
            self._roots[path] = _rebased(value, path, self._home, self._remote.allows)
        return self._roots[path]

    def _text(self, path: str) -> bytes:
        if is_address(path):
            try:
                return self._remote.read(path)
            except FetchError as error:
                raise OutsideError(f"cannot be fetched: {error}") from None
        if self._read is None:
            raise OutsideError("leaves the document")
        try:
            return self._read(path)
        except OSError as error:
            raise OutsideError(f"cannot be read: {error.strerror or 'not a file'}") from None


def _rebased(value: Json, base: str, home: str, allows: Callable[[str], bool]) -> Json:
    """Rewrite every reference below `value`, in place: it was parsed for nobody else."""
    waiting = [value]
    seen = set[int]()  # YAML aliases share what they name
    while waiting:
        part = waiting.pop()
        if not isinstance(part, dict | list) or id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, list):
            waiting.extend(part)
            continue
        for key in _REFERENCES:
            ref = part.get(key)
            if isinstance(ref, str):
                try:
                    part[key] = absolute(ref, base, home, allows)
                except OutsideError:
                    continue  # whoever follows it is told why
        waiting.extend(part.values())
    return value
