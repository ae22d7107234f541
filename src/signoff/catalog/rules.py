"""`policy`: the operator's rules, read and held against the tools there are.

Owns the shape of rules and what is odd about them. The decision itself is `gate/policy.py`.
"""

import fnmatch
import re
from collections.abc import Sequence
from typing import Final, cast

from signoff.catalog.fields import Fields, Problems, suggest
from signoff.catalog.model import METHODS, Capability, Effect, Policy, PolicyRule, Risk
from signoff.catalog.yaml_source import Spot

_EFFECTS: Final = ("allow", "ask", "deny")
_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_REASON: Final = 300


def read_policy(root: Fields, tools: Sequence[Capability], notes: Problems) -> Policy:
    """Read `policy`; what is allowed against its risk is noted."""
    fields = root.section("policy")
    if fields is None:
        return Policy()
    rules: dict[str, PolicyRule] = {}
    for path, node in fields.nodes("rules"):
        rule = fields.as_fields(node, path)
        if rule is None:
            continue
        made = _rule(rule, tools)
        rule.close()
        if made is None:
            continue
        if made.id in rules:
            rule.complain("id", f'"{made.id}" is written twice')
            continue
        rules[made.id] = made
        _note(made, path, rule.spot, tools, notes)
    policy = Policy(rules=tuple(rules.values()), defaults=_defaults(fields))
    fields.close()
    return policy


def _defaults(fields: Fields) -> dict[str, Effect]:
    if "defaults" not in fields:
        fields.take("defaults")
        return dict(Policy().defaults)
    found: dict[str, Effect] = {}
    section = fields.section("defaults")
    for key in (*METHODS, "*"):
        if section is not None and key in section:
            found[key] = cast("Effect", section.choice(key, _EFFECTS, "ask"))
    if section is not None:
        for key in (*METHODS, "*"):
            section.take(key)
        section.close()
    return {"*": "ask", **found}  # what nobody decided asks


def _rule(rule: Fields, tools: Sequence[Capability]) -> PolicyRule | None:
    rule.needs("id")
    rule.needs("effect")
    id_ = rule.text("id")
    capability = _capability(rule, tools)
    method = rule.choice("method", METHODS, "") or None
    risk = rule.choice("risk", [str(risk) for risk in Risk], "") or None
    effect = rule.choice("effect", _EFFECTS, "deny")
    reason = rule.text("reason") or None
    if reason is not None and (len(reason) > _REASON or not reason.isprintable()):
        rule.complain("reason", f"must be one line of at most {_REASON} characters")
    if id_ and not _ID.fullmatch(id_):
        rule.complain("id", "must be 1 to 64 letters, digits, _ . or -")
    if capability is None and method is None and risk is None:
        rule.problems.add(rule.spot, f"{rule.path}: says no capability, method or risk")
        return None
    if not id_:
        return None
    return PolicyRule(
        id=id_,
        effect=cast("Effect", effect),
        capability=capability,
        method=method,
        risk=Risk(risk) if risk else None,
        reason=reason,
    )


def _capability(rule: Fields, tools: Sequence[Capability]) -> str | None:
    """Return the name or pattern a rule is about; `METHOD path` is the name of what is there."""
    written = rule.text("capability")
    places = [f"{tool.method} {tool.path}" for tool in tools] if " " in written else []
    meant = [tool.name for tool, place in zip(tools, places, strict=False) if place == written]
    if len(meant) > 1:
        listed = ", ".join(sorted(meant)[:5])
        rule.complain("capability", f'"{written[:60]}" is several: {listed}; name one')
    elif written and not meant and not any(fnmatch.fnmatchcase(t.name, written) for t in tools):
        hint = suggest(written, places or [tool.name for tool in tools])
        rule.complain("capability", f'there is no capability "{written[:60]}"{hint}')
    return meant[0] if meant else written or None


def _note(
    rule: PolicyRule, path: str, spot: Spot, tools: Sequence[Capability], notes: Problems
) -> None:
    if rule.effect != "allow":
        return
    risky = [
        tool
        for tool in tools
        if tool.risk is not Risk.LOW
        and (rule.capability is None or fnmatch.fnmatchcase(tool.name, rule.capability))
        and (rule.method is None or rule.method == tool.method)
        and (rule.risk is None or rule.risk is tool.risk)
    ]
    for tool in risky:
        if tool.name == rule.capability:
            what = f"{tool.name} ({tool.method} {tool.path})"
            message = f"allows {what} without asking, although its risk is {tool.risk}"
            notes.add(spot, f"{path}: {message} ({tool.risk_reason})")
    unnamed = sorted(tool.name for tool in risky if tool.name != rule.capability)
    if unnamed:
        listed = ", ".join(unnamed[:5]) + (", …" if len(unnamed) > 5 else "")  # noqa: PLR2004
        message = f"does not allow {listed}: a risky one must be named exactly"
        notes.add(spot, f"{path}: {message}")
