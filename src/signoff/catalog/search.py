"""Finding a capability among thousands by what it is called, where it lives and what it does.

Owns the index and the ranking (BM25 over weighted fields). Knows no caller, no policy and no
schema; a hit is a capability, best first.
"""

import math
import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from signoff.catalog.model import Capability

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PLAIN: Final = re.compile(r"[a-z0-9]+")
_NAME, _TAG, _PATH, _SUMMARY = 4.0, 2.0, 1.5, 1.0
_SATURATION: Final = 1.2
_LENGTH: Final = 0.6
_PREFIX: Final = 3
_MOST_WORDS: Final = 12
_MOST_PREFIXED: Final = 24
_QUERY: Final = 400
_COMMON: Final = 2_000
"""A word in more names than this is no way to find one, unless there is no better."""
_METHOD_BONUS: Final = 1.25
_STOP: Final = frozenset({
    "a", "all", "an", "and", "any", "are", "as", "at", "be", "by", "can", "do", "for", "from", "i",
    "in", "into", "is", "it", "me", "my", "of", "on", "or", "our", "please", "some", "that", "the",
    "their", "this", "to", "want", "with", "you", "your",
})  # fmt: skip
_SAME: Final = {
    "add": "create", "new": "create", "make": "create", "open": "create", "insert": "create",
    "remove": "delete", "destroy": "delete", "erase": "delete",
    "edit": "update", "change": "update", "modify": "update", "patch": "update", "set": "update",
    "show": "get", "fetch": "get", "read": "get", "retrieve": "get", "view": "get", "find": "list",
    "search": "list", "enumerate": "list",
}  # fmt: skip
_ALIKE: Final = {"get": ("get", "list"), "list": ("list", "get")}
_METHODS: Final = {
    "create": ("POST",),
    "delete": ("DELETE",),
    "update": ("PATCH", "PUT", "POST"),
    "get": ("GET", "HEAD", "QUERY"),
    "list": ("GET", "HEAD", "QUERY"),
}


class Index:
    """An index over a fixed set of capabilities."""

    def __init__(self, cards: Sequence[Capability]) -> None:
        self._cards = tuple(cards)
        self._where: dict[str, array[int]] = {}
        self._weight: dict[str, array[float]] = {}
        self._sizes = array("f")
        for at, card in enumerate(self._cards):
            weights: Counter[str] = Counter()
            for word, weight in _fields(card):
                weights[word] += weight  # pyright: ignore[reportArgumentType] — a count of weights
            self._sizes.append(sum(weights.values()))
            for word, weight in weights.items():
                if word not in self._where:
                    self._where[word] = array("I")
                    self._weight[word] = array("f")
                self._where[word].append(at)
                self._weight[word].append(weight)
        self._mean = (sum(self._sizes) / len(self._sizes)) if self._sizes else 1.0
        self._words = sorted(self._where)

    def search(
        self, query: str, *, limit: int = 8, shown: Callable[[Capability], bool] = lambda _: True
    ) -> list[Capability]:
        """Return what fits `query`, best first; the order of equals is that of their names."""
        words = list(dict.fromkeys(_query_words(query)))[:_MOST_WORDS]
        scores: dict[int, float] = {}
        covered: Counter[int] = Counter()
        for word in sorted(words, key=self._spread):
            among = sorted(scores) if len(scores) >= limit else None
            for at, score in self._scored(word, among).items():
                scores[at] = scores.get(at, 0.0) + score
                covered[at] += 1
        wanted = {method for word in words for method in _METHODS.get(word, ())}

        def rank(at: int) -> tuple[float, str]:
            card = self._cards[at]
            share = covered[at] / len(words)
            bonus = _METHOD_BONUS if card.method in wanted else 1.0
            return -scores[at] * share * bonus, card.name

        ordered = sorted(scores, key=rank)
        hits = (self._cards[at] for at in ordered)
        return [card for card, _ in zip(filter(shown, hits), range(limit), strict=False)]

    def _spread(self, word: str) -> int:
        return len(self._where.get(word, ()))

    def _scored(self, word: str, among: Sequence[int] | None) -> dict[int, float]:
        """Return the word's score by capability; a common one only adds to what was found."""
        found: dict[int, float] = {}
        for known, worth in self._matches(word):
            where, weights = self._where[known], self._weight[known]
            rarity = math.log(1 + (len(self._cards) - len(where) + 0.5) / (len(where) + 0.5))
            for at, weight in _entries(where, weights, among):
                size = 1 - _LENGTH + _LENGTH * self._sizes[at] / self._mean
                score = worth * rarity * weight * (_SATURATION + 1) / (weight + _SATURATION * size)
                if score > found.get(at, 0.0):
                    found[at] = score
        return found

    def _matches(self, word: str) -> Iterator[tuple[str, float]]:
        """Yield what counts as the word, and how much: itself, its like, or what begins with it."""
        if word in _METHODS:  # a verb says less than what it is done to
            for like in _ALIKE.get(word, (word,)):
                if like in self._where:
                    yield like, 0.6 if like == word else 0.4
            return
        if word in self._where:
            yield word, 1.0
            return
        for length in range(len(word), _PREFIX - 1, -1):
            found = self._beginning_with(word[:length])
            if found:
                worth = 0.7 if length == len(word) else 0.5
                yield from ((known, worth) for known in found)
                return

    def _beginning_with(self, start: str) -> list[str]:
        at = bisect_left(self._words, start)
        near = self._words[at : at + _MOST_PREFIXED]
        return [known for known in near if known.startswith(start)]


def _entries(
    where: Sequence[int], weights: Sequence[float], among: Sequence[int] | None
) -> Iterator[tuple[int, float]]:
    if among is None or len(where) <= _COMMON:
        yield from zip(where, weights, strict=True)
        return
    for at in among[:_COMMON]:
        place = bisect_left(where, at)
        if place < len(where) and where[place] == at:
            yield at, weights[place]


def _fields(card: Capability) -> Iterator[tuple[str, float]]:
    for text, weight in ((card.name, _NAME), (card.operation_id or "", _NAME / 2)):
        for word in _split(text):
            yield word, weight
    for tag in card.tags:
        for word in _split(tag):
            yield word, _TAG
    for word in _split(card.path):
        yield word, _PATH
    for found in _PLAIN.finditer(card.summary.lower()):
        if found[0] not in _STOP:
            yield _stem(found[0]), _SUMMARY


def _split(text: str) -> Iterator[str]:
    for found in _WORD.finditer(text):
        yield _stem(found[0].lower())


def _query_words(query: str) -> Iterator[str]:
    for word in _split(query[:_QUERY]):
        if word not in _STOP:
            yield _SAME.get(word, word)


def _stem(word: str) -> str:
    """Fold plurals; verbs stay as APIs write them."""
    if len(word) > _PREFIX:
        if word.endswith("ies"):
            return word[:-3] + "y"
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            return word[:-1]
    return word
