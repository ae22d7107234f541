"""What an answer is by its label and its bytes: JSON, text, a web page, or none of these.

Owns the charsets, and telling a page from what it is labelled. Pure; shapes nothing.
"""

import re
from collections.abc import Iterator
from typing import Final

from signoff.upstream.sent import Answered

PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
_MARK: Final = b"\xef\xbb\xbf"
_TEXTS: Final = frozenset({
    "application/csv",
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/pem-certificate-chain",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-pem-file",
    "application/x-sh",
    "application/x-www-form-urlencoded",
    "application/x-yaml",
    "application/xml",
    "application/yaml",
})
# Only these are looked up: Python's other codecs include decompressors.
_CHARSETS: Final = {
    **{name: name for name in (
        "ascii", "big5", "euc-jp", "euc-kr", "gb18030", "gb2312", "gbk", "iso-2022-jp", "koi8-r",
        "koi8-u", "latin1", "shift_jis", "us-ascii", "utf-16",
    )},
    **{f"iso-8859-{part}": f"iso-8859-{part}" for part in range(1, 17) if part != 12},  # noqa: PLR2004 — there is no part 12
    **{f"windows-{page}": f"cp{page}" for page in range(1250, 1259)},
    **{f"cp{page}": f"cp{page}" for page in range(1250, 1259)},
    "big5-hkscs": "big5hkscs", "ibm866": "cp866", "macintosh": "mac-roman", "tis-620": "tis-620",
    "windows-874": "cp874", "x-sjis": "shift_jis",
}  # fmt: skip
_UNSAID: Final = "cp1252"
"""WHATWG Encoding: what text is that is no UTF-8 and has no label."""
# Nothing in here gives back what it took: an answer of a thousand comments is read once.
_START: Final = rb"^[\s\xef\xbb\xbf]*+(?:<\?xml[^>]{0,200}+>\s*+)?+(?:<!--(?:(?!-->).)*+-->\s*+)*+"
_HTML: Final = re.compile(_START + rb"<(?:!doctype\s+html|html\b)", re.IGNORECASE | re.DOTALL)
_HALF: Final = re.compile(
    _START + rb"<(?:head|body|title|meta|script|iframe|center|h1)\b", re.IGNORECASE | re.DOTALL
)
_INSIDE: Final = re.compile(
    r"(?:<|\\u003c|&lt;)(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE
)
_LOOKED_AT: Final = 65_536


def media_type_of(answered: Answered) -> str:
    """Return the media type without parameters, in lower case."""
    return (answered.header("content-type") or "").partition(";")[0].strip().lower()


def is_page(answered: Answered) -> bool:
    """Say whether an answer is HTML, whatever it is labelled: an error page stays a page."""
    media_type = media_type_of(answered)
    start = answered.body[:_LOOKED_AT]
    if media_type in PAGES or _HTML.match(start):
        return True
    return not _is_xml(media_type) and _HALF.match(start) is not None


def holds_page(text: str) -> bool:
    """Say whether HTML stands somewhere inside, as in a message that quotes an error page."""
    return _INSIDE.search(text) is not None


def may_be_json(media_type: str) -> bool:
    """Say whether an answer of this type is tried as JSON."""
    return media_type in ("", "application/json", "text/json") or media_type.endswith("+json")


def is_text(media_type: str) -> bool:
    """Say whether an answer of this type can be shown as it is."""
    return (
        may_be_json(media_type)
        or media_type.startswith("text/")
        or media_type in _TEXTS
        or media_type.endswith("+yaml")
        or (media_type.endswith("+xml") and not media_type.startswith("image/"))
    )


def readings(answered: Answered) -> Iterator[bytes]:
    """Yield what may be the JSON of an answer, in UTF-8.

    RFC 8259 §8.1: JSON is UTF-8, so its label only counts where the bytes are no such thing.
    """
    yield answered.body.removeprefix(_MARK)
    codec = _CHARSETS.get(_charset(answered) or "")
    if codec is not None and (text := _read(answered, codec)) is not None:
        yield text.encode()


def decoded(answered: Answered) -> str | None:
    """Return the body as text by its charset; None when it is not text."""
    charset = _charset(answered)
    text = _read(answered, _CHARSETS.get(charset or "", "utf-8"))
    if text is None and charset is None and media_type_of(answered).startswith("text/"):
        text = _read(answered, _UNSAID)
    return text


def _read(answered: Answered, codec: str) -> str | None:
    try:
        # A cut body may end inside a character.
        text = answered.body.decode(codec, "ignore" if answered.truncated else "strict")
    except UnicodeError:
        return None
    return None if "\x00" in text else text.removeprefix("\ufeff")


def _charset(answered: Answered) -> str | None:
    _, _, parameters = (answered.header("content-type") or "").partition(";")
    found = re.search(r"charset\s*=\s*[\"']?([A-Za-z0-9._-]{1,40})", parameters, re.IGNORECASE)
    return found[1].lower() if found else None


def _is_xml(media_type: str) -> bool:
    return media_type in ("text/xml", "application/xml") or media_type.endswith("+xml")
