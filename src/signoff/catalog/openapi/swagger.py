"""Swagger 2.0, read as OpenAPI 3.0: one operation at a time, in memory.

Owns what 2.0 wrote elsewhere: body and form parameters, `collectionFormat`, `consumes` and
`produces`, hosts, security definitions. Schemas stay where they are (`#/definitions/…`); what
differs in them is known to `schemas.py`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from signoff.canonical import Json
from signoff.catalog.openapi.documents import Document, MappingError, Operation, dict_of, list_of

_FORM: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
_JSON: Final = "application/json"
_MULTI_SEGMENT: Final = "x-multi-segment"
_OWN: Final = frozenset({
    "name", "in", "description", "required", "collectionFormat", "allowEmptyValue", "schema",
    "x-example", "deprecated", _MULTI_SEGMENT,
})  # fmt: skip
_FORMATS: Final[Mapping[str, tuple[str, bool]]] = {
    "csv": ("form", False),
    "ssv": ("spaceDelimited", False),
    "tsv": ("tabDelimited", False),
    "pipes": ("pipeDelimited", False),
    "multi": ("form", True),
}
INNER: Final = "collectionFormats"
"""Where a lifted parameter or encoding has the styles of the lists inside its list."""
_FLOWS: Final = {
    "accessCode": "authorizationCode",
    "application": "clientCredentials",
    "implicit": "implicit",
    "password": "password",
}


def lift(document: Document, operation: Operation) -> Operation:
    """Return a 2.0 operation as 3.0 would write it.

    Raises:
        MappingError: a parameter cannot be read.
    """
    merged: dict[tuple[Json, Json], dict[str, Json]] = {}
    for raw in [*list_of(operation.shared), *list_of(operation.members.get("parameters"))]:
        written = document.follow(raw)
        name, place = written.get("name"), written.get("in")
        if isinstance(name, str | None) and isinstance(place, str):
            # There is one body, whatever its parameter is called.
            merged["" if place == "body" else name, place] = written
    plain: list[Json] = [
        _parameter(one) for (_, place), one in merged.items() if place not in ("body", "formData")
    ]
    members: dict[str, Json] = {**operation.members, "parameters": plain}
    body = _body(document, operation, list(merged.values()))
    if body is not None:
        members["requestBody"] = body
    members["responses"] = _responses(document, operation)
    return replace(operation, members=members, shared=None)


def security_schemes(root: Mapping[str, Json]) -> dict[str, Json]:
    """Return `securityDefinitions` as `components.securitySchemes`."""
    found: dict[str, Json] = {}
    for name, raw in dict_of(root.get("securityDefinitions")).items():
        scheme = dict_of(raw)
        if scheme.get("type") == "basic":
            found[name] = {"type": "http", "scheme": "basic"}
        elif scheme.get("type") == "oauth2":
            flow = _FLOWS.get(str(scheme.get("flow")), "implicit")
            members = {
                key: scheme[key] for key in ("tokenUrl", "authorizationUrl") if key in scheme
            }
            found[name] = {"type": "oauth2", "flows": {flow: members}}
        else:
            found[name] = raw
    return found


def servers(root: Mapping[str, Json]) -> list[Json]:
    """Return `schemes`, `host` and `basePath` as servers."""
    host, base = root.get("host"), root.get("basePath", "/")
    path = base if isinstance(base, str) and base.startswith("/") else "/"
    if not isinstance(host, str) or not host:
        return [{"url": path}]
    schemes = [one for one in list_of(root.get("schemes")) if one in ("https", "http")]
    ordered = sorted(schemes, reverse=True) or ["https"]
    return [{"url": f"{scheme}://{host}{path}"} for scheme in ordered]


def _parameter(written: dict[str, Json]) -> Json:
    made: dict[str, Json] = {
        key: written[key]
        for key in ("name", "in", "description", "required", "deprecated", _MULTI_SEGMENT)
        if key in written
    }
    made["schema"] = _schema(written)
    if written.get("type") == "array":
        style, explode = _style(written)
        if written.get("in") == "query" or style != "form":
            made["style"] = style
        made["explode"] = explode and written.get("in") == "query"
        made[INNER] = _inner(written)
    return made


def _schema(written: Mapping[str, Json]) -> dict[str, Json]:
    if written.get("type") == "file":
        return {"type": "string", "format": "binary"}
    return {key: value for key, value in written.items() if key not in _OWN}


def _style(written: Mapping[str, Json]) -> tuple[str, bool]:
    format_ = written.get("collectionFormat", "csv")
    if not isinstance(format_, str) or format_ not in _FORMATS:
        raise MappingError(f"the collectionFormat {str(format_)[:30]!r} is not known")
    return _FORMATS[format_]


def _inner(written: Mapping[str, Json]) -> list[Json]:
    """Return how the lists inside a list are joined (2.0 §Items Object), from the outside in.

    Nothing where two levels have one separator, or where one is none: such a list of lists could
    not be read again, and is refused when it is called.
    """
    levels: list[str] = []
    while written.get("type") == "array":
        levels.append(str(written.get("collectionFormat", "csv")))
        written = dict_of(written.get("items"))
    _, *inner = levels
    if len(set(levels)) < len(levels) or not set(inner) <= _FORMATS.keys() - {"multi"}:
        return []
    return [_FORMATS[one][0] for one in inner]


def _body(
    document: Document, operation: Operation, parameters: list[dict[str, Json]]
) -> dict[str, Json] | None:
    types = _types(document, operation, "consumes")
    whole = next((one for one in parameters if one.get("in") == "body"), None)
    if whole is not None:
        schema = whole.get("schema", {})
        return {
            "description": whole.get("description"),
            "required": whole.get("required") is True,
            "content": {one: {"schema": schema} for one in types or [_JSON]},
        }
    fields = [one for one in parameters if one.get("in") == "formData"]
    return _form(fields, types) if fields else None


def _form(fields: list[dict[str, Json]], types: list[str]) -> dict[str, Json]:
    has_file = any(one.get("type") == "file" for one in fields)
    media_type = _MULTIPART if has_file or (_MULTIPART in types and _FORM not in types) else _FORM
    properties: dict[str, Json] = {}
    encoding: dict[str, Json] = {}
    required: list[Json] = []
    for one in fields:
        name = str(one.get("name"))
        schema = _schema(one)
        if "description" in one:
            schema["description"] = one["description"]
        properties[name] = schema
        if one.get("required") is True:
            required.append(name)
        if one.get("type") == "array":
            style, explode = _style(one)
            encoding[name] = {"style": style, "explode": explode, INNER: _inner(one)}
    schema: dict[str, Json] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    media: dict[str, Json] = {"schema": schema, "encoding": encoding}
    return {"required": bool(required), "content": {media_type: media}}


def _types(document: Document, operation: Operation, key: str) -> list[str]:
    written = operation.members.get(key, document.root.get(key))
    return [one for one in list_of(written) if isinstance(one, str) and one]


def _responses(document: Document, operation: Operation) -> dict[str, Json]:
    types = _types(document, operation, "produces") or [_JSON]
    found: dict[str, Json] = {}
    for code, raw in dict_of(operation.members.get("responses")).items():
        try:
            response = document.follow(raw)
        except MappingError:
            found[code] = raw  # a broken answer costs its schema, not the operation
            continue
        schema = response.get("schema")
        made: dict[str, Json] = {"description": response.get("description")}
        if schema is not None:
            is_file = dict_of(schema).get("type") == "file"
            text: Json = {"type": "string", "format": "binary"}
            content: Json = {"schema": text if is_file else schema}
            made["content"] = dict.fromkeys(types, content)
        found[code] = made
    return found
