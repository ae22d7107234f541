"""The words of an API and of a question about it, brought to one form.

Owns splitting names, paths and sentences into words, folding plurals, which words are verbs and
what HTTP makes of them, what means the same, and which word was meant where one is misspelled.
Knows English, and no API. Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from typing import Final

from signoff.catalog.model import Capability

_CHUNK: Final = re.compile(r"[^\W_]+")
_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_QUERY: Final = 400
_MOST_WORDS: Final = 12
_LEAST: Final = 3
_TWO_MISTAKES: Final = 8
"""Words from this length on may hold two mistakes."""
_SCANNED, _COMPARED = 2_000, 100
"""So many words of a letter are held against a misspelled one; several times what 20,000 real
operations have. Beyond that, words are no language, and none is meant more than another."""

STOP: Final = frozenset({
    "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "by", "can", "do", "does",
    "for", "from", "give", "have", "how", "i", "if", "in", "into", "is", "it", "its", "let", "me",
    "my", "need", "of", "on", "one", "or", "our", "out", "please", "s", "some", "someone",
    "something", "that", "the", "their", "them", "there", "this", "to", "up", "us", "using", "want",
    "we", "what", "which", "who", "will", "with", "would", "you", "your",
})  # fmt: skip
_AFTER_A_VERB: Final = frozenset({
    "a", "all", "an", "it", "me", "my", "on", "our", "out", "some", "someone", "that", "the",
    "their", "this", "to", "up", "your",
})  # fmt: skip
OWN: Final = "my"
_SELF: Final = frozenset({"i", "me", OWN, "mine", "myself"})

_VERBS: Final[Mapping[str, Sequence[str]]] = {
    "create": ("create", "add", "new", "make", "open", "insert"),
    "delete": ("delete", "remove", "destroy", "erase"),
    "update": ("update", "edit", "change", "modify", "patch", "replace", "set", "rename"),
    "get": ("get", "fetch", "read", "retrieve", "show", "view"),
    "list": ("list", "enumerate", "find", "search"),
}
_ALWAYS_VERBS: Final = frozenset({
    "add", "create", "delete", "edit", "fetch", "get", "list", "modify", "remove", "retrieve",
    "search", "update",
})  # fmt: skip
"""These are verbs wherever they stand; a set, a view or a change may be a thing."""
CANONICAL: Final[Mapping[str, str]] = {
    word: verb for verb, words in _VERBS.items() for word in words
}
_ALIKE: Final[Sequence[Sequence[str]]] = (
    ("run", "start", "trigger", "launch", "execute", "dispatch", "invoke"),
    ("stop", "cancel", "abort", "terminate", "end"),
    ("buy", "purchase", "order"),
    ("sms", "message", "text"),
    ("mail", "email"),
    ("person", "people", "user", "member"),
    ("picture", "image", "photo"),
    (OWN, "authenticated", "current", "me", "mine"),
)
LIKE: Final[Mapping[str, frozenset[str]]] = {
    word: frozenset(words) - {word} for words in _ALIKE for word in words
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is looked for: things, and what is to be done with them.

    `acts`: it is put as an order (“star a repository”), though its verb may be none of ours.
    """

    things: tuple[str, ...]
    verbs: tuple[str, ...]
    acts: bool = False


def question(text: str) -> Question:
    """Read a question, or a few words."""
    raw = words_of(text[:_QUERY])
    words = list(dict.fromkeys(word for word in raw if word not in STOP))[:_MOST_WORDS]
    verbs = tuple(word for at, word in enumerate(words) if is_verb(word, first=at == 0))
    things = tuple(word for word in words if word not in verbs)
    if not things:
        things, verbs = verbs, ()
    if OWN in raw or (not things and not _SELF.isdisjoint(raw)):
        things = (*things, OWN)
    after = raw[raw.index(words[0]) + 1 :] if words and not verbs else []
    return Question(things=things, verbs=verbs, acts=bool(after) and after[0] in _AFTER_A_VERB)


def words_of(text: str) -> list[str]:
    """Return the words of a name, a path or a sentence, whatever its style."""
    if text.isascii():  # what parts words parts chunks too
        return list(map(_word, _PART.findall(text)))
    return [word for chunk in _CHUNK.findall(text) for word in _words_in(chunk)]


