"""A schema as it is listed: small enough, and with or without `$ref`, for hosts that want it so.

Owns what is cut first. The result only ever allows more than the schema it was made of: arguments
are checked against the whole one. Pure.
"""

from collections.abc import Callable, Mapping
from typing import Final

import orjson

from signoff.canonical import Json

Schema = dict[str, Json]
Change = Callable[[Schema], Schema]

_SHORT: Final = 80
_HOPELESS: Final = 8
"""What is this many times too large gets no smaller than the limit by losing its words."""
_DEEPEST: Final = 6
_INLINE_DEPTH: Final = 12
_MAPS: Final = ("properties", "patternProperties")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_ONES: Final = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then",
                "else")  # fmt: skip
_HOLDING: Final = frozenset({*_MAPS, *_LISTS, *_ONES})
_SKELETON: Final = ("type", "enum", "contentEncoding")
_WORDS: Final = frozenset({"description", "default", "deprecated", "examples"})
_REFERENCE: Final = frozenset({"$ref"})
_DESCRIPTION: Final = frozenset({"description"})
_EXAMPLES: Final = frozenset({"examples"})
_NEGATIVE: Final = frozenset({"$defs", "not", "if", "then", "else", "dependentRequired"})
"""What would refuse more, make no sense, or outweigh the arguments, once a part of it is cut."""
_MORE: Final = "and {} more arguments"
_MORE_SIZE: Final = len('"description":"",') + len(_MORE) + 4
_POINTER: Final = "#/$defs/"


def size_of(value: Mapping[str, Json]) -> int:
    """Return the bytes of compact JSON."""
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError:  # an integer beyond 64 bits
        return len(str(value).encode())


def _measured(schema: Schema) -> tuple[Schema, int]:
    return schema, size_of(schema)


def fit(schema: Mapping[str, Json], limit: int) -> tuple[Schema, bool]:
    """Return `schema` in `limit` bytes if that can be, and whether its structure was cut.

    First descriptions are shortened, then left out below the arguments; then examples; then what
    lies deep becomes its bare type. Of arguments too many even so, the required ones are listed,
    and the first of the others.
    """
    return Forms(schema).within(limit)


class Forms:
    """A schema and the smaller forms of it, each made once, for a list that is fitted in rounds."""

    def __init__(self, schema: Mapping[str, Json]) -> None:
        self._fewer_words = [_measured(dict(schema))]
        self._cuts: dict[tuple[int, int], tuple[Schema, int]] = {}

    def within(self, limit: int) -> tuple[Schema, bool]:
        """Return the fullest form of at most `limit` bytes, and whether it was cut; see `fit`."""
        whole, size = self._fewer_words[0]
        if size <= limit:
            return whole, False
        steps = _STEPS if size <= limit * _HOPELESS else ()
        for step, _ in enumerate(steps, start=1):
            made, size = self._with_fewer_words(step)
            if size <= limit:
                return made, False
        fitting: Schema | None = None
        for depth in range(1, _DEEPEST + 1):  # from the top: written out, the whole may be endless
            cut, size = self._cut_at(depth, of=len(steps))
            if size > limit:
                break
            fitting = cut
        if fitting is not None:
            return fitting, True
        base, _ = self._fewer_words[len(steps)]
        return _fewer(_bare(_cut(base, _definitions(base), 1, 0)), limit), True

    def _with_fewer_words(self, step: int) -> tuple[Schema, int]:
        if step == len(self._fewer_words):
            before, _ = self._fewer_words[-1]
            self._fewer_words.append(_measured(_everywhere(before, _STEPS[step - 1], 0)))
        return self._fewer_words[step]

    def _cut_at(self, depth: int, *, of: int) -> tuple[Schema, int]:
        found = self._cuts.get((of, depth))
        if found is None:
            base, _ = self._fewer_words[of]
            cut = _cut(base, _definitions(base), depth, 0)
            found = self._cuts[of, depth] = _measured(_everywhere(cut, _brief, 0))
        return found


def inlined(schema: Mapping[str, Json], limit: int) -> tuple[Schema, bool]:
    """Return `schema` without `$ref`, in `limit` bytes if that can be; see `fit`."""
    definitions = _definitions(schema)
    own = {key: value for key, value in schema.items() if key != "$defs"}
    if not definitions:
        return fit(own, limit)
    budget = _Budget(limit * 8)
    made = _written_out(own, definitions, (), budget)
    fitted, was_cut = fit(made, limit)
    return fitted, was_cut or budget.is_spent


class _Budget:
    """How much may be written out before what is left becomes bare."""

    def __init__(self, left: int) -> None:
        self._left = left
        self.is_spent = False

    def take(self, schema: Schema) -> bool:
        self._left -= size_of(schema)
        if self._left < 0:
            self.is_spent = True
        return self._left >= 0


def _written_out(
    schema: Schema, definitions: Schema, inside: tuple[str, ...], budget: _Budget
) -> Schema:
    ref = schema.get("$ref")
    if isinstance(ref, str):
        target = _target(ref, definitions)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        if ref in inside or len(inside) >= _INLINE_DEPTH or not budget.take(target):
            budget.is_spent = True
            return {**_skeleton(target), **_only(beside, ("description",))}
        made = _written_out(target, definitions, (*inside, ref), budget)
        if not beside:
            return made
        rest = _written_out(beside, definitions, inside, budget)
        if rest.keys() <= _WORDS:
            return {**made, **rest}
        return {"allOf": [made, rest]}
    return _mapped(schema, lambda part: _written_out(part, definitions, inside, budget))


