"""Text a stranger wrote, made safe to read: every character that hides or reorders is named.

Pure functions. Owns which characters become chips and which words mix scripts. Knows no HTML and
changes nothing that is sent: what a page shows is a picture of the text, never the text.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Spaces = Literal["exact", "prose"]

_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
# Blank or ignorable, yet of a category that is usually visible (Unicode DerivedCoreProperties,
# Default_Ignorable_Code_Point, and the braille and musical blanks).
_BLANK: Final = frozenset({
    0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x1D159,
    *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000),
})  # fmt: skip
_MAX_MARKS: Final = 2
"""Combining marks in a row; beyond it they pile over neighbouring lines."""
_LOOKALIKES: Final = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
_WORD: Final = re.compile(r"[^\W\d_]+")
_NAMES: Final = {
    "\n": "LINE FEED",
    "\r": "CARRIAGE RETURN",
    "\t": "TAB",
    "\x00": "NULL",
    "\x1b": "ESCAPE",
    "\x7f": "DELETE",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text. `name` is set when it is a chip that stands for hidden characters."""

    text: str
    name: str | None = None
    breaks: bool = False
    """The chip stands for a line feed, and a new line begins after it."""
    alien: bool = False
    """One visible letter that looks like a Latin one but is not; `name` says what it is."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Text as runs, and what a reader must be warned of."""

    runs: tuple[Run, ...]
    length: int
    hidden: tuple[str, ...] = ()
    """Names of the hidden characters, each once."""
    mixed: tuple[str, ...] = ()
    """Words that mix Latin letters with look-alike scripts."""

    @property
    def plain(self) -> str:
        """Return the text with chips as `[U+202E]`, for places without elements."""
        return "".join(
            f"[{run.text}]" if run.name and not run.alien else run.text for run in self.runs
        )

    @property
    def suspect(self) -> bool:
        """Tell whether a warning belongs beside it."""
        return bool(self.hidden or self.mixed)


def show(text: str, *, spaces: Spaces = "exact") -> Shown:
    """Return `text` with what hides made visible.

    `exact` also marks leading, trailing and repeated plain spaces, which a page would fold away;
    `prose` marks them only where they could push text out of sight (more than eight in a row).
    """
    mixed, aliens = _mixed(text)
    runs = tuple(_runs(text, spaces, aliens))
    hidden = tuple(
        dict.fromkeys(
            run.name for run in runs if run.name and not run.alien and run.name != "SPACE"
        )
    )
    return Shown(runs=runs, length=len(text), hidden=hidden, mixed=mixed)


def _runs(text: str, spaces: Spaces, aliens: frozenset[int]) -> Iterator[Run]:
    plain: list[str] = []
    at, marks = 0, 0
    while at < len(text):
        character = text[at]
        marks = marks + 1 if unicodedata.combining(character) else 0
        size = _space_run(text, at, spaces) if character == " " else _hidden_run(text, at, marks)
        if size == 0 and at not in aliens:
            plain.append(character)
            at += 1
            continue
        if plain:
            yield Run("".join(plain))
            plain.clear()
        if at in aliens:
            yield Run(character, _name(character), alien=True)
            at += 1
            continue
        times = f" \N{MULTIPLICATION SIGN}{size}" if size > 1 else ""
        yield Run(f"U+{ord(character):04X}{times}", _name(character), breaks=character == "\n")
        at += size
    if plain:
        yield Run("".join(plain))


def _space_run(text: str, at: int, spaces: Spaces) -> int:
    """Return how many plain spaces from `at` become one chip; 0 leaves this one as it is."""
    size = 1
    while at + size < len(text) and text[at + size] == " ":
        size += 1
    at_edge = at == 0 or at + size == len(text)
    if spaces == "prose":
        return size if size > 8 else 0  # noqa: PLR2004 — indentation, not a hiding place
    return size if size > 1 or at_edge else 0


def _hidden_run(text: str, at: int, marks: int) -> int:
    character = text[at]
    if not _hides(character) and marks <= _MAX_MARKS:
        return 0
    if character == "\n":
        return 1
    size = 1
    while at + size < len(text) and text[at + size] == character:
        size += 1
    return size


def _hides(character: str) -> bool:
    if character.isascii():
        return not character.isprintable()
    return unicodedata.category(character) in _HIDDEN_CATEGORIES or ord(character) in _BLANK


def _name(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    fallback = {
        "Cc": "CONTROL CHARACTER",
        "Co": "PRIVATE-USE CHARACTER",
        "Cs": "LONE SURROGATE",
    }.get(unicodedata.category(character), "UNASSIGNED CHARACTER")
    return unicodedata.name(character, fallback)


def _mixed(text: str) -> tuple[tuple[str, ...], frozenset[int]]:
    """Return words in which Latin letters stand beside look-alikes, and where those stand."""
    if text.isascii():
        return (), frozenset()
    words: dict[str, None] = {}
    aliens: set[int] = set()
    for found in _WORD.finditer(text):
        word = found[0]
        if word.isascii():
            continue
        scripts = [unicodedata.name(letter, "").split(" ", 1)[0] for letter in word]
        if "LATIN" in scripts and not set(_LOOKALIKES).isdisjoint(scripts):
            words[word[:40]] = None
            aliens |= {
                found.start() + place
                for place, script in enumerate(scripts)
                if script in _LOOKALIKES
            }
    return tuple(words), frozenset(aliens)
