"""What the assistant's edge needs from the gate, and the three ways the gate answers.

Protocols only; `gate/pipeline.py` implements them.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from signoff.canonical import Json
from signoff.gate.call import Call
from signoff.identity import Caller, ClientInfo
from signoff.upstream.response import ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    call: Call | None
    result: ToolResult
    repeat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    call: Call
    attached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    code: str
    message: str


Answer: TypeAlias = Finished | Waiting | Refused


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
    ) -> Answer: ...

    async def look(self, caller: Caller, call_id: str) -> Answer | None: ...

    async def withdraw(self, caller: Caller, call_id: str) -> Answer | None: ...

    async def repeat(self, caller: Caller, info: ClientInfo, call_id: str) -> Answer | None: ...

    def listening(self, call_id: str) -> AbstractContextManager[None]: ...

    async def reachable(self, call: Call) -> str | None: ...
