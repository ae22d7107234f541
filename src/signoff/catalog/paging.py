"""`pagination`: the operator's word on how an answer's next page is asked for.

Owns the keys, and that they fit the tool. Without the key, what the spec shows is kept.
"""

from dataclasses import dataclass, replace
from typing import Final, cast

from signoff.catalog.fields import Fields, Problems, Word, suggest
from signoff.catalog.model import ToolSpec
from signoff.catalog.wire import PageKind, Pagination
from signoff.catalog.yaml_source import Spot

_KINDS: Final = ("none", "link", "cursor", "last_id", "page", "offset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """What the catalogue says; `plan` None turns paging off."""

    path: str
    spot: Spot
    plan: Pagination | None
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
    inner.needs("kind")
    kind = inner.choice("kind", _KINDS, "none")
    argument, limit = inner.word("argument"), inner.word("limit")
    if kind not in ("none", "link"):
        inner.needs("argument", "is needed: the argument that asks for the next page")
    if kind == "cursor":
        inner.needs("next", "is needed: where the answer says what comes next")
    plan = Pagination(
        kind=cast("PageKind", kind if kind != "none" else "link"),
        argument=argument.text if argument else None,
        limit=limit.text if limit else None,
        items=_steps(inner, "items"),
        next=_steps(inner, "next"),
        more=_steps(inner, "more"),
    )
    inner.close()
    named = tuple(word for word in (argument, limit) if word is not None)
    return Paging(path=path, spot=node.spot, plan=None if kind == "none" else plan, arguments=named)


def paged(tool: ToolSpec, said: Paging | None, problems: Problems) -> Pagination | None:
    """Return how `tool` is paged; an argument that it does not have is a problem."""
    if said is None:
        return tool.pagination
    properties = tool.input_schema.get("properties")
    known = tuple(properties) if isinstance(properties, dict) else ()
    for word in said.arguments:
        if word.text not in known:
            hint = suggest(word.text, known)
            message = f'{said.path}: there is no argument "{word.text[:60]}"{hint}'
            problems.add(word.spot, message)
    if said.plan is None:
        return None
    found = tool.pagination
    if said.plan.limit is None and found is not None:
        return replace(said.plan, limit=found.limit)
    return said.plan


def _steps(fields: Fields, key: str) -> tuple[str, ...]:
    """Read `data.items` as its keys; nothing means the answer itself."""
    return tuple(step for step in fields.text(key).split(".") if step)
