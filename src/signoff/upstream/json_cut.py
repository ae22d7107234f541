"""JSON that is too long, cut so that it still is JSON. Pure."""

import re
from typing import Final, TypeAlias

from signoff.canonical import MAX_DEPTH

_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_CLOSES: Final = {b"[": b"]", b"{": b"}"}


Cut: TypeAlias = tuple[int, tuple[bytes, ...]]
"""Where to cut, and what closes everything that is open there."""


def cut_json(body: bytes, limit: int) -> bytes:
    """Return the longest start of `body` within `limit` that ends after a whole member, closed.

    Inside a list that is after a whole item, unless half of what could be kept were lost by it:
    half an item looks like a whole one. What does not look like JSON comes back as it is, cut at
    `limit`.
    """
    window = body[:limit]
    cuts = _cuts(window, limit)
    if not cuts:
        return window
    furthest = max(position for position, _ in cuts.values())
    position, closing = next(cut for _, cut in sorted(cuts.items()) if cut[0] * 2 >= furthest)
    return window[:position] + b"".join(closing)


def _cuts(window: bytes, limit: int) -> dict[int, Cut]:
    """Return the last cut by depth, of lists first and of anything last; empty when it is not JSON.

    The depth of a cut that is not between the items of a list is beyond every depth.
    """
    stack: list[bytes] = []
    cuts: dict[int, Cut] = {}
    for found in _TOKENS.finditer(window):
        token = found[0]
        if token in _CLOSES:
            stack.append(_CLOSES[token])
            if len(stack) > MAX_DEPTH:
                return {}
        elif token != b"," and token in b"]}":
            if not stack or stack.pop() != token:
                return {}
        elif token == b"," and found.start() <= limit - len(stack):
            in_list = stack[-1:] == [b"]"]
            cuts[len(stack) if in_list else MAX_DEPTH + 1] = (
                found.start(),
                tuple(reversed(stack)),
            )
    return cuts
