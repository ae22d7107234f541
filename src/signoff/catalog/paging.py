"""`pagination`: the operator's word on how an answer's next page is asked for.

Owns the keys, and that they fit the tool. Without the key, what the spec shows is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from signoff.canonical import Json
from signoff.catalog.fields import Fields, Problems, Word, suggest
from signoff.catalog.model import Risk, ToolSpec
from signoff.catalog.wire import FetchAll, PageKind, Pagination
from signoff.catalog.yaml_source import Spot

_KINDS: Final = ("none", "link", "cursor", "last_id", "page", "offset")
_COUNTED: Final = ("page", "offset")
_COUNTS: Final = ("maxItems", "uniqueItems")
_NAMED: Final = ("properties", "patternProperties", "$defs", "dependentSchemas")
_VALUES: Final = ("const", "default", "enum", "examples")
_BOUNDS: Final = ("max_pages", "max_items", "max_time")

_LOOKED_AT: Final[Mapping[str, tuple[str, ...]]] = {
    "next": ("cursor",),
    "more": ("cursor", "last_id", *_COUNTED),
    "total": _COUNTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """What the catalogue says; `plan` None turns paging off, or keeps what the spec shows."""

    path: str
    spot: Spot
    plan: Pagination | None
    as_found: bool = False
    fetch: FetchAll | None = None
    arguments: tuple[Word, ...] = ()


def read_paging(fields: Fields) -> Paging | None:
    """Read `pagination`, None where nothing is said."""
    node = fields.take("pagination")
    if node is None:
        return None
    path = fields.at("pagination")
    if node.value == "none":
        return Paging(path=path, spot=node.spot, plan=None)
    inner = fields.as_fields(node, path)
    if inner is None:
        return None
    fetch = _fetch(inner)
    if fetch is not None and "kind" not in inner:
        inner.close()
        return Paging(path=path, spot=node.spot, plan=None, as_found=True, fetch=fetch)
    inner.needs("kind")
    kind = inner.choice("kind", _KINDS, "none")
    argument, limit = inner.word("argument"), inner.word("limit")
    if kind not in ("none", "link"):
        inner.needs("argument", "is needed: the argument that asks for the next page")
    if kind == "cursor":
        inner.needs("next", "is needed: where the answer says what comes next")
    first = inner.integer("first", 0, least=0, most=1_000_000) if "first" in inner else None
    if first is not None and kind not in _COUNTED:
        inner.complain("first", f"only {' and '.join(_COUNTED)} count")
    if inner.text("kind") == kind:
        _refuse_idle(inner, kind)
    plan = Pagination(
        kind=cast("PageKind", kind if kind != "none" else "link"),
        argument=argument.text if argument else None,
        limit=limit.text if limit else None,
        items=_steps(inner, "items"),
        next=_steps(inner, "next"),
        more=_steps(inner, "more"),
        total=_steps(inner, "total"),
        first=first,
    )
    inner.close()
    return Paging(
        path=path,
        spot=node.spot,
        plan=None if kind == "none" else plan,
        fetch=fetch,
        arguments=tuple(word for word in (argument, limit) if word is not None),
    )


def _refuse_idle(fields: Fields, kind: str) -> None:
    """Report what this kind of paging never looks at."""
    if kind == "none":
        for key in ("argument", "limit", "items", *_LOOKED_AT, "fetch_all"):
            if key in fields:
                fields.complain(key, "kind is none, so there are no pages to read")
        return
    for key, kinds in _LOOKED_AT.items():
        if key in fields and kind not in kinds:
            fields.complain(key, f"means nothing to {kind}; it is for {', '.join(kinds)}")


def paged(tool: ToolSpec, said: Paging | None, risk: Risk, problems: Problems) -> Pagination | None:
    """Return how `tool` is paged; what does not fit it, or its `risk`, is a problem."""
    if said is None:
        return tool.pagination
    properties = tool.input_schema.get("properties")
    known = tuple(properties) if isinstance(properties, dict) else ()
    for word in said.arguments:
        if word.text not in known:
            hint = suggest(word.text, known)
            message = f'{said.path}: there is no argument "{word.text[:60]}"{hint}'
            problems.add(word.spot, message)
    plan, found = said.plan, tool.pagination
    if said.as_found:
        plan = found
        if found is None:
            message = "the spec does not show how pages are asked for; say kind, argument and items"
            problems.add(said.spot, f"{said.path}: {message}")
    elif plan is not None and plan.limit is None and found is not None:
        plan = replace(plan, limit=found.limit)
    if said.fetch is not None and (fault := _unfit(tool, risk)):
        problems.add(said.spot, f"{said.path}.fetch_all: {fault}")
    return None if plan is None else replace(plan, fetch=said.fetch)


def told_of(plan: Pagination | None) -> str:
    """Return what an assistant should know of a call that reads several pages."""
    if plan is None or plan.fetch is None:
        return ""
    fetch = plan.fetch
    return f"\n\nOne call reads up to {fetch.max_pages} pages, {fetch.max_items} items."


def answer_of(tool: ToolSpec, plan: Pagination | None) -> Mapping[str, Json] | None:
    """Return what the answer of a tool that is paged like this looks like.

    What a spec says of one page's length does not hold for several.
    """
    if tool.output_schema is None or plan is None or plan.fetch is None:
        return tool.output_schema
    return _uncounted(dict(tool.output_schema))


def _uncounted(schema: dict[str, Json]) -> dict[str, Json]:
    made: dict[str, Json] = {}
    for key, value in schema.items():
        if key in _COUNTS:
            continue
        if key in _NAMED and isinstance(value, dict):
            made[key] = {
                name: _uncounted(one) if isinstance(one, dict) else one
                for name, one in value.items()
            }
        elif key not in _VALUES and isinstance(value, dict):
            made[key] = _uncounted(value)
        elif key not in _VALUES and isinstance(value, list):
            made[key] = [_uncounted(one) if isinstance(one, dict) else one for one in value]
        else:
            made[key] = value
    return made


def _fetch(fields: Fields) -> FetchAll | None:
    wanted = fields.flag("fetch_all")
    default = FetchAll()
    fetch = FetchAll(
        max_pages=fields.integer("max_pages", default.max_pages, least=2, most=100),
        max_items=fields.integer("max_items", default.max_items, least=1, most=100_000),
        max_time_s=fields.duration("max_time", default.max_time_s, least="1s", most="50s"),
    )
    if not wanted:
        for key in _BOUNDS:
            if key in fields:
                fields.complain(key, "bounds fetch_all, which is not set")
        return None
    return fetch


def _unfit(tool: ToolSpec, risk: Risk) -> str | None:
    """Say why a call of `tool` may not become several requests."""
    if tool.method != "GET":
        return f"is for reads; this is a {tool.method}"
    if risk is not Risk.LOW:
        return f"its risk is {risk}, and a person who approves one request approves no others"
    return None


def _steps(fields: Fields, key: str) -> tuple[str, ...]:
    """Read `data.items` as its keys; nothing means the answer itself."""
    return tuple(step for step in fields.text(key).split(".") if step)
