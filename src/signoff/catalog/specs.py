"""The spec files that a catalogue names, with their overlays, opened as documents.

Owns how documents are reached: the spec itself as the catalogue writes it, its own `$ref`s below
its folder or at the addresses that the catalogue lists, the cache of parsed text. A fault names
its file, line and column.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from signoff.catalog.fields import Fields, Word
from signoff.catalog.openapi.documents import Document, DocumentError
from signoff.catalog.openapi.files import ReadFile, below
from signoff.catalog.openapi.remote import Fetch, Remote
from signoff.catalog.openapi.sources import ParsedCache, parse
from signoff.catalog.yaml_source import SPEC_LIMITS

ReadSpec = Callable[[str], tuple[str, bytes]]
"""Takes the path as the catalogue writes it; returns the shown name and the bytes, or OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Specs:
    """Where specs come from. Without `beside`, a spec may not refer to other files."""

    read: ReadSpec
    beside: Callable[[str], ReadFile] | None = None
    cache: ParsedCache | None = None
    fetch: Fetch | None = None


def specs_below(directory: Path, cache: Path | None = None, fetch: Fetch | None = None) -> Specs:
    """Return the specs as files, relative to the catalogue's directory."""

    def read(name: str) -> tuple[str, bytes]:
        path = directory / name
        return str(path), read_bytes(path, SPEC_LIMITS.size)

    return Specs(
        read=read,
        beside=lambda name: below((directory / name).parent),
        cache=ParsedCache(cache) if cache is not None else None,
        fetch=fetch,
    )


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a file, one byte more than allowed at most, so that too much is seen as such."""
    with path.open("rb") as file:
        return file.read(limit + 1)


def open_document(
    fields: Fields,
    openapi: Word,
    overlays: Sequence[Word],
    specs: Specs,
    *,
    allow_refs: Sequence[str] = (),
    allow_private: Sequence[str] = (),
) -> Document | None:
    """Return the document of one upstream; what is wrong with it is reported.

    `allow_refs` are the addresses that its `$ref`s may lead to.
    """
    texts: list[tuple[str, bytes]] = []
    for key, word in (("openapi", openapi), *(("overlays", one) for one in overlays)):
        try:
            texts.append(specs.read(word.text))
        except OSError as error:
            reason = f"cannot be read: {error.strerror or 'not a file'}"
            if word.text.lower().startswith(("http://", "https://")):
                reason = "is an address; download it and name the file"
            message = f'{fields.at(key)}: "{word.text}" {reason}'
            fields.problems.add(word.spot, message)
            return None
    (name, text), *laid = texts
    file = name
    try:
        root = None
        if laid:
            # The library is only needed where there are overlays, and costs time to load.
            from signoff.catalog.openapi.overlays import lay  # noqa: PLC0415

            plain = parse(text, specs.cache)
            for one, overlay in laid:
                file = one
                plain = root = lay(parse(overlay), plain)
            file = name
        return Document(
            text,
            name=name,
            read=specs.beside(openapi.text) if specs.beside is not None else None,
            cache=specs.cache,
            root=root,
            laid=[overlay for _, overlay in laid],
            remote=Remote(allow_refs, specs.fetch, allow_private=allow_private),
        )
    except DocumentError as error:
        fields.problems.add(error.spot, error.message, file=file)
        return None
