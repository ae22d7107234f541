"""OpenAPI schemas become JSON Schema 2020-12, smaller and safe to publish.

Owns the conversion of one schema in one direction. `$ref`s become `#/$defs/…`, so cycles stay
finite; only known keywords with well-formed values survive. What goes in loses `readOnly` members.
What comes out loses `writeOnly` members and everything that would fail a real answer for drifting
from its description: required members, closed objects, enumerations, bounds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from signoff.canonical import Json
from signoff.catalog.openapi import keywords
from signoff.catalog.openapi.documents import Document, MappingError, dict_of, list_of
from signoff.catalog.openapi.names import definition_name
from signoff.catalog.openapi.shapes import (
    ALSO_IN_PLACE,
    CHOICES,
    SMALL_BYTES,
    bytes_of,
    in_place,
    is_small,
    opened,
)
from signoff.catalog.openapi.tags import choice, told
from signoff.catalog.openapi.texts import plain_text
from signoff.schema import SchemaError, check_schema

Direction = Literal["input", "output"]
Schema = dict[str, Json]

_DEEPEST: Final = 48
_DESCRIPTION: Final = 300
_IN_PLACE: Final = frozenset({"allOf", *CHOICES, *ALSO_IN_PLACE})
_OBJECT: Final = frozenset({
    "properties", "required", "allOf", "patternProperties", "additionalProperties", "propertyNames",
})  # fmt: skip
_BINARY: Final = ("binary", "byte")
_BESIDE: Final = ("description", "nullable", "x-nullable")
_REFERENCES: Final = ("$ref", "$dynamicRef")
_MOST_DEFINITIONS: Final = 2_000


class Converter:
    """Converts the schemas of one document in one direction, each component once."""

    def __init__(self, document: Document, direction: Direction) -> None:
        self._document, self._direction = document, direction
        self._hidden = "readOnly" if direction == "input" else "writeOnly"
        self._names: dict[str, str] = {}
        self._pointers: dict[str, str] = {}
        self._definitions: dict[str, _Definition] = {}
        self._small: dict[str, bool] = {}
        self._reached: dict[tuple[str, bool], frozenset[str]] = {}

    def convert(self, schema: Json, uses: set[str]) -> Schema:
        """Return `schema` converted; names of `$defs` it needs are added to `uses`.

        Raises:
            MappingError: a `$ref` leads nowhere, or the schema is nested too deeply.
        """
        return _Pass(self, uses).convert(schema, 0, None, frozenset())

    def definitions(self, uses: set[str], *, budget: int | None = None) -> dict[str, Json]:
        """Return `$defs` for `uses` and everything they reach, by name.

        Raises:
            MappingError: a `$ref` leads nowhere, or the definitions are more than `budget` bytes.
        """
        found: dict[str, Json] = {}
        waiting, size = sorted(uses), 0
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            made = self._definition(name)
            found[name] = made.schema
            size += made.size
            if len(found) > _MOST_DEFINITIONS or (budget is not None and size > budget):
                raise MappingError("its schema is too large")
            waiting.extend(sorted(made.uses - found.keys()))
        return {name: found[name] for name in sorted(found)}

    def definition(self, name: str, uses: set[str]) -> Schema:
        """Return one definition, to be written out; what it needs is added to `uses`."""
        made = self._definition(name)
        uses.discard(name)
        uses |= made.uses
        return made.schema

    def name_of(self, pointer: str) -> str:
        """Return the `$defs` key of what stands at `pointer`."""
        name = self._names.get(pointer)
        if name is None:
            name = definition_name(pointer, self._pointers.__contains__)
            self._names[pointer] = name
            self._pointers[name] = pointer
        return name

    def is_small(self, pointer: str) -> bool:
        """Say whether a component is better written out than referred to."""
        if pointer not in self._small:
            self._small[pointer] = is_small(self._document.resolve(pointer))
        return self._small[pointer]

    def returns(self, start: str, goal: str, *, by_choices: bool) -> bool:
        """Say whether `goal` is reached from `start` without stepping into a member or item.

        `by_choices` follows the branches of `anyOf` and `oneOf` too.
        """
        return start == goal or goal in self._closure(start, by_choices=by_choices)

    def hides(self, schema: Json) -> bool:
        """Say whether a member with this schema does not travel in this direction."""
        whole = dict_of(schema)
        if "$ref" not in whole and "allOf" not in whole:
            return whole.get(self._hidden) is True
        return any(part.get(self._hidden) is True for part in self.parts(schema))

    def parts(self, schema: Json) -> Iterator[Schema]:
        """Yield a schema and what its `$ref` and `allOf` add to it, each once."""
        waiting, seen = [schema], set[str]()
        while waiting and len(seen) < _DEEPEST:
            part = dict_of(waiting.pop())
            if not part:
                continue
            ref = part.get("$ref")
            if isinstance(ref, str):
                if ref in seen:
                    continue
                seen.add(ref)
                waiting.append(self._document.resolve(ref))
            yield part
            waiting.extend(list_of(part.get("allOf")))

    def hidden_members(self, schema: Json) -> frozenset[str]:
        """Return the names of members that do not travel in this direction."""
        return frozenset(
            name
            for part in self.parts(schema)
            for name, member in dict_of(part.get("properties")).items()
            if self.hides(member)
        )

    @property
    def document(self) -> Document:
        return self._document

    @property
    def is_output(self) -> bool:
        return self._direction == "output"

    def _definition(self, name: str) -> "_Definition":
        if name not in self._definitions:
            pointer, uses = self._pointers[name], set[str]()
            raw = self._document.resolve(pointer)
            schema = _Pass(self, uses).convert(raw, 0, _Owner(pointer), frozenset())
            try:
                check_schema(schema)
            except SchemaError as error:
                raise MappingError(f"a schema is not usable: {error}", ref=pointer) from None
            size = len(bytes_of(schema)) + len(name)
            self._definitions[name] = _Definition(schema, frozenset(uses), size)
        return self._definitions[name]

    def _closure(self, start: str, *, by_choices: bool) -> frozenset[str]:
        key = start, by_choices
        if key not in self._reached:
            found, waiting = set[str](), [start]
            while waiting:
                raw = self._document.resolve(waiting.pop())
                for target in in_place(raw, CHOICES if by_choices else ()):
                    if target not in found:
                        found.add(target)
                        waiting.append(target)
            self._reached[key] = frozenset(found)
        return self._reached[key]


@dataclass(frozen=True, slots=True)
class _Definition:
    schema: Schema
    uses: frozenset[str]
    size: int


@dataclass(frozen=True, slots=True)
class _Owner:
    """The component whose own shape is being written, and whether a choice was entered in it."""

    pointer: str
    in_choice: bool = False


class _Pass:
    """One walk over one schema."""

    def __init__(self, converter: Converter, uses: set[str]) -> None:
        self._converter, self._uses = converter, uses

    def convert(
        self, raw: Json, depth: int, owner: _Owner | None, hidden: frozenset[str]
    ) -> Schema:
        if depth > _DEEPEST:
            raise MappingError(f"its schema is nested deeper than {_DEEPEST}")
        if isinstance(raw, bool):
            return {} if raw else {"not": {}}
        source = dict_of(raw)
        ref = source.get("$ref", source.get("$dynamicRef"))
        if isinstance(ref, str):
            return self._reference(ref, source, depth, owner)
        if "allOf" in source and not self._converter.is_output:
            source = opened(list(self._converter.parts(source))) or source
        return self._nullable(source, self._members(source, depth, owner, hidden))

    def _reference(self, ref: str, source: Schema, depth: int, owner: _Owner | None) -> Schema:
        converter = self._converter
        target = converter.document.resolve(ref)
        if owner is not None and self._is_circular(source, owner):
            raise MappingError(f'the schema at "{ref[:200]}" only points at itself', ref=ref)
        if converter.is_small(ref):
            made = self.convert(target, depth + 1, _Owner(ref), frozenset())
        else:
            name = converter.name_of(ref)
            self._uses.add(name)
            made = {"$ref": f"#/$defs/{name}"}
        # OpenAPI 3.0 §Reference Object: siblings are ignored; a description and `nullable` beside
        # a $ref are what authors write all the same, and they harm nothing.
        siblings = {name: source[name] for name in _BESIDE if name in source}
        if not converter.document.has_old_schemas:
            siblings = {name: value for name, value in source.items() if name not in _REFERENCES}
        more = self._members(siblings, depth, owner, frozenset())
        if "$ref" not in made and not siblings.keys() <= {*_BESIDE, "default"}:
            inner: list[Json] = [made]
            made: Schema = {"allOf": inner}
        whole: Schema = {**made, **more}
        return self._nullable(source, whole)

    def _nullable(self, source: Schema, made: Schema) -> Schema:
        if source.get("nullable") is not True and source.get("x-nullable") is not True:
            return made
        kind = made.get("type")
        if isinstance(kind, str):
            made["type"] = [kind, "null"]
        elif not isinstance(kind, list) and made.keys() & {"$ref", "allOf", *CHOICES, "enum"}:
            kept = {name: made.pop(name) for name in ("description", "default") if name in made}
            choice: Schema = {**kept, "anyOf": [made, {"type": "null"}]}
            return choice
        enum = made.get("enum")
        if isinstance(enum, list) and None not in enum:
            made["enum"] = [*enum, None]
        return made

    def _members(
        self, source: Schema, depth: int, owner: _Owner | None, hidden: frozenset[str]
    ) -> Schema:
        made: Schema = {}
        is_output = self._converter.is_output
        for keyword, value in source.items():
            if is_output and keyword in keywords.ASSERTING:
                continue
            check = keywords.PLAIN.get(keyword)
            if check is not None and check(value):
                made[keyword] = value
        self._texts(source, made)
        self._numbers(source, made)
        self._format(source, made)
        self._object(source, made, depth, hidden)
        self._array(source, made, depth)
        self._in_place(source, made, depth, owner, hidden)
        return made

    def _texts(self, source: Schema, made: Schema) -> None:
        if text := plain_text(source.get("description"), limit=_DESCRIPTION):
            made["description"] = text
        if "example" in source and "examples" not in made and not self._converter.is_output:
            made["examples"] = [source["example"]]
        examples = made.get("examples")
        if isinstance(examples, list):
            made["examples"] = examples[:1]
            if not examples or len(bytes_of(examples[0])) > SMALL_BYTES // 4:
                del made["examples"]

    def _numbers(self, source: Schema, made: Schema) -> None:
        """OpenAPI 3.0: `exclusiveMinimum: true` says that `minimum` itself is excluded."""
        for exclusive, bound in (
            ("exclusiveMinimum", "minimum"),
            ("exclusiveMaximum", "maximum"),
        ):
            if source.get(exclusive) is True and bound in made:
                made[exclusive] = made.pop(bound)

    def _format(self, source: Schema, made: Schema) -> None:
        if source.get("format") not in _BINARY:
            return
        kind = source.get("type")
        if kind == "string" or "string" in list_of(kind):
            made.pop("format", None)
            made["contentEncoding"] = "base64"

    def _object(self, source: Schema, made: Schema, depth: int, hidden: frozenset[str]) -> None:
        if not source.keys() & _OBJECT:
            return
        converter = self._converter
        members = dict_of(source.get("properties"))
        if members or "allOf" in source or "required" in made:
            hidden |= converter.hidden_members(source)
        if members:
            shown: Schema = {
                name: self.convert(member, depth + 1, None, frozenset())
                for name, member in members.items()
                if name not in hidden
            }
            made["properties"] = told(source, shown)
        required = made.get("required")
        if isinstance(required, list):
            made["required"] = [name for name in required if name not in hidden]
            if not made["required"]:
                del made["required"]
        patterns = dict_of(source.get("patternProperties"))
        usable = {name: member for name, member in patterns.items() if keywords.is_pattern(name)}
        if usable:
            made["patternProperties"] = {
                name: self.convert(member, depth + 1, None, frozenset())
                for name, member in usable.items()
            }
        rest = source.get("additionalProperties")
        if isinstance(rest, dict):
            made["additionalProperties"] = self.convert(rest, depth + 1, None, frozenset())
        elif isinstance(rest, bool) and not converter.is_output and len(usable) == len(patterns):
            made["additionalProperties"] = rest
        names = source.get("propertyNames")
        if isinstance(names, dict) and not converter.is_output:
            made["propertyNames"] = self.convert(names, depth + 1, None, frozenset())

    def _array(self, source: Schema, made: Schema, depth: int) -> None:
        items = source.get("items")
        if isinstance(items, dict | bool):
            made["items"] = self.convert(items, depth + 1, None, frozenset())
        prefix = list_of(source.get("prefixItems"))
        if prefix:
            made["prefixItems"] = [
                self.convert(member, depth + 1, None, frozenset()) for member in prefix
            ]
        contains = source.get("contains")
        if isinstance(contains, dict) and not self._converter.is_output:
            made["contains"] = self.convert(contains, depth + 1, None, frozenset())

    def _in_place(
        self, source: Schema, made: Schema, depth: int, owner: _Owner | None, hidden: frozenset[str]
    ) -> None:
        if not source.keys() & _IN_PLACE:
            return
        if "allOf" in source:
            hidden |= self._converter.hidden_members(source)
        if branches := self._branches(source, "allOf", depth, owner, hidden):
            made["allOf"] = [branch for _, branch in branches]
        inner = owner if owner is None else _Owner(owner.pointer, in_choice=True)
        for keyword in CHOICES:
            if branches := self._branches(source, keyword, depth, inner, hidden):
                key, choices = choice(self._converter, source, keyword, branches)
                if key in made:
                    made["allOf"] = [*list_of(made.get("allOf")), {key: choices}]
                else:
                    made[key] = choices
        if self._converter.is_output:
            return
        for keyword in ALSO_IN_PLACE:
            if isinstance(source.get(keyword), dict | bool):
                made[keyword] = self.convert(source[keyword], depth + 1, owner, frozenset())

    def _branches(
        self,
        source: Schema,
        keyword: str,
        depth: int,
        owner: _Owner | None,
        hidden: frozenset[str],
    ) -> list[tuple[Json, Json]]:
        """Return the branches of a keyword as they are written and as they are converted."""
        return [
            (branch, self.convert(branch, depth + 1, owner, hidden))
            for branch in list_of(source.get(keyword))
            if not self._is_circular(branch, owner)
        ]

    def _is_circular(self, branch: Json, owner: _Owner | None) -> bool:
        """Say whether a component contains itself in place here, which says nothing more.

        Base types that list their children, and children that include their base, are written
        like this. A choice that leads back is cut first, so that children keep their base; then
        what still goes in circles by `allOf` alone. Nothing depends on the order of components.
        """
        ref = dict_of(branch).get("$ref")
        if owner is None or not isinstance(ref, str):
            return False
        return self._converter.returns(ref, owner.pointer, by_choices=owner.in_choice)
