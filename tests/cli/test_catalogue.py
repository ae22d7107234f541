"""`init`, `check` and `tools` as a person types them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from signoff.cli.main import main

SPEC = """\
openapi: 3.0.0
info: {title: Shop, version: "1"}
servers: [{url: https://shop.example/v1}]
paths:
  /orders:
    get: {operationId: listOrders, responses: {}}
    post: {operationId: placeOrder, responses: {}}
  /old: {get: {operationId: old, deprecated: true, responses: {}}}
  /broken: {get: {operationId: broken, parameters: [{$ref: "#/nowhere"}], responses: {}}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(SPEC)
    return tmp_path


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_init_writes_a_catalogue_that_checks_and_says_what_it_guessed(folder: Path) -> None:
    made = typed("init", "shop.yaml", "--user", "alice")

    assert made.exit_code == 0, made.output
    assert "guessed: placeOrder: money, for the word 'order': high, as its method says" in (
        made.stderr
    )
    assert made.stdout == "capabilities.yaml: written, 2 tools; read it, then run signoff check\n"
    assert 'left out: broken: the $ref "#/nowhere" points at nothing' in made.stderr
    assert (folder / "capabilities.yaml").read_text().endswith('users:\n  - {id: "alice"}\n')

    checked = typed("check")
    assert checked.exit_code == 0
    assert "1 operation is left out: it is deprecated" in checked.stdout
    assert 'broken: the $ref "#/nowhere" points at nothing' in checked.stdout


@pytest.mark.usefixtures("folder")
def test_init_can_be_read_by_a_program() -> None:
    made = json.loads(typed("init", "shop.yaml", "--json").stdout)

    assert (made["config"], made["tools"], made["todo"]) == ("capabilities.yaml", 2, [])
    assert made["left_out"] == ['broken: the $ref "#/nowhere" points at nothing']
    assert made["guesses"] == [
        {"operation": "placeOrder", "group": "money", "word": "order", "raised": False}
    ]


@pytest.mark.usefixtures("folder")
def test_init_never_writes_over_a_catalogue() -> None:
    typed("init", "shop.yaml")
    again = typed("init", "shop.yaml")

    assert again.exit_code == 1
    assert "there is a capabilities.yaml already" in again.stderr


def test_check_writes_the_lock_only_when_asked(folder: Path) -> None:
    typed("init", "shop.yaml")
    typed("check")
    assert not (folder / "capabilities.lock").exists()

    locked = typed("check", "--lock")

    assert "capabilities.lock: written" in locked.stdout
    names = json.loads((folder / "capabilities.lock").read_text())["names"]["shop"]
    assert names["POST /orders"] == "placeOrder"


@pytest.mark.usefixtures("folder")
def test_a_lock_is_for_a_catalogue_not_for_a_spec() -> None:
    assert typed("check", "--lock", "shop.yaml").exit_code == 2


@pytest.mark.usefixtures("folder")
def test_tools_shows_what_listing_each_costs() -> None:
    typed("init", "shop.yaml")
    shown = typed("tools")
    assert shown.stderr == ('skipped: shop.yaml broken: the $ref "#/nowhere" points at nothing\n')
    rows = json.loads(typed("tools", "--json").stdout)

    assert shown.stdout.splitlines()[0].split() == [
        "NAME", "METHOD", "PATH", "RISK", "POLICY", "STRENGTH", "GRANT", "UPSTREAM", "BYTES",
        "TOKENS",
    ]  # fmt: skip
    assert [row["name"] for row in rows] == ["listOrders", "placeOrder"]
    for row in rows:
        assert 100 < row["bytes"] < 1_500
        assert row["tokens"] == row["bytes"] // 4


def test_parsed_specs_are_kept_only_where_a_server_keeps_its_data(folder: Path) -> None:
    typed("init", "shop.yaml")
    typed("check")
    assert not (folder / ".signoff").exists()

    (folder / ".signoff").mkdir()
    typed("check")
    assert len(list((folder / ".signoff" / "cache").iterdir())) == 1


PAGED = """\
signoff: 1
upstreams:
  shop:
    base_url: https://shop.example
capabilities:
  - name: list_orders
    description: Lists.
    upstream: shop
    request: {method: GET, path: /orders}
    input: {type: object, properties: {page: {type: integer}}}
    pagination: {kind: page, argument: page, first: 1, items: data, fetch_all: true}
users: [{id: alice}]
"""


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("rules: [{id: look, effect: ask, capability: 'list_*'}]", "ask the caller"),
        ("rules: [{id: no, effect: deny, method: GET, reason: No.}]", "deny: No."),
        ("defaults: {GET: ask}", "ask the caller"),
    ],
    ids=["rule", "deny", "default"],
)
@pytest.mark.parametrize("command", ["check", "tools"])
def test_a_call_that_policy_asks_about_may_not_read_several_pages(
    policy: str, told: str, command: str, folder: Path
) -> None:
    (folder / "capabilities.yaml").write_text(f"{PAGED}policy: {{{policy}}}\n")

    refused = typed(command)

    assert refused.exit_code == 1
    assert (
        "capabilities.yaml:6:11: list_orders: pagination.fetch_all is for calls that nobody is "
        f"asked about; policy says: {told}\n"
    ) in refused.stdout + refused.stderr


def test_an_allowed_read_may_read_several_pages(folder: Path) -> None:
    (folder / "capabilities.yaml").write_text(PAGED)

    assert typed("check").stdout.endswith("capabilities.yaml: good, 1 tool\n")


GRANTING = """\
signoff: 1
users: [{id: alice}, {id: bob}]
auth: {local_user: alice}
upstreams:
  shop:
    openapi: shop.yaml
    base_url: https://shop.example/v1
    approval: {approver: bob, strength: {POST: session}}
    default_grants: [listOrders]
capabilities:
  - {name: stock, description: Counts., upstream: shop, request: {method: GET, path: /stock}}
  - {name: deploy, description: Deploys., upstream: shop, request: {method: POST, path: /deploy}}
policy:
  rules: [{id: no-deploys, capability: deploy, effect: deny, reason: "Not on Fridays."}]
"""


def test_tools_shows_the_strength_and_the_grant_of_each(folder: Path) -> None:
    (folder / "capabilities.yaml").write_text(GRANTING)
    rows = json.loads(typed("tools", "--json").stdout)

    assert {row["name"]: (row["policy"], row["strength"], row["grant"]) for row in rows} == {
        "deploy": ("deny: Not on Fridays.", "none", None),
        "listOrders": ("allow", "none", "grant:shop"),
        "placeOrder": ("ask bob", "session", None),
        "stock": ("ask bob", "session", None),
    }
    assert {row["name"]: row["reason"] for row in rows} == {
        "deploy": "Not on Fridays.",
        "listOrders": "granted by default at shop",
        "placeOrder": "risk high (POST without a risk of its own)",
        "stock": "not granted by default at shop",
    }
    lines = typed("tools").stdout.splitlines()
    assert lines[2].split()[3:7] == ["low", "allow", "none", "grant:shop"]


WHO = """\
signoff: 1
users: [{id: alice, groups: [desk]}, {id: bob, groups: [desk]}]
auth: {local_user: alice}
upstreams: {shop: {base_url: https://shop.example/v1}}
capabilities:
  - name: order
    description: Orders.
    upstream: shop
    request: {method: POST, path: /orders}
    APPROVAL
"""


@pytest.mark.parametrize(
    ("approval", "policy", "words"),
    [
        ("", "ask ${caller.sub}", "ask the caller"),
        ('approver: "${caller.sub}"', "ask ${caller.sub}", "ask the caller"),
        ("approver: alice", "ask alice", "ask alice"),
        ('approver: "group:desk"', "ask alice, bob", "ask any of alice, bob"),
        (
            "approver: {any_of: [alice, bob], not_caller: true}",
            "ask alice, bob",
            "ask any of alice, bob, but never the caller",
        ),
        (
            "approver: {any_of: [alice], not_caller: true}",
            "ask alice",
            "ask alice, but never the caller",
        ),
    ],
)
def test_tools_says_in_words_who_is_asked_and_programs_read_what_they_read_before(
    approval: str, policy: str, words: str, folder: Path
) -> None:
    said = f"approval: {{{approval}}}" if approval else ""
    (folder / "capabilities.yaml").write_text(WHO.replace("APPROVAL", said))
    head, line = typed("tools").stdout.splitlines()
    at, end = head.index("POLICY"), head.index("STRENGTH")

    assert line[at:end].strip() == words
    assert json.loads(typed("tools", "--json").stdout)[0]["policy"] == policy
    assert json.loads(typed("check", "--json").stdout)["decisions"][0]["policy"] == policy
    assert "${" not in typed("tools").stdout + typed("check").stdout


def test_check_shows_the_strength_and_the_grant_of_each(folder: Path) -> None:
    (folder / "capabilities.yaml").write_text(GRANTING)
    lines = typed("check").stdout.splitlines()
    report = json.loads(typed("check", "--json").stdout)

    assert "asks (session): placeOrder, stock" in lines
    assert "denied (no-deploys): deploy" in lines
    assert "goes without asking (grant:shop): listOrders" in lines
    assert [one["name"] for one in report["decisions"]] == [
        "deploy",
        "listOrders",
        "placeOrder",
        "stock",
    ]
    assert report["decisions"][1] == {
        "name": "listOrders",
        "policy": "allow",
        "strength": "none",
        "grant": "grant:shop",
        "reason": "granted by default at shop",
    }


@pytest.mark.seed("P12")
def test_a_strength_that_cannot_be_enforced_fails_check_and_says_the_fix(folder: Path) -> None:
    weak = GRANTING.replace("{POST: session}", "{POST: passkey}")
    (folder / "capabilities.yaml").write_text(weak)
    checked = typed("check")

    assert checked.exit_code == 1
    assert checked.stdout.splitlines()[0] == (
        "capabilities.yaml:8:48: upstreams.shop.approval.strength.POST: passkeys are not built "
        "yet, so this cannot be enforced; use session"
    )


def test_check_fetches_what_is_listed_and_says_what_did_not_come(folder: Path) -> None:
    reference = 'parameters: [{$ref: "http://127.0.0.1:9/p.yaml#/P"}], '
    (folder / "shop.yaml").write_text(
        SPEC.replace("operationId: listOrders, ", f"operationId: listOrders, {reference}")
    )
    catalogue = (
        "signoff: 1\nupstreams:\n  shop:\n    openapi: shop.yaml\n"
        "    base_url: https://shop.example\n{}users: [{{id: alice}}]\n"
    )
    expected = 'listOrders: the $ref "http://127.0.0.1:9/p.yaml#/P" '

    (folder / "capabilities.yaml").write_text(catalogue.format(""))
    assert (
        f"{expected}is not fetched: save the document beside this one and refer to the file, or "
        "list http://127.0.0.1:9/p.yaml in the upstream's allow_refs"
    ) in typed("check").stdout

    listed = "    allow_refs: [http://127.0.0.1:9/]\n"
    (folder / "capabilities.yaml").write_text(catalogue.format(listed))
    assert (
        f"{expected}cannot be fetched: its host is private or local; list it in allow_private if "
        "that is meant"
    ) in typed("check").stdout


def test_tools_say_whom_they_exist_for_and_what_they_need(folder: Path) -> None:
    (folder / "capabilities.yaml").write_text(
        "signoff: 1\nupstreams:\n  shop:\n    openapi: shop.yaml\n"
        "    base_url: https://shop.example\n    visible_to: [alice, bob]\n    operations:\n"
        '      listOrders: {visible_to: ["client:x", "scope:y", bob], scopes: [orders]}\n'
        "auth: {local_user: alice}\nusers: [{id: alice}, {id: bob}]\n"
    )

    rows = {row["name"]: row for row in json.loads(typed("tools", "--json").stdout)}

    assert rows["listOrders"]["scopes"] == ["orders"]
    assert rows["listOrders"]["visible_to"] == [["alice", "bob"], ["bob", "client:x", "scope:y"]]
    assert rows["placeOrder"]["scopes"] == []
    assert rows["placeOrder"]["visible_to"] == ["alice", "bob"]
