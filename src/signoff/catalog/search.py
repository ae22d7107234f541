"""Finding a capability among thousands by what it is called, where it lives and what it does.

Owns the index and the ranking. What a capability is about counts most: of two that hold every word
of a question, the one that says little else comes first. Knows no caller, no policy and no schema;
a hit is a capability, best first.
"""

import heapq
import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from signoff.catalog.model import Capability
from signoff.catalog.words import (
    CANONICAL,
    LIKE,
    STOP,
    Question,
    meant,
    place_of,
    question,
    said_verbs,
    verbs_of,
    words_of,
)

_NAME, _SUMMARY, _END, _WAY, _TAG = 1, 2, 4, 8, 16
_TELLS: Final = {_NAME: 0.6, _SUMMARY: 0.5, _END: 0.6, _WAY: 0.35, _TAG: 0.35}
"""How surely a word in a field is what the capability is about."""
_WORTH: Final = tuple(
    1 - math.prod(1 - tells for place, tells in _TELLS.items() if mask & place)
    for mask in range(sum(_TELLS) + 1)
)
_WEIGHT: Final = 1.25  # many words in common are worth more than their sum
_FOCUS: Final = 0.75
_STEP, _MOST_STEPS = 0.02, 20
_SHORT_FORM, _LIKE, _BEGINS, _CUT = 0.85, 0.6, 0.5, 0.5
_MISSPELLED, _MISSPELLED_BESIDE = 0.75, 0.4
_SYNONYM, _OTHER_SYNONYM, _IMPLIED, _NEAR, _UNSAID, _ELSE = 0.9, 0.8, 0.9, 0.8, 0.75, 0.4
_UNASKED: Final = 0.95
_PLACE: Final = 0.5
_NEAR_VERBS: Final = {"get": "list", "list": "get"}
_READING: Final = frozenset(_NEAR_VERBS)
_PREFIX: Final = 4
_LONGEST_CUT: Final = 4
_SHORTEST_STEM: Final = 3
_MOST_PREFIXED: Final = 24
_COMMON: Final = 1_000
"""A word in more names than this only finds those that it says most of."""


@dataclass(slots=True)
class _Found:
    """What a capability has in common with a question, by weight of the words."""

    total: float = 0.0
    about: dict[int, float] = field(default_factory=dict[int, float])

    def add(self, score: float, weight: float, mask: int) -> None:
        self.total += score
        for place in (_NAME, _SUMMARY, _END):
            if mask & place:
                self.about[place] = self.about.get(place, 0.0) + weight


