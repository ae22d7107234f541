"""What of an answer may be shown: which headers, and nothing we sent in confidence.

Owns the allow-list of response headers, the removal of resolved credentials in every spelling,
and undoing a compression that nobody asked for, within a limit. Pure.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

REDACTED: Final = b"[redacted]"

# Everything else is dropped: Set-Cookie, Authorization-like and unknown headers may hold secrets.
REQUEST_IDS: Final = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid")
_SHOWN: Final = frozenset({"content-type", "link", "location", "retry-after", *REQUEST_IDS})
_LINE: Final = 500
_LINK: Final = 8_192  # only read for the next page's arguments, never shown
_TELLING: Final = 3  # so few characters of a credential tell nothing
_GZIP: Final = 16 + zlib.MAX_WBITS
_MEMBERS: Final = 64
"""More files in one stream than anybody writes; each costs a copy of what is left."""


def shown_headers(
    headers: Iterable[tuple[bytes, bytes]], traces: Sequence[bytes]
) -> tuple[tuple[str, str], ...]:
    """Return the headers that may be shown, without credentials; of Location only the host."""
    kept: list[tuple[str, str]] = []
    for raw_name, raw_value in headers:
        name = raw_name.decode("ascii", "replace").lower()
        if name not in _SHOWN:
            continue
        value = redacted(raw_value, traces).decode("latin-1")
        value = value[: _LINK if name == "link" else _LINE]
        kept.append((name, host_of(value) if name == "location" else value))
    return tuple(kept)


def redacted(content: bytes, traces: Sequence[bytes]) -> bytes:
    """Return `content` with every spelling of a credential replaced."""
    for trace in traces:
        if trace in content:
            content = content.replace(trace, REDACTED)
    return content


def without_cut_trace(content: bytes, traces: Sequence[bytes]) -> bytes:
    """Return cut `content` without the beginning of a credential at its end."""
    longest = 0
    for trace in traces:
        for length in range(min(len(trace) - 1, len(content)), max(longest, _TELLING), -1):
            if content.endswith(trace[:length]):
                longest = length
                break
    return content[: len(content) - longest]


def host_of(location: str) -> str:
    """Return the host a redirect points to; the rest may carry tokens."""
    try:
        host = urlsplit(location).hostname
    except ValueError:
        host = None
    return host or "the same host"


def decoded(content: bytes, encoding: str, *, limit: int) -> tuple[bytes, bool] | None:
    """Undo one `gzip` or `deflate`; True in second place means cut at `limit`.

    None for any other encoding, several at once, or content that is not what it says.
    """
    windows = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS)}
    for bits in windows.get(encoding.strip().lower(), ()):
        try:
            return _inflated(content, bits, limit)
        except zlib.error:
            continue
    return None


def _inflated(content: bytes, bits: int, limit: int) -> tuple[bytes, bool]:
    """Return what members of `content` hold together (RFC 1952 §2.2), up to `limit`."""
    plain, left = b"", content
    for _ in range(_MEMBERS):
        stream = zlib.decompressobj(bits)
        try:
            plain += stream.decompress(left, limit + 1 - len(plain))
        except zlib.error:
            if left is content:
                raise
            break  # padding behind the last member
        if not stream.eof or len(plain) > limit:
            return plain[:limit], True
        left = stream.unused_data if bits == _GZIP else b""
        if not left:
            return plain, False
    return plain, left.strip(b"\x00") != b""


def wide(traces: Sequence[bytes]) -> list[bytes]:
    """Return credentials as UTF-16 spells them, for answers that are in it."""
    texts = [trace.decode("latin-1") for trace in traces]
    return [text.encode(codec) for text in texts for codec in ("utf-16-le", "utf-16-be")]
