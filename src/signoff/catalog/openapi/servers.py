"""Where an operation goes: the operator's `base_url`, or a server that the operator allows.

Owns variables, and the rule that a spec never chooses a host. A server on the origin of
`base_url`, or on one that the spec names as its own, moves with `base_url`; any other origin has
to be listed by the operator.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit

from signoff.canonical import Json
from signoff.catalog.openapi import swagger
from signoff.catalog.openapi.documents import Document, MappingError, Operation, dict_of, list_of
from signoff.catalog.wire import Server

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What the operator says of hosts. `allowed` maps an origin to whether credentials go there."""

    base_url: str = ""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    allowed: Mapping[str, bool] = field(default_factory=dict[str, bool])


def origin_of(url: str) -> str | None:
    """Return scheme, host and port of an absolute http(s) URL, or None when it is not one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").lower().rstrip(".")
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc or port == 0:
        return None
    if _VISIBLE.fullmatch(url) is None or set(url) & set('\\?#{}|^`"<>'):
        return None
    return f"{parts.scheme}://{host}:{port or _PORTS[parts.scheme]}"


def root_urls(document: Document, places: Places) -> list[str]:
    """Return the document's own servers, variables filled in; broken ones are left out."""
    written = (
        swagger.servers(document.root)
        if document.version == "2.0"
        else list_of(document.root.get("servers"))
    )
    return [url for raw in written if (url := _filled(raw, places.variables)[0]) is not None]


def variable_names(document: Document) -> set[str]:
    """Return the names of all variables that stand in a server's address."""
    written = [*list_of(document.root.get("servers"))]
    for operation in document.operations():
        written += [*list_of(operation.members.get("servers")), *list_of(operation.servers)]
    urls = [dict_of(raw).get("url") for raw in written]
    return {name for url in urls if isinstance(url, str) for name in _VARIABLE.findall(url)}


def filled(raw: Json, given: Mapping[str, str]) -> str | None:
    """Return a server's URL with its variables; None where one of them is missing or unfit."""
    return _filled(raw, given)[0]


def plan(document: Document, operation: Operation, places: Places) -> Server | None:
    """Return where the operation goes; None for the upstream's `base_url`.

    Raises:
        MappingError: it names servers, and may go to none of them.
    """
    written = list_of(operation.members.get("servers")) or list_of(operation.servers)
    if not written or not places.base_url:
        return None
    own = {origin_of(places.base_url), *map(origin_of, root_urls(document, places))} - {None}
    reasons: list[str] = []
    for raw in written:
        url, reason = _filled(raw, places.variables)
        if url is None:
            reasons.append(reason)
            continue
        found = _placed(url, places, own)
        if found is not None:
            return _unless_the_same(found, places.base_url)
        reasons.append(f'its server "{url[:100]}" is not listed under allow_servers')
    raise MappingError(reasons[0])


def _placed(url: str, places: Places, own: set[str | None]) -> Server | None:
    if not urlsplit(url).scheme and not url.startswith("//"):
        base = _path_of(places.base_url)
        path = url if url.startswith("/") else urljoin(f"{base}/", url)
        return _on_base(path)
    origin = origin_of(url)
    if origin is None:
        return None
    if origin in own:
        return _on_base(urlsplit(url).path)
    credentials = places.allowed.get(origin)
    return None if credentials is None else Server(url=url.rstrip("/"), credentials=credentials)


def _on_base(path: str) -> Server | None:
    plain = "/" + path.strip("/")
    if _VISIBLE.fullmatch(plain) is None or set(plain) & set("?#\\{}"):
        return None
    if any(step in (".", "..") for step in plain.split("/")):
        return None
    return Server(url=plain, credentials=True)


def _unless_the_same(server: Server, base_url: str) -> Server | None:
    return None if server.url == "/" + _path_of(base_url).strip("/") else server


def _path_of(base_url: str) -> str:
    return "" if base_url.startswith("app:") else urlsplit(base_url).path


def _filled(raw: Json, given: Mapping[str, str]) -> tuple[str | None, str]:
    """Return a server's URL with its variables, or None and why."""
    server = dict_of(raw)
    url = server.get("url")
    if not isinstance(url, str) or not url:
        return None, "its server has no url"
    variables = dict_of(server.get("variables"))
    for name in dict.fromkeys(_VARIABLE.findall(url)):
        variable = dict_of(variables.get(name))
        value = given.get(name, variable.get("default"))
        allowed = _texts(list_of(variable.get("enum")))
        if not isinstance(value, str):
            return None, f'its server needs the variable "{name[:60]}"'
        if allowed and value not in allowed:
            return None, f'the server variable "{name[:60]}" is none of {", ".join(allowed)[:100]}'
        url = url.replace(f"{{{name}}}", value)
    return url, ""


def _texts(values: Sequence[Json]) -> list[str]:
    return [value for value in values if isinstance(value, str)]
