"""What policy makes of each tool, for programs and in the words of whoever reads the terminal.

Owns these words. What is decided is the gate's; nothing is decided here.
"""

from dataclasses import dataclass
from typing import assert_never

from signoff.canonical import Json
from signoff.catalog.approving import CALLER
from signoff.catalog.model import Approver, Catalogue, ToolSpec
from signoff.gate.policy import Allow, Ask, Deny, decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What policy makes of one tool.

    `policy` is for programs, `words` for people. `strength` is what a person's yes needs, `none`
    where nobody is asked. `grant` is what lets the tool go without asking: a rule's id,
    `grant:UPSTREAM` or `default:METHOD`; None where nothing.
    """

    tool: str
    policy: str
    words: str
    reason: str
    strength: str = "none"
    grant: str | None = None
    denied_by: str | None = None

    def as_json(self) -> dict[str, Json]:
        return {
            "name": self.tool,
            "policy": self.policy,
            "strength": self.strength,
            "grant": self.grant,
            "reason": self.reason,
        }

    @property
    def group(self) -> str:
        """What this tool has in common with others, in words."""
        if self.grant is not None:
            return f"goes without asking ({self.grant})"
        return f"denied ({self.denied_by})" if self.denied_by else f"asks ({self.strength})"


def decided(catalogue: Catalogue, tool: ToolSpec) -> Decision:
    """Say what policy makes of `tool`."""
    verdict = decide(catalogue.policy, tool)
    match verdict:
        case Allow(rule=rule, reason=reason):
            return Decision(
                tool=tool.name, policy="allow", words="allow", reason=reason, grant=rule
            )
        case Ask(reason=reason):
            approver = tool.approval.approver
            return Decision(
                tool=tool.name,
                policy=f"ask {', '.join(approver.any_of)}",
                words=f"ask {_people(approver)}",
                reason=reason,
                strength=tool.approval.strength,
            )
        case Deny(reason=reason, rule=rule):
            said = f"deny: {reason}"
            return Decision(tool=tool.name, policy=said, words=said, reason=reason, denied_by=rule)
        case _:
            assert_never(verdict)


def _people(approver: Approver) -> str:
    """Say who may decide."""
    names = ["the caller" if one == CALLER else one for one in approver.any_of]
    people = names[0] if len(names) == 1 else f"any of {', '.join(names)}"
    return f"{people}, but never the caller" if approver.not_caller else people
