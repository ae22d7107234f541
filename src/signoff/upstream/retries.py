"""Whether an allowed call is sent again, and after how long. Pure.

Owns the rule: only what may be repeated (RFC 9110 §9.2.2, or `retry: natural`), only after answers
that say "not now" or a connection that was not made, only while the call's own deadline lasts.
Gated calls never come here: their attempts are the gate's.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from signoff.upstream.sent import Answered, Changed, NotSent, Sent, Unknown

ATTEMPTS: Final = 3
_NOT_NOW: Final = frozenset({429, 502, 503, 504})
_PAUSES_S: Final = (0.1, 0.4)
_FOREVER_S: Final = 1e9


def pause_before_next(sent: Sent, *, attempt: int, left_s: float, now: datetime) -> float | None:
    """Return the seconds to wait before attempt `attempt + 1`; None when this is the end.

    `left_s` is what is left of the call's deadline. An upstream that asks for more time than that
    gets its answer passed on: the assistant is told `Retry-After`.
    """
    if attempt >= ATTEMPTS:
        return None
    match sent:
        case Answered(status=status) if status in _NOT_NOW:
            asked_s = retry_after_s(sent.header("retry-after"), now=now)
            pause_s = _PAUSES_S[attempt - 1] if asked_s is None else asked_s
        case NotSent(transient=True):
            pause_s = _PAUSES_S[attempt - 1]
        case Answered() | NotSent() | Changed() | Unknown():
            return None
    # Half of what is left stays for the answer itself.
    return pause_s if pause_s < left_s / 2 else None


def retry_after_s(value: str | None, *, now: datetime) -> float | None:
    """Return a Retry-After header's seconds (RFC 9110 §10.2.3); None where it says nothing."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= len("999999999") else _FOREVER_S
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max((at - now).total_seconds(), 0.0)
