"""One OpenAPI document in memory: parsed, its version known, its `$ref`s resolved.

Owns the versions (2.0 to 3.2), the resolver with its memo, the walk over operations, and where in
the text something stands. Reads other files only where it was given a reader of them, and fetches
only listed addresses: a `$ref` that cannot be followed is an error of whoever uses it.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

from signoff.canonical import Json
from signoff.catalog.openapi.embedded import NOTHING, anchored, pointed, settle, walk, within
from signoff.catalog.openapi.files import Files, OutsideError, ReadFile
from signoff.catalog.openapi.remote import Remote
from signoff.catalog.openapi.sources import DocumentError, ParsedCache, parse
from signoff.catalog.yaml_source import Spot

__all__ = ["Document", "DocumentError", "MappingError", "Operation", "dict_of", "list_of"]

Version: TypeAlias = Literal["2.0", "3.0", "3.1", "3.2"]

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_VERSION: Final = re.compile(r"3\.([0-9]{1,3})(\.[0-9]+)?(-.*)?")
_NEWEST: Final = 2
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}")
_LEAVES: Final = re.compile(rb"""\$ref["']?\s*:\s*["']?[^#"'\s{\[\\]""")
_NAMES: Final = re.compile(rb"(?:\$|\\u0024)id\b")
_LONGEST_CHAIN: Final = 32
_START: Final = Spot(line=1, column=1)


class MappingError(ValueError):
    """One operation cannot become a tool. `ref` is the `$ref` at fault, if one is."""

    def __init__(self, message: str, *, ref: str | None = None) -> None:
        super().__init__(message)
        self.message, self.ref = message, ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation as the document writes it; `shared` are the path item's parameters.

    `method` is lower-case for the methods that OpenAPI names, and as written for others (3.2).
    """

    path: str
    method: str
    members: Mapping[str, Json]
    shared: Json = None
    servers: Json = None
    """The path item's servers."""
    extensions: Mapping[str, Json] | None = None
    """The path item, for what an extension says of all its operations."""
    fault: MappingError | None = None

    @property
    def id(self) -> str | None:
        """The operationId, if it is text."""
        found = self.members.get("operationId")
        return found if isinstance(found, str) and found else None

    @property
    def label(self) -> str:
        """How messages call it."""
        return self.id or f"{self.method.upper()} {self.path}"

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that are text."""
        return tuple(tag for tag in list_of(self.members.get("tags")) if isinstance(tag, str))


class Document:
    """A parsed OpenAPI document. `notes` are for the operator."""

    def __init__(
        self,
        text: bytes,
        *,
        name: str,
        read: ReadFile | None = None,
        cache: ParsedCache | None = None,
        root: dict[str, Json] | None = None,
        laid: Sequence[bytes] = (),
        remote: Remote | None = None,
    ) -> None:
        """Parse `text`; `root` is what the overlays `laid` made of it, if there are any."""
        self.name = name
        self._text = text
        self._laid = tuple(laid)
        self._home = name.replace("\\", "/").rsplit("/", 1)[-1]
        self._files = Files(read, home=self._home, cache=cache, remote=remote)
        parsed = parse(text, cache) if root is None else root
        if not isinstance(parsed, dict):
            raise DocumentError("not an OpenAPI document: the top is not a mapping")
        self.root: dict[str, Json] = parsed
        self.notes: list[str] = []
        self.version: Version = self._versioned()
        self._resolved: dict[str, Json] = {}
        self._anchors: dict[str, dict[str, Json]] = {}
        self._ids: dict[str, Json] = {}
        if not self.has_old_schemas and (_NAMES.search(text) or self._laid):
            self._ids = settle(parsed)
        self._mentions: dict[str, bool] = {}

    @property
    def has_old_schemas(self) -> bool:
        """Say whether schemas are those before JSON Schema 2020-12 (`nullable`, bare `$ref`s)."""
        return self.version in ("2.0", "3.0")

    def resolve(self, ref: str) -> Json:
        """Return what a `$ref` points at: an RFC 6901 fragment, an anchor, or part of a file.

        Raises:
            MappingError: it is remote, leaves the folder, or nothing stands there.
        """
        if ref not in self._resolved:
            self._resolved[ref] = self._find(ref)
        return self._resolved[ref]

    def follow(self, value: Json) -> dict[str, Json]:
        """Return `value`, or what its chain of `$ref`s ends at, as a mapping.

        Raises:
            MappingError: the chain is broken, circular, or does not end at a mapping.
        """
        ref: str | None = None
        for _ in range(_LONGEST_CHAIN):
            if not isinstance(value, dict):
                where = f'the $ref "{ref[:200]}" points at' if ref else "there is"
                raise MappingError(f"{where} something that is not a mapping", ref=ref)
            target = value.get("$ref")
            if not isinstance(target, str):
                return value
            ref = target
            value = self.resolve(ref)
        raise MappingError(f'the $ref "{(ref or "")[:200]}" only points at itself', ref=ref)

    def spot_of(self, needle: str) -> Spot:
        """Return where `needle` first stands in the text, or the first line."""
        at = self._text.find(needle.encode())
        if at < 0:
            return _START
        start = self._text.rfind(b"\n", 0, at) + 1
        return Spot(line=self._text.count(b"\n", 0, at) + 1, column=at - start + 1)

    def mentions(self, *words: str) -> bool:
        """Say whether any of `words` stands in the text; True where there is more than one."""
        key = " ".join(words)
        if key not in self._mentions:
            self._mentions[key] = (
                _LEAVES.search(self._text) is not None
                or bool(self._laid)
                or b"\\u" in self._text
                or any(word.encode() in self._text for word in words)
            )
        return self._mentions[key]

    def fingerprint(self) -> str:
        """Return a hash of the text and of every document that it leads to."""
        self._read_everything()
        texts = {"": self._text, **self._files.texts}
        whole = hashlib.sha256()
        for overlay in self._laid:
            whole.update(hashlib.sha256(overlay).digest())
        for path in sorted(texts):
            whole.update(f"{path}\n{hashlib.sha256(texts[path]).hexdigest()}\n".encode())
        return whole.hexdigest()

    def close(self) -> None:
        """Fetch nothing from now on; what was fetched and read stays."""
        self._files.close()

    def operations(self) -> Iterator[Operation]:
        """Yield every operation in the document's order; a broken path item yields its fault."""
        for path, raw in dict_of(self.root.get("paths")).items():
            if path.startswith("x-"):
                continue
            try:
                shared = self._path_item(raw)
            except MappingError as error:
                yield Operation(path=path, method="any", members={}, fault=error)
                continue
            seen = set[str]()
            for method, members in self._methods(shared):
                fault = _method_fault(method, members, seen)
                seen.add(method.upper())
                yield Operation(
                    path=path,
                    method=method,
                    members=dict_of(members),
                    shared=shared.get("parameters"),
                    servers=shared.get("servers"),
                    extensions=shared,
                    fault=fault,
                )

    def _path_item(self, raw: Json) -> dict[str, Json]:
        item = dict_of(raw)
        if not isinstance(item.get("$ref"), str):
            return self.follow(raw)
        # OpenAPI §Path Item Object: what stands beside the $ref is kept where it does not clash.
        beside = {key: value for key, value in item.items() if key != "$ref"}
        return {**self.follow(raw), **beside}

    def _methods(self, item: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
        for method in METHODS:
            if method in item and (method != "query" or self.version == "3.2"):
                yield method, item[method]
        if self.version == "3.2":
            yield from dict_of(item.get("additionalOperations")).items()

    def _find(self, ref: str) -> Json:
        if (embedded := self._embedded(ref)) is not NOTHING:
            return embedded
        try:
            path, fragment = self._files.path_of(self._local(ref))
            root = self._files.root(path) if path else self.root
        except OutsideError as error:
            raise MappingError(f'the $ref "{ref[:200]}" {error}', ref=ref) from None
        if fragment and not fragment.startswith("/"):
            found = self._anchor(path, unquote(fragment), root)
        else:
            found = pointed(root, fragment)
        if found is NOTHING:
            raise MappingError(f'the $ref "{ref[:200]}" points at nothing', ref=ref)
        return found

    def _local(self, ref: str) -> str:
        """OpenAPI 3.2 §`$self`: the document's own URI is another way to write `#`."""
        own = self.root.get("$self")
        if isinstance(own, str) and own and ref.partition("#")[0] == own.partition("#")[0]:
            return f"#{ref.partition('#')[2]}"
        return ref

    def _embedded(self, ref: str) -> Json:
        """Return what a schema of this document calls itself by `$id` (JSON Schema §8.2.1)."""
        base, _, fragment = ref.partition("#")
        return within(self._ids[base], fragment) if base in self._ids else NOTHING

    def _anchor(self, path: str, name: str, root: Json) -> Json:
        if path not in self._anchors:
            self._anchors[path] = anchored(root)
        return self._anchors[path].get(name, NOTHING)

    def _read_everything(self) -> None:
        """Read every document that is referred to, so that the fingerprint covers them all."""
        if not self._laid and not _LEAVES.search(self._text):
            return
        waiting: list[str] = list(_outer(self.root))
        seen = set[str]()
        while waiting:
            ref = waiting.pop()
            try:
                path, _ = self._files.path_of(self._local(ref))
                if not path or path in seen:
                    continue
                seen.add(path)
                waiting.extend(_outer(self._files.root(path)))
            except OutsideError:
                continue

    def _versioned(self) -> Version:
        root = self.root
        if str(root.get("swagger")) == "2.0":  # YAML without quotes makes it a number
            return "2.0"
        if "swagger" in root:
            raise DocumentError(f"Swagger {str(root['swagger'])[:20]} is not supported; 2.0 is")
        version = root.get("openapi")
        if not isinstance(version, str):
            raise DocumentError('not an OpenAPI document: the text "openapi: 3.x" is missing')
        found = _VERSION.fullmatch(version)
        if found is None:
            raise DocumentError(f"OpenAPI {version[:20]} is not supported; 2.0 to 3.2 are")
        if int(found[1]) > _NEWEST:
            self.notes.append(f"OpenAPI {version[:20]} is read as 3.2, the newest that is known")
        known: tuple[Version, ...] = ("3.0", "3.1", "3.2")
        return known[min(int(found[1]), _NEWEST)]


def dict_of(value: Json) -> dict[str, Json]:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Json) -> list[Json]:
    """Return `value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def _method_fault(method: str, members: Json, seen: set[str]) -> MappingError | None:
    """Say what is wrong with a method; `seen` are those of its path before it, in upper case."""
    if not isinstance(members, dict):
        return MappingError("the operation is not a mapping")
    if _TOKEN.fullmatch(method) is None or method.upper() == "CONNECT":
        return MappingError("its method is not one that HTTP allows")
    if method.upper() in seen:
        return MappingError(f"its path has {method.upper()} twice")
    if method not in METHODS and method.lower() in METHODS:
        # OpenAPI 3.2 §Path Item Object: these have fields of their own.
        return MappingError(f"{method} is no additional operation")
    return None


def _outer(root: Json) -> Sequence[str]:
    found = (part.get("$ref") for part in walk(root))
    return [ref for ref in found if isinstance(ref, str) and not ref.startswith("#")]
