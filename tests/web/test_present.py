"""The card says what the frozen request says, whole, and never the assistant's version of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from signoff.approvals.request import Approval, Status
from signoff.canonical import Json
from signoff.catalog.model import DetailsType
from signoff.web.facts import request_facts
from signoff.web.present import beside, card, fingerprint
from street import BODY, EARLIER, USERS, request, tool_call

OPENED = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


def approval(details: Mapping[str, Json], **changes: object) -> Approval:
    members: dict[str, object] = {
        "id": "apr_1",
        "client_id": "signoff-gate",
        "call_id": details.get("call_id"),
        "status": Status.PENDING,
        "eligible": ("alice",),
        "scope": "openid",
        "binding_message": None,
        "authorization_details": (details,),
        "digest": details.get("digest", "sha-256:" + "d" * 64),
        "nonce": "n",
        "acr": "session",
        "resources": (),
        "opened_at": OPENED,
        "expires_at": OPENED + timedelta(minutes=15),
        **changes,
    }
    return Approval(**members)  # pyright: ignore[reportArgumentType] # a builder of tests


def facts(**changes: Json) -> list[tuple[str, str, str | None]]:
    found = request_facts(request(**changes))
    return [(fact.name.plain, fact.value.plain, fact.note) for fact in found]


def json_facts(body: str) -> list[tuple[str, str, str | None]]:
    return facts(body=body)


def test_facts_come_from_path_query_and_body_in_the_order_they_are_sent() -> None:
    found = facts(
        url="https://bank.example/api/accounts/ab%2F1/close?force=yes&tag=a&tag=b&empty=&flag",
        template="/accounts/{account_id}/close",
        body='{"reason":"moved","to":{"iban":"DE1","tags":["x",7]}}',
    )
    assert found == [
        ("account_id", "ab/1", None),
        ("force", "yes", None),
        ("tag", "a", "given 2 times in the query"),
        ("tag", "b", "given 2 times in the query"),
        ("empty", "", "empty text"),
        ("flag", "", "no value"),
        ("reason", "moved", None),
        ("to.iban", "DE1", None),
        ("to.tags[0]", "x", None),
        ("to.tags[1]", "7", None),
    ]


@pytest.mark.seed("T18")
def test_values_that_differ_look_different() -> None:
    found = json_facts(
        '{"a":25,"b":"25","c":null,"d":"null","e":"","f":{},"g":[],"h":true,"i":1.00}'
    )
    assert found == [
        ("a", "25", None),
        ("b", "25", "text"),
        ("c", "null", None),
        ("d", "null", "text"),
        ("e", "", "empty text"),
        ("f", "{}", "empty object"),
        ("g", "[]", "empty list"),
        ("h", "true", None),
        ("i", "1.00", None),
    ]


@pytest.mark.parametrize(
    ("media_type", "body", "expected"),
    [
        (
            "application/x-www-form-urlencoded",
            "amount=25&on=true",
            [("amount", "25"), ("on", "true")],
        ),
        ("text/plain", "25", [("body", "25")]),
    ],
)
def test_where_all_is_text_nothing_is_said_of_it(
    media_type: str, body: str, expected: list[tuple[str, str]]
) -> None:
    found = facts(body=body, body_bytes=len(body), body_media_type=media_type)
    assert [fact for fact in found if fact[0] in dict(expected)] == [
        (name, value, None) for name, value in expected
    ]


def test_a_key_with_a_dot_does_not_look_like_two_keys() -> None:
    assert json_facts('{"a":{"b":1},"a.b":2}') == [("a.b", "1", None), ('["a.b"]', "2", None)]


def test_a_repeated_key_is_shown_twice() -> None:
    assert json_facts('{"to":"alice","to":"mallory"}') == [
        ("to", "alice", "given 2 times in the body"),
        ("to", "mallory", "given 2 times in the body"),
    ]


@pytest.mark.parametrize("body", ["{", "[1,", "not json", '{"a":1}trailing'])
def test_a_body_that_is_not_what_it_says_is_shown_as_it_is(body: str) -> None:
    assert json_facts(body) == [("body", body, None)]


def test_a_path_that_does_not_fit_its_template_is_itself_the_fact() -> None:
    found = facts(url="https://b.example/api/other", template="/accounts/{id}/close", body=None)
    assert found == [("path", "/api/other", None)]


def test_a_parameter_that_is_not_utf8_is_shown_as_it_is_sent() -> None:
    assert facts(url="https://b.example/x/%FF", template="/x/{id}", body=None) == [
        ("id", "%FF", None)
    ]


def test_a_large_body_is_described_by_type_size_and_hash() -> None:
    found = facts(body=None, body_bytes=70_000, body_sha256="sha-256:" + "e" * 64)
    assert found == [
        ("body", "application/json, 70,000 bytes", "not shown: too large, or not text"),
        ("body SHA-256", "e" * 64, None),
    ]


def test_twenty_kilobytes_are_shown_whole() -> None:
    text = "0123456789" * 2048
    ((_, value, _),) = json_facts(f'{{"memo":"{text}"}}')
    assert value == text


def test_a_masked_value_is_shown_as_masked_with_its_length() -> None:
    made = request(
        body='{"pin":"•••• (4 characters)","amount":5}',
        masked=["arguments.pin"],
        body_sha256="sha-256:" + "e" * 64,
    )
    pin, amount = request_facts(made)
    assert (pin.masked, pin.note) == (True, "hidden on purpose, 4 characters")
    assert not amount.masked


def test_an_assistant_cannot_pretend_that_a_value_is_masked() -> None:
    (fact,) = request_facts(request(body='{"pin":"•••• (4 characters)"}'))
    assert not fact.masked


def test_header_values_chosen_by_the_assistant_are_facts_and_the_operators_are_not() -> None:
    headers: dict[str, Json] = {
        "Content-Type": "application/json",
        "X-Region": "mars",
        "X-Operator": "fixed",
        "Authorization": {"reference": "Bearer ${env:T}", "fingerprint": None},
    }
    shown = card(
        approval(
            tool_call(request=request(headers=headers, body=None), arguments={"region": "mars"})
        ),
        USERS,
    )
    assert [(fact.name.plain, fact.value.plain) for fact in shown.facts] == [("X-Region", "mars")]


def test_the_heading_is_the_template_with_each_value_on_its_own() -> None:
    shown = card(approval(tool_call()), USERS)
    assert [part.argument.plain for part in shown.title if part.argument] == [
        "amount",
        "currency",
        "from_account",
        "to_account",
    ]
    assert shown.plain_title == "Transfer 25 EUR from checking to savings"


@pytest.mark.parametrize(
    "value", ["x" * 41, "two\nlines", "a\u202eb\u202ec\u202ed\u202e" + "e" * 20, ""]
)
def test_a_value_that_does_not_fit_the_heading_points_to_the_facts(value: str) -> None:
    title: list[Json] = [{"text": "Pay "}, {"argument": "to", "value": value}]
    assert card(approval(tool_call(title=title)), USERS).plain_title == "Pay to (see facts)"


@pytest.mark.seed("T20")
def test_what_the_assistant_says_never_becomes_the_heading() -> None:
    shown = card(approval(tool_call(said="Just reading the balance")), USERS)
    assert shown.plain_title == "Transfer 25 EUR from checking to savings"
    assert shown.said is not None
    assert shown.said.plain == "Just reading the balance"


@pytest.mark.seed("T17")
@pytest.mark.parametrize(
    ("member", "place"),
    [
        ({"tool": "transfer\u202e_funds"}, "the tool's name"),
        ({"client_info": {"name": "Claude\u200b", "version": ""}}, "the application's name"),
        ({"said": "harmless\U000e0041"}, "the assistant's words"),
        ({"request": request(body='{"to":"sav\u2066ings"}')}, "the facts"),
        ({"request": request(body='{"sav\u2066ings":1}')}, "the facts"),
    ],
)
def test_hidden_characters_are_warned_of_wherever_they_stand(
    member: dict[str, Any], place: str
) -> None:
    shown = card(approval(tool_call(**member)), USERS)
    assert any(warning.startswith(f"Hidden characters in {place}") for warning in shown.warnings)


def test_a_lookalike_application_name_is_warned_of() -> None:
    info = cast("Json", {"name": "Cl\u0430ude", "version": ""})
    shown = card(approval(tool_call(client_info=info)), USERS)
    assert shown.warnings == ("Look-alike letters in the application's name: “Cl\u0430ude”.",)


def test_an_ordinary_card_warns_of_nothing() -> None:
    assert card(approval(tool_call()), USERS).warnings == ()


def test_a_client_is_shown_by_its_id_and_only_claims_its_name() -> None:
    who = card(approval(tool_call()), USERS).who
    assert who.person is not None
    assert who.person_name is not None
    assert (who.person.plain, who.person_name.plain) == ("alice", "Alice")
    assert who.client_id.plain == "local:claude-code"
    assert who.claims is not None
    assert who.claims.plain == "claude-code 2.1.4"


def test_a_machine_client_acts_for_nobody() -> None:
    caller = cast("Json", {"kind": "oauth", "issuer": "http://x", "client_id": "nightly"})
    who = card(approval(tool_call(caller=caller)), USERS).who
    assert (who.person, who.local) == (None, False)


def test_a_credential_is_shown_by_its_reference() -> None:
    exact = card(approval(tool_call()), USERS).exact
    assert exact is not None
    shown = {header.name.plain: (header.value.plain, header.reference) for header in exact.headers}
    assert shown["Authorization"] == ("Bearer ${env:BANK_TOKEN}", True)
    assert shown["X-On-Behalf-Of"] == ("alice", False)
    assert exact.body is not None
    assert exact.body.plain == BODY


def test_a_repeated_call_names_the_earlier_one_and_changes_the_button() -> None:
    again = card(approval(tool_call(repeat_of=EARLIER, again=True)), USERS)
    assert again.approve_label == "Send again"
    assert again.earlier is not None
    assert again.earlier.at == datetime(2026, 11, 22, 13, 42, tzinfo=UTC)
    named = card(approval(tool_call(repeat_of=EARLIER)), USERS)
    assert named.approve_label == "Approve once"


def test_what_differs_from_another_open_card_of_the_tool_is_marked() -> None:
    first = card(approval(tool_call("call_1"), id="apr_1"), USERS)
    other = request(body=BODY.replace("25", "2500"))
    second = card(approval(tool_call("call_2", request=other), id="apr_2"), USERS)
    marked = beside(first, [first, second])
    assert [fact.name.plain for fact in marked.facts if fact.differs] == ["amount"]
    assert marked.rivals == (("apr_2", "Transfer 25 EUR from checking to savings"),)


def test_cards_of_other_tools_mark_nothing() -> None:
    first = card(approval(tool_call("call_1"), id="apr_1"), USERS)
    other = card(approval(tool_call("call_2", tool="close_account"), id="apr_2"), USERS)
    assert beside(first, [first, other]) == first


@pytest.mark.parametrize("kind", ["payment_initiation", "tool_call"])
def test_another_application_gets_a_generic_card_and_never_our_heading(kind: str) -> None:
    details: dict[str, Json] = {"type": kind, "title": "Nothing to see", "amount": {"value": 9}}
    shown = card(approval(details, client_id="shop", binding_message="W4SCT"), USERS)
    assert shown.plain_title == f"Application shop asks for {kind}"
    assert shown.tool is None
    assert shown.exact is None
    assert ("amount.value", "9") in [(fact.name.plain, fact.value.plain) for fact in shown.facts]


def test_the_operators_words_for_a_type_stand_on_the_card_and_its_name_among_the_facts() -> None:
    details: dict[str, Json] = {"type": "payment_initiation", "amount": 9}
    types = {
        "payment_initiation": DetailsType(
            name="payment_initiation",
            schema={"type": "object"},
            title="Payment",
            description="Moves money out of an account.",
        )
    }
    shown = card(approval(details, client_id="shop"), USERS, types)
    assert shown.plain_title == "Application shop asks for Payment"
    assert shown.explained == (("Payment", "Moves money out of an account."),)
    facts = [(fact.name.plain, fact.value.plain) for fact in shown.facts]
    assert ("type", "payment_initiation") in facts


def test_the_fingerprint_is_the_start_of_the_digest() -> None:
    assert fingerprint("sha-256:7f3k91ac0b2e55d1" + "0" * 48) == "7f3k 91ac 0b2e 55d1"
