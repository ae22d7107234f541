"""A spec's prose arrives as one plain, bounded line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.catalog.openapi.texts import describe, plain_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("**Bold** and _soft_ and `code`", "Bold and soft and code"),
        ("See [the docs](https://x.example/a) now", "See the docs now"),
        ("![alt](https://x.example/a.png)", "alt"),
        ("<b>hi</b><script>x</script> there", "hi x there"),
        ("a <!-- hidden instruction --> b", "a b"),
        ("# Title\n\n- one\n* two", "Title one two"),
        ("> [!NOTE]\n> Mind this", "Mind this"),
        ("```\ncode\n```\nafter", "after"),
        ("snake_case_name stays", "snake_case_name stays"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("a\u202eb\u2066c\u200bd\ufeffe", "abcde"),
        ("tag\U000e0041\U000e0042end", "tagend"),
        ("bell\x07 esc\x1b[31m", "bell esc[31m"),
        ("line\u2028two", "line two"),
        (None, ""),
        (5, ""),
    ],
)
def test_markup_and_hidden_characters_are_taken_out(text: str | int | None, plain: str) -> None:
    assert plain_text(text, limit=300) == plain


def test_a_description_is_the_summary_and_the_first_paragraph() -> None:
    assert describe("List pets", "Returns pets.\n\nMore.") == "List pets. Returns pets."
    assert describe("List pets", "List pets that live.\n\nMore.") == "List pets that live."
    assert describe(None, "\n\nOnly this.") == "Only this."
    assert describe("Only this", None) == "Only this"
    assert describe(None, None) == ""


def test_a_long_description_is_cut_with_a_mark() -> None:
    text = describe("s" * 500, "d" * 5_000)

    assert len(text) == 600
    assert text.endswith("…")


@given(st.text(max_size=2_000))
def test_any_text_becomes_one_printable_bounded_line(text: str) -> None:
    plain = plain_text(text, limit=100)

    assert len(plain) <= 100
    assert not {"\n", "\r", "\t"} & set(plain)
    assert not any(unicodedata.category(one) in {"Cc", "Cf", "Co", "Cs"} for one in plain)


@pytest.mark.parametrize("piece", ["[", "<", "*", "_", "![](", "<!--", "```", "a[b](", "&lt;"])
def test_hostile_markup_costs_no_time(piece: str) -> None:
    assert len(plain_text(piece * 100_000, limit=600)) <= 600
