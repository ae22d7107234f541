"""Names across upstreams: `prefix`, and that no two tools have one name.

Owns what is said of a clash, and how it is mended. What a name may be is `openapi/names.py`'s.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from signoff.catalog.fields import Fields, Problems
from signoff.catalog.model import Capability
from signoff.catalog.offered import Entry
from signoff.catalog.openapi.names import PREFIX, PREFIX_RULE, RESERVED
from signoff.catalog.pins import Pins
from signoff.catalog.yaml_source import Spot

_MOST_TWICE: Final = 3


def read_prefix(fields: Fields, pinned: Mapping[str, str]) -> str:
    """Read what begins the names of a spec's operations; `pinned` are names that the lock keeps."""
    prefix = fields.text("prefix")
    if not prefix:
        return ""
    if not PREFIX.fullmatch(prefix):
        fields.complain("prefix", PREFIX_RULE)
        return ""
    before = [name for name in pinned.values() if not name.startswith(f"{prefix}_")]
    if before:
        what = "1 name" if len(before) == 1 else f"{len(before):,} names"
        fields.complain(
            "prefix",
            f"does nothing to {what} that the lock keeps ({before[0]}): remove the lock, and "
            "write it anew with signoff check --lock",
        )
    return prefix


class Names:
    """The names of all tools, held against each other.

    `given` has the names that specs were given, by upstream and `METHOD path`; `prefixes` what
    begins them. A name that somebody wrote has no prefix.
    """

    def __init__(
        self, placed: Sequence[tuple[Entry, Spot]], given: Pins, prefixes: Mapping[str, str]
    ) -> None:
        self._placed, self._given, self._prefixes = placed, given, prefixes
        self._held: dict[str, list[Capability]] = {}
        for entry, _ in placed:
            self._held.setdefault(entry.card.name, []).append(entry.card)

    def check(self, problems: Problems) -> None:
        """Every tool has a name of its own; where many have not, an upstream says it once."""
        twice: dict[str, list[tuple[Capability, Spot]]] = {}
        for entry, spot in self._placed:
            card = entry.card
            if card.name in RESERVED:
                message = (
                    f'{card.source}: "{card.name}" is signoff\'s own tool; give it another name'
                )
                problems.add(spot, message)
            elif len(self._held[card.name]) > 1:
                twice.setdefault(card.upstream, []).append((card, spot))
        for upstream, found in twice.items():
            if len(found) > _MOST_TWICE:
                problems.add(found[0][1], self._many(upstream, [card for card, _ in found]))
            else:
                for card, spot in found:
                    problems.add(spot, self._one(card))

    def _many(self, upstream: str, found: Sequence[Capability]) -> str:
        first = found[0]
        names = ", ".join(card.name for card in found[:_MOST_TWICE])
        others = {one.upstream for card in found for one in self._held[card.name]} - {upstream}
        where = ", ".join(f"upstreams.{one}" for one in sorted(others)) or "others of its own"
        fix = f"upstreams.{upstream}.operations.{first.operation_id or first.name}.name"
        prefix = self._prefix(first)
        called = f"{len(found):,} tools are called like those of {where} ({names}, …)"
        ways = f"{prefix + ', ' if prefix else ''}name them, as in {fix}, or expose fewer"
        return f"upstreams.{upstream}: {called}: {ways}"

    def _one(self, card: Capability) -> str:
        others = [_placed_name(one) for one in self._held[card.name] if one is not card]
        listed = ", ".join(sorted(others)[:_MOST_TWICE])
        prefix = self._prefix(card)
        return (
            f'{_placed_name(card)}: the name "{card.name}" is also that of {listed}; '
            f"give one of them a name of its own{', or ' + prefix if prefix else ''}"
        )

    def _prefix(self, card: Capability) -> str:
        """Say which prefix would part a tool from those that are called like it, if one would."""
        for one in (card, *self._held[card.name]):
            given = self._given.get(one.upstream, {})
            if given.get(f"{one.method} {one.path}") == one.name:
                verb = "change" if self._prefixes.get(one.upstream) else "set"
                return f"{verb} upstreams.{one.upstream}.prefix"
        return ""


def _placed_name(card: Capability) -> str:
    return f"{card.source} (upstreams.{card.upstream})"
