"""A good catalogue, as its parts see it."""

from pathlib import Path

import pytest

from signoff.catalog.loader import Broken, Loaded, check_spec, load, parse
from signoff.catalog.model import (
    ApprovalRule,
    Approvals,
    Approver,
    HeaderTemplate,
    Reference,
    Retry,
    Risk,
    ServerConfig,
    Text,
    ToolSpec,
    Upstream,
    User,
)

FIXTURES = Path(__file__).parent / "fixtures"
ROOT = Path(__file__).parents[2]


def loaded(path: Path) -> Loaded:
    result = load(path)
    assert isinstance(result, Loaded), "\n".join(map(str, result.problems))
    return result


def written(text: str, directory: Path = FIXTURES / "good") -> Loaded | Broken:
    return parse(
        text.encode(),
        file="capabilities.yaml",
        read_spec=lambda name: (name, (directory / name).read_bytes()),
    )


@pytest.fixture(scope="module")
def full() -> Loaded:
    return loaded(FIXTURES / "good" / "full.yaml")


def tool_of(result: Loaded, name: str) -> ToolSpec:
    return next(tool for tool in result.catalogue.tools if tool.name == name)


def test_the_shipped_catalogue_loads() -> None:
    result = loaded(ROOT / "capabilities.yaml")

    transfer = tool_of(result, "transfer_funds")
    assert transfer.method == "POST"
    assert transfer.risk is Risk.HIGH
    assert set(transfer.body.members) == {
        "amount",
        "currency",
        "from_account",
        "to_account",
        "memo",
    }
    assert transfer.input_schema["required"] == [
        "amount",
        "currency",
        "from_account",
        "to_account",
    ]
    assert result.catalogue.skipped == ()


def test_the_server_sections_are_read(full: Loaded) -> None:
    assert full.catalogue.server == ServerConfig(
        name="acme",
        instructions="Shop tools.",
        public_url="https://signoff.example",
        allowed_hosts=("signoff.internal:8420",),
        max_tools=80,
        local_user="alice",
        wait_budgets_s={"claude-code": 240.0},
    )


@pytest.mark.parametrize(
    ("lasts", "seconds"), [("8h", 28_800.0), ("30d", 2_592_000.0), ("1.5d", 129_600.0)]
)
def test_how_long_a_sign_in_lasts_at_most_is_the_operators(lasts: str, seconds: float) -> None:
    result = written(f"signoff: 1\nauth: {{session_lifetime: {lasts}}}\nusers: [{{id: me}}]\n")
    assert isinstance(result, Loaded)
    assert result.catalogue.server.session_lifetime_s == seconds


@pytest.mark.parametrize("lasts", ["10m", "366d", "0d", "soon", "8"])
def test_a_sign_in_that_lasts_no_time_or_for_ever_is_refused(lasts: str) -> None:
    result = written(f"signoff: 1\nauth: {{session_lifetime: {lasts}}}\nusers: [{{id: me}}]\n")
    assert isinstance(result, Broken)
    assert "auth.session_lifetime: must be " in str(result.problems[0])


def test_the_users_are_read(full: Loaded) -> None:
    assert full.catalogue.users == {
        "alice": User(
            id="alice", name="Alice", email="alice@example.com", admin=True, groups=("finance",)
        ),
        "bob": User(id="bob", name="bob", subjects={"https://idp.example": "b-1"}),
    }


def test_an_upstream_is_read_with_its_header_references(full: Loaded) -> None:
    assert full.catalogue.upstreams["shop"] == Upstream(
        name="shop",
        base_url="https://shop.example/v1",
        audience="https://shop.example/api",
        headers=(
            HeaderTemplate(
                name="Authorization",
                parts=(Text(text="Bearer "), Reference(kind="env", name="SHOP_TOKEN")),
            ),
            HeaderTemplate(name="X-Key", parts=(Reference(kind="file", name="secrets/key"),)),
            HeaderTemplate(name="X-On-Behalf-Of", parts=(Reference(kind="caller", name="sub"),)),
            HeaderTemplate(name="X-Approval", parts=(Reference(kind="approval", name="token"),)),
        ),
        timeout_s=2.5,
        max_response_bytes=65_536,
    )


