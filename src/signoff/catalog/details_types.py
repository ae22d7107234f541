"""The types of `authorization_details` that applications may ask a person for (RFC 9396).

Owns `authorization_details_types`: each type's JSON Schema, written in the catalogue or in a file
beside it, and the operator's words for it on the card. A fault names its file, line and column.
"""

import re
from collections.abc import Mapping
from typing import Final

from signoff.canonical import Json
from signoff.catalog.fields import Fields, Problems, Word, plain
from signoff.catalog.model import DetailsType
from signoff.catalog.specs import Specs
from signoff.catalog.yaml_source import Limits, Member, Node, Spot, YamlError, locate
from signoff.schema import SchemaError, Validator

KEY: Final = "authorization_details_types"
_OURS: Final = "tool_call"
_NAME: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_MAX_TITLE: Final = 80
_MAX_DESCRIPTION: Final = 500


def read_details_types(root: Fields, specs: Specs) -> Mapping[str, DetailsType]:
    """Read `authorization_details_types`; `specs` reads the files that schemas stand in."""
    found: dict[str, DetailsType] = {}
    for path, member in root.members(KEY):
        if (fault := _name_fault(member.key)) is not None:
            root.problems.add(member.spot, f"{path}: {fault}")
        fields = root.as_fields(member.node, path, member.spot)
        if fields is not None and (read := _read(fields, member.key, specs)) is not None:
            found[read.name] = read
    return found


def _name_fault(name: str) -> str | None:
    if name == _OURS:
        return f"{_OURS} is signoff's own type"
    if not _NAME.fullmatch(name):
        return "a type is 1 to 200 printable characters, without blanks, quotes and backslashes"
    return None


def _read(fields: Fields, name: str, specs: Specs) -> DetailsType | None:
    fields.needs("schema", "is needed: a JSON Schema, or the file it stands in")
    node = fields.take("schema")
    title = _line(fields, "title", _MAX_TITLE)
    description = _line(fields, "description", _MAX_DESCRIPTION)
    fields.close()
    if node is None:
        return None
    if isinstance(node.value, str):
        word = fields.as_word(node, fields.at("schema"))
        schema = None if word is None else _from_file(fields, word, specs)
    else:
        schema = _checked(node, fields.problems, path=fields.at("schema"))
    if schema is None:
        return None
    return DetailsType(name=name, schema=schema, title=title, description=description)


def _line(fields: Fields, key: str, most: int) -> str | None:
    word = fields.word(key)
    if word is None:
        return None
    if len(word.text) > most or not word.text.isprintable():
        fields.complain(key, f"is one line of at most {most} characters")
    return word.text


def _from_file(fields: Fields, word: Word, specs: Specs) -> dict[str, Json] | None:
    """Return the schema of a file; its faults are reported there, not in the catalogue."""
    at = fields.at("schema")
    try:
        name, text = specs.read(word.text)
    except OSError as error:
        reason = error.strerror or "not a file"
        fields.problems.add(word.spot, f'{at}: "{word.text[:200]}" cannot be read: {reason}')
        return None
    try:
        node, duplicates = locate(text, Limits())
    except YamlError as error:
        spot = Spot(line=error.line, column=error.column)
        fields.problems.add(spot, f"{at}: {error.message}", file=name)
        return None
    for twice in duplicates:
        message = f'{at}: the key "{twice.key[:60]}" is written twice'
        fields.problems.add(twice.spot, message, file=name)
    return _checked(node, fields.problems, path=at, file=name)


def _checked(
    node: Node, problems: Problems, *, path: str, file: str | None = None
) -> dict[str, Json] | None:
    schema = plain(node)
    if not isinstance(schema, dict) or schema.get("type") != "object":
        problems.add(node.spot, f'{path}: must be a JSON Schema with "type: object"', file=file)
        return None
    try:
        Validator(schema)
    except SchemaError as error:
        spot = _place(node, error.path) if error.path else _reference(node, str(error))
        message = f"{path}: is not a usable JSON Schema: {error}"
        problems.add(spot or node.spot, message, file=file)
        return None
    if schema.get("additionalProperties") is False:
        named = schema.get("properties")
        if not isinstance(named, dict) or "type" not in named:
            # RFC 9396 §2: every member says its type, so this schema would refuse them all.
            message = f'{path}: nothing fits it: name "type" among its properties'
            problems.add(node.spot, message, file=file)
            return None
    return schema


def _place(node: Node, path: tuple[str | int, ...]) -> Spot | None:
    """Return where the part of the schema at `path` stands, or the nearest part around it."""
    spot = node.spot
    for step in path:
        if isinstance(node.value, dict) and step in node.value:
            member: Member = node.value[str(step)]
            spot, node = member.spot, member.node
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            spot = node.spot
        else:
            break
    return spot


def _reference(node: Node, message: str) -> Spot | None:
    """Return where the `$ref` stands that a message speaks of."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one.value, list):
            waiting += one.value
        elif isinstance(one.value, dict):
            named = one.value.get("$ref")
            if named is not None and isinstance(named.node.value, str):
                target = named.node.value.lstrip("#")
                if target and target in message:
                    return named.spot
            waiting += [member.node for member in one.value.values()]
    return None
