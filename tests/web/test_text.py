"""Nothing that hides, reorders or imitates reaches a reader unnamed."""

import re
import sys
import unicodedata

import pytest

from signoff.web.text import MAX_RUNS, Run, one_piece, show

HIDING = {"Cc", "Cf", "Cn", "Co", "Zl", "Zp", "Zs"}


def chips(text: str) -> list[str]:
    return [run.text for run in show(text).runs if run.name]


@pytest.mark.seed("T17")
def test_every_code_point_that_hides_is_a_chip_with_its_number() -> None:
    # Planes 4 to 13 hold nothing but unassigned code points: their ends stand for them.
    points = [*range(0x40000), 0x40000, 0xDFFFF, *range(0xE0000, 0xE1000), 0xF0000, sys.maxunicode]
    missed = [
        f"U+{point:04X}"
        for point in points
        if not 0xD800 <= point <= 0xDFFF
        and point != 0x20
        and unicodedata.category(chr(point)) in HIDING
        and chips(f"a{chr(point)}b") != [f"U+{point:04X}"]
    ]
    assert missed == []


@pytest.mark.parametrize("point", [0x202E, 0x2066, 0x200B, 0x200D, 0xAD, 0xFE0F, 0xE0041, 0xE0100,
                                   0x034F, 0x3164, 0x2800, 0x00, 0x1B, 0x0A, 0xA0, 0x2028, 0xE000,
                                   0xFFFE, 0x180E])  # fmt: skip
def test_what_attacks_use_is_named(point: int) -> None:
    shown = show(f"a{chr(point)}b")
    assert [run.text for run in shown.runs] == ["a", f"U+{point:04X}", "b"]
    assert len(shown.hidden) == 1
    assert shown.suspect


def test_a_lone_surrogate_is_a_chip() -> None:
    assert chips("a\ud800b") == ["U+D800"]


@pytest.mark.parametrize(
    "text", ["Zürich", "東京", "naïve café", "שלום", "مرحبا", "€ 1,000.00", "👍"]
)
def test_ordinary_text_of_any_language_stays_as_it_is(text: str) -> None:
    shown = show(text)
    assert shown.runs == (Run(text),)
    assert not shown.suspect


def test_five_thousand_spaces_are_one_chip_that_counts_them() -> None:
    shown = show("pay" + " " * 5000 + "mallory")
    assert [run.text for run in shown.runs] == ["pay", "U+0020 \u00d75000", "mallory"]


def test_leading_and_trailing_spaces_are_seen() -> None:
    assert chips(" a ") == ["U+0020", "U+0020"]
    assert chips("a b") == []


def test_prose_keeps_its_indentation_but_not_a_gap_that_hides() -> None:
    assert show("a\tb  c", spaces="prose").plain == "a[U+0009]b  c"
    assert show("a" + " " * 9 + "b", spaces="prose").plain == "a[U+0020 \u00d79]b"


def test_each_line_feed_breaks_the_line_and_is_named() -> None:
    assert show("a\n\nb").runs == (
        Run("a"), Run("U+000A", "LINE FEED", breaks=True),
        Run("U+000A", "LINE FEED", breaks=True), Run("b"),
    )  # fmt: skip


def test_marks_that_pile_up_are_chips_and_two_are_not() -> None:
    assert chips("a\u0301\u0302") == []
    assert chips("a\u0301\u0302\u0303\u0304") == ["U+0303", "U+0304"]


@pytest.mark.parametrize("text", ["\u0430\u0441me", "p\u0430ypal", "\u03b1dmin", "B\u0430nk of x"])
def test_a_word_that_mixes_lookalike_alphabets_is_named(text: str) -> None:
    assert show(text).mixed


@pytest.mark.parametrize(
    "text",
    [
        "acme",
        "\u043c\u043e\u0441\u043a\u0432\u0430",
        "\u0391\u03b8\u03ae\u03bd\u03b1",
        "acme \u043c\u043e\u0441\u043a\u0432\u0430",
        "naïve",
        "B2B中文",
    ],
)
def test_words_of_one_alphabet_are_not_accused(text: str) -> None:
    assert show(text).mixed == ()


def test_the_plain_form_loses_nothing() -> None:
    assert show("a\u202eb").plain == "a[U+202E]b"
    assert show("a\u202eb").length == 3


HIDING_UNITS = {
    "alternating": "a\u200b",
    "distinct": "\u200b\u200c",
    "twins": "p\u0430y ",
    "lines": "a\n",
    "piled marks": "a\u0301\u0301\u0301\u0301",
    "controls": "\x01a",
    "spaces": "a  ",
    "tags": "\U000e0041b",
}


@pytest.mark.parametrize("unit", HIDING_UNITS.values(), ids=HIDING_UNITS.keys())
def test_a_text_of_little_but_hidden_characters_is_one_piece_and_whole(unit: str) -> None:
    text = unit * (2 * MAX_RUNS)
    few, many = show(unit * 3), show(text)
    assert not few.written_out
    assert many.written_out
    assert len(many.runs) == 1
    assert (many.length, many.hidden, many.mixed) == (len(text), few.hidden, few.mixed)
    assert read_back(many.plain) == text
    assert not any(unicodedata.category(one) in HIDING for one in set(many.plain) - {" ", "\n"})


def read_back(written: str) -> str:
    """Undo what was written out."""
    number = re.compile(r"\[\[U\+|\[U\+([0-9A-F]+)\]\n?")
    return number.sub(lambda it: chr(int(it[1], 16)) if it[1] else "[U+", written)


def test_words_that_look_like_our_numbers_are_told_from_them() -> None:
    text = "[U+202E] is typed, \u202e is not; " * MAX_RUNS
    shown = show(text)
    assert shown.plain.startswith("[[U+202E] is typed, [U+202E] is not")
    assert read_back(shown.plain) == text


def test_a_short_text_can_be_put_into_one_piece_too() -> None:
    shown = show("[U+41] a\u202e\u202eb p\u0430y\nend")
    assert len(shown.runs) > 3
    whole = one_piece(shown)
    assert [run.text for run in whole.runs] == [
        "[[U+41] a[U+202E \u00d72]b p[U+0430]y[U+000A]\nend"
    ]
    assert whole.written_out
    assert (whole.hidden, whole.mixed, whole.length) == (shown.hidden, shown.mixed, shown.length)
    assert one_piece(show("plain")) == show("plain")


@pytest.mark.parametrize(
    "text", ["word " * 20_000, "\u043f\u0440\u0438\u0432\u0435\u0442 " * 9_000]
)
def test_a_long_ordinary_text_stays_as_it_is(text: str) -> None:
    assert show(text.strip()).runs == (Run(text.strip()),)
