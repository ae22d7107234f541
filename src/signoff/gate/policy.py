"""Whether a call may go, must be asked for, or may not: a pure function of the operator's words.

Owns the order in which rules, risk, grants and defaults speak. Knows no arguments, no caller's
text, no clock and no storage; nothing an assistant, a spec or an upstream says reaches it.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from signoff.catalog.model import Capability, Policy, PolicyRule, Risk

_ASKS_ALWAYS: Final = frozenset({Risk.HIGH, Risk.CRITICAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """The call goes without a person.

    `rule` is the rule's id, `grant:UPSTREAM` or `default:METHOD`.
    """

    reason: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A person decides."""

    reason: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """The call does not go."""

    reason: str
    rule: str


Verdict: TypeAlias = Allow | Ask | Deny


def decide(policy: Policy, tool: Capability) -> Verdict:
    """Return what policy says of `tool`.

    The first rule that matches decides. For a tool of high or critical risk a rule that allows
    counts only if it names the tool exactly, and so does a grant; without either such a tool asks
    whatever its method. Everything else follows the defaults, and what they do not know asks. An
    upstream with grants has no other allowance: what they cover goes where the defaults allow or
    ask, the rest asks where the defaults allow. What the defaults deny stays denied.
    """
    risky = tool.risk in _ASKS_ALWAYS
    for rule in policy.rules:
        if not _matches(rule, tool):
            continue
        if risky and rule.effect == "allow" and rule.capability != tool.name:
            continue
        return _verdict(rule.effect, rule.reason or f"rule {rule.id}", rule.id)
    grants = policy.grants.get(tool.upstream)
    if risky and (grants is None or not grants.names(tool)):
        return Ask(reason=f"risk {tool.risk} ({tool.risk_reason})", rule=f"risk:{tool.risk}")
    method = tool.method if tool.method in policy.defaults else "*"
    effect = policy.defaults.get(method, "ask")
    default = _verdict(effect, f"default for {tool.method}", f"default:{method}")
    if grants is None or isinstance(default, Deny):
        return default
    rule = f"grant:{tool.upstream}"
    if grants.covers(tool):
        return Allow(reason=f"granted by default at {tool.upstream}", rule=rule)
    return Ask(reason=f"not granted by default at {tool.upstream}", rule=rule)


def _matches(rule: PolicyRule, tool: Capability) -> bool:
    if rule.capability is not None and not (
        rule.capability == tool.name or fnmatchcase(tool.name, rule.capability)
    ):
        return False
    if rule.method is not None and rule.method.upper() != tool.method:
        return False
    return rule.risk is None or rule.risk == tool.risk


def _verdict(effect: str, reason: str, rule: str) -> Verdict:
    match effect:
        case "allow":
            return Allow(reason=reason, rule=rule)
        case "deny":
            return Deny(reason=reason, rule=rule)
        case _:
            return Ask(reason=reason, rule=rule)
