"""YAML in, located nodes or plain JSON values out; nothing a parser could be tricked with.

Owns the YAML dialect: the 1.2 core schema (`yes`, `no`, dates and `1:30` are text, `012` is 12),
keys are text as written, duplicate keys, unknown tags, self-containing aliases and alias bombs are
refused. Built from parser events, without recursion. Knows no key of any catalogue or spec.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeAlias, TypeVar, cast

import yaml

from signoff.canonical import Json

Scalar: TypeAlias = "bool | int | float | str | None"
N = TypeVar("N")

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS: Final = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INT: Final = re.compile(r"[-+]?[0-9]+")
_PREFIXED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_A_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_DIGITS: Final = 400
_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = "<<"


class YamlError(ValueError):
    """The text cannot be used at all. `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one file may cost. `nodes` counts with every alias expanded."""

    size: int = 1_048_576
    depth: int = 64
    aliases: int = 100
    nodes: int = 100_000


SPEC_LIMITS: Final = Limits(size=50_331_648, depth=128, aliases=10_000, nodes=4_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place in a file; lines and columns count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One key of a mapping, where it stands, and its value."""

    key: str
    spot: Spot
    node: "Node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value and where it stands."""

    spot: Spot
    value: "Scalar | list[Node] | dict[str, Member]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """A key that was written again. The first one counts."""

    key: str
    spot: Spot
    first: Spot


class _Maker(Protocol[N]):
    def scalar(self, value: Scalar, spot: Spot) -> N: ...
    def sequence(self, members: list[N], spot: Spot) -> N: ...
    def mapping(self, members: list[tuple[str, Spot, N]], spot: Spot) -> N: ...


class _Located:
    def __init__(self) -> None:
        self.duplicates: list[Duplicate] = []

    def scalar(self, value: Scalar, spot: Spot) -> Node:
        return Node(spot=spot, value=value)

    def sequence(self, members: list[Node], spot: Spot) -> Node:
        return Node(spot=spot, value=members)

    def mapping(self, members: list[tuple[str, Spot, Node]], spot: Spot) -> Node:
        found: dict[str, Member] = {}
        for key, key_spot, node in members:
            if key in found:
                first = found[key].spot
                self.duplicates.append(Duplicate(key=key, spot=key_spot, first=first))
            else:
                found[key] = Member(key=key, spot=key_spot, node=node)
        return Node(spot=spot, value=found)


class _Plain:
    def scalar(self, value: Scalar, spot: Spot) -> Json:
        del spot
        return value

    def sequence(self, members: list[Json], spot: Spot) -> Json:
        del spot
        return members

    def mapping(self, members: list[tuple[str, Spot, Json]], spot: Spot) -> Json:
        del spot
        found: dict[str, Json] = {}
        merged: list[Json] = []
        for key, key_spot, value in members:
            if key == _MERGE:
                merged.extend(value if isinstance(value, list) else [value])
            elif key in found:
                message = f"the key {key[:80]!r} is written twice"
                raise YamlError(message, key_spot.line, key_spot.column)
            else:
                found[key] = value
        for more in merged:  # a merge key never overrides what stands beside it
            if isinstance(more, dict):
                found = {**more, **found}
        return found


def locate(text: bytes, limits: Limits) -> tuple[Node, Sequence[Duplicate]]:
    """Read YAML keeping the place of every key and value.

    Raises:
        YamlError: the text is not YAML, or it costs more than `limits`.
    """
    maker = _Located()
    return _build(text, limits, maker), tuple(maker.duplicates)


def read(text: bytes, limits: Limits) -> Json:
    """Read YAML as plain values; merge keys (`<<`) are applied, duplicate keys refused.

    Raises:
        YamlError: the text is not YAML, repeats a key, or costs more than `limits`.
    """
    return _build(text, limits, _Plain())


@dataclass(slots=True, kw_only=True)
class _Frame(Generic[N]):
    """A collection that is still being read."""

    spot: Spot
    is_mapping: bool
    anchor: str | None
    members: list[N]
    pairs: list[tuple[str, Spot, N]]
    size: int = 1
    key: str | None = None
    key_spot: Spot | None = None


def _no_token(text: str, line: int, column: int) -> str | None:
    """Say what stands where a value should begin and cannot, and what to write instead."""
    rows = text.splitlines()
    found = rows[line - 1][column - 1 : column] if line <= len(rows) else ""
    if found == "\t":
        return "a tab, where YAML wants spaces"
    return (
        f'text that begins with {found} has to stand in "quotes"'
        if found in "@`%" and found
        else None
    )


def _build(text: bytes, limits: Limits, maker: _Maker[N]) -> N:
    if len(text) > limits.size:
        raise YamlError(f"the file is larger than {limits.size} bytes", 1, 1)
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise YamlError("the file is not UTF-8", line, 1) from None
    builder = _Builder(limits, maker)
    try:
        for event in _events(decoded):
            builder.accept(event)
    except yaml.reader.ReaderError:
        raise YamlError("the file holds a character that YAML does not allow", 1, 1) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = _no_token(decoded, line, column) or str(error.problem)
        raise YamlError(f"not valid YAML: {reason}", line, column) from None
    return builder.finish()