def first_word(text: str) -> str:
    """Return the first of the words of a text, or nothing."""
    if text.isascii():
        found = _PART.search(text)
        return _word(found[0]) if found else ""
    return next(iter(words_of(text)), "")


def _words_in(chunk: str) -> list[str]:
    if not chunk.isascii():
        return [singular(chunk.casefold())]
    return [_word(part) for part in _PART.findall(chunk)]


@lru_cache(maxsize=16_384)
def _word(part: str) -> str:
    return singular(part.lower())


def is_verb(word: str, *, first: bool) -> bool:
    """Say whether a word says what is done, and not to what."""
    return word in _ALWAYS_VERBS or (first and word in CANONICAL)


def singular(word: str) -> str:
    """Fold plurals; verbs stay as APIs write them."""
    if len(word) > _LEAST:
        if word.endswith("ies"):
            return word[:-3] + "y"
        if word.endswith(("sses", "shes", "ches", "xes", "zes")):
            return word[:-2]
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            return word[:-1]
    return word


def verbs_of(card: Capability) -> frozenset[str]:
    """Return what its method does to what its path names, in our verbs."""
    is_one = card.path.rstrip("/").endswith("}")
    match card.method:
        case "GET" | "HEAD" | "QUERY":
            return frozenset({"get"}) if is_one else frozenset({"get", "list"})
        case "POST":
            return frozenset({"update"}) if is_one else frozenset({"create"})
        case "PUT":
            return frozenset({"create", "update"})
        case "PATCH":
            return frozenset({"update"})
        case "DELETE":
            return frozenset({"delete"})
        case _:
            return frozenset()


def said_verbs(card: Capability) -> frozenset[str]:
    """Return the verbs that its name says, or its summary begins with."""
    words = words_of(card.operation_id or card.name)
    said = _ALWAYS_VERBS.intersection(words)
    first = first_word(card.summary)
    return said | {word for word in (*words[:1], first) if word in CANONICAL}


def place_of(path: str) -> tuple[str, str]:
    """Return what a path ends in, and what it leads through, each without its placeholders."""
    steps = [step for step in path.split("/") if step and not step.startswith("{")]
    return (steps[-1], "/".join(steps[:-1])) if steps else ("", "")


class Spellings:
    """Known words by length, each with its letters: what a misspelled one is looked up in."""

    def __init__(self, words: Iterable[str]) -> None:
        self._by_length: dict[int, list[tuple[str, int]]] = {}
        for word in words:
            self._by_length.setdefault(len(word), []).append((word, letters_of(word)))

    def near(self, word: str, most: int) -> Iterator[str]:
        """Yield those that may be `most` mistakes away, by their length and their letters.

        A mistake takes one letter away and brings another, at the most.
        """
        letters = letters_of(word)
        lengths = range(max(len(word) - most, _LEAST), len(word) + most + 1)
        nearest = sorted(lengths, key=lambda length: abs(length - len(word)))
        listed = chain.from_iterable(self._by_length.get(length, ()) for length in nearest)
        for other, has in islice(listed, _SCANNED):
            differ = letters ^ has
            if not differ or (
                (differ & has).bit_count() <= most and (differ & letters).bit_count() <= most
            ):
                yield other


def letters_of(word: str) -> int:
    """Return a set of the letters of a word, as bits; some letters share one."""
    found = 0
    for letter in word:
        found |= 1 << (ord(letter) & 63)
    return found


def meant(word: str, known: Spellings) -> list[str]:
    """Return the known words that `word` is a misspelling of, the nearest ones only."""
    if len(word) <= _LEAST:
        return []
    most = 2 if len(word) >= _TWO_MISTAKES else 1
    best: list[str] = []
    for other in islice(known.near(word, most), _COMPARED):
        apart = _apart(word, other, most)
        if apart < most:
            best, most = [other], apart
        elif apart == most:
            best.append(other)
    return sorted(best)


def _apart(one: str, other: str, most: int) -> int:
    """Return how many letters were added, lost, changed or swapped; `most + 1` is any more."""
    start = 0
    for one_letter, other_letter in zip(one, other, strict=False):
        if one_letter != other_letter:
            break
        start += 1
    one, other = one[start:], other[start:]
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, start=1):
        older, before, row = before, row, [at]
        for to, wanted in enumerate(other, start=1):
            cost = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != wanted))
            if at > 1 and to > 1 and letter == other[to - 2] and one[at - 2] == wanted:
                cost = min(cost, older[to - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)
