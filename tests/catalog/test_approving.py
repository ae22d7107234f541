"""What an upstream says of approvals and grants counts for all of its capabilities."""

import pytest

from signoff.catalog.approving import Defaults, Own, demanded, stronger
from signoff.catalog.fields import Problems, Word
from signoff.catalog.loader import Broken, Loaded, parse
from signoff.catalog.model import (
    ApprovalRule,
    Approver,
    DefaultGrants,
    Risk,
    Strength,
    ToolSpec,
)
from signoff.catalog.yaml_source import Spot

SPOT = Spot(line=7, column=3)
SPEC = b"""\
openapi: 3.1.0
info: {title: Shop, version: "1"}
paths:
  /orders:
    get: {operationId: orders.list, responses: {}}
    post: {operationId: orders.create, responses: {}}
    delete: {operationId: orders.clear, responses: {}}
  /stock:
    get: {operationId: stock, x-risk: high, responses: {}}
    put: {operationId: restock, responses: {}}
"""


def catalogue(upstream: str, *, operations: str = "{}", more: str = "") -> Loaded | Broken:
    text = f"""\
signoff: 1
users: [{{id: alice}}, {{id: bob}}]
auth: {{local_user: alice}}
upstreams:
  shop: {{openapi: shop.yaml, base_url: "https://shop.example", operations: {operations}
    {upstream} }}
capabilities:
  - name: deploy
    description: Deploys.
    upstream: shop
    request: {{method: POST, path: /deploy}}
    {more}
"""
    return parse(text.encode(), file="capabilities.yaml", read_spec=lambda name: (name, SPEC))


def good(upstream: str, *, operations: str = "{}", more: str = "") -> Loaded:
    result = catalogue(upstream, operations=operations, more=more)
    assert isinstance(result, Loaded), "\n".join(map(str, result.problems))
    return result


def tools(result: Loaded) -> dict[str, ToolSpec]:
    return {tool.name: tool for tool in result.catalogue.tools}


def test_an_upstreams_approval_counts_for_every_capability_that_says_nothing_else() -> None:
    result = good(", approval: {approver: bob, expires_in: 5m, strength: session}")

    expected = ApprovalRule(approver=Approver(any_of=("bob",)), expires_in_s=300)
    assert {tool.approval for tool in tools(result).values()} == {expected}
    assert len(tools(result)) == 6


def test_a_capabilitys_own_words_count_more_one_by_one() -> None:
    result = good(
        ", approval: {approver: bob, expires_in: 5m, strength: {POST: session}}",
        operations='{"orders.create": {approval: {title: Buy, expires_in: 1m}}}',
        more='approval: {approver: "${caller.sub}"}',
    )

    assert tools(result)["orders_create"].approval == ApprovalRule(
        title="Buy", approver=Approver(any_of=("bob",)), expires_in_s=60
    )
    assert tools(result)["deploy"].approval == ApprovalRule(expires_in_s=300)
    assert tools(result)["restock"].approval == ApprovalRule(
        approver=Approver(any_of=("bob",)), expires_in_s=300
    )


@pytest.mark.parametrize("said", ["approver: bob", "expires_in: 5m"])
def test_another_approval_is_another_catalogue_even_before_a_tool_is_compiled(said: str) -> None:
    digests: set[str] = set()
    for approval in ("{}", f"{{{said}}}"):
        text = (
            "signoff: 1\nusers: [{id: alice}, {id: bob}]\nauth: {local_user: alice}\nupstreams:\n"
            f"  shop: {{openapi: s.yaml, base_url: 'https://s.example', approval: {approval}}}\n"
        )
        result = parse(text.encode(), file="c.yaml", read_spec=lambda name: (name, SPEC))
        assert isinstance(result, Loaded)
        digests.add(result.catalogue.digest)

    assert len(digests) == 2


