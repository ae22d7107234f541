"""An operation's request body: which media type, and whether its members become arguments.

Owns the choice between one `body` argument and one argument per member. Members become arguments
only where nothing is lost by it: a plain object, without a union, a condition or a rule over all
of its members.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from signoff.canonical import Json
from signoff.catalog.openapi import encodings, media, positions
from signoff.catalog.openapi.documents import Document, MappingError, Operation, dict_of, list_of
from signoff.catalog.openapi.parameters import Candidate
from signoff.catalog.openapi.schemas import Converter
from signoff.catalog.openapi.shapes import LOSSY
from signoff.catalog.openapi.xml_hints import document_hint
from signoff.catalog.wire import REST, BodyFormat, BodyKind, Encoding, XmlHint

_MOST_PARTS: Final = 64
_XML_TEXT: Final[Mapping[str, Json]] = {"type": "string", "description": "The XML itself"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A body before its arguments have names. `rest` is the schema of undeclared members."""

    kind: BodyKind = "none"
    format: BodyFormat = "json"
    content_type: str = media.JSON
    required: bool = False
    candidates: tuple[Candidate, ...] = ()
    needed: tuple[str, ...] = ()
    rest: Json = False
    schemas: tuple[Json, ...] = field(default=())
    """The schema, or each merged part of it; for finding secrets."""
    encodings: Mapping[str, Encoding] = field(default_factory=dict[str, Encoding])
    unsent: tuple[str, ...] = ()
    xml: XmlHint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the catalogue says of bodies: a media type, and whether brackets number lists."""

    media_type: str | None = None
    indexed: bool = False


def read(
    document: Document, operation: Operation, converter: Converter, wish: Wish | None = None
) -> Shape:
    """Return how the operation's body is made.

    Raises:
        MappingError: it has no media type that can be sent.
    """
    raw = operation.members.get("requestBody")
    if raw is None:
        return Shape()
    body = document.follow(raw)
    content = dict_of(body.get("content"))
    if not content:
        return Shape()
    return _Reader(document, converter, body, wish or Wish()).read(content)


class _Reader:
    def __init__(
        self, document: Document, converter: Converter, body: dict[str, Json], wish: Wish
    ) -> None:
        self._document, self._converter, self._wish = document, converter, wish
        self._description = body.get("description")
        self._required = body.get("required") is True

    def read(self, content: dict[str, Json]) -> Shape:
        written = self._choose(content)
        format_ = media.format_of(written) or "binary"
        described = self._document.follow(content[written])
        schema = described.get("schema", {})
        match format_:
            case "text":
                return self._whole(written, format_, {"type": "string"})
            case "binary":
                text: Json = {"type": "string", "contentEncoding": "base64"}
                return self._whole(written, format_, text)
            case "xml":
                return self._xml(written, schema)
            case "parts":
                parts = positions.read(self._converter, written, described)
                shape = self._whole(written, format_, parts.schema, parts.encodings)
                return replace(shape, unsent=parts.unsent)
            case "json" | "form" | "multipart":
                return self._object(written, format_, described)

    def _choose(self, content: dict[str, Json]) -> str:
        wanted = self._wish.media_type
        if wanted is not None:
            for written in content:
                if media.essence(written) == media.essence(wanted):
                    return written
            listed = ", ".join(sorted(content))[:120]
            raise MappingError(f"its body is {listed}, not {wanted[:60]}")
        best = media.preferred(content)
        if best is None:
            listed = ", ".join(sorted(content))[:120]
            raise MappingError(f"its body is {listed}, which cannot be sent")
        return best

    def _object(self, written: str, format_: BodyFormat, described: dict[str, Json]) -> Shape:
        schema: Json = described.get("schema", {})
        if _is_empty(schema) and not self._required:
            return Shape()
        if format_ == "multipart" and encodings.is_files(self._converter, schema):
            # Such a document means files, and names no part: `file` is what most servers read.
            schema = {"type": "object", "properties": {"file": schema}, "required": ["file"]}
        parts = _plain_parts(self._document, schema)
        if parts is None:
            if format_ != "json" and not _may_be_object(self._converter, schema):
                raise MappingError(f"its {format_} body is not an object")
            members = _declared(self._converter, schema)
        else:
            members = {
                name: member
                for part in parts
                for name, member in dict_of(part.get("properties")).items()
            }
        planned: dict[str, Encoding] = {}
        unsent: tuple[str, ...] = ()
        if format_ != "json":
            said = dict_of(described.get("encoding"))
            planned = encodings.plan(
                self._converter, members, said, format_, indexed=self._wish.indexed
            )
            if format_ == "multipart":
                planned = self._undeclared(schema, members) | planned
                unsent = encodings.unsent(self._converter, members, said, planned)
        if parts is None:
            shape = self._whole(written, format_, schema, planned)
        else:
            shape = self._members(written, format_, parts, planned)
        return replace(shape, unsent=unsent)

    def _undeclared(self, schema: Json, members: Mapping[str, Json]) -> dict[str, Encoding]:
        """Return the encoding of members that only `additionalProperties` describes, as files."""
        for part in self._converter.parts(schema):
            rest = part.get("additionalProperties")
            if REST not in members and encodings.is_files(self._converter, rest):
                found = encodings.plan(self._converter, {REST: rest}, {}, "multipart")
                return dict.fromkeys(members, Encoding()) | found
        return {}

    def _xml(self, written: str, schema: Json) -> Shape:
        hint = document_hint(self._converter, schema)
        choice: Json = dict(_XML_TEXT)
        if hint is not None:
            choice = {"anyOf": [schema, dict(_XML_TEXT)]}
        shape = self._whole(written, "xml", choice)
        return Shape(
            kind="whole",
            format="xml",
            content_type=shape.content_type,
            required=self._required,
            candidates=shape.candidates,
            schemas=(schema,),
            xml=hint,
        )

    def _whole(
        self,
        written: str,
        format_: BodyFormat,
        schema: Json,
        planned: Mapping[str, Encoding] | None = None,
    ) -> Shape:
        candidate = Candidate(
            name="body",
            place="body",
            schema=schema,
            required=self._required,
            description=self._description,
        )
        return Shape(
            kind="whole",
            format=format_,
            content_type=media.sent_as(written),
            required=self._required,
            candidates=(candidate,),
            schemas=(schema,),
            encodings=planned or {},
        )

    def _members(
        self,
        written: str,
        format_: BodyFormat,
        parts: list[dict[str, Json]],
        planned: Mapping[str, Encoding],
    ) -> Shape:
        required = self._required
        needed = {
            name
            for part in parts
            for name in list_of(part.get("required"))
            if isinstance(name, str)
        }
        members: dict[str, Json] = {}
        for part in parts:
            members.update(dict_of(part.get("properties")))
        declared = members.keys()
        rest: Json = None
        for part in parts:
            # Of several, one that is closed closes them all: each alone would shut out the others.
            rest = rest if rest is False else part.get("additionalProperties", rest)
        if rest is not False:
            # Needed and not described is as often a name that was mistyped: it may be given.
            undeclared: Json = rest if isinstance(rest, dict) else {}
            members = {**members, **dict.fromkeys(sorted(needed - members.keys()), undeclared)}
        candidates = [
            Candidate(
                name=name,
                place="body",
                schema=schema,
                required=required and name in declared and name in needed,
                is_file=name in planned and planned[name].is_file,
            )
            for name, schema in members.items()
        ]
        return Shape(
            kind="members",
            format=format_,
            content_type=media.sent_as(written),
            required=required,
            candidates=tuple(candidates),
            needed=tuple(sorted(needed & declared)),
            rest=False if rest is None else rest,
            schemas=tuple[Json, ...](parts),
            encodings=planned,
        )


def _is_empty(schema: Json) -> bool:
    """Say whether nothing can be said in this body: a closed object without members."""
    members = dict_of(schema)
    return members.get("additionalProperties") is False and not (
        members.get("properties") or members.keys() & {"$ref", "allOf", "patternProperties"}
    )


def _may_be_object(converter: Converter, schema: Json) -> bool:
    return all("object" in str(part.get("type", "object")) for part in converter.parts(schema))


def _declared(converter: Converter, schema: Json) -> dict[str, Json]:
    """Return the members that any branch of a schema declares, for how they are written."""
    found: dict[str, Json] = {}
    for part in converter.parts(schema):
        found |= dict_of(part.get("properties"))
        for keyword in ("anyOf", "oneOf"):
            for branch in list_of(part.get(keyword)):
                for inner in converter.parts(branch):
                    found = {**dict_of(inner.get("properties")), **found}
    return found


def _plain_parts(document: Document, schema: Json) -> list[dict[str, Json]] | None:
    """Return the objects that `schema` is all of, or None where merging would lose a rule."""
    found: list[dict[str, Json]] = []
    waiting = [schema]
    while waiting:
        part = _plain_part(document, waiting.pop())
        if part is None or len(found) >= _MOST_PARTS:
            return None
        found.append(part)
        waiting.extend(reversed(list_of(part.get("allOf"))))
    declared: dict[str, Json] = {}
    for part in found:
        for name, member in dict_of(part.get("properties")).items():
            if declared.setdefault(name, member) != member:
                return None
    rests = [part["additionalProperties"] for part in found if "additionalProperties" in part]
    if len(found) > 1 and any(isinstance(rest, dict) for rest in rests):
        return None
    # An object that declares nothing may hold anything, unless it says that it may not.
    return found if declared or False in rests else None


def _plain_part(document: Document, part: Json) -> dict[str, Json] | None:
    if not isinstance(part, dict):
        return None
    if isinstance(part.get("$ref"), str):
        siblings = part.keys() - {"$ref", "description", "title"}
        if siblings and not document.has_old_schemas:
            return None
        part = document.follow(part)
    is_nullable = part.get("nullable") is True or part.get("x-nullable") is True
    is_object = part.get("type", "object") in ("object", ["object"])
    return part if is_object and not is_nullable and not part.keys() & LOSSY else None
