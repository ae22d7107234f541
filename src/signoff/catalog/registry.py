"""The one look-up of tools: what a caller may see, and what it may call.

Owns visibility, so list, call, search and describe can never disagree. Reads a frozen catalogue;
knows no transport and no policy.
"""

from typing import Final

from signoff.catalog.model import Capability, Catalogue, Skipped, ToolSpec
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

    def visible(self, caller: Caller) -> tuple[Capability, ...]:
        """Return the tools `caller` may see, by name. Every caller sees every tool so far."""
        del caller  # `visible_to` is reserved, and refused in the catalogue until it is enforced
        return self._sorted

    def find(self, caller: Caller, name: str) -> ToolSpec | None:
        """Return the tool of that name, or None where `caller` does not see one it can call."""
        del caller
        return self.named(name)

    def reason(self, caller: Caller, name: str) -> str | None:
        """Return why a tool that `caller` sees cannot be called; None where it can, or is not."""
        del caller
        found = self._offered.find(name)
        return found.reason if isinstance(found, Skipped) else None

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