def test_the_operators_words_win_over_the_specs(full: Loaded) -> None:
    buy = tool_of(full, "buy")

    assert (buy.title, buy.description) == ("Buy something", "Buys one thing.")
    assert (buy.risk, buy.risk_reason) == (Risk.HIGH, "set in the catalogue")
    assert buy.retry == Retry(kind="idempotency_key", header="X-Request-Id")
    assert buy.definite_statuses == {503}


def test_a_group_names_its_members_as_approvers(full: Loaded) -> None:
    assert tool_of(full, "buy").approval == ApprovalRule(
        title="Buy for {amount}",
        approver=Approver(any_of=("bob", "alice"), not_caller=True),
        expires_in_s=259_200,
    )


def test_secret_arguments_come_from_the_spec_and_from_the_operator(full: Loaded) -> None:
    buy = tool_of(full, "buy")

    assert buy.secret_arguments == {"pin", "note"}
    assert buy.body.secrets == {("pin",), ("note",)}


def test_the_idempotency_header_of_a_spec_is_never_an_argument(full: Loaded) -> None:
    assert tool_of(full, "buy").parameters == ()


def test_what_expose_does_not_name_is_not_a_tool(full: Loaded) -> None:
    assert sorted(tool.name for tool in full.catalogue.tools) == [
        "buy",
        "deploy_project",
        "listOrders",
    ]


def test_a_hand_written_capability_puts_each_argument_in_one_place(full: Loaded) -> None:
    deploy = tool_of(full, "deploy_project")

    assert [(one.argument, one.place, one.name) for one in deploy.parameters] == [
        ("project_id", "path", "project_id"),
        ("dry_run", "query", "dry"),
        ("trace", "header", "X-Trace"),
    ]
    assert deploy.body.members == {"ref": "ref", "key": "key"}
    assert deploy.body.required
    assert deploy.input_schema["additionalProperties"] is False
    assert deploy.secret_arguments == {"key"}
    assert deploy.risk is Risk.HIGH


def test_a_rule_that_allows_a_risky_tool_is_noted_and_a_broad_one_does_not_count(
    full: Loaded,
) -> None:
    assert [note.message for note in full.notes] == [
        (
            "policy.rules[0]: allows buy (POST /orders) without asking, although its risk is high "
            "(set in the catalogue)"
        ),
        "policy.rules[1]: does not allow buy, deploy_project: a risky one must be named exactly",
    ]


def test_defaults_that_leave_methods_out_ask(full: Loaded) -> None:
    assert full.catalogue.policy.defaults == {"GET": "allow", "*": "ask"}


def test_a_dangling_ref_costs_only_its_own_operation() -> None:
    result = written("""\
signoff: 1
upstreams:
  shop: {openapi: ../specs/shop.yaml, base_url: "https://shop.example"}
users: [{id: alice}]
""")

    assert isinstance(result, Loaded)
    assert sorted(tool.name for tool in result.catalogue.tools) == ["createOrder", "listOrders"]
    [skipped] = result.catalogue.skipped
    assert skipped.operation == "createRefund"
    assert skipped.reason == 'the $ref "#/components/requestBodies/Missing" points at nothing'


def test_the_only_user_is_the_local_user() -> None:
    result = written("signoff: 1\nusers: [{id: alice}]\n")

    assert isinstance(result, Loaded)
    assert result.catalogue.server.local_user == "alice"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Buy for {amount}", "Buy now"),
        ("expires_in: 72h", "expires_in: 71h"),
        ("not_caller: true", "not_caller: false"),
        ("effect: deny", "effect: ask"),
        ("https://shop.example/v1/", "https://shop.example/v2/"),
        ("env:SHOP_TOKEN", "env:SHOP_KEY"),
        ("admin: true", "admin: false"),
        ("retry: natural", "retry: never"),
        ("definite_statuses: [503]", "definite_statuses: [502]"),
    ],
)
def test_the_digest_changes_with_what_the_catalogue_means(before: str, after: str) -> None:
    text = (FIXTURES / "good" / "full.yaml").read_text()
    assert before in text

    one, other = written(text), written(text.replace(before, after))

    assert isinstance(one, Loaded)
    assert isinstance(other, Loaded)
    assert one.catalogue.digest != other.catalogue.digest


