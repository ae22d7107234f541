"""What the assistant's edge needs from the gate: six questions, and being counted as a listener.

A Protocol only; `gate/pipeline.py` implements it.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from signoff.canonical import Json
from signoff.gate.answers import Answer
from signoff.gate.call import Call
from signoff.identity import Caller, ClientInfo


class Gate(Protocol):
    """The one way to a tool. Every method checks that a call belongs to the caller."""

    async def call(
        self,
        caller: Caller,
        info: ClientInfo,
        tool: str,
        arguments: Mapping[str, Json],
        *,
        said: str | None,
        report: Callable[[str], None],
    ) -> Answer:
        """Answer at once: a result, that a person is being asked, or why it does not go.

        `report` hears how far a call is that needs nobody; it returns at once.
        """
        ...

    async def look(self, caller: Caller, call_id: str) -> Answer | None:
        """Return how the caller's own call stands; None for any other.

        An end is told as it was the first time: who waited for it, or asks for it, is no surprise.
        """
        ...

    async def withdraw(self, caller: Caller, call_id: str) -> Answer | None:
        """Take back the caller's own call if nothing was sent; None for any other."""
        ...

    async def repeat(self, caller: Caller, info: ClientInfo, call_id: str) -> Answer | None:
        """Make the caller's own call once more, on purpose; None for any other."""
        ...

    def listening(self, call_id: str) -> AbstractContextManager[None]:
        """Count as a listener of the call for the length of the block."""
        ...

    def arrived(self, call_id: str) -> int:
        """Return how many events have come of the answer to a call that is being sent."""
        ...

    async def reachable(self, call: Call) -> str | None:
        """Return why nobody can be asked now, None when somebody can."""
        ...
