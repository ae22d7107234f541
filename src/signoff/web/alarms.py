"""What a card warns of: where characters hide and where letters look like others.

Pure functions over shown texts. Owns the words of these warnings; what is suspect is `text.py`'s.
"""

from collections.abc import Iterable, Mapping, Sequence

from signoff.web.text import Shown


def warnings_of(places: Mapping[str, Sequence[Shown | None]]) -> tuple[str, ...]:
    """Return a sentence for what hides, and one for what imitates, with where they were found."""
    names: dict[str, None] = {}
    words: dict[str, None] = {}
    hiding: list[str] = []
    mixing: list[str] = []
    for place, texts in places.items():
        hidden = {name: None for shown in texts if shown for name in shown.hidden}
        mixed = {word: None for shown in texts if shown for word in shown.mixed}
        hiding += [place] if hidden else []
        mixing += [place] if mixed else []
        names |= hidden
        words |= mixed
    found: list[str] = []
    if hiding:
        found.append(f"Hidden characters in {_listed(hiding)}: {_listed(names, most=4).lower()}.")
    if mixing:
        quoted = [f"“{word}”" for word in words]
        found.append(f"Look-alike letters in {_listed(mixing)}: {_listed(quoted, most=4)}.")
    return tuple(found)


def _listed(words: Iterable[str], *, most: int = 10) -> str:
    listed = list(words)
    if len(listed) > most:
        listed = [*listed[:most], "more"]
    return " and ".join(filter(None, (", ".join(listed[:-1]), listed[-1])))
