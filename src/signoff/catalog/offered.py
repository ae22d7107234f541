"""The tools of a catalogue, each compiled when it is first asked for, and kept.

Owns when compiling happens, and that a tool which cannot be compiled costs no other. Knows no
OpenAPI: how a tool is made is a function it was given.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from signoff.catalog.model import Capability, Skipped, ToolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A capability and how it is compiled. `build` gives the same every time.

    The card of a tool that is compiled already is the tool.
    """

    card: Capability
    build: Callable[[], ToolSpec | Skipped]


def ready(tool: ToolSpec) -> Entry:
    """Return the entry of a tool that is compiled already."""
    return Entry(card=tool, build=lambda: tool)


class Offered(Sequence[ToolSpec]):
    """A sequence of tools. Going through it compiles all; `cards` and `find` do not.

    `inputs` has, by upstream, a hash of everything that compiling its tools reads.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        *,
        skipped: Iterable[Skipped] = (),
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        self._entries = {entry.card.name: entry for entry in entries}
        self.cards = tuple(entry.card for entry in self._entries.values())
        self.inputs = dict(inputs or {})
        self._known_skipped = tuple(skipped)
        self._made: dict[str, ToolSpec | Skipped] = {}
        self._good: tuple[ToolSpec, ...] | None = None

    def find(self, name: str) -> ToolSpec | Skipped | None:
        """Return the tool, or why it cannot be used, or None where there is none."""
        if name not in self._made:
            entry = self._entries.get(name)
            if entry is None:
                return None
            self._made[name] = entry.build()
        return self._made[name]

    @property
    def skipped(self) -> Sequence[Skipped]:
        """Everything that could not become a tool; compiles all."""
        return _Skips(self)

    @overload
    def __getitem__(self, index: int) -> ToolSpec: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ToolSpec]: ...
    def __getitem__(self, index: int | slice) -> ToolSpec | Sequence[ToolSpec]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[ToolSpec]:
        return iter(self._all())

    def all_skipped(self) -> tuple[Skipped, ...]:
        """Return what was known to be left out, then what failed to compile."""
        self._all()
        made = (self._made[name] for name in self._entries)
        return (*self._known_skipped, *(one for one in made if isinstance(one, Skipped)))

    def _all(self) -> tuple[ToolSpec, ...]:
        if self._good is None:
            found = [self.find(name) for name in self._entries]
            self._good = tuple(one for one in found if isinstance(one, ToolSpec))
        return self._good


class _Skips(Sequence[Skipped]):
    """The skipped operations of an `Offered`, found out when somebody looks."""

    def __init__(self, offered: Offered) -> None:
        self._offered = offered

    @overload
    def __getitem__(self, index: int) -> Skipped: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Skipped]: ...
    def __getitem__(self, index: int | slice) -> Skipped | Sequence[Skipped]:
        return self._offered.all_skipped()[index]

    def __len__(self) -> int:
        return len(self._offered.all_skipped())

    def __eq__(self, other: object) -> bool:
        return tuple(self) == other

    def __hash__(self) -> int:
        return id(self)
