"""`default_grants`: what of an upstream goes without asking.

Owns the words, and that each of them means something. A method or a pattern grants what is of low
risk only, whatever it matches; an exact name, or `METHOD path`, grants that one capability. The
decision itself is `gate/policy.py`.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from signoff.catalog.fields import Fields, Problems, Word, kind_of, suggest
from signoff.catalog.model import METHODS, Capability, DefaultGrants, Risk
from signoff.catalog.yaml_source import Spot

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the operator wrote, still with its places; not yet held against the capabilities."""

    path: str
    spot: Spot
    everything: bool = False
    words: tuple[tuple[str, Word], ...] = ()


def read_wanted(fields: Fields) -> Wanted | None:
    """Read `default_grants` of an upstream; None where nothing is said."""
    node = fields.take("default_grants")
    if node is None:
        return None
    path = fields.at("default_grants")
    if isinstance(node.value, bool):
        return Wanted(path=path, spot=node.spot, everything=node.value)
    if isinstance(node.value, str) and node.value:
        words = ((path, Word(text=node.value, spot=node.spot)),)
        return Wanted(path=path, spot=node.spot, words=words)
    if not isinstance(node.value, list):
        fields.complain(
            "default_grants",
            "must be true, false, a method, or a list of methods and capabilities, "
            f"not {kind_of(node)}",
        )
        return Wanted(path=path, spot=node.spot)
    found = [(at, fields.as_word(one, at)) for at, one in fields.nodes("default_grants")]
    words = tuple((at, word) for at, word in found if word is not None)
    return Wanted(path=path, spot=node.spot, words=words)


def settle(
    wanted: Mapping[str, Wanted], cards: Sequence[Capability], problems: Problems, notes: Problems
) -> dict[str, DefaultGrants]:
    """Return the grants by upstream; a word that fits no capability of it is a problem."""
    settled: dict[str, DefaultGrants] = {}
    for upstream, one in wanted.items():
        own = [card for card in cards if card.upstream == upstream]
        named: list[str] = []
        for path, word in one.words:
            if word.text in METHODS:
                continue
            meant = _meant(word.text, own)
            named += meant
            if not any(fnmatch.fnmatchcase(card.name, name) for card in own for name in meant):
                problems.add(word.spot, f"{path}: {_unknown(word.text, upstream, own, cards)}")
        grants = settled[upstream] = DefaultGrants(
            everything=one.everything,
            methods=tuple(word.text for _, word in one.words if word.text in METHODS),
            capabilities=tuple(dict.fromkeys(named)),
        )
        _note(one, grants, own, notes)
    return settled


def _meant(text: str, own: Sequence[Capability]) -> list[str]:
    """Return the names or the pattern that a word means.

    `METHOD path` is the operation there, whatever the spec calls it today. In names an underscore
    stands for a spec's dot.
    """
    if " " in text:
        return [card.name for card in own if f"{card.method} {card.path}" == text]
    return [text.replace(".", "_")]


def _unknown(
    text: str, upstream: str, own: Sequence[Capability], cards: Sequence[Capability]
) -> str:
    elsewhere = next((card.upstream for card in cards if _meant(text, [card]) == [card.name]), None)
    if elsewhere is not None:
        return f'"{text[:60]}" is of {elsewhere}; grant it there'
    places = [f"{card.method} {card.path}" for card in own] if " " in text else []
    hint = suggest(text, places or [*(card.name for card in own), *METHODS])
    return f'{upstream} has no capability "{text[:60]}"{hint}'


def _note(
    wanted: Wanted, grants: DefaultGrants, own: Sequence[Capability], notes: Problems
) -> None:
    risky = [card for card in own if card.risk is not Risk.LOW]
    for card in risky:
        if grants.names(card):
            path, spot = next(
                (path, word.spot)
                for path, word in wanted.words
                if card.name in _meant(word.text, own)
            )
            what = f"{card.name} ({card.method} {card.path})"
            message = f"grants {what} without asking, although its risk is {card.risk}"
            notes.add(spot, f"{path}: {message} ({card.risk_reason})")
    unnamed = sorted(c.name for c in risky if grants.covers(c) and not grants.names(c))
    if unnamed:
        listed = ", ".join(unnamed[:_SHOWN]) + (", …" if len(unnamed) > _SHOWN else "")
        message = f"does not grant {listed}: a risky one must be named exactly"
        notes.add(wanted.spot, f"{wanted.path}: {message}")