def test_the_digest_ignores_comments_and_where_things_stand(full: Loaded) -> None:
    text = (FIXTURES / "good" / "full.yaml").read_text()

    moved = written("# a comment\n\n" + text)

    assert isinstance(moved, Loaded)
    assert moved.catalogue.digest == full.catalogue.digest


def test_an_anchor_is_read_where_it_is_used() -> None:
    result = written("""\
signoff: 1
upstreams:
  a: &base {base_url: "https://a.example", timeout: 3s}
  b: *base
""")

    assert isinstance(result, Loaded)
    assert result.catalogue.upstreams["b"].timeout_s == 3.0


def test_a_spec_alone_is_checked() -> None:
    report = check_spec(FIXTURES / "specs" / "shop.yaml")

    assert report.problems == ()
    assert [tool.name for tool in report.tools] == ["listOrders", "createOrder"]
    assert [skipped.operation for skipped in report.skipped] == ["createRefund"]


def test_a_torn_spec_names_its_own_line() -> None:
    path = FIXTURES / "specs" / "torn.json"

    [problem] = check_spec(path).problems

    assert (
        str(problem)
        == f"{path}:3:13: not valid JSON: Expecting property name enclosed in double quotes"
    )


def test_a_spec_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    [problem] = check_spec(tmp_path / "none.yaml").problems

    assert problem.message == "cannot be read: No such file or directory"


def test_headers_that_the_operator_sets_are_never_arguments(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("""\
openapi: 3.1.0
info: {title: t, version: "1"}
paths:
  /x:
    post:
      operationId: x
      parameters:
        - {name: x_team, in: header, required: true, schema: {type: string}}
        - {name: X-Request-Id, in: header, required: true, schema: {type: string}}
        - {name: X-Kept, in: header, schema: {type: string}}
      responses: {"200": {description: ok}}
""")
    result = written(
        """\
signoff: 1
upstreams:
  a:
    openapi: spec.yaml
    base_url: https://a.example
    headers: {X-Team: red}
    operations:
      x: {retry: {idempotency_key: X-Request-Id}}
users: [{id: alice}]
""",
        tmp_path,
    )

    assert isinstance(result, Loaded)
    assert [one.argument for one in result.catalogue.tools[0].parameters] == ["X-Kept"]


def test_a_specs_own_servers_are_never_called() -> None:
    result = written("""\
signoff: 1
upstreams:
  shop: {openapi: ../specs/shop.yaml}
users: [{id: alice}]
""")

    assert isinstance(result, Broken)
    assert "upstreams.shop.base_url: is needed" in str(result.problems[0])


def test_a_catalogue_may_name_the_sidecar_that_asks_for_it() -> None:
    result = written(
        'signoff: 1\napprovals: {issuer: "https://sidecar.example/", client_id: client_1, ca: c}\n'
    )
    assert isinstance(result, Loaded)
    assert result.catalogue.server.approvals == Approvals(
        issuer="https://sidecar.example", client_id="client_1", ca="c"
    )


def test_a_sidecars_catalogue_needs_people_and_no_upstream() -> None:
    result = written(
        "signoff: 1\n"
        "users: [{id: alice}, {id: bob}]\n"
        "auth: {resources: [https://mcp.example/mcp, http://localhost:8421/mcp], scopes: [pay]}\n"
    )
    assert isinstance(result, Loaded)
    server = result.catalogue.server
    assert server.approvals == Approvals()
    assert server.resources == ("https://mcp.example/mcp", "http://localhost:8421/mcp")
    assert (server.resource_scopes, server.local_user) == (("pay",), None)
