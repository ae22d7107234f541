"""One argument's value as the characters of a URL, a header or a cookie.

Owns OpenAPI's styles (RFC 6570 underneath) and the one percent-encoder. Pure: knows no tool, no
request and no network. Whatever a value holds, it stays inside the place it was given: it adds no
path segment, no query pair, no header and no cookie.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias
from urllib.parse import quote, unquote

from signoff.canonical import Json
from signoff.catalog.wire import Encoding, Parameter, Style

Pairs: TypeAlias = list[tuple[str, str]]
Write: TypeAlias = Callable[[str], str]

_DECODINGS: Final = 8
_DEPTH: Final = 16
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]*")
_BREAKS: Final = re.compile(r"[\r\n\x00]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WIDE_PERCENT: Final = re.compile(r"%u([0-9a-fA-F]{4})")
_DOTS: Final = frozenset({".", ".."})
_RESERVED: Final = ":/?@!$'()*="  # never & # + ; nor brackets: parsers split or rewrite at them
_DELIMITERS: Final = {
    "form": ",",
    "spaceDelimited": "%20",
    "pipeDelimited": "%7C",
    "tabDelimited": "%09",
}
_AUTOMATIC: Final = Encoding()
FORM: Final = "application/x-www-form-urlencoded"


class UnserialisableError(ValueError):
    """The value cannot stand where the parameter goes. The message says why and shows no value."""


def encode(text: str, *, keep: str = "") -> str:
    """Percent-encode everything but RFC 3986's unreserved characters and `keep`.

    Raises:
        UnserialisableError: a line break, a NUL or a lone surrogate.
    """
    if _UNRESERVED.fullmatch(text):
        return text  # what most names and values are
    if _BREAKS.search(text):
        raise UnserialisableError("holds a line break or a NUL")
    return _quoted(text, keep)


def compact(value: Json) -> str:
    """Return compact JSON in the order of `value`, integers exact.

    Raises:
        UnserialisableError: a number that JSON does not have.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise UnserialisableError("holds a number that JSON does not have") from None


def path_text(parameter: Parameter, value: Json) -> str:
    """Return the text that replaces `{name}` in a path template (simple, label, matrix).

    Raises:
        UnserialisableError: the value could change which resource the path names.
    """
    content = _content(parameter, value)
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
        return ",".join(parts)
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


def query_pairs(parameter: Parameter, value: Json) -> Pairs:
    """Return the encoded `name`, `value` pairs of a query parameter; empty when none is sent.

    Raises:
        UnserialisableError: the value does not fit the style.
    """
    content = _content(parameter, value)
    write = _writer(encode, allow_reserved=parameter.allow_reserved)
    if content is not None:
        return [(encode(parameter.name), write(content))]
    return _styled(
        (encode(parameter.name), value),
        parameter.style,
        explode=parameter.explode,
        indexed=parameter.indexed,
        write=write,
        write_name=encode,
    )


def query_text(parameter: Parameter, value: Json) -> str:
    """Return a whole query string (OpenAPI 3.2, `in: querystring`), encoded.

    Raises:
        UnserialisableError: the value does not fit its media type.
    """
    essence = (parameter.content_type or "").partition(";")[0].strip().lower()
    if essence == FORM:
        if not isinstance(value, dict):
            raise UnserialisableError("must be an object")
        return joined(form_pairs(value, parameter.encodings, write=encode))
    content = compact(value) if _is_json(essence) else scalar(value)
    return encode(content)


def form_body(members: Mapping[str, Json], encodings: Mapping[str, Encoding]) -> str:
    """Return an `application/x-www-form-urlencoded` body; `null` sends nothing.

    Raises:
        UnserialisableError: a value does not fit its encoding.
    """
    return joined(form_pairs(members, encodings, write=form_text))


def form_pairs(
    members: Mapping[str, Json], encodings: Mapping[str, Encoding], *, write: Write
) -> Pairs:
    """Return the pairs of a form's members, each by its own encoding."""
    pairs: Pairs = []
    for key, value in members.items():
        if value is None:
            continue
        encoding = encodings.get(key, _AUTOMATIC)
        name = write(key)
        text = _writer(write, allow_reserved=encoding.allow_reserved)
        if encoding.content_type is not None:
            pairs.append((name, text(_content_text(encoding.content_type, value))))
        elif encoding.style is not None:
            pairs += _styled(
                (name, value),
                encoding.style,
                explode=encoding.explode,
                indexed=encoding.indexed,
                write=text,
                write_name=write,
            )
        elif isinstance(value, list) and not encoding.indexed and not _is_nested(value):
            # A form's text may span lines: percent-encoding keeps it inside its own pair.
            pairs += [(name, text(one)) for one in _scalars(value)]
        else:
            pairs += _deep(name, value, text, indexed=encoding.indexed)
    return pairs


def _styled(
    pair: tuple[str, Json],
    style: Style,
    *,
    explode: bool,
    indexed: bool,
    write: Write,
    write_name: Write,
) -> Pairs:
    name, value = pair
    if style == "deepObject":
        return _deep(name, value, write, indexed=indexed)
    if isinstance(value, list):
        pairs = [(name, write(text)) for text in _scalars(value)]
        flat = [text for _, text in pairs]
    elif isinstance(value, dict):
        pairs = [(write_name(key), write(text)) for key, text in _members(value)]
        flat = [text for pair in pairs for text in pair]
    else:
        return [(name, write(scalar(value)))]
    if explode:
        return pairs
    return [(name, _DELIMITERS.get(style, ",").join(flat))] if flat else []


