"""One argument's value as the characters of a URL, a header or a cookie.

Owns OpenAPI's styles (RFC 6570 underneath) and the one percent-encoder. Pure: knows no tool, no
request and no network. Whatever a value holds, it stays inside the place it was given: it adds no
path segment, no query pair, no header and no cookie.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import quote

from signoff.canonical import Json
from signoff.catalog.wire import Encoding, Parameter, Style

Pairs: TypeAlias = list[tuple[str, str]]
Write: TypeAlias = Callable[[str], str]

_DEPTH: Final = 16
_PLAIN: Final = 1e21
"""From here on numbers are written with an exponent (RFC 8785 §3.2.2.3)."""
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]*")
_BREAKS: Final = re.compile(r"[\r\n\x00]")
_RESERVED: Final = ":/?@!$'()*="  # never & # + ; nor brackets: parsers split or rewrite at them
DELIMITERS: Final = {
    "form": ",",
    "spaceDelimited": "%20",
    "pipeDelimited": "%7C",
    "tabDelimited": "%09",
}
_HEADER_DELIMITERS: Final = {  # Swagger 2.0's `collectionFormat`
    "spaceDelimited": " ",
    "pipeDelimited": "|",
    "tabDelimited": "\t",
    "form": ",",
}
_COOKIE_TEXT: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
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


def compact(value: Json, *, ascii_only: bool = False) -> str:
    """Return compact JSON in the order of `value`, integers exact.

    Raises:
        UnserialisableError: a number that JSON does not have.
    """
    try:
        return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise UnserialisableError("holds a number that JSON does not have") from None


def query_pairs(parameter: Parameter, value: Json) -> Pairs:
    """Return the encoded `name`, `value` pairs of a query parameter; empty when none is sent.

    Raises:
        UnserialisableError: the value does not fit the style.
    """
    content = content_of(parameter, value)
    write = _writer(encode, allow_reserved=parameter.allow_reserved)
    if content is not None:
        return [(encode(parameter.name), write(content))]
    if isinstance(value, dict | list) and not parameter.explode:
        write = _writer(encode, allow_reserved=parameter.allow_reserved, delimited=True)
    return _styled(
        (encode(parameter.name), value),
        parameter.style,
        explode=parameter.explode,
        indexed=parameter.indexed,
        inner=parameter.inner,
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
        is_delimited = isinstance(value, dict | list) and not encoding.explode
        text = _writer(write, allow_reserved=encoding.allow_reserved, delimited=is_delimited)
        if encoding.content_type is not None:
            pairs.append((name, text(_content_text(encoding.content_type, value))))
        elif encoding.style is not None:
            pairs += _styled(
                (name, value),
                encoding.style,
                explode=encoding.explode,
                indexed=encoding.indexed,
                inner=encoding.inner,
                write=text,
                write_name=write,
            )
        elif isinstance(value, list) and not encoding.indexed and not _is_nested(value):
            # A form's text may span lines: percent-encoding keeps it inside its own pair.
            pairs += [(name, text(one)) for one in scalars(value)]
        else:
            pairs += _deep(name, value, text, indexed=encoding.indexed)
    return pairs


def _styled(
    pair: tuple[str, Json],
    style: Style,
    *,
    explode: bool,
    indexed: bool,
    inner: Sequence[Style],
    write: Write,
    write_name: Write,
) -> Pairs:
    name, value = pair
    if style == "deepObject":
        return _deep(name, value, write, indexed=indexed)
    if isinstance(value, list):
        pairs = [(name, text) for text in listed(value, inner, write)]
        flat = [text for _, text in pairs]
    elif isinstance(value, dict):
        pairs = [(write_name(key), write(text)) for key, text in members_of(value)]
        flat = [text for pair in pairs for text in pair]
    else:
        return [(name, write(scalar(value)))]
    if explode:
        return pairs
    return [(name, DELIMITERS.get(style, ",").join(flat))] if flat else []


def header_text(parameter: Parameter, value: Json) -> str | None:
    """Return a header's value (style simple, never percent-encoded); None when nothing is sent.

    Raises:
        UnserialisableError: an element holds a character that separates elements.
    """
    if parameter.content_type is not None:
        if _is_json(parameter.content_type):
            return compact(value, ascii_only=True)  # what JSON can escape fits into any header
        return scalar(value)
    if isinstance(value, list):
        delimiter, *others = (
            _HEADER_DELIMITERS.get(style, ",") for style in (parameter.style, *parameter.inner)
        )

        def plain(text: str) -> str:
            for one in (delimiter, *others):
                _refuse_inside([text], one)
            return text

        parts = listed(value, parameter.inner, plain, _HEADER_DELIMITERS)
        return delimiter.join(parts) if parts else None
    if isinstance(value, dict):
        members = members_of(value)
        _refuse_inside((text for pair in members for text in pair), ",")
        if parameter.explode:
            _refuse_inside((key for key, _ in members), "=")
            return ",".join(f"{key}={text}" for key, text in members) or None
        return ",".join(text for pair in members for text in pair) or None
    return scalar(value)


def cookie_pairs(parameter: Parameter, value: Json) -> Pairs:
    """Return the `name`, `value` pairs of a cookie parameter, encoded (style form) or as they are.

    Raises:
        UnserialisableError: the value does not fit the style.
    """
    content = content_of(parameter, value)
    if content is not None:
        return [(encode(parameter.name), encode(content))]
    write, write_name = encode, encode
    if parameter.style == "cookie":
        write, write_name = _cookie_text, _cookie_name
    name = write_name(parameter.name)
    if isinstance(value, list):
        parts = [write(text) for text in scalars(value)]
        if parameter.explode:
            return [(name, part) for part in parts]
        return [(name, ",".join(parts))] if parts else []
    if isinstance(value, dict):
        members = [(write_name(key), write(text)) for key, text in members_of(value)]
        if parameter.explode:
            return members
        return [(name, ",".join(text for pair in members for text in pair))] if members else []
    return [(name, write(scalar(value)))]


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
    if isinstance(value, float) and value.is_integer() and abs(value) < _PLAIN:
        return str(int(value))  # JSON's 1.0 is the integer 1, which a URL has no second way to say
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


def _writer(write: Write, *, allow_reserved: bool, delimited: bool = False) -> Write:
    """Return what writes a value; `delimited` where a comma would be taken for a border."""
    if not allow_reserved:
        return write
    keep = _RESERVED if delimited else f"{_RESERVED},"
    if write is encode:
        return lambda text: encode(text, keep=keep)
    return lambda text: _quoted(text, keep)


def _cookie_text(text: str) -> str:
    """OpenAPI 3.2 §Style Values: with style `cookie` nothing is escaped; RFC 6265 says what may be.

    Raises:
        UnserialisableError: a character that a cookie's value cannot hold.
    """
    if _COOKIE_TEXT.fullmatch(text) is None:
        raise UnserialisableError("holds a character that a cookie cannot; it has to be escaped")
    return text


def _cookie_name(text: str) -> str:
    if _COOKIE_NAME.fullmatch(text) is None:
        raise UnserialisableError("has a name that a cookie cannot have")
    return text


def content_of(parameter: Parameter, value: Json) -> str | None:
    """Return the value by its media type; None where the parameter has none."""
    if parameter.content_type is None:
        return None
    return _content_text(parameter.content_type, value)


def _content_text(media_type: str, value: Json) -> str:
    return compact(value) if _is_json(media_type) else scalar(value)


def _is_json(media_type: str) -> bool:
    essence = media_type.partition(";")[0].strip().lower()
    return essence in ("application/json", "text/json") or essence.endswith("+json")


def scalars(values: Iterable[Json]) -> list[str]:
    """Return the items of a list as text; null is dropped."""
    return [scalar(value) for value in values if value is not None]


def listed(
    values: Iterable[Json],
    inner: Sequence[Style],
    write: Write,
    delimiters: Mapping[str, str] = DELIMITERS,
) -> list[str]:
    """Return the items of a list, written; a list inside is joined as `inner` says of its level.

    Raises:
        UnserialisableError: an object inside, or a list that `inner` says nothing of.
    """

    def item(value: Json) -> str:
        if isinstance(value, list) and inner:
            return delimiters[inner[0]].join(listed(value, inner[1:], write, delimiters))
        return write(scalar(value))

    return [item(value) for value in values if value is not None]


def members_of(members: Mapping[str, Json]) -> Pairs:
    """Return the members of an object as text; null is dropped."""
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
