"""A search does a bounded amount of work, whatever is asked of whatever API, for whoever asks."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import pytest

from signoff.catalog.model import Capability
from signoff.catalog.search import Index
from signoff.catalog.words import Spellings, meant

MOST: Final = 30_000
"""Places that one question may look at, of all the 100,000 below."""
STARTS: Final = ("bran", "clov", "dris", "flor", "grun", "klem", "mast", "prod", "quil", "trem")
ENDS: Final = ("ada", "ebe", "idi", "ofo", "ugu", "aka", "ele", "imi")


class Counting(Index):
    """Counts the places that are looked at."""

    looked = 0

    def _entries(
        self, word: str, among: Sequence[int] | None, seen: bytearray | None
    ) -> Iterable[tuple[int, int]]:
        for one in super()._entries(word, among, seen):
            self.looked += 1
            yield one


def card(name: str, path: str = "/x") -> Capability:
    return Capability(
        name=name,
        title=name,
        upstream="up",
        method="GET",
        path=path,
        summary="",
        tags=(),
        operation_id=name,
    )


@pytest.fixture(scope="module")
def crowded() -> Counting:
    """Eighty words, ten families of them, each in more than a thousand names."""
    words = [start + end for start in STARTS for end in ENDS]
    return Counting([
        card("_".join(words[(number * 7 + at * 23) % 80] for at in range(10)), f"/{number}")
        for number in range(10_000)
    ])


QUESTIONS = (
    " ".join(STARTS),
    " ".join(start + ENDS[0] for start in STARTS),
    " ".join(f"{start}{ENDS[1]}s" for start in STARTS),
    " ".join(f"{start[0]}{start[2]}{start[1]}{start[3:]}ada" for start in STARTS),
    STARTS[0],
)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("hidden", ["nothing", "half", "all but a few"])
def test_no_question_looks_everywhere(crowded: Counting, question: str, hidden: str) -> None:
    crowded.looked = 0
    every = {"nothing": 1, "half": 2, "all but a few": 200}[hidden]

    hits = crowded.search(question, shown=lambda one: int(one.path[1:]) % every == 0)

    assert crowded.looked < MOST
    assert len(hits) == 8
    assert all(int(hit.path[1:]) % every == 0 for hit in hits)


def test_the_words_as_they_are_written_come_before_what_only_begins_so() -> None:
    many = [card(f"branada{number}_brand_{ENDS[number % 8]}") for number in range(9_000)]
    index = Index([*many, card("bran_report")])

    assert index.search("bran report")[0].name == "bran_report"
    assert index.search("report of bran branada ebe idi ofo")[0].name == "bran_report"


def test_what_is_hidden_leaves_no_trace_in_what_is_found() -> None:
    hidden = [card(f"order{number}", "/order") for number in range(3_000)]
    own = [card(f"orderOfShop{number}", "/shop/order/x") for number in range(5)]
    index = Index([*hidden, *own])

    hits = index.search("order", shown=lambda one: "Shop" in one.name)

    assert hits == Index(own).search("order") == own
    assert index.search("order", shown=lambda _: False) == []


def test_among_words_of_no_language_a_misspelled_one_costs_no_more() -> None:
    words = ["b" + "".join(letters) for letters in itertools.product("acde", repeat=8)][::7]
    known = Spellings(words)

    candidates = list(known.near("bacdeacde", 2))

    assert len(words) > 8_000
    assert len(candidates) <= 2_000


def test_among_the_words_of_a_language_the_nearest_is_found_whatever_its_length() -> None:
    words = [f"{start}{end}{more}" for start in STARTS for end in ENDS for more in ("", "ta")]
    known = Spellings(words)

    for word in words:
        for wrong in (word[:3] + word[4:], word[:4] + "x" + word[4:], word[:-1] + "y"):
            assert wrong in words or word in meant(wrong, known), wrong