class Index:
    """An index over a fixed set of capabilities."""

    def __init__(self, cards: Sequence[Capability]) -> None:
        self._cards = tuple(cards)
        self._where: dict[str, array[int]] = {}
        self._masks: dict[str, array[int]] = {}
        for at, card in enumerate(self._cards):
            for word, mask in _places(card).items():
                if word not in self._where:
                    self._where[word], self._masks[word] = array("I"), array("B")
                self._where[word].append(at)
                self._masks[word].append(mask)
        self._words = sorted(self._where)
        self._ends = {
            word
            for word, masks in self._masks.items()
            if word in CANONICAL and any(mask & _END for mask in masks)
        }
        self._said = tuple(map(said_verbs, self._cards))
        self._ever_said = frozenset[str]().union(*self._said)
        self._implied = tuple(map(verbs_of, self._cards))
        self._whole = self._weighed()
        self._best = {
            word: self._strongest(word)
            for word, where in self._where.items()
            if len(where) > _COMMON
        }

    def search(
        self, query: str, *, limit: int = 8, shown: Callable[[Capability], bool] = lambda _: True
    ) -> list[Capability]:
        """Return what fits `query`, best first; the order of equals is that of their names."""
        asked = self._read(query)
        hits = self._hits(asked, limit, shown, whole=False)
        if len(hits) < limit and self._is_common(asked):
            # Of the many that a common word finds, those that were looked at are hidden here.
            hits = self._hits(asked, limit, shown, whole=True)
        return hits

    def _hits(
        self, asked: Question, limit: int, shown: Callable[[Capability], bool], *, whole: bool
    ) -> list[Capability]:
        found: dict[int, _Found] = {}
        is_sure = any(thing in self._where for thing in asked.things)
        for thing in sorted(asked.things, key=self._spread):
            among = sorted(found) if len(found) >= limit and not whole else None
            part = _PLACE if thing in asked.verbs else 1.0
            scored = self._scored(thing, among, is_sure=is_sure, whole=whole)
            for at, (score, weight, mask) in scored.items():
                found.setdefault(at, _Found()).add(part * score, part * weight, mask)

        def rank(at: int) -> tuple[float, str]:
            return -self._score(at, found[at], asked), self._cards[at].name

        hits = (self._cards[at] for at in sorted(found, key=rank))
        return [card for card, _ in zip(filter(shown, hits), range(limit), strict=False)]

    def _is_common(self, asked: Question) -> bool:
        is_sure = any(thing in self._where for thing in asked.things)
        return any(
            word in self._best
            for thing in asked.things
            for word, _ in self._matches(thing, is_sure=is_sure)
        )

    def _read(self, query: str) -> Question:
        """Read a question; what paths end in is a thing, whatever else it may be."""
        asked = question(query)
        places = [verb for verb in asked.verbs if verb in self._ends]
        return replace(asked, things=(*asked.things, *places))

    def _score(self, at: int, found: _Found, asked: Question) -> float:
        name, summary, end = (
            min(1.0, found.about.get(place, 0.0) / whole[at]) if whole[at] else 0.0
            for place, whole in self._whole.items()
        )
        focus = (max(name, summary) + end) / 2
        steps = min(self._cards[at].path.count("/"), _MOST_STEPS)
        return (
            found.total**_WEIGHT
            * (1 - _FOCUS + _FOCUS * focus)
            * self._fit(at, asked)
            * (1 - _STEP * steps)
        )

    def _fit(self, at: int, asked: Question) -> float:
        """Say how well what a capability does fits what is to be done."""
        said, implied = self._said[at], self._implied[at]
        if not asked.verbs:
            is_read = bool(implied & _READING)
            return (_UNSAID if is_read else 1.0) if asked.acts else (1.0 if is_read else _UNASKED)
        meanings = {CANONICAL[verb] for verb in said}
        best = _ELSE
        for verb in asked.verbs:
            canonical = CANONICAL[verb]
            if verb in said:
                return 1.0
            if canonical in meanings:
                # Where the very word is used at all, it probably means something of its own.
                best = max(best, _OTHER_SYNONYM if verb in self._ever_said else _SYNONYM)
            elif canonical in implied:
                best = max(best, _UNSAID if said else _IMPLIED)
            elif _NEAR_VERBS.get(canonical) in meanings | implied:
                best = max(best, _NEAR)
        return best

    def _scored(
        self, thing: str, among: Sequence[int] | None, *, is_sure: bool, whole: bool
    ) -> dict[int, tuple[float, float, int]]:
        """Return score, weight and places of the thing by capability.

        A common word only adds to what was found.
        """
        found: dict[int, tuple[float, float, int]] = {}
        matches = dict(self._matches(thing, is_sure=is_sure))
        same = [word for word, worth in matches.items() if worth >= _SHORT_FORM]
        shared = self._rarity(sum(len(self._where[word]) for word in same))
        for word, worth in matches.items():
            weight = worth * (shared if word in same else self._rarity(self._spread(word)))
            for at, mask in self._entries(word, among, whole=whole):
                score = weight * _WORTH[mask]
                if at not in found or score > found[at][0]:
                    found[at] = score, weight, mask
        return found

    def _entries(
        self, word: str, among: Sequence[int] | None, *, whole: bool
    ) -> Iterable[tuple[int, int]]:
        """Return where a word stands; of a common one, only where it matters."""
        where, masks = self._where[word], self._masks[word]
        if whole or len(where) <= _COMMON:
            return zip(where, masks, strict=True)
        if among is None:
            return ((where[place], masks[place]) for place in self._best[word])
        found = ((at, bisect_left(where, at)) for at in among[:_COMMON])
        return (
            (at, masks[place]) for at, place in found if place < len(where) and where[place] == at
        )

    def _strongest(self, word: str) -> "array[int]":
        """Return the places of a common word where it says most, and little else is said."""
        where, masks = self._where[word], self._masks[word]
        names = self._whole[_NAME]

        def rank(place: int) -> tuple[float, float]:
            return -_WORTH[masks[place]], names[where[place]]

        return array("I", heapq.nsmallest(_COMMON, range(len(where)), key=rank))

    def _matches(self, thing: str, *, is_sure: bool) -> Iterator[tuple[str, float]]:
        """Yield what counts as the thing, and how much: itself, a longer or shorter form, its like.

        Where it is not known, also what it may be a misspelling of, and what begins as it does.
        """
        is_known = thing in self._where
        if not is_known and not thing.isdecimal():  # another number is another thing
            worth = _MISSPELLED_BESIDE if is_sure else _MISSPELLED
            yield from ((word, min(worth, _CUT)) for word in self._beginning_as(thing))
            yield from ((word, worth) for word in meant(thing, self._beginning_with(thing[:1])))
        yield from ((word, _LIKE) for word in LIKE.get(thing, ()) if word in self._where)
        if len(thing) >= _PREFIX or not is_known:
            yield from ((word, _BEGINS) for word in self._beginning_with(thing)[:_MOST_PREFIXED])
        for length in range(_PREFIX, len(thing)):
            if thing[:length] in self._where:
                yield thing[:length], _SHORT_FORM
        if is_known:
            yield thing, 1.0

    def _beginning_as(self, thing: str) -> list[str]:
        """Return the words that share most of the thing's letters, from the first on."""
        shortest = max(_SHORTEST_STEM, len(thing) - _LONGEST_CUT)
        for length in range(len(thing) - 1, shortest - 1, -1):
            found = self._beginning_with(thing[:length])
            if found:
                return found[:_MOST_PREFIXED]
        return []

    def _beginning_with(self, start: str) -> list[str]:
        at = bisect_left(self._words, start)
        return self._words[at : bisect_left(self._words, start + "\U0010ffff", at)] if start else []

    def _spread(self, word: str) -> int:
        return len(self._where.get(word, ()))

    def _rarity(self, count: int) -> float:
        return math.log(1 + (max(len(self._cards) - count, 0) + 0.5) / (count + 0.5))

    def _weighed(self) -> Mapping[int, "array[float]"]:
        """Return, by field, the weight of all that each capability says there."""
        whole = {
            place: array("f", bytes(4 * len(self._cards))) for place in (_NAME, _SUMMARY, _END)
        }
        for word, where in self._where.items():
            if word in CANONICAL:  # a verb says less than what it is done to
                continue
            weight = self._rarity(len(where))
            for at, mask in zip(where, self._masks[word], strict=True):
                for place, weights in whole.items():
                    if mask & place:
                        weights[at] += weight
        return whole


def _places(card: Capability) -> dict[str, int]:
    """Return in which fields each word of a capability stands."""
    end, way = place_of(card.path)
    found: dict[str, int] = {}
    for text, place in (
        (card.name, _NAME),
        ("" if card.operation_id == card.name else card.operation_id or "", _NAME),
        (card.summary, _SUMMARY),
        (end, _END),
        (way, _WAY),
        (card.upstream, _TAG),
        *((tag, _TAG) for tag in card.tags),
    ):
        for word in words_of(text):
            if word not in STOP or word in LIKE:
                found[word] = found.get(word, 0) | place
    return found
