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
# Letters of those alphabets that a reader takes for Latin ones (UTS 39, confusables).
_TWINS: Final = frozenset(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u04cf\u04af"
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0408\u0405\u04ae\u04c0\u050c\u051a\u051c"
    "\u03b1\u03b9\u03ba\u03bd\u03bf\u03c1\u03c5\u03f2\u03f3\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03f9"
    "\u0585\u057d\u0578\u0570\u0581\u0566\u0555\u054d\u054f\u053c"
    "\u13aa\u13ab\u13ac\u13a0\u13b7\u13bb\u13bd\u13c3\u13a2\u13d2\u13da\u13d9\u13b3\u13df\u13a1\u13e2\u13de\u13d4"
    "\u2c80\u2c82\u2c88\u2c8e\u2c92\u2c94\u2c98\u2c9a\u2c9e\u2ca2\u2ca4\u2ca6\u2ca8\u2cac\u2c9f\u2ca3\u2ca5\u2cad"
)
_STYLES: Final = ("<font>", "<wide>")
_WORD: Final = re.compile(r"[^\W_]+")
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
    """One visible letter or digit that looks like another; `name` says what it is."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Text as runs, and what a reader must be warned of."""

    runs: tuple[Run, ...]
    length: int
    hidden: tuple[str, ...] = ()
    """Names of the hidden characters, each once."""
    mixed: tuple[str, ...] = ()
    """Words that look like other words: scripts mixed, or all of it letters that look Latin."""

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
    """Return words that can be taken for other words, and where what deceives in them stands."""
    if text.isascii():
        return (), frozenset()
    # A text that shows its alphabet by one letter of its own deceives nobody by the others.
    open_script = any(_is_foreign(letter) and letter not in _TWINS for letter in text)
    ascii_digits = any(letter.isascii() and letter.isdecimal() for letter in text)
    words: dict[str, None] = {}
    aliens: set[int] = set()
    for found in _WORD.finditer(text):
        word = found[0]
        if word.isascii():
            continue
        latin = any(_script(letter) == "LATIN" for letter in word)
        twins = len(word) > 1 and not open_script
        twins = twins and all(letter in _TWINS or letter.isdecimal() for letter in word)
        strange = {
            found.start() + place
            for place, letter in enumerate(word)
            if _is_styled(letter)
            or (_is_foreign(letter) and (latin or twins))
            or (ascii_digits and letter.isdecimal() and not letter.isascii())
        }
        if strange:
            words[word[:40]] = None
            aliens |= strange
    return tuple(words), frozenset(aliens)


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ", 1)[0]


def _is_foreign(letter: str) -> bool:
    return not letter.isascii() and _script(letter) in _LOOKALIKES and letter.isalpha()


def _is_styled(letter: str) -> bool:
    """Tell whether it is an ASCII letter or digit in disguise: mathematical, full width, a unit."""
    kind, _, code = unicodedata.decomposition(letter).rpartition(" ")
    return kind in ("", *_STYLES) and bool(code) and int(code, 16) < 0x80  # noqa: PLR2004 — ASCII
