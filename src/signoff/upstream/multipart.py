"""A multipart body: its parts, and the bytes they make.

An object is `multipart/form-data` (RFC 7578), a list any other kind (RFC 2046 §5.1.3).

Owns which parts a member becomes and their exact bytes. Pure: the boundary is an argument, so the
same call always makes the same bytes. Nothing a value or a file name holds ends its own part.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from signoff.canonical import Json
from signoff.catalog.wire import Encoding
from signoff.upstream.serialise import UnserialisableError, compact, form_pairs, form_text, scalar

_MEDIA_TYPE: Final = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80}"
    r"(?:;\s?charset=[A-Za-z0-9._-]{1,40})?"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_FILE_KEYS: Final = frozenset({"data", "filename", "content_type"})
_BYTES: Final = "application/octet-stream"
_TEXT: Final = "text/plain"
_UTF8_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"
_AUTOMATIC: Final = Encoding()
_FILENAME: Final = 255
_OURS: Final = frozenset({"content-disposition", "content-type"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part. `filename` is set for files, and only they may be other than text.

    Where `is_named` is False, name and file name are for people, and are not sent.
    """

    name: str
    is_named: bool = True
    content: bytes
    media_type: str | None
    filename: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


def parts_of(key: str, value: Json, encoding: Encoding | None) -> list[Part]:
    """Return the parts that one member of the body becomes; none for null.

    Raises:
        UnserialisableError: the value cannot be sent so.
    """
    how = encoding or _AUTOMATIC
    for name, text in how.headers:
        if name.lower() in _OURS or _CONTROL.search(name + text):
            raise UnserialisableError("has a part header that it may not have")
    parts = _parts(key, value, how)
    return [replace(part, headers=how.headers) for part in parts] if how.headers else parts


def _parts(key: str, value: Json, how: Encoding) -> list[Part]:
    if value is None:
        return []
    if how.is_file:
        files = value if isinstance(value, list) else [value]
        return [_file(key, one, how) for one in files]
    if how.content_type is not None:
        return _typed(key, value, how.content_type)
    if how.style is not None:
        # Percent-encoding is undone: a part's name and text stand as they are.
        pairs = form_pairs({key: value}, {key: how}, write=form_text)
        return [_text(unquote(name), unquote(text)) for name, text in pairs]
    return _automatic(key, value)


def part_at(place: int, value: Json, encoding: Encoding | None) -> Part:
    """Return the part that one item of a list becomes, whatever it is; `place` counts from 0.

    Raises:
        UnserialisableError: the value cannot be sent so.
    """
    how, key = encoding or _AUTOMATIC, f"part {place + 1}"
    if value is None:
        raise UnserialisableError(f"has nothing for {key}, and without it the next would be taken")
    if not how.is_file:
        is_text = not isinstance(value, list | dict)
        how = replace(how, content_type=how.content_type or (_UTF8_TEXT if is_text else _JSON))
        if not is_text and "json" not in (how.content_type or ""):
            raise UnserialisableError(f"has a list or an object for {key}, which is no JSON")
    (part,) = parts_of(key, value, how)
    return replace(part, is_named=False)


def _automatic(key: str, value: Json) -> list[Part]:
    values = value if isinstance(value, list) else [value]
    if any(isinstance(one, dict | list) for one in values):
        return [_json(key, value, _JSON)]
    return [_text(key, scalar(one)) for one in values if one is not None]


def written(parts: Iterable[Part], boundary: str) -> bytes:
    """Return the body's bytes (RFC 2046 §5.1.1)."""
    pieces: list[bytes] = []
    for part in parts:
        lines = [f"--{boundary}"]
        if part.is_named:
            lines.append(f'\r\nContent-Disposition: form-data; name="{_quoted(part.name)}"')
            if part.filename is not None:
                lines.append(f'; filename="{_quoted(part.filename)}"')
        if part.media_type is not None:
            lines.append(f"\r\nContent-Type: {part.media_type}")
        lines += [f"\r\n{name}: {text}" for name, text in part.headers]
        pieces += (_encoded("".join(lines)), b"\r\n\r\n", part.content, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces)


def free_boundary(parts: Sequence[Part], candidates: Iterable[str]) -> str:
    """Return the first boundary that stands in no part (RFC 2046 §5.1.1)."""
    return next(
        boundary
        for boundary in candidates
        if not any(boundary.encode() in part.content for part in parts)
    )


def decoded_base64(text: Json, *, what: str = "the value") -> bytes:
    """Return the bytes that base64 text stands for, in either alphabet.

    Raises:
        UnserialisableError: it is not base64.
    """
    if not isinstance(text, str):
        raise UnserialisableError(f"{what} must be base64 text")
    plain = text.strip().translate(_URL_SAFE)
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise UnserialisableError(f"{what} is not base64") from None


_URL_SAFE: Final = str.maketrans({"-": "+", "_": "/", "\r": None, "\n": None})


def _file(key: str, value: Json, encoding: Encoding) -> Part:
    if isinstance(value, dict):
        if unknown := sorted(value.keys() - _FILE_KEYS):
            raise UnserialisableError(f"has the key {unknown[0][:40]!r}, which no file has")
        content, named, typed = value.get("data"), value.get("filename"), value.get("content_type")
    else:
        content, named, typed = value, None, None
    return Part(
        name=key,
        content=decoded_base64(content, what="the file's data"),
        media_type=_file_type(typed, encoding.content_type),
        filename=key if named is None else _filename(named),
    )


def _filename(named: Json) -> str:
    if not isinstance(named, str) or not named or len(named) > _FILENAME:
        raise UnserialisableError("has a filename that is empty, too long or not text")
    if _CONTROL.search(named):
        raise UnserialisableError("has a filename with a control character")
    return named


def _file_type(typed: Json, allowed: str | None) -> str:
    accepted = [one.strip() for one in (allowed or "").split(",") if one.strip()]
    if typed is None:
        return next((one for one in accepted if "*" not in one), _BYTES)
    if not isinstance(typed, str) or _MEDIA_TYPE.fullmatch(typed) is None:
        raise UnserialisableError("has a content_type that is no media type")
    essence = typed.partition(";")[0].lower()
    if accepted and not any(_covers(one.lower(), essence) for one in accepted):
        raise UnserialisableError(f"must be a file of type {', '.join(accepted)[:100]}")
    return typed


def _covers(pattern: str, essence: str) -> bool:
    pattern = pattern.partition(";")[0].strip()
    if pattern in ("*/*", essence):
        return True
    return pattern.endswith("/*") and essence.startswith(pattern[:-1])


def _typed(key: str, value: Json, media_types: str) -> list[Part]:
    media_type = media_types.split(",", maxsplit=1)[0].strip()
    essence = media_type.partition(";")[0].strip().lower()
    if essence == _JSON or essence.endswith("+json"):
        return [_json(key, value, media_type)]
    if isinstance(value, list):
        return [part for one in value if one is not None for part in _typed(key, one, media_types)]
    if "*" in media_type:
        media_type = _TEXT
    return [Part(name=key, content=_encoded(scalar(value)), media_type=media_type)]


def _json(key: str, value: Json, media_type: str) -> Part:
    return Part(name=key, content=_encoded(compact(value)), media_type=media_type)


def _text(key: str, text: str) -> Part:
    # RFC 7578 §4.4: without a Content-Type a part is text/plain.
    return Part(name=key, content=_encoded(text), media_type=None)


def _quoted(name: str) -> str:
    # WHATWG HTML, multipart/form-data: these three are percent-encoded, everything else is UTF-8.
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UnserialisableError("holds a lone surrogate, which is not text") from None
