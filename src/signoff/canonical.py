"""Strict JSON in, canonical JSON and digests out.

Owns the one parser for bytes that a stranger sent and the one form that is hashed and signed
(RFC 8785). Does no I/O and knows nothing of calls or tokens.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn, TypeAlias, cast

import orjson
import rfc8785

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_DEPTH: Final = 64
_SAFE_INTEGER: Final = 2**53 - 1  # RFC 8785 §3.2.2.3: beyond it, IEEE 754 doubles lose digits
_BIG: Final = "$bigint"


class JsonError(ValueError):
    """The text is not strict JSON. The message names the fault and is safe to show."""


def parse(text: bytes | str) -> Json:
    """Parse JSON and refuse what parsers disagree on.

    Duplicate keys, NaN and infinities (also `1e400`), lone surrogates, invalid UTF-8 and nesting
    deeper than 64 are refused (RFC 8259 §4, §6, §8.2).

    Raises:
        JsonError: names the fault.
    """
    try:
        value = cast(
            "Json",
            json.loads(
                # Left to itself, `json` guesses UTF-16 and 32 and lets surrogates through.
                text.decode() if isinstance(text, bytes) else text,
                object_pairs_hook=_unique,
                parse_constant=_refuse_constant,
                parse_float=_finite,
            ),
        )
    except JsonError:
        raise
    except RecursionError:
        raise JsonError("nested too deeply") from None
    except UnicodeDecodeError:
        raise JsonError("not UTF-8") from None
    except ValueError as error:
        raise JsonError(str(error)) from None
    _check(value, 0)
    return value


def canonical_bytes(value: Json) -> bytes:
    """Return the RFC 8785 form of `value`.

    Integers beyond 2^53-1, which RFC 8785 cannot carry, become `{"$bigint": "<digits>"}`; a real
    object with that single key is escaped, so two different values never share a form.

    Raises:
        JsonError: `value` holds a non-finite number or a lone surrogate.
    """
    try:
        if _is_plain(value):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return rfc8785.dumps(cast("dict[str, object]", _fold(value)))  # pyright: ignore[reportArgumentType]
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, orjson.JSONEncodeError) as error:
        raise JsonError(str(error)) from error


def sha256_hex(content: bytes) -> str:
    """Return `sha-256:<64 hex digits>` of `content`."""
    return "sha-256:" + hashlib.sha256(content).hexdigest()


def digest(value: Json) -> str:
    """Return `sha-256:<hex>` of the canonical form of `value`."""
    return sha256_hex(canonical_bytes(value))


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError(f"duplicate key {key[:80]!r}")
            seen.add(key)
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonError(f"the number {text[:40]} is out of range")
    return number


def _check(value: Json, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise JsonError("nested too deeply")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, member in value.items():
            _check_text(key)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check(member, depth + 1)


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise JsonError("a lone surrogate is not text") from None


def _is_plain(value: Json) -> bool:
    """Whether orjson, some ten times as fast, writes the RFC 8785 form of `value`.

    It does but for floats (§3.2.2.3), names that sort otherwise in UTF-16 (§3.2.3), and nesting
    that it takes for endless; integers that `_fold` would change are not for it either.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -_SAFE_INTEGER <= cast("int", value) <= _SAFE_INTEGER
    if kind is dict:
        for name, member in cast("dict[str, Json]", value).items():
            if not (name.isascii() and name[:1] != "$" and _is_plain(member)):
                return False
        return True
    return kind is list and all(map(_is_plain, cast("list[Json]", value)))


def _fold(value: Json) -> Json:
    if isinstance(value, bool) or value is None or isinstance(value, str | float):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _SAFE_INTEGER else {_BIG: str(value)}
    if isinstance(value, Mapping):
        folded = {key: _fold(member) for key, member in value.items()}
        key = next(iter(folded), "")
        if len(folded) == 1 and key.startswith("$") and key.lstrip("$") == "bigint":
            return {"$" + key: folded[key]}
        return folded
    return [_fold(member) for member in cast("Sequence[Json]", value)]
