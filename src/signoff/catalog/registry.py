"""The one look-up of tools: what a caller may see, and what it may call.

Owns visibility, so list, call, search and describe can never disagree. Reads a frozen catalogue;
knows no transport and no policy.
"""

from typing import Final

from signoff.catalog.model import Catalogue, ToolSpec
from signoff.identity import Caller
from signoff.schema import Validator


class Registry:
    """The tools of one catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue: Final = catalogue
        self._sorted = tuple(sorted(catalogue.tools, key=lambda tool: tool.name))
        self._by_name = {tool.name: tool for tool in self._sorted}
        self._validators: dict[str, Validator] = {}

    def visible(self, caller: Caller) -> tuple[ToolSpec, ...]:
        """Return the tools `caller` may see, by name. Every caller sees every tool so far."""
        del caller  # `visible_to` is reserved, and refused in the catalogue until it is enforced
        return self._sorted

    def find(self, caller: Caller, name: str) -> ToolSpec | None:
        """Return the tool of that name, or None where `caller` does not see one."""
        del caller
        return self._by_name.get(name)

    def validator(self, tool: ToolSpec) -> Validator:
        """Return what checks a tool's arguments; compiled once.

        Raises:
            SchemaError: the schema cannot be used (the loader refuses such a tool).
        """
        known = self._validators.get(tool.name)
        if known is None or self._by_name.get(tool.name) is not tool:
            known = Validator(tool.input_schema)
            if self._by_name.get(tool.name) is tool:
                self._validators[tool.name] = known
        return known
