"""The URL of one call: the operator's base, the template filled in, the query.

Owns which arguments go into path, query, headers and cookies, and that none of them leaves its
place. The base URL is trusted as the operator wrote it; nothing else is. Pure.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypedDict
from urllib.parse import quote, unquote, urlsplit

from signoff.canonical import Json
from signoff.catalog.model import ToolSpec, Upstream
from signoff.catalog.wire import Parameter, Place, Server
from signoff.upstream import masking
from signoff.upstream.headers import read_as
from signoff.upstream.path_values import HIDDEN_SLASH, check_segments, path_text
from signoff.upstream.serialise import (
    Pairs,
    UnserialisableError,
    cookie_pairs,
    header_text,
    joined,
    query_pairs,
    query_text,
)

_URL_BYTES: Final = 32_768
_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_TEMPLATE_KEEPS: Final = "/:@!$&'()*+,;=%"
_REFERENCE_CHAIN: Final = 8
_APP_NAME: Final = re.compile(r"[^a-z0-9-]+")
_PORTS: Final = {"http": 80, "https": 443}


class RequestError(ValueError):
    """An argument cannot become part of the request. The message is safe for the assistant."""

    def __init__(self, argument: str, reason: str) -> None:
        super().__init__(f"{argument}: {reason}")
        self.argument, self.reason = argument, reason


class UpstreamError(ValueError):
    """The operator's upstream cannot be used. The message names the setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Where a call goes: scheme with authority, and the path prefix without its last slash.

    `own` is the upstream's own origin. `trusted` says whether its headers and credentials go there.
    """

    origin: str
    prefix: str
    own: bool = True
    trusted: bool = True


def base_of(upstream: Upstream, server: Server | None = None) -> Base:
    """Return where the upstream's calls go, or those of an operation with its own `server`.

    An `app:` upstream is called as `http://<name>` over its own socket.

    Raises:
        UpstreamError: the base URL, or the server's, cannot be used as one.
    """
    if upstream.base_url.startswith("app:"):
        own = Base(
            origin="http://" + _APP_NAME.sub("-", upstream.name.lower()).strip("-"), prefix=""
        )
    else:
        own = Base(**_split(upstream.base_url, f"upstreams.{upstream.name}.base_url"))
    if server is None:
        return own
    where = f"upstreams.{upstream.name}: the server {server.url[:100]!r}"
    if server.url.startswith("/"):
        return replace(own, prefix=_split(own.origin + server.url, where)["prefix"])
    base = _split(server.url, where)
    if _normal(base["origin"]) == _normal(own.origin):
        return replace(own, prefix=base["prefix"])
    return Base(**base, own=False, trusted=server.credentials)


class _Split(TypedDict):
    origin: str
    prefix: str


@lru_cache(maxsize=1_024)
def _split(url: str, where: str) -> _Split:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UpstreamError(f"{where}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UpstreamError(f"{where}: needs http:// or https:// and a host")
    if "@" in parts.netloc:
        raise UpstreamError(f"{where}: credentials belong in headers, as ${{env:NAME}}")
    if "?" in url or "#" in url:
        raise UpstreamError(f"{where}: holds a query or a fragment")
    if re.fullmatch(r"[\x21-\x7e]+", url) is None or "\\" in url:
        raise UpstreamError(f"{where}: holds characters that a URL cannot")
    try:
        check_segments(parts.path)
    except UnserialisableError:
        raise UpstreamError(f"{where}: holds a dot segment") from None
    return {"origin": f"{parts.scheme}://{parts.netloc}", "prefix": parts.path.rstrip("/")}


def _normal(origin: str) -> tuple[str, str, int]:
    parts = urlsplit(origin)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


class Parts:
    """The arguments of one call, serialised and sorted by place.

    Raises:
        RequestError: names the argument that cannot go where it should.
        UpstreamError: the path template cannot be used.
    """

    def __init__(self, tool: ToolSpec, base: Base, arguments: Mapping[str, Json]) -> None:
        self._tool = tool
        self._origin, self._prefix = base.origin, base.prefix
        self._whole_query: tuple[Parameter, str] | None = None
        self._path: dict[str, tuple[Parameter, str]] = {}
        self._query: list[tuple[Parameter, Pairs]] = []
        self.headers: list[tuple[Parameter, str]] = []
        self.cookies: list[tuple[Parameter, Pairs]] = []
        for parameter in tool.parameters:
            value = arguments.get(parameter.argument)
            if value is None:  # null is dropped: a parameter has no way to say it
                if parameter.required or parameter.place == "path":
                    raise RequestError(parameter.argument, "is required")
                continue
            try:
                self._take(parameter, value)
            except UnserialisableError as error:
                raise RequestError(parameter.argument, str(error)) from None
        _refuse_shared_names(self._query)
        _refuse_shared_names(self.cookies)
        self.url = self._origin + self._checked_target()

    def _take(self, parameter: Parameter, value: Json) -> None:
        if isinstance(value, dict):
            self._refuse_undeclared(parameter, value)
        match parameter.place:
            case "path":
                text = path_text(parameter, value)
                if parameter.name in _quoted(self._tool.path):
                    # OData ABNF, SQUOTE-in-string: a quote inside a text is written twice.
                    text = text.replace("%27", "%27%27")
                self._path[parameter.name] = (parameter, text)
            case "query":
                self._query.append((parameter, query_pairs(parameter, value)))
            case "querystring":
                self._whole_query = (parameter, query_text(parameter, value))
            case "cookie":
                self.cookies.append((parameter, cookie_pairs(parameter, value)))
            case "header":
                text = header_text(parameter, value)
                if text is not None:
                    self.headers.append((parameter, text))

    def _refuse_undeclared(self, parameter: Parameter, value: Mapping[str, Json]) -> None:
        """Refuse keys that would become wire names which the schema does not list."""
        if parameter.content_type is not None:
            return
        if parameter.style != "deepObject" and not parameter.explode:
            return
        declared = _declared_keys(self._tool.input_schema, parameter.argument)
        if declared is None:
            return
        for key in value:
            if key not in declared:
                raise UnserialisableError(f"has the key {key[:40]!r}, which is not declared")

    def _checked_target(self) -> str:
        template = self._tool.path
        named = set(_pieces(template)[1::2])
        for name in sorted(named - self._path.keys()):
            raise UpstreamError(f"{self._tool.source}: no parameter fills {{{name}}}")
        for name in sorted(self._path.keys() - named):
            raise RequestError(self._path[name][0].argument, f"has no place in {template}")
        path = _filled(template, lambda name: self._path[name][1])
        if not path.startswith("/") or path.count("/") != template.count("/"):
            raise UpstreamError(f"{self._tool.source}: {template!r} is not a path template")
        try:
            check_segments(_filled(template, self._opened))
        except UnserialisableError as error:
            argument = next((parameter.argument for parameter, _ in self._path.values()), "path")
            raise RequestError(argument, str(error)) from None
        query = self._query_text(lambda _, text: text)
        target = self._prefix + path + (f"?{query}" if query else "")
        if len(target) > _URL_BYTES:
            raise RequestError(self._longest(), f"makes the URL longer than {_URL_BYTES} bytes")
        return target

    def _opened(self, name: str) -> str:
        """Return a path value as a server reads it that takes the slashes inside for its own."""
        parameter, text = self._path[name]
        return text.replace(HIDDEN_SLASH, "/") if parameter.slashes else text

    def _longest(self) -> str:
        sizes = [(len(text), parameter.argument) for parameter, text in self._path.values()]
        for parameter, pairs in self._query:
            sizes.append((sum(len(text) for _, text in pairs), parameter.argument))
        if self._whole_query is not None:
            sizes.append((len(self._whole_query[1]), self._whole_query[0].argument))
        return max(sizes, default=(0, "path"))[1]

    def shown_url(self, secrets: masking.Secrets) -> str:
        """Return the URL with masked values replaced by their marker, for people only."""

        def shown(parameter: Parameter, text: str) -> str:
            if parameter.argument not in secrets.whole:
                return text
            return masking.marker(unquote(text))

        path = _filled(self._tool.path, lambda name: shown(*self._path[name]))
        query = self._query_text(shown)
        return self._origin + self._prefix + path + (f"?{query}" if query else "")

    def _query_text(self, text_of: Callable[[Parameter, str], str]) -> str:
        if self._whole_query is not None:
            return text_of(*self._whole_query)
        pairs = joined(
            (name, text_of(parameter, text))
            for parameter, pairs in self._query
            for name, text in pairs
        )
        return "&".join(part for part in (self._tool.query, pairs) if part)

    def refuse_names(self, place: Place, taken: Collection[str]) -> None:
        """Refuse arguments that would set what a credential sets; `taken` are names as read.

        Raises:
            RequestError: names the argument.
        """
        placed = {"query": self._query, "cookie": self.cookies}.get(place, [])
        for parameter, pairs in placed:
            for name, _ in pairs:
                if read_as(name) in taken:
                    raise RequestError(parameter.argument, f"may not set the {place} {name[:60]!r}")
        if place == "query" and self._whole_query is not None and taken:
            raise RequestError(self._whole_query[0].argument, "may not be the whole query here")

    def cookie(self, secrets: masking.Secrets | None = None) -> str:
        """Return the Cookie header's value; with `secrets`, masked for people."""
        return joined(
            (
                (name, masking.marker(unquote(text)) if hidden else text)
                for parameter, pairs in self.cookies
                for hidden in (secrets is not None and parameter.argument in secrets.whole,)
                for name, text in pairs
            ),
            "; ",
        )


