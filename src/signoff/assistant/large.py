"""Three tools in place of thousands: search, describe, execute.

Owns their names, schemas and what the first two answer. Executing is not done here: `server.py`
takes the tool and the arguments out and calls it like any other, so policy, gate and approver see
the real capability and never `execute_tool`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias, cast

from signoff.canonical import Json
from signoff.catalog.model import Capability
from signoff.catalog.registry import Registry
from signoff.catalog.search import Index
from signoff.identity import Caller
from signoff.schema import Validator, Violation

MetaName: TypeAlias = Literal["search_tools", "describe_tool", "execute_tool"]

HITS: Final = 8
HITS_BYTES: Final = 2_048
_QUERY_MAX: Final = 400
_NAME_MAX: Final = 64
_LINE: Final = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaTool:
    """One of the three, as it is listed."""

    name: MetaName
    title: str
    description: str
    input_schema: Mapping[str, Json]
    read_only: bool

    @property
    def listed(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": dict(self.input_schema),
            "annotations": {
                "title": self.title,
                "readOnlyHint": self.read_only,
                "destructiveHint": not self.read_only,
                "idempotentHint": self.read_only,
                "openWorldHint": not self.read_only,
            },
        }


def _text(most: int, description: str) -> Json:
    return {"type": "string", "minLength": 1, "maxLength": most, "description": description}


_NAME: Final = _text(_NAME_MAX, "The tool's name, as search_tools gives it.")

META: Final[Mapping[str, MetaTool]] = {
    meta.name: meta
    for meta in (
        MetaTool(
            name="search_tools",
            title="Search the tools",
            description=(
                "Finds tools by what they do: a few words, such as “create an issue”. Answers the "
                f"best {HITS} with name, method, path, one line and whether a person has to "
                "approve a call. Then read describe_tool, and call with execute_tool."
            ),
            input_schema={
                "type": "object",
                "properties": {
                    "query": _text(_QUERY_MAX, "What the tool should do, in a few words.")
                },
                "required": ["query"],
                "additionalProperties": False,
            },
            read_only=True,
        ),
        MetaTool(
            name="describe_tool",
            title="Describe a tool",
            description="Shows a tool whole: its arguments as a JSON Schema, and what it answers.",
            input_schema={
                "type": "object",
                "properties": {"name": _NAME},
                "required": ["name"],
                "additionalProperties": False,
            },
            read_only=True,
        ),
        MetaTool(
            name="execute_tool",
            title="Execute a tool",
            description=(
                "Calls the named tool with its arguments, exactly as if it were listed: a risky "
                "one waits until a person has approved it, and the answer may be pending first."
            ),
            input_schema={
                "type": "object",
                "properties": {
                    "name": _NAME,
                    "arguments": {
                        "type": "object",
                        "description": "What describe_tool says the tool takes.",
                    },
                },
                "required": ["name"],
                "additionalProperties": False,
            },
            read_only=False,
        ),
    )
}


def meta_named(name: str) -> MetaName | None:
    """Return `name` when it is one of the three."""
    return cast("MetaName", name) if name in META else None


class Finder:
    """Search over what a caller may see."""

    def __init__(self, registry: Registry, *, asks: Callable[[Capability], bool]) -> None:
        self._registry, self._asks = registry, asks
        self._index: Index | None = None
        if len(registry.everything) > registry.catalogue.server.max_tools:
            self._index = Index(registry.everything)  # now, not while somebody waits
        self._validators = {name: Validator(meta.input_schema) for name, meta in META.items()}

    def violations(self, meta: MetaName, arguments: Mapping[str, Json]) -> list[Violation]:
        """Return what is wrong with the arguments of one of the three."""
        return self._validators[meta].violations(dict(arguments))

    def search(self, caller: Caller, query: str) -> dict[str, Json]:
        """Return the best hits, in at most `HITS_BYTES` of JSON."""
        visible = self._registry.visible(caller)
        if self._index is None:
            self._index = Index(self._registry.everything)
        found = self._index.search(query, limit=HITS, shown=self._shown(visible))
        hits: list[Json] = []
        answer: dict[str, Json] = {"hits": hits, "of": len(visible)}
        for card in found:
            hits.append(self._hit(card))
            if len(json.dumps(answer, ensure_ascii=False).encode()) > HITS_BYTES:
                hits.pop()
                break
        if not hits:
            answer["hint"] = "Nothing fits; try other words, or fewer."
        return answer

    def _shown(self, visible: Sequence[Capability]) -> Callable[[Capability], bool] | None:
        """Return what says whether one may see a capability; None where it is all of them."""
        if len(visible) == len(self._registry.everything):
            return None
        names = {card.name for card in visible}
        return lambda card: card.name in names

    def unknown(self, caller: Caller, name: str) -> str:
        """Return what to say of a name that is not there, or cannot be called."""
        reason = self._registry.reason(caller, name)
        if reason is not None:
            return f"The tool {name[:_NAME_MAX]!r} cannot be called: {reason}"
        close = self.nearest([card.name for card in self._registry.visible(caller)], name)
        hint = f" Did you mean {close}?" if close else " Find one with search_tools."
        return f"There is no tool {name[:_NAME_MAX]!r}.{hint}"

    def nearest(self, known: Sequence[str], name: str) -> str | None:
        """Return the known name that was probably meant."""
        if self._index is not None:  # comparing thousands of spellings would take a second
            among = set(known)
            hits = self._index.search(name, limit=1, shown=lambda card: card.name in among)
            return hits[0].name if hits else None
        return next(iter(get_close_matches(name[:_NAME_MAX], known, n=1)), None)

    def _hit(self, card: Capability) -> Json:
        path = card.path if len(card.path) <= _LINE else card.path[: _LINE - 1] + "…"
        hit: dict[str, Json] = {"name": card.name, "call": f"{card.method} {path}"}
        line = card.summary[:_LINE]
        if line:
            hit["what"] = line
        if self._asks(card):
            hit["asks_a_person"] = True
        return hit
