"""Choices: which branch a discriminator's tag means, and whether one branch shuts out the others.

Owns OpenAPI §Discriminator Object for what goes in. A host then knows the branch by its constant,
and a validator refuses a value that claims to be another.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from signoff.canonical import Json
from signoff.catalog.openapi.documents import dict_of, list_of
from signoff.catalog.openapi.texts import plain_text

Schema = dict[str, Json]

_TAGS: Final = 200
_DESCRIBING: Final = frozenset({"type", "properties", "items", "enum", "const", "format"})


class Parts(Protocol):
    """What follows a schema's `$ref` and `allOf`."""

    @property
    def is_output(self) -> bool:
        """Say whether schemas are those of answers."""
        ...

    def parts(self, schema: Json) -> Iterator[Schema]:
        """Yield a schema and what its `$ref` and `allOf` add to it, each once."""
        ...


def choice(
    converter: Parts, source: Schema, keyword: str, branches: Sequence[tuple[Json, Json]]
) -> tuple[str, list[Json]]:
    """Return the keyword and the branches of a choice; `branches` are as written and converted.

    "Exactly one" is only demanded where no value could fit two branches. What is loosened (in
    answers) or not checked (formats, look-around in patterns) makes branches overlap that do not,
    and many that do are meant as "any": the API decides.
    """
    written = [raw for raw, _ in branches]
    said: list[Schema] = [{} for _ in written]
    if not converter.is_output:
        said = _saying(converter, dict_of(source.get("discriminator")), written)
    choices = [_joined(branch, more) for (_, branch), more in zip(branches, said, strict=True)]
    if keyword == "oneOf" and (converter.is_output or not _is_exclusive(converter, written, said)):
        return "anyOf", choices
    return keyword, choices


def told(source: Schema, members: dict[str, Json]) -> dict[str, Json]:
    """Return an object's converted `members`, with the tags that its discriminator maps.

    They are told, not demanded: a schema's own name is a tag as well, mapped or not.
    """
    if "discriminator" not in source:  # by far the most
        return members
    discriminator = dict_of(source["discriminator"])
    tag, mapping = discriminator.get("propertyName"), dict_of(discriminator.get("mapping"))
    member = members.get(tag) if isinstance(tag, str) else None
    if not isinstance(tag, str) or not isinstance(member, dict) or not mapping:
        return members
    if member.keys() & {"enum", "const", "$ref"}:
        return members
    words = str(member.get("description", ""))
    listed = plain_text(", ".join(mapping), limit=_TAGS)
    return {**members, tag: {**member, "description": f"{words} One of: {listed}".strip()}}


def _saying(converter: Parts, discriminator: Schema, written: Sequence[Json]) -> list[Schema]:
    """Return what each branch has to say of its tag, as a schema; often {}.

    Nothing is added to a branch that limits its tag itself, whatever it is called, nor to the one
    for values that no tag names (OpenAPI 3.2, `defaultMapping`).
    """
    tag = discriminator.get("propertyName")
    refs = [ref for one in written if isinstance(ref := dict_of(one).get("$ref"), str)]
    if not isinstance(tag, str) or len(refs) != len(written):
        return [{} for _ in written]
    otherwise = discriminator.get("defaultMapping")
    return [
        {}
        if otherwise in (ref, _name(ref)) or _limits(converter, ref, tag)
        else {"properties": {tag: _values(discriminator, ref)}, "required": [tag]}
        for ref in refs
    ]


def _joined(branch: Json, said: Schema) -> Json:
    """Return a converted branch with what it has to say of its tag."""
    if not said or not isinstance(branch, dict):
        return branch
    return {"allOf": [branch, said]} if branch.keys() & said.keys() else branch | said


def _is_exclusive(converter: Parts, written: Sequence[Json], said: Sequence[Schema]) -> bool:
    """Say whether no value fits two of the branches, as far as types, tags and lists of values go.

    Branches that describe nothing and only demand are taken at their word.
    """
    shapes = [
        _shape(converter, [*converter.parts(branch), more])
        for branch, more in zip(written, said, strict=True)
    ]
    return all(one.excludes(other) for one, other in itertools.combinations(shapes, 2))


@dataclass(frozen=True, slots=True)
class _Shape:
    types: frozenset[str]
    """Empty: any."""
    values: dict[str, frozenset[str]]
    """What each member that is needed may be; under "" the value itself."""
    demands: bool

    def excludes(self, other: "_Shape") -> bool:
        if self.types and other.types and not self.types & other.types:
            return True
        if any(
            not self.values[name] & other.values[name]
            for name in self.values.keys() & other.values.keys()
        ):
            return True
        return self.demands and other.demands


def _shape(converter: Parts, parts: list[Schema]) -> _Shape:
    types: frozenset[str] = frozenset()
    values: dict[str, frozenset[str]] = {}
    needed = {
        name
        for part in parts
        for name in list_of(part.get("required"))
        if isinstance(name, str) and name
    }
    for part in parts:
        types = _types(part) or types
        if listed := _listed(part):
            values[""] = listed
        for name, member in dict_of(part.get("properties")).items():
            if name in needed:
                told = list(converter.parts(member))
                listed = next((found for one in told if (found := _listed(one))), None)
                if listed and not any(one.get("readOnly") is True for one in told):
                    values[name] = listed
    return _Shape(types, values, demands=not any(part.keys() & _DESCRIBING for part in parts))


def _types(part: Schema) -> frozenset[str]:
    kind = part.get("type")
    found = {kind} if isinstance(kind, str) else {str(one) for one in list_of(kind)}
    if found and _is_nullable(part):
        found.add("null")
    return frozenset(found | {"number"} if "integer" in found else found)


def _listed(part: Schema) -> frozenset[str]:
    listed = [part["const"]] if "const" in part else list_of(part.get("enum"))
    if listed and _is_nullable(part):
        listed = [*listed, None]
    return frozenset(json.dumps(one, sort_keys=True) for one in listed)


def _is_nullable(part: Schema) -> bool:
    return part.get("nullable") is True or part.get("x-nullable") is True


def _values(discriminator: Schema, ref: str) -> Json:
    """Return what the tag may be in a branch: every name that is mapped to it, else its own."""
    mapping = dict_of(discriminator.get("mapping"))
    named: list[Json] = [value for value, target in mapping.items() if target in (ref, _name(ref))]
    return {"enum": named} if len(named) > 1 else {"const": named[0] if named else _name(ref)}


def _name(ref: str) -> str:
    return ref.rsplit("/", 1)[-1]


def _limits(converter: Parts, ref: str, tag: str) -> bool:
    """Say whether a branch limits its tag to values by itself."""
    return any(
        "const" in one or "enum" in one
        for part in converter.parts({"$ref": ref})
        for one in converter.parts(dict_of(part.get("properties")).get(tag))
    )
