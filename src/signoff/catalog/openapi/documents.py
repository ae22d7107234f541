"""One OpenAPI document in memory: parsed, its version known, its local `$ref`s resolved.

Owns parsing (JSON and YAML), the JSON Pointer resolver with its memo, and where in the text
something stands. Reads no file and no network: bytes come in; a remote or file `$ref` is an error
of whoever uses it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import unquote

import orjson

from signoff.canonical import Json
from signoff.catalog.yaml_source import SPEC_LIMITS, Spot, YamlError, read

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_VERSION: Final = re.compile(r"3\.[01](\.[0-9]+)?(-.*)?")
_LONGEST_CHAIN: Final = 32
_START: Final = Spot(line=1, column=1)


class DocumentError(ValueError):
    """The document as a whole cannot be used."""

    def __init__(self, message: str, spot: Spot = _START) -> None:
        super().__init__(message)
        self.message, self.spot = message, spot


class MappingError(ValueError):
    """One operation cannot become a tool. `ref` is the `$ref` at fault, if one is."""

    def __init__(self, message: str, *, ref: str | None = None) -> None:
        super().__init__(message)
        self.message, self.ref = message, ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation as the document writes it; `shared` are the path item's parameters."""

    path: str
    method: str
    members: Mapping[str, Json]
    shared: Json = None
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
    """A parsed OpenAPI 3.0 or 3.1 document."""

    def __init__(self, text: bytes, *, name: str) -> None:
        self.name = name
        self._text = text
        root = _parse(text)
        if not isinstance(root, dict):
            raise DocumentError("not an OpenAPI document: the top is not a mapping")
        self.root: dict[str, Json] = root
        self.is_3_0 = _version(root).startswith("3.0")
        self._resolved: dict[str, Json] = {}

    def resolve(self, ref: str) -> Json:
        """Return what a local `$ref` points at (RFC 6901, as a URI fragment).

        Raises:
            MappingError: it is not local, or nothing stands there.
        """
        if ref in self._resolved:
            return self._resolved[ref]
        if not ref.startswith("#"):
            raise MappingError(f'the $ref "{ref[:200]}" leaves the document', ref=ref)
        value: Json = self.root
        for step in unquote(ref[1:]).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and name in value:
                value = value[name]
            elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            else:
                raise MappingError(f'the $ref "{ref[:200]}" points at nothing', ref=ref)
        self._resolved[ref] = value
        return value

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

    def operations(self) -> Iterator[Operation]:
        """Yield every operation in the document's order; a broken path item yields its fault."""
        for path, raw in dict_of(self.root.get("paths")).items():
            if path.startswith("x-"):
                continue
            try:
                shared = self.follow(raw)
            except MappingError as error:
                yield Operation(path=path, method="any", members={}, fault=error)
                continue
            for method in METHODS:
                members = shared.get(method)
                if method not in shared:
                    continue
                yield Operation(
                    path=path,
                    method=method,
                    members=dict_of(members),
                    shared=shared.get("parameters"),
                    fault=None
                    if isinstance(members, dict)
                    else MappingError("the operation is not a mapping"),
                )


def dict_of(value: Json) -> dict[str, Json]:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Json) -> list[Json]:
    """Return `value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def _parse(text: bytes) -> Json:
    if len(text) > SPEC_LIMITS.size:
        raise DocumentError(f"the document is larger than {SPEC_LIMITS.size} bytes")
    if text.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return _parse_json(text)
    return _parse_yaml(text)


def _parse_json(text: bytes) -> Json:
    try:
        # Beyond 64 bits it reads the nearest double: bounds and examples bear it, and an argument's
        # own digits never pass through here.
        return cast("Json", orjson.loads(text))
    except orjson.JSONDecodeError as error:
        try:  # YAML's flow style begins like JSON
            return _parse_yaml(text)
        except DocumentError:
            spot = Spot(line=error.lineno, column=error.colno)
            raise DocumentError(f"not valid JSON: {error.msg}", spot) from None


def _parse_yaml(text: bytes) -> Json:
    try:
        return read(text, SPEC_LIMITS)
    except YamlError as error:
        spot = Spot(line=error.line, column=error.column)
        raise DocumentError(error.message, spot) from None


def _version(root: Mapping[str, Json]) -> str:
    if "swagger" in root:
        raise DocumentError("Swagger 2.0 is not supported yet; convert it to OpenAPI 3")
    version = root.get("openapi")
    if not isinstance(version, str):
        raise DocumentError('not an OpenAPI document: the text "openapi: 3.x" is missing')
    if not _VERSION.fullmatch(version):
        raise DocumentError(f"OpenAPI {version[:20]} is not supported; 3.0 and 3.1 are")
    return version
