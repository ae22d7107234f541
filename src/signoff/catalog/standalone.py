"""A spec as tools from Python, without a catalogue file.

Owns one function. What an operator would write in a catalogue is given as arguments; everything
else follows from the spec, by the same compiler.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from signoff.canonical import Json
from signoff.catalog.model import Skipped, ToolSpec, Upstream
from signoff.catalog.openapi.compiler import Faulty, Index, Target
from signoff.catalog.openapi.documents import Document, MappingError, Operation, dict_of
from signoff.catalog.openapi.files import below
from signoff.catalog.openapi.servers import Places, origin_of, root_urls
from signoff.catalog.openapi.texts import plain_text
from signoff.catalog.specs import read_bytes
from signoff.catalog.yaml_source import SPEC_LIMITS

_TITLE = 80
_DESCRIPTION = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class FromOpenApi:
    """What a spec gives: the API's own name and words, its upstream, and its tools.

    `skipped` are the operations that cannot become tools, and those that were not wanted.
    """

    name: str
    description: str
    upstream: Upstream
    tools: tuple[ToolSpec, ...]
    skipped: tuple[Skipped, ...]


def from_openapi(
    spec: Path | bytes | Mapping[str, Json],
    *,
    base_url: str | None = None,
    upstream: str = "api",
    selected: Callable[[Operation], bool] = lambda _: True,
    deprecated: bool = False,
    variables: Mapping[str, str] | None = None,
    allow_servers: Mapping[str, bool] | None = None,
) -> FromOpenApi:
    """Compile a spec. `base_url` is where the calls go; without it, the spec's first server.

    `variables` fill in server templates. `allow_servers` maps further origins that operations may
    name to whether credentials go there.

    Raises:
        DocumentError: the spec cannot be used as a whole, or says no server and none is given.
    """
    document = _document(spec)
    given = dict(variables or {})
    base = base_url or next(
        (url for url in root_urls(document, Places(variables=given)) if origin_of(url) is not None),
        "",
    )
    allowed = {origin_of(url) or url: yes for url, yes in (allow_servers or {}).items()}
    places = Places(base_url=base.rstrip("/"), variables=given, allowed=allowed)
    index = Index(
        document,
        Target(upstream=upstream, places=places, deprecated=deprecated),
        selected=selected,
    )
    tools: list[ToolSpec] = []
    without: list[Faulty] = [*index.faulty, *index.left_out]
    for one in index.offered:
        try:
            tools.append(index.tool(one))
        except MappingError as error:
            without.append(Faulty(operation=one.operation, reason=error.message))
    about = dict_of(document.root.get("info"))
    return FromOpenApi(
        name=plain_text(about.get("title"), limit=_TITLE) or upstream,
        description=plain_text(about.get("description"), limit=_DESCRIPTION),
        upstream=Upstream(name=upstream, base_url=places.base_url),
        tools=tuple(tools),
        skipped=tuple(
            Skipped(source=document.name, operation=one.operation.label, reason=one.reason)
            for one in without
        ),
    )


def _document(spec: Path | bytes | Mapping[str, Json]) -> Document:
    if isinstance(spec, Path):
        text = read_bytes(spec, SPEC_LIMITS.size)
        return Document(text, name=str(spec), read=below(spec.parent))
    if isinstance(spec, bytes):
        return Document(spec, name="spec")
    return Document(json.dumps(dict(spec)).encode(), name="spec")
