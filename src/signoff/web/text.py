"""Text a stranger wrote, made safe to read: every character that hides or reorders is named.

Pure functions. Owns which characters become chips and which words mix scripts. Knows no HTML and
changes nothing that is sent: what a page shows is a picture of the text, never the text. A text
that is made of little else is written out instead, so that no text costs more than its length.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal

Spaces = Literal["exact", "prose"]

_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
# Blank or ignorable, yet of a category that is usually visible (Unicode DerivedCoreProperties,
# Default_Ignorable_Code_Point, and the braille and musical blanks).
_BLANK: Final = frozenset({
    0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x1D159,
    *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000),
})  # fmt: skip
MAX_RUNS: Final = 1_000
"""Beyond so many stretches a text is written out, its hidden characters as `[U+202E]`."""
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
_NUMBER: Final = re.compile(r"\[U\+")
_SPACES: Final[Mapping[Spaces, re.Pattern[str]]] = {
    "exact": re.compile(r"^ |  | \Z"),
    "prose": re.compile(r" {9}"),
}
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
    written_out: bool = False
    """Too much is hidden for a box each: it stands in the text, as `[U+202E]`."""

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
    letters = dict.fromkeys(text)
    hiding = frozenset(filter(_hides, letters))
    combining = frozenset(filter(unicodedata.combining, letters))
    mixed, aliens = _mixed(text, letters.keys())
    if not (hiding or combining or aliens) and not _SPACES[spaces].search(text):
        return Shown(runs=(Run(text),) if text else (), length=len(text), mixed=mixed)
    runs = tuple(islice(_runs(text, spaces, aliens, hiding, combining), MAX_RUNS + 1))
    if len(runs) > MAX_RUNS:
        written, piled = _written_out(text, aliens, hiding, combining)
        names = dict.fromkeys(_name(one) for one in letters if one in hiding or one in piled)
        return Shown(
            runs=(Run(written),),
            length=len(text),
            hidden=tuple(names),
            mixed=mixed,
            written_out=True,
        )
    hidden = tuple(
        dict.fromkeys(
            run.name for run in runs if run.name and not run.alien and run.name != "SPACE"
        )
    )
    return Shown(runs=runs, length=len(text), hidden=hidden, mixed=mixed)


def one_piece(shown: Shown) -> Shown:
    """Return the same text written out, for a place that holds too many of its kind."""
    if len(shown.runs) < 2:  # noqa: PLR2004 — nothing to put together
        return shown
    pieces: list[str] = []
    for run in shown.runs:
        if run.alien:
            pieces.append(f"[U+{ord(run.text):04X}]")
        elif run.name:
            pieces.append(f"[{run.text}]" + ("\n" if run.breaks else ""))
        else:
            pieces.append(_NUMBER.sub("[[U+", run.text))
    return replace(shown, runs=(Run("".join(pieces)),), written_out=True)


def _written_out(
    text: str, aliens: frozenset[int], hiding: frozenset[str], combining: frozenset[str]
) -> tuple[str, frozenset[str]]:
    """Return the whole text in one piece, what hides or deceives as its number; and marks piled."""
    pieces = list(text)
    for found in _NUMBER.finditer(text):
        pieces[found.start()] = "[["  # as it was sent, and no number of ours
    for at in aliens:
        pieces[at] = f"[U+{ord(text[at]):04X}]"
    marks, piled = 0, set[str]()
    for at, character in enumerate(text if combining else ""):
        marks = marks + 1 if character in combining else 0
        if marks > _MAX_MARKS:
            piled.add(character)
            pieces[at] = f"[U+{ord(character):04X}]"
    numbers = {ord(one): f"[U+{ord(one):04X}]" for one in hiding}
    if "\n" in hiding:
        numbers[ord("\n")] += "\n"
    return "".join(pieces).translate(numbers), frozenset(piled)


def _runs(
    text: str,
    spaces: Spaces,
    aliens: frozenset[int],
    hiding: frozenset[str],
    combining: frozenset[str],
) -> Iterator[Run]:
    plain: list[str] = []
    at, marks = 0, 0
    while at < len(text):
        character = text[at]
        marks = marks + 1 if character in combining else 0
        size = 0
        if character == " ":
            size = _space_run(text, at, spaces)
        elif character in hiding or marks > _MAX_MARKS:
            size = _hidden_run(text, at)
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


def _hidden_run(text: str, at: int) -> int:
    """Return how many of the same character from `at` become one chip."""
    character = text[at]
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


def _mixed(text: str, letters: Collection[str]) -> tuple[tuple[str, ...], frozenset[int]]:
    """Return words that can be taken for other words, and where what deceives in them stands.

    `letters` are the characters of the text, each once: what each of them is, is asked once.
    """
    if text.isascii():
        return (), frozenset()
    latin_letters = {letter for letter in letters if _script(letter) == "LATIN"}
    foreign = {letter for letter in letters if _is_foreign(letter)}
    digits = {letter for letter in letters if letter.isdecimal()}
    styled = {letter for letter in letters if _is_styled(letter)}
    if any(letter.isascii() for letter in digits):
        styled |= {letter for letter in digits if not letter.isascii()}
    if not (foreign or styled):
        return (), frozenset()
    # A text that shows its alphabet by one letter of its own deceives nobody by the others.
    open_script = not foreign <= _TWINS
    twin_like, strange_in_latin = _TWINS | digits, styled | foreign
    words: dict[str, None] = {}
    aliens: set[int] = set()
    for found in _WORD.finditer(text):
        word = found[0]
        if word.isascii():
            continue
        twins = len(word) > 1 and not open_script and twin_like.issuperset(word)
        deceives = twins or not latin_letters.isdisjoint(word)
        suspects = strange_in_latin if deceives else styled
        strange = {found.start() + at for at, letter in enumerate(word) if letter in suspects}
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