@pytest.mark.seed("A47")
@pytest.mark.parametrize(
    ("method", "risk", "expected"),
    [
        ("POST", Risk.HIGH, "session"),
        ("DELETE", Risk.HIGH, "passkey"),
        ("PUT", Risk.HIGH, "passkey"),
        ("GET", Risk.LOW, "passkey"),
        ("POST", Risk.CRITICAL, "passkey"),
    ],
)
def test_strength_is_by_method_then_by_star_and_never_less_than_the_risk_demands(
    method: str, risk: Risk, expected: Strength
) -> None:
    defaults = Defaults(strengths={"POST": "session", "DELETE": "passkey", "*": "passkey"})

    assert defaults.rule(method, risk).strength == expected


def test_without_a_word_the_risk_decides_the_strength() -> None:
    assert [Defaults().rule("POST", risk).strength for risk in Risk] == [
        "session",
        "session",
        "passkey",
    ]
    assert [demanded(risk) for risk in Risk] == ["session", "session", "passkey"]


def test_a_capability_may_ask_for_less_than_its_upstream_but_not_than_its_risk() -> None:
    defaults = Defaults(strengths={"*": "passkey"})
    own = Own(path="here.approval", strength="session", strength_spot=SPOT)
    problems = Problems("capabilities.yaml")

    assert own.over(defaults, "POST", Risk.HIGH, problems).strength == "session"
    assert problems.found == []
    assert own.over(defaults, "POST", Risk.CRITICAL, problems).strength == "passkey"
    assert [str(one) for one in problems.found] == [
        (
            "capabilities.yaml:7:3: here.approval.strength: critical means passkey; session "
            "would be less. Leave it out"
        )
    ]


def test_a_capability_may_ask_for_more_than_its_upstream() -> None:
    own = Own(path="here.approval", strength="passkey", strength_spot=SPOT)
    rule = own.over(Defaults(strengths={"*": "session"}), "GET", Risk.LOW, Problems("f"))

    assert rule.strength == "passkey"
    assert stronger(None, "session") == "session"


def test_a_title_is_the_capabilitys_own() -> None:
    own = Own(title=Word(text="Buy {amount}", spot=SPOT))

    assert own.over(Defaults(), "POST", Risk.HIGH, Problems("f")).title == "Buy {amount}"


