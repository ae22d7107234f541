"""Policy: rules, then risk, then grants and defaults; what nobody knows asks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate_parts import PAY, READ
from signoff.catalog.model import DefaultGrants, Effect, Policy, PolicyRule, Risk, ToolSpec
from signoff.gate.policy import Allow, Ask, Deny, decide

LOW_POST = replace(PAY, risk=Risk.LOW)
RISKY_READ = replace(READ, risk=Risk.HIGH)
CRITICAL = replace(PAY, risk=Risk.CRITICAL)


def rules(*listed: PolicyRule) -> Policy:
    return Policy(rules=listed)


def test_a_low_read_is_allowed_by_default() -> None:
    assert decide(Policy(), READ) == Allow(reason="default for GET", rule="default:GET")


def test_a_low_change_asks_by_default() -> None:
    assert isinstance(decide(Policy(), LOW_POST), Ask)


@pytest.mark.parametrize("tool", [RISKY_READ, PAY, CRITICAL])
def test_high_and_critical_ask_whatever_the_method_and_defaults(tool: ToolSpec) -> None:
    free = Policy(defaults={"GET": "allow", "POST": "allow", "*": "allow"})
    assert isinstance(decide(free, tool), Ask)


@pytest.mark.parametrize(
    "rule",
    [
        PolicyRule(id="glob", effect="allow", capability="*"),
        PolicyRule(id="prefix", effect="allow", capability="pa?"),
        PolicyRule(id="method", effect="allow", method="POST"),
        PolicyRule(id="risk", effect="allow", risk=Risk.HIGH),
        PolicyRule(id="everything", effect="allow"),
        PolicyRule(id="other", effect="allow", capability="Pay"),
    ],
)
def test_only_an_exact_name_may_allow_a_risky_tool(rule: PolicyRule) -> None:
    assert isinstance(decide(rules(rule), PAY), Ask)


def test_a_rule_may_allow_a_risky_tool_by_its_exact_name() -> None:
    rule = PolicyRule(id="known", effect="allow", capability="pay", reason="small sums")
    assert decide(rules(rule), PAY) == Allow(reason="small sums", rule="known")


def test_an_exact_allow_for_another_method_does_not_count() -> None:
    rule = PolicyRule(id="known", effect="allow", capability="pay", method="GET")
    assert isinstance(decide(rules(rule), PAY), Ask)


def test_the_first_rule_that_matches_wins() -> None:
    deny = PolicyRule(id="no", effect="deny", capability="pay", reason="at the branch")
    allow = PolicyRule(id="yes", effect="allow", capability="pay")
    assert decide(rules(deny, allow), PAY) == Deny(reason="at the branch", rule="no")
    assert decide(rules(allow, deny), PAY) == Allow(reason="rule yes", rule="yes")


def test_a_deny_behind_an_allow_that_does_not_count_still_denies() -> None:
    glob = PolicyRule(id="glob", effect="allow", capability="p*")
    deny = PolicyRule(id="no", effect="deny", risk=Risk.HIGH)
    assert isinstance(decide(rules(glob, deny), PAY), Deny)


def test_rules_match_by_glob_method_and_risk_together() -> None:
    rule = PolicyRule(id="r", effect="deny", capability="pa*", method="post", risk=Risk.LOW)
    assert isinstance(decide(rules(rule), LOW_POST), Deny)
    assert isinstance(decide(rules(rule), PAY), Ask)
    assert isinstance(decide(rules(rule), replace(LOW_POST, method="PUT")), Ask)
    assert isinstance(decide(rules(rule), replace(LOW_POST, name="send")), Ask)


def test_names_are_compared_with_their_case() -> None:
    rule = PolicyRule(id="r", effect="deny", capability="PA*")
    assert isinstance(decide(rules(rule), LOW_POST), Ask)


@pytest.mark.parametrize("defaults", [{}, {"*": "perhaps"}, {"GET": "allow"}])
def test_what_no_rule_and_no_default_knows_asks(defaults: dict[str, str]) -> None:
    policy = Policy(defaults=defaults)  # pyright: ignore[reportArgumentType] — on purpose
    assert isinstance(decide(policy, LOW_POST), Ask)


def test_an_empty_policy_asks_even_for_a_read() -> None:
    assert isinstance(decide(Policy(defaults={}), READ), Ask)


def test_a_default_may_deny() -> None:
    assert isinstance(decide(Policy(defaults={"*": "deny"}), LOW_POST), Deny)


def granted(*capabilities: str, everything: bool = False, methods: tuple[str, ...] = ()) -> Policy:
    grants = DefaultGrants(everything=everything, methods=methods, capabilities=capabilities)
    return Policy(grants={"bank": grants})


def test_a_grant_lets_a_low_change_go_without_asking() -> None:
    for policy in (granted("pay"), granted("p*"), granted(methods=("POST",))):
        assert decide(policy, LOW_POST) == Allow(
            reason="granted by default at bank", rule="grant:bank"
        )
    assert isinstance(decide(granted(everything=True), LOW_POST), Allow)


@pytest.mark.parametrize("tool", [RISKY_READ, PAY, CRITICAL], ids=["read", "change", "critical"])
@pytest.mark.parametrize(
    "policy",
    [
        granted(everything=True),
        granted(methods=("GET", "POST")),
        granted("*"),
        granted("pa?", "balanc*"),
        granted("Pay", "BALANCE"),
    ],
    ids=["true", "methods", "star", "pattern", "another case"],
)
def test_no_method_and_no_pattern_grants_a_risky_tool(policy: Policy, tool: ToolSpec) -> None:
    assert isinstance(decide(policy, tool), Ask)


@pytest.mark.parametrize("tool", [RISKY_READ, PAY, CRITICAL], ids=["read", "change", "critical"])
def test_a_grant_lets_a_risky_tool_go_only_by_its_exact_name(tool: ToolSpec) -> None:
    assert decide(granted(tool.name), tool).rule == "grant:bank"
    assert isinstance(decide(granted(tool.name), tool), Allow)


def test_what_an_upstreams_grants_do_not_cover_asks_even_a_read() -> None:
    assert decide(granted("pay"), READ) == Ask(
        reason="not granted by default at bank", rule="grant:bank"
    )
    assert isinstance(decide(granted(), READ), Ask)


def test_the_grants_of_one_upstream_say_nothing_of_another() -> None:
    elsewhere = replace(READ, upstream="shop")
    risky = replace(PAY, upstream="shop")
    assert decide(granted(), elsewhere) == decide(Policy(), elsewhere)
    assert isinstance(decide(granted("pay", everything=True), risky), Ask)


def test_what_the_defaults_deny_no_grant_opens() -> None:
    policy = replace(granted("pay", everything=True), defaults={"*": "deny"})
    assert isinstance(decide(policy, LOW_POST), Deny)
    assert isinstance(decide(policy, PAY), Deny)


@pytest.mark.parametrize("effect", ["ask", "deny"])
def test_a_rule_speaks_before_a_grant(effect: Effect) -> None:
    rule = PolicyRule(id="first", effect=effect, capability="pay")
    policy = replace(granted("pay", everything=True), rules=(rule,))
    assert decide(policy, PAY).rule == "first"
    assert not isinstance(decide(policy, PAY), Allow)


def test_a_rule_that_allows_what_no_grant_covers_still_allows() -> None:
    rule = PolicyRule(id="reads", effect="allow", method="GET")
    assert isinstance(decide(replace(granted(), rules=(rule,)), READ), Allow)


NAMES = st.sampled_from(["*", "p*", "pa?", "[p]ay", "Pay", "pay ", "balance", "?ay", ""])
METHOD = st.sampled_from(["GET", "POST", "DELETE", "post"])
EFFECTS: st.SearchStrategy[Effect] = st.sampled_from(["allow", "ask", "deny"])


@given(
    st.lists(
        st.builds(
            PolicyRule,
            id=st.just("r"),
            effect=EFFECTS,
            capability=st.none() | NAMES,
            method=st.none() | METHOD,
            risk=st.none() | st.sampled_from(Risk),
        ),
        max_size=4,
    ),
    st.builds(
        DefaultGrants,
        everything=st.booleans(),
        methods=st.lists(METHOD).map(tuple),
        capabilities=st.lists(NAMES).map(tuple),
    ),
    st.dictionaries(METHOD | st.just("*"), EFFECTS),
    st.sampled_from([PAY, CRITICAL, replace(PAY, method="GET"), replace(PAY, method="DELETE")]),
)
def test_nothing_but_its_exact_name_ever_allows_a_risky_tool(
    listed: list[PolicyRule],
    grants: DefaultGrants,
    defaults: dict[str, Effect],
    tool: ToolSpec,
) -> None:
    policy = Policy(rules=tuple(listed), defaults=defaults, grants={"bank": grants})

    assert not isinstance(decide(policy, tool), Allow)