def _mapped(schema: Schema, change: Change) -> Schema:
    """Return `schema` with every schema directly inside it changed."""
    made = dict(schema)
    for key, value in schema.items():
        if key not in _HOLDING:  # by far the most
            continue
        if isinstance(value, list):
            if key in _LISTS:
                made[key] = [change(one) if isinstance(one, dict) else one for one in value]
        elif isinstance(value, dict):
            if key in _MAPS:
                made[key] = {
                    name: change(member) if isinstance(member, dict) else member
                    for name, member in value.items()
                }
            elif key in _ONES:
                made[key] = change(value)
    return made


def _everywhere(schema: Schema, change: Callable[[Schema, int], Schema], depth: int) -> Schema:
    made = _mapped(change(schema, depth), lambda part: _everywhere(part, change, depth + 1))
    definitions = made.get("$defs")
    if isinstance(definitions, dict):
        made["$defs"] = {
            name: _everywhere(one, change, depth + 2) if isinstance(one, dict) else one
            for name, one in definitions.items()
        }
    return made


def _shortened(part: Schema, depth: int) -> Schema:
    text = part.get("description")
    if depth == 0 or not isinstance(text, str) or len(text) <= _SHORT:
        return part
    return {**part, "description": text[: _SHORT - 1].rstrip() + "…"}


def _undescribed(part: Schema, depth: int) -> Schema:
    return part if depth <= 1 else _without(part, _DESCRIPTION)


def _without_examples(part: Schema, depth: int) -> Schema:
    del depth
    return _without(part, _EXAMPLES)


def _brief(part: Schema, depth: int) -> Schema:
    return _undescribed(_shortened(part, depth), depth)


_STEPS: Final = (_shortened, _undescribed, _without_examples)


def _cut(schema: Schema, definitions: Schema, deepest: int, depth: int, hops: int = 0) -> Schema:
    """Return `schema` with what lies deeper than `deepest` as its bare type."""
    ref = schema.get("$ref")
    if depth >= deepest:
        target = _target(ref, definitions) if isinstance(ref, str) else schema
        return {**_skeleton(target), **_only(schema, ("description",))}
    if isinstance(ref, str):
        if hops > _INLINE_DEPTH:  # definitions that only refer to each other say nothing
            return {}
        # What a definition says counts as said here, or a cycle would never end.
        target, beside = _target(ref, definitions), _without(schema, _REFERENCE)
        if target.keys() & beside.keys() <= _WORDS:
            return _cut({**target, **beside}, definitions, deepest, depth, hops + 1)
        return _cut({"allOf": [target, beside]}, definitions, deepest, depth)
    made = _without(schema, _NEGATIVE)
    made = _mapped(made, lambda part: _cut(part, definitions, deepest, depth + 1))
    branches = made.pop("oneOf", None)
    if branches is not None:  # shortened branches overlap
        made["allOf" if "anyOf" in made else "anyOf"] = (
            [{"anyOf": branches}, *_list(made.get("allOf"))] if "anyOf" in made else branches
        )
    return made


def _bare(schema: Schema) -> Schema:
    """Arguments by name and type alone."""
    members = schema.get("properties")
    if not isinstance(members, dict):
        return schema
    plain: Schema = {
        name: _skeleton(member) if isinstance(member, dict) else member
        for name, member in members.items()
    }
    return {**schema, "properties": plain}


def _fewer(schema: Schema, limit: int) -> Schema:
    """Leave out the last of the arguments that are not required; any may still be passed."""
    members = schema.get("properties")
    left = limit - size_of(schema)
    if left >= 0 or not isinstance(members, dict):
        return schema
    required = _list(schema.get("required"))
    optional = [name for name in members if name not in required]
    left -= _MORE_SIZE
    out: set[str] = set()
    while left < 0 and optional:
        name = optional.pop()
        left += size_of({name: members[name]}) - 1  # braces, but for the comma
        out.add(name)
    kept: Schema = {name: member for name, member in members.items() if name not in out}
    made = {key: value for key, value in schema.items() if key != "additionalProperties"}
    return {**made, "description": _MORE.format(len(out)), "properties": kept}


def _skeleton(schema: Schema) -> Schema:
    made = _only(schema, _SKELETON)
    enum = made.get("enum")
    if isinstance(enum, list) and len(enum) > 12:  # noqa: PLR2004 — a dozen can be read
        del made["enum"]
    return made


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _without(schema: Schema, keys: frozenset[str]) -> Schema:
    if keys.isdisjoint(schema):
        return schema
    return {key: value for key, value in schema.items() if key not in keys}


def _only(schema: Schema, keys: tuple[str, ...]) -> Schema:
    return {key: schema[key] for key in keys if key in schema}


def _target(ref: str, definitions: Schema) -> Schema:
    found = definitions.get(ref.removeprefix(_POINTER))
    for _ in range(_INLINE_DEPTH):
        inner = found.get("$ref") if isinstance(found, dict) and len(found) == 1 else None
        if not isinstance(inner, str):
            break
        found = definitions.get(inner.removeprefix(_POINTER))
    return found if isinstance(found, dict) else {}


def _definitions(schema: Mapping[str, Json]) -> Schema:
    found = schema.get("$defs")
    return found if isinstance(found, dict) else {}
