"""An operation's request body: which media type, and whether its members become arguments.

Owns the choice between one `body` argument and one argument per member. Members become arguments
only where nothing is lost by it: a plain object, without a union, a condition or a rule over all
of its members.
"""

from dataclasses import dataclass, field
from typing import Final

from signoff.canonical import Json
from signoff.catalog.openapi.documents import Document, MappingError, Operation, dict_of, list_of
from signoff.catalog.openapi.parameters import Candidate
from signoff.catalog.wire import BodyKind

_FORM: Final = "application/x-www-form-urlencoded"
_BYTES: Final = "application/octet-stream"
_LOSSY: Final = frozenset({
    "anyOf", "oneOf", "not", "if", "then", "else", "patternProperties", "propertyNames",
    "minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "discriminator",
    "unevaluatedProperties", "const", "enum",
})  # fmt: skip
_MOST_PARTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A body before its arguments have names. `rest` is the schema of undeclared members."""

    kind: BodyKind = "none"
    content_type: str = "application/json"
    required: bool = False
    candidates: tuple[Candidate, ...] = ()
    needed: tuple[str, ...] = ()
    rest: Json = False
    schemas: tuple[Json, ...] = field(default=())
    """The schema, or each merged part of it; for finding secrets."""


def read(document: Document, operation: Operation) -> Shape:
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
    required = body.get("required") is True
    written = _choose(content)
    media_type = "application/json" if "*" in written else written
    schema = dict_of(content[written]).get("schema", {})
    essence = _essence(media_type)
    if essence.startswith("text/") or essence == _BYTES:
        text: dict[str, Json] = {"type": "string"}
        if essence == _BYTES:
            text["contentEncoding"] = "base64"
        return _whole(media_type, text, body, required=required)
    if _is_empty(schema) and not required:
        return Shape()
    parts = _plain_parts(document, schema)
    if parts is None:
        if essence == _FORM:
            raise MappingError("its form body is not a plain object")
        return _whole(media_type, schema, body, required=required)
    return _members(media_type, parts, required=required)


def is_json(media_type: str) -> bool:
    """Say whether a media type is JSON (RFC 6839 §3.1 for `+json`)."""
    essence = _essence(media_type)
    return essence == "application/json" or essence.endswith("+json")


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _choose(content: dict[str, Json]) -> str:
    def rank(media_type: str) -> int:
        essence = _essence(media_type)
        if essence == "application/json":
            return 0
        if is_json(essence) or essence in ("*/*", "application/*"):
            return 1
        if essence == _FORM:
            return 2
        if essence.startswith("text/") and "xml" not in essence:
            return 3
        return 4 if essence == _BYTES else 5

    best = min(content, key=lambda media_type: (rank(media_type), media_type))
    if rank(best) == 5:  # noqa: PLR2004 — one past the last that can be sent
        listed = ", ".join(sorted(content))[:120]
        raise MappingError(f"its body is {listed}, which is not supported yet")
    return best


def _is_empty(schema: Json) -> bool:
    """Say whether nothing can be said in this body: a closed object without members."""
    members = dict_of(schema)
    return members.get("additionalProperties") is False and not (
        members.get("properties") or members.keys() & {"$ref", "allOf", "patternProperties"}
    )


def _whole(media_type: str, schema: Json, body: dict[str, Json], *, required: bool) -> Shape:
    candidate = Candidate(
        name="body",
        place="body",
        schema=schema,
        required=required,
        description=body.get("description"),
    )
    return Shape(
        kind="whole",
        content_type=media_type,
        required=required,
        candidates=(candidate,),
        schemas=(schema,),
    )


def _plain_parts(document: Document, schema: Json) -> list[dict[str, Json]] | None:
    """Return the objects that `schema` is all of, or None where merging would lose a rule."""
    found: list[dict[str, Json]] = []
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if len(found) >= _MOST_PARTS or not isinstance(part, dict):
            return None
        if isinstance(part.get("$ref"), str):
            siblings = part.keys() - {"$ref", "description", "title"}
            if siblings and not document.is_3_0:
                return None
            part = document.follow(part)
        if part.keys() & _LOSSY or part.get("nullable") is True:
            return None
        if part.get("type", "object") not in ("object", ["object"]):
            return None
        found.append(part)
        waiting.extend(reversed(list_of(part.get("allOf"))))
    declared = [dict_of(part.get("properties")) for part in found]
    names = [name for members in declared for name in members]
    rests = [part["additionalProperties"] for part in found if "additionalProperties" in part]
    if len(set(names)) != len(names) or (
        len(found) > 1 and any(rest is not True for rest in rests)
    ):
        return None
    is_object = any("object" in str(part.get("type")) for part in found)
    return found if names or (is_object and not any(rests)) else None


def _members(media_type: str, parts: list[dict[str, Json]], *, required: bool) -> Shape:
    needed = {
        name for part in parts for name in list_of(part.get("required")) if isinstance(name, str)
    }
    candidates = [
        Candidate(name=name, place="body", schema=schema, required=required and name in needed)
        for part in parts
        for name, schema in dict_of(part.get("properties")).items()
    ]
    rest: Json = False
    for part in parts:
        rest = part.get("additionalProperties", rest)
    return Shape(
        kind="members",
        content_type=media_type,
        required=required,
        candidates=tuple(candidates),
        needed=tuple(sorted(needed)),
        rest=rest,
        schemas=tuple[Json, ...](parts),
    )
