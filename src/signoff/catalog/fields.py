"""Reading one mapping of the catalogue key by key, collecting every mistake with its place.

Owns `Problem`, the wording of shape errors and the rule that a key nobody asked for is an error
with a suggestion. Knows no particular key: `config.py` and `capability.py` ask for theirs.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from signoff.canonical import Json
from signoff.catalog.yaml_source import Member, Node, Spot

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One mistake and where it stands. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class Problems:
    """Every mistake of one load, in one list; each knows its own file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Problem] = []

    def add(self, spot: Spot, message: str, *, file: str | None = None) -> None:
        self.found.append(
            Problem(file=file or self.file, line=spot.line, column=spot.column, message=message)
        )

    def ordered(self) -> tuple[Problem, ...]:
        """Return each problem once, by place."""
        return tuple(sorted(set(self.found)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A text and where it stands."""

    text: str
    spot: Spot


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean "x"?` for the nearest known word, else nothing."""
    words = list(known)
    near = [one for one in words if one.casefold() == word.casefold()][:1]
    near = near or difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f', did you mean "{near[0]}"?' if near else ""


class Fields:
    """One mapping. Every read key becomes known; `close` reports the others."""

    def __init__(
        self,
        members: Mapping[str, Member],
        *,
        path: str,
        spot: Spot,
        problems: Problems,
    ) -> None:
        self._members, self.path, self.spot, self.problems = members, path, spot, problems
        self._known: set[str] = set()

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def spot_of(self, key: str) -> Spot:
        """Where the value of `key` stands, or this mapping when there is none."""
        return self._members[key].node.spot if key in self._members else self.spot

    def key_spot_of(self, key: str) -> Spot:
        return self._members[key].spot if key in self._members else self.spot

    def complain(self, key: str, message: str) -> None:
        """Report a mistake in the value of `key`."""
        self.problems.add(self.spot_of(key), f"{self.at(key)}: {message}")

    def __contains__(self, key: str) -> bool:
        return key in self._members

    def take(self, key: str) -> Node | None:
        """Return the node of `key`, which is known from now on; None if absent or null."""
        self._known.add(key)
        member = self._members.get(key)
        return None if member is None or member.node.value is None else member.node

    def needs(self, key: str, why: str = "is needed") -> None:
        """Report that `key` is missing, unless it is there (a null counts as missing)."""
        if self.take(key) is None:
            self.problems.add(self.key_spot_of(key), f"{self.at(key)}: {why}")

    def reserved(self, keys: Mapping[str, str]) -> None:
        """Refuse keys that mean something later; each with its own sentence."""
        for key, message in keys.items():
            self._known.add(key)
            if key in self._members:
                self.problems.add(self._members[key].spot, f"{self.at(key)}: {message}")

    def close(self) -> None:
        """Report every key that was never asked for."""
        for key, member in self._members.items():
            if key not in self._known:
                hint = suggest(key, self._known - self._members.keys()) or suggest(key, self._known)
                self.problems.add(member.spot, f"{self.at(key)}: unknown key{hint}")

    def text(self, key: str, default: str = "") -> str:
        word = self.word(key)
        return default if word is None else word.text

    def word(self, key: str) -> Word | None:
        node = self.take(key)
        if node is None:
            return None
        return self.as_word(node, self.at(key))

    def as_word(self, node: Node, path: str) -> Word | None:
        if isinstance(node.value, str) and node.value:
            return Word(text=node.value, spot=node.spot)
        self.problems.add(node.spot, f"{path}: must be text, not {kind_of(node)}")
        return None

    def flag(self, key: str, *, default: bool = False) -> bool:
        node = self.take(key)
        if node is None:
            return default
        if isinstance(node.value, bool):
            return node.value
        self.complain(key, f"must be true or false, not {kind_of(node)}")
        return default

    def integer(self, key: str, default: int, *, least: int, most: int) -> int:
        node = self.take(key)
        if node is None:
            return default
        if not isinstance(node.value, int) or isinstance(node.value, bool):
            self.complain(key, f"must be a whole number, not {kind_of(node)}")
        elif not least <= node.value <= most:
            self.complain(key, f"must be between {least} and {most}, not {node.value}")
        else:
            return node.value
        return default

    def choice(self, key: str, options: Sequence[str], default: str) -> str:
        word = self.word(key)
        if word is None:
            return default
        if word.text not in options:
            listed = ", ".join(options)
            hint = suggest(word.text, options)
            self.complain(key, f'must be one of {listed}, not "{word.text[:60]}"{hint}')
            return default
        return word.text

    def duration(self, key: str, default_s: float, *, least: str, most: str) -> float:
        """Read `10s`, `500ms`, `15m` or `72h` as seconds; the bounds are inclusive."""
        node = self.take(key)
        if node is None:
            return default_s
        return self.as_duration(node, self.at(key), default_s, least=least, most=most)

    def as_duration(
        self, node: Node, path: str, default_s: float, *, least: str, most: str
    ) -> float:
        seconds = seconds_of(node.value) if isinstance(node.value, str) else math.nan
        if math.isnan(seconds):
            written = str(node.value)[:20] if isinstance(node.value, int | float | str) else ""
            meant = [f"{written}{unit}" for unit in "smh"] if written.isdecimal() else []
            fitting = (
                one
                for one in (*meant, "10s")
                if seconds_of(least) <= seconds_of(one) <= seconds_of(most)
            )
            example = next(fitting, least)
            self.problems.add(node.spot, f'{path}: must be a duration such as "{example}"')
        elif not seconds_of(least) <= seconds <= seconds_of(most):
            self.problems.add(
                node.spot, f'{path}: must be between {least} and {most}, not "{node.value}"'
            )
        else:
            return seconds
        return default_s

    def nodes(self, key: str) -> list[tuple[str, Node]]:
        """Return the members of a list as `(path, node)`."""
        node = self.take(key)
        if node is None:
            return []
        if isinstance(node.value, list):
            return [(f"{self.at(key)}[{at}]", member) for at, member in enumerate(node.value)]
        self.complain(key, f"must be a list, not {kind_of(node)}")
        return []

    def words(self, key: str) -> list[Word]:
        found = (self.as_word(node, path) for path, node in self.nodes(key))
        return [word for word in found if word is not None]

    def members(self, key: str) -> list[tuple[str, Member]]:
        """Return a mapping with free keys as `(path, member)`."""
        node = self.take(key)
        if node is None:
            return []
        if isinstance(node.value, dict):
            return [(f"{self.at(key)}.{name}", member) for name, member in node.value.items()]
        self.complain(key, f"must be a mapping, not {kind_of(node)}")
        return []

    def section(self, key: str) -> "Fields | None":
        node = self.take(key)
        return None if node is None else self.as_fields(node, self.at(key))

    def as_fields(self, node: Node, path: str, spot: Spot | None = None) -> "Fields | None":
        if isinstance(node.value, dict):
            return Fields(node.value, path=path, spot=spot or node.spot, problems=self.problems)
        self.problems.add(node.spot, f"{path}: must be a mapping, not {kind_of(node)}")
        return None


def seconds_of(text: str) -> float:
    """Return the seconds that a duration says, or NaN."""
    found = _DURATION.fullmatch(text)
    return float(found[1]) * _SECONDS[found[2]] if found else math.nan


def kind_of(node: Node) -> str:
    """Name a value in a message: `"text"`, `the number 5`, `a list`."""
    value = node.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"[:60]
    if isinstance(value, str):
        return f'"{value[:40]}"' if value else "an empty text"
    return "nothing" if value is None else "a list" if isinstance(value, list) else "a mapping"


def plain(node: Node) -> Json:
    """Return the value without its places."""
    if isinstance(node.value, list):
        return [plain(member) for member in node.value]
    if isinstance(node.value, dict):
        return {key: plain(member.node) for key, member in node.value.items()}
    return node.value