def header_text(parameter: Parameter, value: Json) -> str | None:
    """Return a header's value (style simple, never percent-encoded); None when nothing is sent.

    Raises:
        UnserialisableError: an element holds a character that separates elements.
    """
    if parameter.content_type is not None:
        text = _content(parameter, value)
        return None if text is None else text.encode("ascii", "backslashreplace").decode()
    if isinstance(value, list):
        parts = list(_scalars(value))
        _refuse_inside(parts, ",")
        return ",".join(parts) if parts else None
    if isinstance(value, dict):
        members = _members(value)
        _refuse_inside((text for pair in members for text in pair), ",")
        if parameter.explode:
            _refuse_inside((key for key, _ in members), "=")
            return ",".join(f"{key}={text}" for key, text in members) or None
        return ",".join(text for pair in members for text in pair) or None
    return scalar(value)


def cookie_pairs(parameter: Parameter, value: Json) -> Pairs:
    """Return the encoded `name`, `value` pairs of a cookie parameter (style form).

    Raises:
        UnserialisableError: the value does not fit the style.
    """
    name = encode(parameter.name)
    content = _content(parameter, value)
    if content is not None:
        return [(name, encode(content))]
    if isinstance(value, list):
        parts = [encode(text) for text in _scalars(value)]
        if parameter.explode:
            return [(name, part) for part in parts]
        return [(name, ",".join(parts))] if parts else []
    if isinstance(value, dict):
        members = [(encode(key), encode(text)) for key, text in _members(value)]
        if parameter.explode:
            return members
        return [(name, ",".join(text for pair in members for text in pair))] if members else []
    return [(name, encode(scalar(value)))]


def joined(pairs: Iterable[tuple[str, str]], separator: str = "&") -> str:
    """Return encoded pairs as `name=value` joined by `separator`."""
    return separator.join(f"{name}={text}" for name, text in pairs)


def scalar(value: Json) -> str:
    """Return a scalar as text: `true`, `false`, exact integers, JSON's numbers, strings as is.

    Raises:
        UnserialisableError: the value is an object, a list or null.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return compact(value)
    raise UnserialisableError("must be one value here, without a list or an object inside")


def form_text(text: str) -> str:
    """Percent-encode a form's name or value, line breaks too."""
    return _quoted(text, "")


def _quoted(text: str, keep: str) -> str:
    if _UNRESERVED.fullmatch(text):
        return text
    try:
        return quote(text, safe=keep)
    except UnicodeEncodeError:
        raise UnserialisableError("holds a lone surrogate, which is not text") from None


def _writer(write: Write, *, allow_reserved: bool) -> Write:
    if not allow_reserved:
        return write
    if write is encode:
        return lambda text: encode(text, keep=_RESERVED)
    return lambda text: _quoted(text, _RESERVED)


def _content(parameter: Parameter, value: Json) -> str | None:
    if parameter.content_type is None:
        return None
    return _content_text(parameter.content_type, value)


def _content_text(media_type: str, value: Json) -> str:
    return compact(value) if _is_json(media_type) else scalar(value)


def _is_json(media_type: str) -> bool:
    essence = media_type.partition(";")[0].strip().lower()
    return essence in ("application/json", "text/json") or essence.endswith("+json")


def _scalars(values: Iterable[Json]) -> list[str]:
    return [scalar(value) for value in values if value is not None]


def _members(members: Mapping[str, Json]) -> Pairs:
    return [(key, scalar(value)) for key, value in members.items() if value is not None]


def _refuse_inside(texts: Iterable[str], separator: str) -> None:
    if any(separator in text for text in texts):
        raise UnserialisableError(f"holds {separator!r}, which separates values in a header")


def _is_nested(values: Iterable[Json]) -> bool:
    return any(isinstance(member, dict | list) for member in values)


def _deep(name: str, value: Json, write: Write, *, indexed: bool, depth: int = 0) -> Pairs:
    if depth > _DEPTH:
        raise UnserialisableError("is nested too deeply")
    if value is None:
        return []
    pairs: Pairs = []
    if isinstance(value, dict):
        for key, member in value.items():
            if not key or "[" in key or "]" in key:
                raise UnserialisableError("has a key that a query cannot carry")
            step = f"{name}%5B{encode(key)}%5D"
            pairs += _deep(step, member, write, indexed=indexed, depth=depth + 1)
        return pairs
    if isinstance(value, list):
        # Lists of lists or objects need positions, or their members would mix.
        numbered = indexed or _is_nested(value)
        for position, member in enumerate(value):
            step = f"{name}%5B{position if numbered else ''}%5D"
            pairs += _deep(step, member, write, indexed=indexed, depth=depth + 1)
        return pairs
    return [(name, write(scalar(value)))]


def _path_list(parameter: Parameter, values: list[Json]) -> list[str]:
    return [_path_encoded(parameter, text) for text in _scalars(values)]


def _path_object(parameter: Parameter, members: Mapping[str, Json]) -> list[str]:
    pairs = [
        (_path_encoded(parameter, key), _path_encoded(parameter, text))
        for key, text in _members(members)
    ]
    if parameter.explode:
        return [f"{key}={text}" for key, text in pairs]
    return [text for pair in pairs for text in pair]


def _path_encoded(parameter: Parameter, text: str) -> str:
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
