"""The bytes of a spec become plain values: JSON or YAML, exact, without a key twice.

Owns the syntax, its limits, and the cache of what was parsed. An entry of the cache is named by the
hash of the bytes it was parsed from, and carries the hash of what it holds: one that does not fit
is made anew. Knows nothing of OpenAPI.
"""

import codecs
import contextlib
import hashlib
import json
import math
import os
import re
import tempfile
from pathlib import Path
from typing import Final, NoReturn, cast

import orjson

from signoff.canonical import Json
from signoff.catalog.yaml_source import SPEC_LIMITS, Spot, YamlError, read

_START: Final = Spot(line=1, column=1)
_MAGIC: Final = b"signoff-spec-1 "
_DIGEST: Final = 64
_HEAD: Final = len(_MAGIC) + _DIGEST + 1
_MOST_DIGITS: Final = 400
_WIDE: Final = re.compile(rb"[\x80-\xff]+")
_ESCAPED_WIDE: Final = re.compile(rb"\\[\x80-\xff]")


class DocumentError(ValueError):
    """The document as a whole cannot be used."""

    def __init__(self, message: str, spot: Spot = _START) -> None:
        super().__init__(message)
        self.message, self.spot = message, spot


class ParsedCache:
    """Parsed specs as files below `folder`, for this user only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, text: bytes) -> Json:
        """Return what `text` was parsed to before, or None."""
        try:
            held = self._path(text).read_bytes()
        except OSError:
            return None
        body = memoryview(held)[_HEAD:]
        if held[:_HEAD] != _head(body):
            return None
        try:
            return cast("Json", orjson.loads(body))
        except orjson.JSONDecodeError:
            return None

    def store(self, text: bytes, value: Json) -> None:
        """Keep `value` for `text`. What cannot be kept is parsed again next time."""
        try:
            body = orjson.dumps(value)
        except orjson.JSONEncodeError:
            return  # an integer beyond 64 bits: only the parser reads it exactly
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._folder)  # created 0600
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_head(body))
                    file.write(body)
                Path(name).replace(self._path(text))
            except OSError:
                Path(name).unlink(missing_ok=True)

    def _path(self, text: bytes) -> Path:
        digest = hashlib.sha256(_MAGIC)
        digest.update(text)
        return self._folder / f"spec-{digest.hexdigest()}.json"


def parse(text: bytes, cache: ParsedCache | None = None) -> Json:
    """Return the value that `text` says.

    Raises:
        DocumentError: it is neither JSON nor YAML, repeats a key, or costs too much.
    """
    if len(text) > SPEC_LIMITS.size:
        raise DocumentError(f"the document is larger than {SPEC_LIMITS.size} bytes")
    value = cache.load(text) if cache is not None else None
    if value is None:
        is_json = text.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"
        value = _parse_json(text) if is_json else _parse_yaml(text)
        if cache is not None:
            cache.store(text, value)
    return value


def _head(body: bytes | memoryview) -> bytes:
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n"


class _TwiceError(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _parse_json(text: bytes) -> Json:
    try:
        return _loaded(_narrow(text))
    except UnicodeDecodeError:
        raise DocumentError("the file is not UTF-8", _undecodable(text)) from None
    except _TwiceError as error:
        message = f"the key {error.key[:80]!r} is written twice"
        raise DocumentError(message, _second(_decoded(text), error.key)) from None
    except json.JSONDecodeError:
        return _parse_flow(text)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise DocumentError(f"not usable JSON: {reason}") from None


def _parse_flow(text: bytes) -> Json:
    """Parse what is not JSON as YAML, whose flow style begins alike; else say where JSON ended."""
    try:
        return _parse_yaml(text)
    except DocumentError:
        pass
    try:
        return _loaded(_decoded(text))
    except json.JSONDecodeError as error:
        spot = Spot(line=error.lineno, column=error.colno)
        raise DocumentError(f"not valid JSON: {error.msg}", spot) from None


def _loaded(text: str) -> Json:
    value: object = json.loads(
        text,
        object_pairs_hook=_members,
        parse_constant=_refuse_constant,
        parse_int=_integer,
        parse_float=_number,
    )
    return cast("Json", value)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8-sig")


def _undecodable(text: bytes) -> Spot:
    """Return the line of the first byte that is not UTF-8."""
    try:
        _decoded(text)
    except UnicodeDecodeError as error:
        return Spot(line=text.count(b"\n", 0, error.start) + 1, column=1)
    return _START


def _narrow(text: bytes) -> str:
    """Decode JSON with all that is not ASCII escaped: one emoji makes each character four bytes."""
    if _ESCAPED_WIDE.search(text):
        return _decoded(text)  # no JSON; escaped once more it would be
    text = text.removeprefix(codecs.BOM_UTF8)
    return _WIDE.sub(lambda found: json.dumps(found[0].decode())[1:-1].encode(), text).decode()


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen = set[str]()
        for key, _ in pairs:
            if key in seen:
                raise _TwiceError(key)
            seen.add(key)
    return members


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that JSON can carry")


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError("a number has too many digits")
    return int(digits)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is out of range")
    return number


def _second(text: str, key: str) -> Spot:
    """Return where `key` stands as a key for at least the second time; a hint, not a proof."""
    found = list(re.finditer(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", text))
    at = found[1].start() if len(found) > 1 else found[0].start() if found else 0
    start = text.rfind("\n", 0, at) + 1
    return Spot(line=text.count("\n", 0, at) + 1, column=at - start + 1)


def _parse_yaml(text: bytes) -> Json:
    try:
        return read(text, SPEC_LIMITS)
    except YamlError as error:
        spot = Spot(line=error.line, column=error.column)
        raise DocumentError(error.message, spot) from None
