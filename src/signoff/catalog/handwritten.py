"""Capabilities written by hand: a request template and an input schema, no spec needed.

Owns `capabilities`. Every argument of the input goes to exactly one place; what the request does
not place goes to the query of a GET, else into the body.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import unquote

from signoff.canonical import Json
from signoff.catalog.approving import Defaults
from signoff.catalog.config import People
from signoff.catalog.fields import Fields, Word, plain, suggest
from signoff.catalog.model import Risk, ToolSpec, Upstream
from signoff.catalog.openapi.names import ARGUMENT
from signoff.catalog.openapi.parameters import PLACEHOLDER
from signoff.catalog.treatment import Treatment, apply, read_treatment
from signoff.catalog.wire import Body, Parameter, Place
from signoff.catalog.yaml_source import Node, Spot
from signoff.schema import SchemaError, Validator

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_READS: Final = ("GET", "HEAD")
_WHOLE: Final = re.compile(r"\{([^{}]+)\}")
_ROOT_UNIONS: Final = ("$ref", "allOf", "anyOf", "oneOf", "not", "if")


def read_capabilities(
    root: Fields,
    upstreams: Mapping[str, Upstream],
    approvals: Mapping[str, Defaults],
    people: People,
) -> list[tuple[ToolSpec, Spot]]:
    """Read `capabilities`; each with the place where its name stands."""
    found: list[tuple[ToolSpec, Spot]] = []
    for path, node in root.nodes("capabilities"):
        fields = root.as_fields(node, path)
        if fields is None:
            continue
        tool = _Reader(fields, upstreams, approvals, people).read()
        if tool is not None:
            found.append((tool, fields.spot_of("name")))
    return found


class _Reader:
    def __init__(
        self,
        fields: Fields,
        upstreams: Mapping[str, Upstream],
        approvals: Mapping[str, Defaults],
        people: People,
    ) -> None:
        self._fields, self._upstreams, self._people = fields, upstreams, people
        self._approvals = approvals
        self._placed: dict[str, str] = {}

    def read(self) -> ToolSpec | None:
        fields = self._fields
        fields.needs("name")
        fields.needs("description")
        treatment = read_treatment(fields, self._people)
        if treatment.media_type is not None:
            message = "chooses among those of a spec's operation; here the body is JSON"
            fields.complain("media_type", message)
            treatment = replace(treatment, media_type=None)
        upstream = self._upstream()
        schema = self._input()
        output = self._output()
        request = fields.section("request")
        fields.needs("request", "is needed: {method: POST, path: /…}")
        fields.close()
        if request is None or schema is None or treatment.name is None:
            return None
        tool = self._tool(request, treatment, schema, upstream)
        request.close()
        defaults = self._approvals.get(upstream, Defaults())
        return apply(_with_output(tool, output), treatment, fields.problems, defaults)

    def _upstream(self) -> str:
        self._fields.needs("upstream")
        name = self._fields.text("upstream")
        if name and name not in self._upstreams:
            hint = suggest(name, self._upstreams)
            self._fields.complain("upstream", f'there is no upstream "{name[:60]}"{hint}')
        return name

    def _tool(
        self, request: Fields, treatment: Treatment, schema: dict[str, Json], upstream: str
    ) -> ToolSpec:
        request.needs("method")
        request.needs("path")
        method = request.choice("method", _METHODS, "POST")
        arguments = _properties(schema)
        required = _names(schema.get("required"))
        parameters = self._path(request, arguments, required)
        for place in ("query", "headers"):
            parameters += self._mapped(request, place, arguments, required)
        body = self._body(request, method, arguments, required, open_=_is_open(schema))
        if method in _READS and body.kind == "none":
            rest = [name for name in arguments if name not in self._placed]
            parameters += [_parameter(name, name, "query", required) for name in rest]
            self._placed.update(dict.fromkeys(rest, "query"))
        self._refuse_unplaced(request, arguments, body)
        is_read = method in _READS
        name = treatment.name.text if treatment.name else ""
        return ToolSpec(
            name=name,
            title=name,
            description="",
            upstream=upstream,
            method=method,
            path=request.text("path", "/"),
            input_schema=schema,
            parameters=tuple(parameters),
            body=body,
            risk=Risk.LOW if is_read else Risk.HIGH,
            risk_reason=method if is_read else f"{method} without a risk of its own",
            read_only=is_read,
            destructive=not is_read,
            idempotent=method in ("GET", "HEAD", "PUT", "DELETE"),
            secret_arguments=_marked_secret(schema),
            source=f"{self._fields.problems.file}:{self._fields.spot.line}",
        )

    def _path(
        self, request: Fields, arguments: Collection[str], required: frozenset[str]
    ) -> list[Parameter]:
        path = request.text("path", "/")
        names = list(dict.fromkeys(PLACEHOLDER.findall(path)))
        if not path.startswith("/") or set(path) & set("?#\\ ") or not path.isprintable():
            request.complain("path", 'must begin with "/", without "?", "#" or spaces')
        elif set(PLACEHOLDER.sub("", path)) & {"{", "}"} or "${" in path:
            request.complain("path", 'takes arguments as "{name}" and nothing else in braces')
        found: list[Parameter] = []
        for name in names:
            word = Word(text=name, spot=request.spot_of("path"))
            if self._place(request.at("path"), word, "path", arguments):
                if name not in required:
                    request.complain("path", f'"{{{name}}}" must be listed in input.required')
                found.append(_parameter(name, name, "path", frozenset({name})))
        return found

    def _mapped(
        self, request: Fields, key: str, arguments: Collection[str], required: frozenset[str]
    ) -> list[Parameter]:
        place: Place = "query" if key == "query" else "header"
        found: list[Parameter] = []
        for path, member in request.members(key):
            word = self._argument(request, path, member.node)
            if word is not None and self._place(path, word, place, arguments):
                found.append(_parameter(word.text, member.key, place, required))
        return found

    def _argument(self, request: Fields, path: str, node: Node) -> Word | None:
        whole = _WHOLE.fullmatch(node.value) if isinstance(node.value, str) else None
        if whole is None:
            message = f'{path}: must be one argument, such as "{{amount}}"'
            request.problems.add(node.spot, message)
            return None
        return Word(text=whole[1], spot=node.spot)

    def _body(
        self,
        request: Fields,
        method: str,
        arguments: Collection[str],
        required: frozenset[str],
        *,
        open_: bool,
    ) -> Body:
        node = request.take("body")
        if node is None:
            rest = {name: name for name in arguments if name not in self._placed}
            if method in _READS or (method == "DELETE" and not rest) or not (rest or open_):
                return Body()
            return Body(
                kind="members",
                members=rest,
                required=bool(required & rest.keys()),
                open_members=open_,
            )
        if isinstance(node.value, str):
            word = self._argument(request, request.at("body"), node)
            if word is None or not self._place(request.at("body"), word, "body", arguments):
                return Body()
            return Body(kind="whole", argument=word.text, required=word.text in required)
        members: dict[str, str] = {}
        for path, member in request.members("body"):
            word = self._argument(request, path, member.node)
            if word is not None and self._place(path, word, "body", arguments):
                members[word.text] = member.key
        return Body(kind="members", members=members, required=bool(required & members.keys()))

    def _place(self, path: str, word: Word, place: str, arguments: Collection[str]) -> bool:
        """Give an argument its one place; False (and a problem) where that cannot be."""
        name, problems = word.text, self._fields.problems
        if name not in arguments:
            hint = suggest(name, arguments)
            problems.add(word.spot, f'{path}: "{{{name[:60]}}}" is no argument{hint}')
            return False
        if name in self._placed:
            message = f'{path}: "{{{name}}}" already goes to the {self._placed[name]}'
            problems.add(word.spot, message)
            return False
        self._placed[name] = place
        return True

    def _refuse_unplaced(self, request: Fields, arguments: Collection[str], body: Body) -> None:
        for name in arguments:
            if name not in self._placed and name not in body.members:
                message = f'{request.path}: the argument "{name}" goes nowhere'
                request.problems.add(request.spot, message)

    def _input(self) -> dict[str, Json] | None:
        node = self._fields.take("input")
        if node is None:
            return {"type": "object", "properties": {}, "additionalProperties": False}
        return _schema(self._fields, "input", node, closed=True)

    def _output(self) -> dict[str, Json] | None:
        node = self._fields.take("output")
        return None if node is None else _schema(self._fields, "output", node, closed=False)


def _schema(fields: Fields, key: str, node: Node, *, closed: bool) -> dict[str, Json] | None:
    schema = plain(node)
    if not isinstance(schema, dict) or schema.get("type") != "object":
        fields.complain(key, 'must be a JSON Schema with "type: object"')
        return None
    if union := next((word for word in _ROOT_UNIONS if word in schema), None):
        fields.complain(key, f'"{union}" may not stand at the top: assistants refuse it there')
        return None
    schema = {**schema, "properties": schema.get("properties", {})}
    if closed:
        schema.setdefault("additionalProperties", False)
    try:
        Validator(schema)
    except SchemaError as error:
        fields.complain(key, f"is not a usable JSON Schema: {error}")
        return None
    for name in _properties(schema):
        if not ARGUMENT.fullmatch(name):
            message = f'the argument "{name[:60]}" must be 1 to 64 letters, digits, _ . or -'
            fields.complain(key, message)
    return schema


def _with_output(tool: ToolSpec, output: dict[str, Json] | None) -> ToolSpec:
    return tool if output is None else replace(tool, output_schema=output)


def _is_open(schema: Mapping[str, Json]) -> bool:
    return schema.get("additionalProperties") is not False


def _properties(schema: Mapping[str, Json]) -> dict[str, Json]:
    members = schema.get("properties")
    return members if isinstance(members, dict) else {}


def _names(value: Json) -> frozenset[str]:
    names = value if isinstance(value, list) else []
    return frozenset(name for name in names if isinstance(name, str))


def _parameter(argument: str, name: str, place: Place, required: frozenset[str]) -> Parameter:
    style = "form" if place == "query" else "simple"
    return Parameter(
        argument=argument,
        name=name,
        place=place,
        style=style,
        explode=style == "form",
        required=argument in required,
    )


def _marked_secret(schema: Mapping[str, Json]) -> frozenset[str]:
    """Return the arguments with a mark anywhere inside them: each is hidden whole."""
    return frozenset(
        name for name, member in _properties(schema).items() if _holds_mark(member, schema)
    )


def _holds_mark(member: Json, schema: Mapping[str, Json]) -> bool:
    waiting, followed = [member], set[str]()
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, dict):
            if (
                part.get("writeOnly") is True
                or part.get("format") == "password"
                or part.get("secret") is True
            ):
                return True
            waiting.extend(part.values())
            ref = part.get("$ref")
            if isinstance(ref, str) and ref not in followed:
                followed.add(ref)
                waiting.append(_target(ref, schema))
    return False


def _target(ref: str, schema: Mapping[str, Json]) -> Json:
    """Return what a local `$ref` points at: a JSON pointer (RFC 6901) below `#`."""
    found: Json = dict(schema)
    for token in unquote(ref).removeprefix("#").split("/")[1:]:
        step = token.replace("~1", "/").replace("~0", "~")
        found = found.get(step) if isinstance(found, dict) else None
    return found
