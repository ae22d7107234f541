"""JSON that is too long, cut so that it still is JSON. Pure."""

import re
from typing import Final

from signoff.canonical import MAX_DEPTH

_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_CLOSES: Final = {b"[": b"]", b"{": b"}"}


def cut_json(body: bytes, limit: int) -> bytes:
    """Return the longest start of `body` within `limit` that ends after a whole member, closed.

    What does not look like JSON comes back as it is, cut at `limit`.
    """
    window = body[:limit]
    stack: list[bytes] = []
    kept: tuple[int, tuple[bytes, ...]] | None = None
    for found in _TOKENS.finditer(window):
        token = found[0]
        if token in _CLOSES:
            stack.append(_CLOSES[token])
            if len(stack) > MAX_DEPTH:
                return window
        elif token in (b"]", b"}"):
            if not stack or stack.pop() != token:
                return window
        elif token == b",":
            room = limit - len(stack)
            if found.start() <= room:
                kept = (found.start(), tuple(reversed(stack)))
    if kept is None:
        return window
    return window[: kept[0]] + b"".join(kept[1])
