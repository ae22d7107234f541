"""Who is asking: the caller of a tool, as a value.

Owns the shape of a caller and its stable key. Knows no token, no transport and no storage:
`assistant/auth.py` makes callers from bearers, everything below only reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

CallerKind = Literal["oauth", "local", "agent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The client (the assistant) and the person it acts for, if any.

    `issuer` vouches for `client_id` and `sub`: our own issuer for tokens, `local` for a process
    of signoff's own OS user. `sub` is None for a machine client.
    """

    kind: CallerKind
    issuer: str
    client_id: str
    sub: str | None = None
    agent_id: str | None = None
    host_id: str | None = None
    scopes: frozenset[str] | None = field(default=None, compare=False)
    """What the credential of this very message is limited to, None for no limit. Not identity: it
    is neither compared nor kept."""

    def as_json(self) -> dict[str, str]:
        """Return the members that are set, ready for canonical JSON."""
        members: dict[str, str | None] = {
            "kind": self.kind,
            "issuer": self.issuer,
            "client_id": self.client_id,
            "sub": self.sub,
            "agent_id": self.agent_id,
            "host_id": self.host_id,
        }
        return {name: value for name, value in members.items() if value is not None}

    @classmethod
    def from_json(cls, members: Mapping[str, str]) -> "Caller":
        """Read back what `as_json` wrote.

        Raises:
            KeyError: a required member is missing.
            ValueError: the kind is unknown.
        """
        if members["kind"] not in get_args(CallerKind):
            raise ValueError(f"unknown kind of caller {members['kind'][:40]!r}")
        return cls(
            kind=cast("CallerKind", members["kind"]),
            issuer=members["issuer"],
            client_id=members["client_id"],
            sub=members.get("sub"),
            agent_id=members.get("agent_id"),
            host_id=members.get("host_id"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientInfo:
    """What an MCP client says of itself. Shown as claimed; never identity, never a rule's input."""

    name: str = ""
    version: str = ""
