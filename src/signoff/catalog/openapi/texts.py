"""A spec's prose, made plain: no markup, no hidden characters, bounded.

Owns what a description loses before a model sees it. Never decides anything by what a text says.
"""

import functools
import re
import unicodedata
from typing import Final

from signoff.canonical import Json

_FENCE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]{0,300}>")
_LINK: Final = re.compile(r"!?\[([^\[\]]{0,300})\]\([^()\s]{0,500}(?:\s[^()]{0,200})?\)")
_NOTE: Final = re.compile(r"\[![A-Z]+\]")
_LINE_START: Final = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[*+-][ \t]+)", re.MULTILINE)
_EMPHASIS: Final = re.compile(r"(\*{1,3}|(?<!\w)_{1,3}|_{1,3}(?!\w)|`+)")
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n")
_SPACE: Final = re.compile(r"\s+")
_ODD: Final = re.compile(r"[^\x20-\x7e\n]")
_HIDDEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
_ENTITIES: Final = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&"}
_INPUT: Final = 20_000


def plain_text(text: Json, *, limit: int) -> str:
    """Return `text` as one line without markup, at most `limit` characters."""
    if not isinstance(text, str) or not text:
        return ""
    return _plain(text[: min(_INPUT, limit * 8)], limit)


@functools.lru_cache(maxsize=4_096)  # specs say the same of a parameter a thousand times
def _plain(cut: str, limit: int) -> str:
    if not cut.isascii() or not cut.isprintable():
        cut = _ODD.sub(_visible, cut)
    if any(mark in cut for mark in "<&[`*_#>"):
        cut = _FENCE.sub(" ", cut)
        cut = _TAG.sub(" ", _COMMENT.sub(" ", cut))
        cut = _NOTE.sub(" ", _LINK.sub(r"\1", cut))
        cut = _EMPHASIS.sub("", _LINE_START.sub("", cut))
        for entity, character in _ENTITIES.items():
            cut = cut.replace(entity, character)
    line = _SPACE.sub(" ", cut).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def describe(summary: Json, description: Json, *, limit: int = 600) -> str:
    """Return the summary and the description's first paragraph."""
    head = plain_text(summary, limit=limit)
    first = ""
    if isinstance(description, str):
        first = next(
            (
                line
                for part in _PARAGRAPH.split(description[:_INPUT])
                if (line := plain_text(part, limit=limit))
            ),
            "",
        )
    if not head or first.casefold().startswith(head.casefold()):
        return first or head
    if not first:
        return head
    joined = f"{head}{'' if head[-1] in '.!?:' else '.'} {first}"
    return joined if len(joined) <= limit else joined[: limit - 1].rstrip() + "…"


def _visible(found: re.Match[str]) -> str:
    character = found[0]
    if character in "\n\r\t" or character in "\u2028\u2029":
        return "\n"
    return "" if unicodedata.category(character) in _HIDDEN else character
