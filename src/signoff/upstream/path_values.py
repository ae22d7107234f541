"""One argument's value as part of a path: a step of it, which never becomes another step.

Owns the styles simple, label and matrix, and what no path value may hold, however often it is
decoded on its way. Pure.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from signoff.canonical import Json
from signoff.catalog.wire import Parameter
from signoff.upstream.serialise import (
    DELIMITERS,
    UnserialisableError,
    content_of,
    encode,
    listed,
    members_of,
    scalar,
)

HIDDEN_SLASH: Final = "%2F"
"""How a slash inside a path value is sent, where the parameter takes one."""
_DECODINGS: Final = 8
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WIDE_PERCENT: Final = re.compile(r"%u([0-9a-fA-F]{4})")
_DOTS: Final = frozenset({".", ".."})


def path_text(parameter: Parameter, value: Json) -> str:
    """Return the text that replaces `{name}` in a path template (simple, label, matrix).

    Raises:
        UnserialisableError: the value could change which resource the path names.
    """
    content = content_of(parameter, value)
    if content is not None:
        return _path_encoded(parameter, content)
    if isinstance(value, list):
        parts = _path_list(parameter, value)
    elif isinstance(value, dict):
        parts = _path_object(parameter, value)
    else:
        parts = [_path_encoded(parameter, scalar(value))]
    if not parts:
        raise UnserialisableError("is empty, which would name another resource")
    if parameter.style == "label":
        return "." + (".".join(parts) if parameter.explode else ",".join(parts))
    if parameter.style != "matrix":
        return DELIMITERS.get(parameter.style, ",").join(parts)
    start = f";{encode(parameter.name)}="
    if not parameter.explode:
        return start + ",".join(parts)
    if isinstance(value, dict):
        return "".join(f";{part}" for part in parts)
    return "".join(start + part for part in parts)


def check_segments(path: str) -> None:
    """Refuse a raw path that a server could read as another one.

    Each segment is decoded up to eight times, as chains of proxies do.

    Raises:
        UnserialisableError: a dot segment, a hidden separator or a control character.
    """
    for segment in path.split("/"):
        for text in _decodings(segment):
            if _is_dots(text) or "/" in text or "\\" in text or _CONTROL.search(text):
                raise UnserialisableError("would leave the path it is meant for")


def _path_list(parameter: Parameter, values: list[Json]) -> list[str]:
    return listed(values, parameter.inner, lambda text: _path_encoded(parameter, text))


def _path_object(parameter: Parameter, members: Mapping[str, Json]) -> list[str]:
    pairs = [
        (_path_encoded(parameter, key), _path_encoded(parameter, text))
        for key, text in members_of(members)
    ]
    if parameter.explode:
        return [f"{key}={text}" for key, text in pairs]
    return [text for pair in pairs for text in pair]


def _path_encoded(parameter: Parameter, text: str) -> str:
    if parameter.slashes:
        # Each step has to be one that could stand alone, so what decodes `%2F` finds no way out.
        return HIDDEN_SLASH.join(_step_encoded(parameter, step) for step in text.split("/"))
    return _step_encoded(parameter, text)


def _step_encoded(parameter: Parameter, text: str) -> str:
    # `allowReserved` lets these three through, encoded; they still never delimit.
    refused = "/\\" if parameter.allow_reserved else "/\\;?#"
    for decoded in _decodings(text):
        if not decoded:
            raise UnserialisableError("is empty, which would name another resource")
        if _is_dots(decoded):
            raise UnserialisableError("is a dot segment, which would name another resource")
        if _CONTROL.search(decoded):
            raise UnserialisableError("holds a control character")
        for character in refused:
            if character in decoded:
                raise UnserialisableError(f"holds {character!r}, which a path segment cannot")
    return encode(text)


def _is_dots(text: str) -> bool:
    return text in _DOTS or (not text.isascii() and unicodedata.normalize("NFKC", text) in _DOTS)


def _decodings(text: str) -> list[str]:
    """Return `text` and every reading of it after decoding once, twice … up to eight times."""
    readings = [text]
    while "%" in text:
        try:
            plain = unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise UnserialisableError("holds percent signs that decode to no text") from None
        plain = _WIDE_PERCENT.sub(lambda found: chr(int(found[1], 16)), plain)
        if plain == text:
            break
        if len(readings) > _DECODINGS:
            raise UnserialisableError("is percent-encoded too many times")
        readings.append(plain)
        text = plain
    return readings
