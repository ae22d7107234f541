"""The one look-up of tools: what a caller may see, and what it may call.

Owns visibility, so list, call, search and describe can never disagree: what a caller does not see
is for it as if it were not there. Reads a frozen catalogue; knows no transport and no policy.
"""

from typing import Final

from signoff.catalog.model import Capability, Catalogue, Skipped, ToolSpec, Visibility
from signoff.catalog.offered import Offered, ready
from signoff.identity import Caller
from signoff.schema import Validator


class Registry:
    """The tools of one catalogue. Seeing compiles nothing; finding compiles one tool, once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue: Final = catalogue
        tools = catalogue.tools
        self._offered = tools if isinstance(tools, Offered) else Offered(map(ready, tools))
        self._sorted = tuple(sorted(self._offered.cards, key=lambda card: card.name))
        self._validators: dict[str, Validator] = {}
        self._limits = {card.name: limits for card in self._sorted if (limits := self._of(card))}

    def visible(self, caller: Caller) -> tuple[Capability, ...]:
        """Return the tools `caller` may see, by name."""
        if not self._limits:
            return self._sorted
        return tuple(card for card in self._sorted if self._sees(caller, card.name))

    def find(self, caller: Caller, name: str) -> ToolSpec | None:
        """Return the tool of that name, or None where `caller` does not see one it can call."""
        return self.named(name) if self._sees(caller, name) else None

    def reason(self, caller: Caller, name: str) -> str | None:
        """Return why a tool that `caller` sees cannot be called; None where it can, or is not."""
        found = self._offered.find(name) if self._sees(caller, name) else None
        return found.reason if isinstance(found, Skipped) else None

    def _sees(self, caller: Caller, name: str) -> bool:
        return all(_admits(limit, caller) for limit in self._limits.get(name, ()))

    def _of(self, card: Capability) -> tuple[Visibility, ...]:
        upstream = self.catalogue.upstreams.get(card.upstream)
        said = (upstream.visible_to if upstream is not None else None, card.visible_to)
        return tuple(limit for limit in said if limit is not None)

    @property
    def everything(self) -> tuple[Capability, ...]:
        """Every tool, whoever may see it."""
        return self._sorted

    def named(self, name: str) -> ToolSpec | None:
        """Return the tool of that name, whoever may see it."""
        found = self._offered.find(name)
        return found if isinstance(found, ToolSpec) else None

    def validator(self, tool: ToolSpec) -> Validator:
        """Return what checks a tool's arguments; compiled once.

        Raises:
            SchemaError: the schema cannot be used (the compiler refuses such a tool).
        """
        known = self._validators.get(tool.name)
        if known is None or self._offered.find(tool.name) is not tool:
            known = Validator(tool.input_schema)
            if self._offered.find(tool.name) is tool:
                self._validators[tool.name] = known
        return known


def _admits(limit: Visibility, caller: Caller) -> bool:
    return (
        caller.sub in limit.users
        or caller.client_id in limit.clients
        or (
            bool(limit.scopes)
            and (caller.scopes is None or not limit.scopes.isdisjoint(caller.scopes))
        )
    )
