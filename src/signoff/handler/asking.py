"""What a program is asked before a risky call goes, and what it may answer.

Owns the question and the two answers to it. An answer belongs to one question: it carries that
question's digest, which covers the very request, and is worth nothing for any other.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from signoff.canonical import Json
from signoff.catalog.model import Strength, ToolSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """A person's yes to one `Ask`. `strength` is how the person was recognised."""

    digest: str
    by: str
    strength: Strength


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """A person's no to one `Ask`."""

    digest: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A call that a person has to sign off.

    `arguments` and `request` (method, url, headers, body and their hashes) are what may be shown:
    secrets in them are masked, headers that the program resolves are named without their value.
    `reason` is why it asks. `context` is what came with the call.
    """

    tool: ToolSpec
    arguments: Mapping[str, Json]
    request: Mapping[str, Json]
    strength: Strength
    reason: str
    expires_in_s: int
    digest: str
    context: Any = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """One line for a person; a spec's prose is not in it."""
        return f"Call {self.tool.name}: {self.tool.method} {self.tool.path}"

    def approved(self, *, by: str, strength: Strength = "session") -> Approved:
        """Answer that `by` said yes, having been recognised with that strength."""
        return Approved(digest=self.digest, by=by, strength=strength)

    def denied(self, *, by: str, reason: str = "") -> Denied:
        """Answer that `by` said no."""
        return Denied(digest=self.digest, by=by, reason=reason)


Approve: TypeAlias = Callable[[Ask], Awaitable[Approved | Denied]]
