"""How a send ended, as values.

Owns the outcomes that the gate decides on. Knows no HTTP client.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from signoff.upstream.exchange import CutBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The upstream answered, and the answer was read.

    `headers` are only those that may be shown, lower-case names; credentials are taken out of
    headers and body. `truncated` means the body is not whole, `cut_by` why: it is larger than the
    upstream's `max_response_bytes`, or a stream that did not end in time, or broke off.
    `unread` says why the body was not read at all, None when it was. `location` is where the
    answer's Location leads, whole: to be recognised, never to be shown or followed.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool = False
    cut_by: CutBy = "size"
    unread: str | None = None
    location: str | None = field(default=None, repr=False, compare=False)

    def header(self, name: str) -> str | None:
        """Return the first header of that name (lower case)."""
        return next((value for known, value in self.headers if known == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """Not a byte of the request left. `reason` holds no secret.

    `transient` means that nothing but the connection was in the way.
    """

    reason: str
    definite: bool = True
    transient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Not a byte left: what the approval covered is not what would be sent now."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The request left, at least in part, and what became of it cannot be told.

    `stale` means that it left on a kept connection which closed without a byte of an answer.
    """

    reason: str
    stale: bool = False


Sent: TypeAlias = Answered | NotSent | Changed | Unknown