@pytest.mark.seed("A47")
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("true", DefaultGrants(everything=True)),
        ("false", DefaultGrants()),
        ("[]", DefaultGrants()),
        ("GET", DefaultGrants(methods=("GET",))),
        ("[GET, HEAD]", DefaultGrants(methods=("GET", "HEAD"))),
        ("stock", DefaultGrants(capabilities=("stock",))),
        ("[orders_list, deploy]", DefaultGrants(capabilities=("orders_list", "deploy"))),
        ('["orders.*", orders.list]', DefaultGrants(capabilities=("orders_*", "orders_list"))),
        (
            '["POST /orders", "DELETE /orders"]',
            DefaultGrants(capabilities=("orders_create", "orders_clear")),
        ),
        ('[GET, "*"]', DefaultGrants(methods=("GET",), capabilities=("*",))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_default_grants_are_everything_methods_names_or_patterns(
    written: str, expected: DefaultGrants
) -> None:
    result = good(f", default_grants: {written}")

    assert result.catalogue.policy.grants == {"shop": expected}


def test_an_upstream_that_says_nothing_of_grants_has_none() -> None:
    assert good("").catalogue.policy.grants == {}


def test_check_lists_a_risky_capability_that_is_granted_by_its_name() -> None:
    result = good(", default_grants: [GET, orders_create]")

    assert [str(note) for note in result.notes] == [
        (
            "capabilities.yaml:6:23: upstreams.shop.default_grants: does not grant stock: a risky "
            "one must be named exactly"
        ),
        (
            "capabilities.yaml:6:29: upstreams.shop.default_grants[1]: grants orders_create (POST "
            "/orders) without asking, although its risk is high (POST without a risk of its own)"
        ),
    ]


def test_check_says_what_true_does_not_grant() -> None:
    [note] = good(", default_grants: true").notes

    assert note.message == (
        "upstreams.shop.default_grants: does not grant deploy, orders_clear, orders_create, "
        "restock, stock: a risky one must be named exactly"
    )


def test_other_grants_are_another_catalogue() -> None:
    digests = {
        good(f", default_grants: {written}").catalogue.digest
        for written in ("true", "false", "GET", "[GET, HEAD]", "orders_create")
    }

    assert len(digests) == 5


def test_a_specs_own_word_grants_nothing() -> None:
    spec = SPEC.replace(
        b"operationId: orders.create,",
        b"operationId: orders.create, x-risk: low, default_grants: true, x-mcp: {risk: low},",
    )
    text = (
        b"signoff: 1\nusers: [{id: alice}]\nupstreams:\n"
        b"  shop: {openapi: s.yaml, base_url: 'https://s.example', default_grants: true}\n"
    )
    result = parse(text, file="capabilities.yaml", read_spec=lambda name: (name, spec))

    assert isinstance(result, Loaded)
    assert tools(result)["orders_create"].risk is Risk.HIGH


def test_a_grant_by_method_and_path_stays_when_a_spec_moves_its_names() -> None:
    moved = SPEC.replace(b"orders.create", b"x").replace(b"restock", b"orders.create")
    granted: list[tuple[str, ...]] = []
    for spec in (SPEC, moved):
        text = (
            b"signoff: 1\nusers: [{id: alice}]\nupstreams:\n  shop: {openapi: s.yaml, "
            b"base_url: 'https://s.example', default_grants: 'POST /orders'}\n"
        )
        result = parse(text, file="c.yaml", read_spec=lambda name, spec=spec: (name, spec))
        assert isinstance(result, Loaded)
        granted.append(result.catalogue.policy.grants["shop"].capabilities)

    assert granted == [("orders_create",), ("x",)]


TWO = """\
signoff: 1
users: [{id: alice}]
upstreams:
  shop: {openapi: s.yaml, base_url: "https://s.example"}
  depot: {base_url: "https://d.example"}
capabilities:
  - {name: other, description: Orders., upstream: depot, request: {method: POST, path: /orders}}
policy: {rules: [{id: one, effect: allow, capability: "%s"}]}
"""


def test_a_rule_may_say_method_and_path_too() -> None:
    text = TWO % "DELETE /orders"
    result = parse(text.encode(), file="c.yaml", read_spec=lambda name: (name, SPEC))

    assert isinstance(result, Loaded)
    assert [rule.capability for rule in result.catalogue.policy.rules] == ["orders_clear"]
    assert [note.message for note in result.notes] == [
        (
            "policy.rules[0]: allows orders_clear (DELETE /orders) without asking, although its "
            "risk is high (DELETE without a risk of its own)"
        )
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("POST /orders", '"POST /orders" is several: orders_create, other; name one'),
        ("PUT /orders", 'there is no capability "PUT /orders", did you mean "POST /orders"?'),
        ("POST /*", 'there is no capability "POST /*"'),
    ],
    ids=["several", "none", "pattern"],
)
def test_a_rule_for_a_place_is_for_one_operation(written: str, said: str) -> None:
    text = TWO % written
    result = parse(text.encode(), file="c.yaml", read_spec=lambda name: (name, SPEC))

    assert isinstance(result, Broken)
    [problem] = result.problems
    assert problem.message.startswith(f"policy.rules[0].capability: {said}")


def test_a_grant_that_fits_nothing_is_a_mistake() -> None:
    result = catalogue(", default_grants: [nothing_like_it]")

    assert isinstance(result, Broken)
    assert [str(problem) for problem in result.problems] == [
        (
            "capabilities.yaml:6:24: upstreams.shop.default_grants[0]: shop has no capability "
            '"nothing_like_it"'
        )
    ]
