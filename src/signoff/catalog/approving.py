"""`approval`: who signs a capability off, how strongly, within what time.

Owns the section under an upstream, whose words count for all of its capabilities, and the one
under a single capability, whose words count more. Neither goes below what the risk demands, and
what cannot be enforced is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from signoff.catalog.config import People
from signoff.catalog.fields import Fields, Problems, Word, suggest
from signoff.catalog.model import METHODS, ApprovalRule, Approver, Risk, Strength
from signoff.catalog.yaml_source import Node, Spot

CALLER: Final = "${caller.sub}"
NO_PASSKEYS: Final = "passkeys are not built yet, so this cannot be enforced"
RESERVED_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("constraints", "grant_ttl"), "is reserved for a later version; leave it out"),
    "default_grants": "belongs to an upstream: upstreams.NAME.default_grants",
}
_STRENGTHS: Final = ("session", "passkey")
_ENFORCED: Final = frozenset({"session"})
_GROUP: Final = "group:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What an upstream says of its capabilities; None where it says nothing.

    `strengths` is by method, `*` for every other.
    """

    strengths: Mapping[str, Strength] = field(default_factory=dict[str, Strength])
    approver: Approver | None = None
    expires_in_s: int | None = None

    def rule(self, method: str, risk: Risk) -> ApprovalRule:
        """Return how a capability is signed off of which nothing else is said."""
        said = self.strengths.get(method) or self.strengths.get("*")
        default = ApprovalRule()
        return ApprovalRule(
            approver=self.approver or default.approver,
            strength=stronger(said, demanded(risk)),
            expires_in_s=self.expires_in_s or default.expires_in_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What one capability says itself, still with its places; None where it says nothing."""

    path: str = ""
    title: Word | None = None
    approver: Approver | None = None
    strength: Strength | None = None
    strength_spot: Spot | None = None
    expires_in_s: int | None = None

    def over(self, defaults: Defaults, method: str, risk: Risk, problems: Problems) -> ApprovalRule:
        """Return how the capability is signed off; less than its risk demands is a problem."""
        rule = defaults.rule(method, risk)
        strength = rule.strength
        if self.strength is not None and self.strength_spot is not None:
            strength = stronger(self.strength, demanded(risk))
            if strength != self.strength:
                message = f"{risk} means {strength}; {self.strength} would be less. Leave it out"
                problems.add(self.strength_spot, f"{self.path}.strength: {message}")
        return ApprovalRule(
            title=self.title.text if self.title else None,
            approver=self.approver or rule.approver,
            strength=strength,
            expires_in_s=self.expires_in_s or rule.expires_in_s,
        )


def demanded(risk: Risk) -> Strength:
    """Return the least strength that a risk allows."""
    return "passkey" if risk is Risk.CRITICAL else "session"


def stronger(one: Strength | None, other: Strength) -> Strength:
    """Return the stronger of the two; one may not be said."""
    return "passkey" if "passkey" in (one, other) else "session"


def read_defaults(fields: Fields, people: People) -> Defaults:
    """Read `approval` of an upstream."""
    approval = fields.section("approval")
    if approval is None:
        return Defaults()
    approval.reserved({
        **RESERVED_KEYS,
        "title": "belongs to one operation: operations.ID.approval.title",
    })
    defaults = Defaults(
        strengths=_strengths(approval),
        approver=_approver(approval, people),
        expires_in_s=_expires_in_s(approval),
    )
    approval.close()
    return defaults


def read_own(fields: Fields, people: People) -> Own:
    """Read `approval` of one capability."""
    approval = fields.section("approval")
    if approval is None:
        return Own()
    own = Own(
        path=approval.path,
        title=approval.word("title"),
        approver=_approver(approval, people),
        strength=_strength(approval, "strength"),
        strength_spot=approval.spot_of("strength"),
        expires_in_s=_expires_in_s(approval),
    )
    approval.reserved(RESERVED_KEYS)
    approval.close()
    return own


def _expires_in_s(approval: Fields) -> int | None:
    if approval.take("expires_in") is None:
        return None
    return int(approval.duration("expires_in", 900.0, least="30s", most="72h"))


def _strengths(approval: Fields) -> dict[str, Strength]:
    node = approval.take("strength")
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        word = _strength(approval, "strength")
        return {"*": word} if word else {}
    found: dict[str, Strength] = {}
    inner = approval.as_fields(node, approval.at("strength"))
    if inner is not None:
        for method in (*METHODS, "*"):
            if (strength := _strength(inner, method)) is not None:
                found[method] = strength
        inner.close()
    return found


def _strength(fields: Fields, key: str) -> Strength | None:
    word = fields.choice(key, _STRENGTHS, "")
    if word and word not in _ENFORCED:
        fields.complain(key, f"{NO_PASSKEYS}; use session")
    return cast("Strength", word) if word else None


def _approver(approval: Fields, people: People) -> Approver | None:
    node = approval.take("approver")
    if node is None:
        return None
    if not isinstance(node.value, dict):
        return Approver(any_of=_who(approval, approval.at("approver"), node, people))
    fields = approval.section("approver")
    if fields is None:
        return None
    fields.needs("any_of", "is needed: the users or groups that may decide")
    found = [
        who for path, member in fields.nodes("any_of") for who in _who(fields, path, member, people)
    ]
    if "any_of" in fields and not fields.nodes("any_of"):
        fields.complain("any_of", "names nobody")
    if fields.integer("need", 1, least=1, most=100) > 1:
        fields.complain("need", "more than one approver is not built yet; use 1")
    not_caller = fields.flag("not_caller")
    if not_caller and found and set(found) == {CALLER}:
        fields.complain("not_caller", "leaves nobody who could decide")
    fields.close()
    return Approver(any_of=tuple(dict.fromkeys(found)), not_caller=not_caller)


def _who(fields: Fields, path: str, node: Node, people: People) -> tuple[str, ...]:
    word = fields.as_word(node, path)
    if word is None:
        return ()
    text = word.text
    if text == CALLER or text in people.users:
        return (text,)
    if text.startswith(_GROUP):
        group = text.removeprefix(_GROUP)
        if group in people.groups:
            return people.groups[group]
        hint = suggest(group, people.groups)
        fields.problems.add(word.spot, f'{path}: nobody is in the group "{group[:60]}"{hint}')
        return ()
    if text.startswith("${"):
        fields.problems.add(word.spot, f'{path}: only "{CALLER}" may stand here')
        return ()
    hint = suggest(text, [*people.users, CALLER])
    fields.problems.add(word.spot, f'{path}: there is no user "{text[:60]}"{hint}')
    return ()
