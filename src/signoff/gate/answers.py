"""The three ways the gate answers.

Values only. Knows no protocol: the assistant's edge puts them on the wire.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from signoff.gate.call import Call
from signoff.upstream.response import ToolResult

RefusalCode = Literal[
    "unknown_tool",
    "unknown_call",
    "invalid_arguments",
    "auth_required",
    "denied_by_policy",
    "too_many_open",
    "nobody_to_ask",
    "unavailable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """There is a result. `call` is None for a call that needed nobody."""

    call: Call | None
    result: ToolResult
    repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A person is asked, or the approved call is on its way. `attached`: it was open before."""

    call: Call
    attached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing was opened and nothing was sent. `message` is for the assistant."""

    code: RefusalCode
    message: str


Answer: TypeAlias = Finished | Waiting | Refused

UNAVAILABLE: Final = Refused(
    code="unavailable", message="signoff cannot keep calls at the moment. Try again later."
)


class RefusedError(Exception):
    """The call does not open."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.answer = Refused(code=code, message=message)