def _filled(template: str, text_of: Callable[[str], str]) -> str:
    """Return the template with its literal text encoded and `{name}` replaced."""
    return "".join(
        text_of(piece) if index % 2 else piece for index, piece in enumerate(_pieces(template))
    )


@lru_cache(maxsize=4_096)
def _pieces(template: str) -> tuple[str, ...]:
    """Return encoded literals at even and names at odd places."""
    return tuple(
        piece if index % 2 else quote(piece, safe=_TEMPLATE_KEEPS)
        for index, piece in enumerate(_PLACEHOLDER.split(template))
    )


@lru_cache(maxsize=4_096)
def _quoted(template: str) -> frozenset[str]:
    """Return the placeholders that stand in single quotes, as in `/search(q='{q}')`."""
    pieces = _pieces(template)
    return frozenset(
        pieces[at]
        for at in range(1, len(pieces), 2)
        if pieces[at - 1].endswith("'") and pieces[at + 1].startswith("'")
    )


def _refuse_shared_names(serialised: list[tuple[Parameter, Pairs]]) -> None:
    """Refuse a wire name that two parameters would set: the upstream might read either."""
    owner: dict[str, Parameter] = {}
    for parameter, pairs in serialised:
        for name, _ in pairs:
            if owner.setdefault(name, parameter) is not parameter:
                raise RequestError(parameter.argument, f"sets {name[:60]!r} a second time")


def _declared_keys(schema: Mapping[str, Json], argument: str) -> frozenset[str] | None:
    """Return the keys an object argument may have, or None when its schema leaves them open."""
    properties = schema.get("properties")
    shape = properties.get(argument) if isinstance(properties, dict) else None
    for _ in range(_REFERENCE_CHAIN):
        target = shape.get("$ref") if isinstance(shape, dict) else None
        if not isinstance(target, str):
            break
        shape = _local(schema, target)
    if not isinstance(shape, dict) or shape.get("additionalProperties", False) is not False:
        return None
    declared = shape.get("properties")
    return frozenset(declared) if isinstance(declared, dict) else None


def _local(schema: Mapping[str, Json], reference: str) -> Json:
    node: Json = dict(schema)
    for step in reference.removeprefix("#/").split("/"):
        if not isinstance(node, dict):
            return None
        node = node.get(step.replace("~1", "/").replace("~0", "~"))
    return node
