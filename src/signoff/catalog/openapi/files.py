"""The other files that a spec refers to, below its own folder and nowhere else.

Owns turning every `$ref` of such a file into one that is absolute within the set: `#/…` for the
first document, `path/from/the/folder.yaml#/…` for the others. Reads files only through the
function it was given; never the network.
"""

import posixpath
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from signoff.canonical import Json
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


def absolute(ref: str, base: str, home: str) -> str:
    """Return `ref`, as written in the file `base`, as the set of files knows it.

    `home` is the first document's own file name; `base` is empty there.

    Raises:
        OutsideError: it is remote, or leaves the folder.
    """
    path, _, fragment = ref.partition("#")
    if not path:
        return f"{base}#{fragment}" if base else ref
    try:
        parts = urlsplit(path)
    except ValueError:
        raise OutsideError("is not a reference") from None
    if parts.scheme or parts.netloc:
        raise OutsideError(
            "is not fetched: save the document beside this one and refer to the file"
        )
    name = unquote(parts.path)
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(base), name))
    if joined.startswith(("/", "../")) or joined == ".." or "\\" in name or "\x00" in name:
        raise OutsideError("leaves the folder of the spec")
    where = "" if joined == home else joined
    return f"{where}#{fragment}"


class Files:
    """The files that were read so far, by path."""

    def __init__(self, read: ReadFile, *, home: str, cache: ParsedCache | None) -> None:
        self._read, self._home, self._cache = read, home, cache
        self._roots: dict[str, Json] = {}
        self.texts: dict[str, bytes] = {}

    def root(self, path: str) -> Json:
        """Return the whole of a file.

        Raises:
            OutsideError: it cannot be read, or is not a document.
        """
        if path not in self._roots:
            if len(self._roots) >= _MOST_FILES:
                raise OutsideError(f"is one of more than {_MOST_FILES} files")
            try:
                text = self._read(path)
            except OSError as error:
                raise OutsideError(f"cannot be read: {error.strerror or 'not a file'}") from None
            try:
                value = parse(text, self._cache)
            except DocumentError as error:
                spot = error.spot
                raise OutsideError(
                    f"is broken: {path}:{spot.line}:{spot.column}: {error.message}"
                ) from None
            self.texts[path] = text
            self._roots[path] = _rebased(value, path, self._home)
        return self._roots[path]


def _rebased(value: Json, base: str, home: str) -> Json:
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
                    part[key] = absolute(ref, base, home)
                except OutsideError:
                    continue  # whoever follows it is told why
        waiting.extend(part.values())
    return value
