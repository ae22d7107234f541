"""What a card is made of: who decides, the title's parts, the repetition's key."""

from dataclasses import replace

import pytest

from gate_parts import ALICE, BOB, ISSUER, MACHINE, PAY, USERS, catalogue, new_call
from signoff.canonical import Json
from signoff.catalog.model import ApprovalRule, Approver, HeaderTemplate, Reference, ToolSpec
from signoff.gate.answers import RefusedError
from signoff.gate.opening import (
    SEE_FACTS,
    approvers_of,
    audience_of,
    binding_message,
    is_the_call_of,
    plain_title,
    request_key,
    title_parts,
)
from signoff.sealed import Sealer
from signoff.upstream.request import FrozenRequest

REQUEST = FrozenRequest(
    method="POST", url="http://x/pay", template="/pay", headers=(), body=b"{}", masked=()
)


def asking(*any_of: str, not_caller: bool = False) -> ToolSpec:
    approver = Approver(any_of=any_of, not_caller=not_caller)
    return replace(PAY, approval=ApprovalRule(approver=approver))


def test_the_approvers_are_those_the_operator_wrote_in_order_and_once() -> None:
    tool = asking("bob", "${caller.sub}", "bob")
    assert approvers_of(tool, ALICE, USERS, issuer=ISSUER) == ("bob", "alice")
    assert approvers_of(tool, BOB, USERS, issuer=ISSUER) == ("bob",)
    assert approvers_of(tool, MACHINE, USERS, issuer=ISSUER) == ("bob",)


def test_a_subject_of_another_provider_is_the_user_it_belongs_to() -> None:
    users = {
        **USERS,
        "alice": replace(USERS["alice"], subjects={"https://idp.example": "00u1"}),
    }
    caller = replace(ALICE, issuer="https://idp.example", sub="00u1")
    assert approvers_of(asking("${caller.sub}"), caller, users, issuer=ISSUER) == ("alice",)
    with pytest.raises(RefusedError):
        approvers_of(asking("${caller.sub}", not_caller=True), caller, users, issuer=ISSUER)
    evil = replace(caller, issuer="https://evil")
    with pytest.raises(RefusedError):
        approvers_of(asking("${caller.sub}"), evil, users, issuer=ISSUER)


def test_another_provider_s_subject_that_reads_as_a_user_id_is_nobody_here() -> None:
    stranger = replace(ALICE, kind="oauth", issuer="https://evil", sub="alice")
    with pytest.raises(RefusedError, match="is not a user here"):
        approvers_of(asking("${caller.sub}"), stranger, USERS, issuer=ISSUER)
    ours = replace(stranger, issuer=ISSUER)
    assert approvers_of(asking("${caller.sub}"), ours, USERS, issuer=ISSUER) == ("alice",)


@pytest.mark.parametrize(
    ("tool", "caller", "disabled"),
    [
        (asking("carol"), ALICE, ()),
        (asking("${caller.sub}"), MACHINE, ()),
        (asking("${caller.sub}"), replace(ALICE, sub="carol"), ()),
        (asking("${caller.sub}"), replace(ALICE, sub=""), ()),
        (asking("alice", not_caller=True), ALICE, ()),
        (asking("alice", "bob"), ALICE, ("alice", "bob")),
        (asking(), ALICE, ()),
    ],
)
def test_nobody_to_ask_is_refused(
    tool: ToolSpec, caller: object, disabled: tuple[str, ...]
) -> None:
    with pytest.raises(RefusedError) as refused:
        approvers_of(tool, caller, USERS, disabled=disabled, issuer=ISSUER)  # pyright: ignore[reportArgumentType]
    assert refused.value.answer.code == "nobody_to_ask"


def test_without_a_template_the_title_is_method_and_path_never_the_specs_prose() -> None:
    tool = replace(PAY, approval=ApprovalRule(), title="Harmless!", description="Harmless!")
    assert title_parts(tool, REQUEST, {}) == [{"text": "Call pay: POST /pay"}]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("savings", "savings"),
        (25, "25"),
        (2.5, "2.5"),
        (True, "true"),
        (None, "(none)"),
        (["a"], '["a"]'),
        ("x" * 40, "x" * 40),
        ("x" * 41, SEE_FACTS),
        ("", SEE_FACTS),
        ("a\nb", SEE_FACTS),
        ("a\u202eb", SEE_FACTS),
        ("a\u200bb", SEE_FACTS),
        ("{amount}", "{amount}"),
    ],
)
def test_a_value_in_a_title_is_one_short_line_of_its_own(value: Json, shown: str) -> None:
    parts = title_parts(PAY, REQUEST, {"amount": 1, "to_account": value})
    assert parts[3] == {"argument": "to_account", "value": shown}
    assert plain_title(parts) == f"Pay 1 EUR to {shown}"


def test_the_key_tells_callers_tools_and_arguments_apart(sealer: Sealer) -> None:
    arguments: dict[str, Json] = {"amount": 1}
    known = request_key(sealer, ALICE, PAY, arguments)
    assert known == request_key(sealer, ALICE, PAY, {"amount": 1.0})
    others = {
        request_key(sealer, BOB, PAY, arguments),
        request_key(sealer, replace(ALICE, sub=None), PAY, arguments),
        request_key(sealer, ALICE, replace(PAY, name="pay2"), arguments),
        request_key(sealer, ALICE, PAY, {"amount": "1"}),
        request_key(sealer, ALICE, PAY, {"amount": True}),
        request_key(sealer, ALICE, PAY, {}),
        request_key(Sealer(b"x" * 32), ALICE, PAY, arguments),
    }
    assert known not in others
    assert len(others) == 7


def test_the_audience_is_the_upstream_only_where_it_sees_the_token() -> None:
    bank = replace(catalogue().upstreams["bank"], audience="https://bank.example")
    assert audience_of(bank, ISSUER) == f"{ISSUER}/gate"
    token = HeaderTemplate(name="X-T", parts=(Reference(kind="approval", name="token"),))
    assert audience_of(replace(bank, headers=(token,)), ISSUER) == "https://bank.example"


def test_the_binding_message_is_short_ascii_without_values() -> None:
    message = binding_message("t" * 48, "sha-256:" + "ab" * 32)
    assert message == "t" * 48 + " ABABABAB"
    assert len(message) <= 64


@pytest.mark.parametrize("details", [{}, {"call_id": "call_1"}, {"request": 1}])
def test_details_without_their_members_are_nobodys(details: dict[str, Json]) -> None:
    assert not is_the_call_of(details, new_call())