def _events(text: str) -> Iterator[yaml.Event]:
    return cast("Iterator[yaml.Event]", yaml.parse(text, Loader=yaml.CSafeLoader))  # pyright: ignore[reportUnknownMemberType] — the stubs leave it open


class _Builder(Generic[N]):
    def __init__(self, limits: Limits, maker: _Maker[N]) -> None:
        self._limits, self._maker = limits, maker
        self._open: list[_Frame[N]] = []
        self._anchors: dict[str, tuple[N, int]] = {}
        self._pending: set[str] = set()
        self._aliases = 0
        self._documents = 0
        self._root: list[N] = []

    def finish(self) -> N:
        return self._root[0] if self._root else self._maker.scalar(None, Spot(line=1, column=1))

    def accept(self, event: yaml.Event) -> None:
        spot = _spot(event)
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, spot)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start(event, spot)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), spot)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _error("a second document starts here; one file is one document", spot)

    def _scalar(self, event: yaml.ScalarEvent, spot: Spot) -> None:
        frame = self._open[-1] if self._open else None
        text = cast("str", event.value)
        tag = cast("str | None", event.tag)
        if frame is not None and frame.is_mapping and frame.key is None:
            if cast("str | None", event.anchor):
                raise _error("a key may not carry an anchor", spot)
            frame.key, frame.key_spot = text, spot
            return
        implicit = cast("tuple[bool, bool]", event.implicit)
        value = _resolve(text, tag, spot, plain=implicit[0])
        self._add(self._maker.scalar(value, spot), 1, cast("str | None", event.anchor))

    def _start(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, spot: Spot) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        tag = cast("str | None", event.tag)
        if tag not in (None, "!", f"{_TAG}{'map' if is_mapping else 'seq'}"):
            raise _error(f"the tag {tag!r} is not allowed", spot)
        if len(self._open) >= self._limits.depth:
            raise _error(f"nested deeper than {self._limits.depth}", spot)
        self._refuse_as_key(spot)
        anchor = cast("str | None", event.anchor)
        if anchor:
            self._pending.add(anchor)
            self._anchors.pop(anchor, None)
        self._open.append(
            _Frame(spot=spot, is_mapping=is_mapping, anchor=anchor, members=[], pairs=[])
        )

    def _end(self) -> None:
        frame = self._open.pop()
        if frame.anchor:
            self._pending.discard(frame.anchor)
        made = (
            self._maker.mapping(frame.pairs, frame.spot)
            if frame.is_mapping
            else self._maker.sequence(frame.members, frame.spot)
        )
        self._add(made, frame.size, frame.anchor)

    def _alias(self, anchor: str, spot: Spot) -> None:
        self._aliases += 1
        if self._aliases > self._limits.aliases:
            raise _error(f"more than {self._limits.aliases} aliases", spot)
        self._refuse_as_key(spot)
        if anchor in self._pending:
            raise _error(f"the alias *{anchor} contains itself", spot)
        if anchor not in self._anchors:
            raise _error(f"the alias *{anchor} has no anchor", spot)
        node, size = self._anchors[anchor]
        self._add(node, size, None)

    def _refuse_as_key(self, spot: Spot) -> None:
        frame = self._open[-1] if self._open else None
        if frame is not None and frame.is_mapping and frame.key is None:
            raise _error("a key must be plain text", spot)

    def _add(self, node: N, size: int, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = (node, size)
        if not self._open:
            self._root.append(node)
            return
        frame = self._open[-1]
        frame.size += size
        if frame.size > self._limits.nodes:
            raise _error(f"aliases expand to more than {self._limits.nodes} values", frame.spot)
        if not frame.is_mapping:
            frame.members.append(node)
        elif frame.key is not None and frame.key_spot is not None:
            frame.pairs.append((frame.key, frame.key_spot, node))
            frame.key = None


def _resolve(text: str, tag: str | None, spot: Spot, *, plain: bool) -> Scalar:
    if tag in ("!", f"{_TAG}str"):
        return text
    if tag is not None and tag.removeprefix(_TAG) not in ("null", "bool", "int", "float"):
        raise _error(f"the tag {tag!r} is not allowed", spot)
    return _core(text, spot) if plain or tag is not None else text


def _core(text: str, spot: Spot) -> Scalar:
    """YAML 1.2.2 §10.3.2: the core schema."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] not in "-+.0123456789":
        return text
    if len(text) > _MAX_DIGITS and _FLOAT.fullmatch(text):
        raise _error("the number has too many digits", spot)
    if _NOT_A_NUMBER.fullmatch(text):
        raise _error(f"{text} is not a number that JSON can carry", spot)
    return _number(text, spot)


def _number(text: str, spot: Spot) -> int | float | str:
    if _INT.fullmatch(text):
        return int(text)
    if _PREFIXED.fullmatch(text):
        return int(text, 0)
    if not _FLOAT.fullmatch(text):
        return text
    number = float(text)
    if math.isinf(number):
        raise _error("the number is out of range", spot)
    return number


def _spot(event: yaml.Event) -> Spot:
    mark = event.start_mark
    return Spot(line=mark.line + 1, column=mark.column + 1)


def _error(message: str, spot: Spot) -> YamlError:
    return YamlError(message, spot.line, spot.column)
