"""A choice with a discriminator: each branch says which value of the tag it is for.

Owns OpenAPI §Discriminator Object for what goes in. A host then knows the branch by its constant,
and a validator refuses a value that claims to be another.
"""

from collections.abc import Iterator
from typing import Protocol

from signoff.canonical import Json
from signoff.catalog.openapi.documents import dict_of, list_of

Schema = dict[str, Json]


class Parts(Protocol):
    """What follows a schema's `$ref` and `allOf`."""

    def parts(self, schema: Json) -> Iterator[Schema]:
        """Yield a schema and what its `$ref` and `allOf` add to it, each once."""
        ...


def tagged(
    converter: Parts, source: Schema, written: list[Json], branches: list[Json]
) -> list[Json]:
    """Return the converted `branches` of what was `written`, each with its tag's constant."""
    discriminator = dict_of(source.get("discriminator"))
    tag = discriminator.get("propertyName")
    refs = [dict_of(branch).get("$ref") for branch in written]
    if not isinstance(tag, str) or len(refs) != len(branches):
        return branches
    mapping = dict_of(discriminator.get("mapping"))
    named = {str(target): value for value, target in mapping.items()}
    made: list[Json] = []
    for ref, branch in zip(refs, branches, strict=True):
        if not isinstance(ref, str) or not isinstance(branch, dict):
            return branches
        if _says(converter, ref, tag):
            made.append(branch)
            continue
        short = ref.rsplit("/", 1)[-1]
        value = named.get(ref, named.get(short, short))
        said: Schema = {"properties": {tag: {"const": value}}, "required": [tag]}
        made.append({"allOf": [branch, said]} if branch.keys() & said.keys() else branch | said)
    return made


def _says(converter: Parts, ref: str, tag: str) -> bool:
    """Say whether a branch already limits its tag to values, and needs it."""
    is_limited = is_needed = False
    for part in converter.parts({"$ref": ref}):
        member = dict_of(part.get("properties")).get(tag)
        is_limited = is_limited or any(
            "const" in one or "enum" in one for one in converter.parts(member)
        )
        is_needed = is_needed or tag in list_of(part.get("required"))
    return is_limited and is_needed
