"""Finding a capability among thousands by what it is called, where it lives and what it does.

Owns the index and the ranking. What a capability is about counts most: of two that hold every word
of a question, the one that says little else comes first. Knows no caller, no policy and no schema;
a hit is a capability, best first.
"""

import heapq
import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from signoff.catalog.model import Capability
from signoff.catalog.words import (
    CANONICAL,
    LIKE,
    STOP,
    Question,
    Spellings,
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
_LOOKED: Final = 16_000
"""So many places are looked at for all words of a question, what means them least at the end."""
_RANKED: Final = 2_000
"""So many are weighed to the end: those that have most in common with the question."""


@dataclass(slots=True)
class _Found:
    """What a capability has in common with a question, by weight of the words."""

    total: float = 0.0
    name: float = 0.0
    summary: float = 0.0
    end: float = 0.0

    def add(self, score: float, weight: float, mask: int) -> None:
        self.total += score
        if mask & _NAME:
            self.name += weight
        if mask & _SUMMARY:
            self.summary += weight
        if mask & _END:
            self.end += weight


class Index:
    """An index over a fixed set of capabilities."""

    def __init__(self, cards: Sequence[Capability]) -> None:
        self._cards = tuple(cards)
        found: dict[str, tuple[array[int], array[int]]] = {}
        for at, card in enumerate(self._cards):
            for word, mask in _places(card).items():
                held = found.get(word)
                if held is None:
                    held = found[word] = array("I"), array("B")
                held[0].append(at)
                held[1].append(mask)
        self._where = {word: where for word, (where, _) in found.items()}
        self._masks = {word: masks for word, (_, masks) in found.items()}
        self._words = sorted(self._where)
        self._spellings: dict[str, Spellings] = {}
        self._ends = {
            word
            for word, masks in self._masks.items()
            if word in CANONICAL and any(mask & _END for mask in masks)
        }
        does = [(said_verbs(card), verbs_of(card)) for card in self._cards]
        kinds = {one: at for at, one in enumerate(dict.fromkeys(does))}
        self._kinds, self._kind = tuple(kinds), array("I", (kinds[one] for one in does))
        self._ever_said = frozenset[str]().union(*(said for said, _ in self._kinds))
        self._names, self._summaries, self._path_ends = self._weighed()
        steps = (min(card.path.count("/"), _MOST_STEPS) for card in self._cards)
        self._near = array("d", (1 - _STEP * count for count in steps))
        self._best = {
            word: self._strongest(word)
            for word, where in self._where.items()
            if len(where) > _COMMON
        }

    def search(
        self, query: str, *, limit: int = 8, shown: Callable[[Capability], bool] | None = None
    ) -> list[Capability]:
        """Return what fits `query`, best first; the order of equals is that of their names.

        What is not `shown` is as if it were not there: it takes no place of what is.
        """
        asked = self._read(query)
        seen = None if shown is None else bytearray(map(shown, self._cards))
        found: dict[int, _Found] = {}
        is_sure = any(thing in self._where for thing in asked.things)
        for thing in sorted(asked.things, key=self._spread):
            # Those that the rarest words found are the first.
            among = list(islice(found, _COMMON)) if len(found) >= limit else None
            part = _PLACE if thing in asked.verbs else 1.0
            most = _LOOKED // len(asked.things)
            scored = self._scored(thing, among, seen, is_sure=is_sure, most=most)
            for at, (score, weight, mask) in scored.items():
                one = found.get(at)
                if one is None:
                    one = found[at] = _Found()
                one.add(part * score, part * weight, mask)
        fits = [self._fit(said, implied, asked) for said, implied in self._kinds]

        def rank(at: int) -> tuple[float, str]:
            score = self._score(at, found[at]) * fits[self._kind[at]]
            return -score, self._cards[at].name

        ranked: Iterable[int] = found
        if len(found) > _RANKED:
            ranked = heapq.nlargest(_RANKED, found, key=lambda at: found[at].total)
        return [self._cards[at] for at in heapq.nsmallest(limit, ranked, key=rank)]

    def _read(self, query: str) -> Question:
        """Read a question; what paths end in is a thing, whatever else it may be."""
        asked = question(query)
        places = [verb for verb in asked.verbs if verb in self._ends]
        return replace(asked, things=(*asked.things, *places))

    def _score(self, at: int, found: _Found) -> float:
        focus = (
            max(_part(found.name, self._names[at]), _part(found.summary, self._summaries[at]))
            + _part(found.end, self._path_ends[at])
        ) / 2
        return found.total**_WEIGHT * (1 - _FOCUS + _FOCUS * focus) * self._near[at]

    def _fit(self, said: frozenset[str], implied: frozenset[str], asked: Question) -> float:
        """Say how well what a capability does fits what is to be done."""
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
        self,
        thing: str,
        among: Sequence[int] | None,
        seen: bytearray | None,
        *,
        is_sure: bool,
        most: int,
    ) -> dict[int, tuple[float, float, int]]:
        """Return score, weight and places of the thing by capability.

        A common word only adds to what was found. After `most` places no further word is looked
        at, and what is worth most comes first.
        """
        found: dict[int, tuple[float, float, int]] = {}
        matches = dict(self._matches(thing, is_sure=is_sure))
        same = [word for word, worth in matches.items() if worth >= _SHORT_FORM]
        shared = self._rarity(sum(len(self._where[word]) for word in same))
        looked = 0
        for word, worth in sorted(matches.items(), key=lambda one: -one[1]):
            if looked >= most:
                break
            looked += min(self._spread(word), _COMMON)
            weight = worth * (shared if word in same else self._rarity(self._spread(word)))
            for at, mask in self._entries(word, among, seen):
                score = weight * _WORTH[mask]
                held = found.get(at)
                if held is None or score > held[0]:
                    found[at] = score, weight, mask
        return found

    def _entries(
        self, word: str, among: Sequence[int] | None, seen: bytearray | None
    ) -> Iterable[tuple[int, int]]:
        """Return where a word stands; of a common one, only where it matters."""
        where, masks = self._where[word], self._masks[word]
        if len(where) <= _COMMON:
            found = zip(where, masks, strict=True)
            return found if seen is None else (one for one in found if seen[one[0]])
        if among is None:
            best = self._best[word]
            places = best if seen is None else (place for place in best if seen[where[place]])
            return ((where[place], masks[place]) for place in islice(places, _COMMON))
        held = ((at, bisect_left(where, at)) for at in among)
        return (
            (at, masks[place]) for at, place in held if place < len(where) and where[place] == at
        )

    def _strongest(self, word: str) -> "array[int]":
        """Return the places of a common word, first where it says most and little else is said."""
        where, masks = self._where[word], self._masks[word]
        by_mask: dict[int, list[int]] = {}
        for place, mask in enumerate(masks):
            by_mask.setdefault(mask, []).append(place)
        whole = [self._names[at] for at in where]
        found: list[int] = []
        for mask in sorted(by_mask, key=lambda mask: -_WORTH[mask]):
            found += sorted(by_mask[mask], key=whole.__getitem__)
        return array("I", found)

    def _matches(self, thing: str, *, is_sure: bool) -> Iterator[tuple[str, float]]:
        """Yield what counts as the thing, and how much: itself, a longer or shorter form, its like.

        Where it is not known, also what it may be a misspelling of, and what begins as it does.
        """
        is_known = thing in self._where
        if not is_known and not thing.isdecimal():  # another number is another thing
            worth = _MISSPELLED_BESIDE if is_sure else _MISSPELLED
            yield from ((word, min(worth, _CUT)) for word in self._beginning_as(thing))
            yield from ((word, worth) for word in meant(thing, self._spelled(thing[:1])))
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

    def _spelled(self, first: str) -> Spellings:
        """Return the words that begin with a letter, ready to be compared."""
        if first not in self._spellings:
            self._spellings[first] = Spellings(self._beginning_with(first))
        return self._spellings[first]

    def _spread(self, word: str) -> int:
        return len(self._where.get(word, ()))

    def _rarity(self, count: int) -> float:
        return math.log(1 + (max(len(self._cards) - count, 0) + 0.5) / (count + 0.5))

    def _weighed(self) -> "tuple[array[float], array[float], array[float]]":
        """Return the weight of all that each capability says: in name, summary and path's end."""
        names, summaries, ends = (array("f", bytes(4 * len(self._cards))) for _ in range(3))
        for word, where in self._where.items():
            if word in CANONICAL:  # a verb says less than what it is done to
                continue
            weight = self._rarity(len(where))
            for at, mask in zip(where, self._masks[word], strict=True):
                if mask & _NAME:
                    names[at] += weight
                if mask & _SUMMARY:
                    summaries[at] += weight
                if mask & _END:
                    ends[at] += weight
        return names, summaries, ends


def _part(found: float, whole: float) -> float:
    return min(1.0, found / whole) if whole else 0.0


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
