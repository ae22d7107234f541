"""What the approver sees is what would be sent, however hard somebody tries to hide some of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signoff.approvals.request import Approval, Status
from signoff.canonical import Json
from signoff.web.facts import Fact, request_facts
from signoff.web.present import Card, card, heading
from signoff.web.text import show
from street import USERS, Street, request, tool_call


def told(found: tuple[Fact, ...]) -> list[tuple[str, str, str | None]]:
    return [(fact.name.plain, fact.value.plain, fact.note) for fact in found]


def shown(**changes: Any) -> Card:
    details = tool_call(**changes)
    now = datetime(2026, 11, 22, 14, tzinfo=UTC)
    return card(
        Approval(
            id="apr_1", client_id="signoff-gate", call_id="call_1", status=Status.PENDING,
            eligible=("alice",), scope="openid", binding_message=None,
            authorization_details=(details,), digest=str(details["digest"]), nonce="nonce",
            acr="session", resources=(), opened_at=now, expires_at=now + timedelta(minutes=15),
        ),
        USERS,
    )  # fmt: skip


# --- A value in one place cannot pass for the value in another ---------------------------------


def test_a_name_in_query_and_body_says_which_value_stands_where() -> None:
    found = request_facts(
        request(url="https://bank.example/api/transfers?amount=1", body='{"amount":9000}')
    )
    assert told(found) == [
        ("amount", "1", "in the query"),
        ("amount", "9000", "in the body"),
    ]


def test_a_key_that_comes_twice_in_a_body_is_shown_twice_and_says_so() -> None:
    assert told(request_facts(request(body='{"to":"alice","to":"mallory"}'))) == [
        ("to", "alice", "given 2 times in the body"),
        ("to", "mallory", "given 2 times in the body"),
    ]


@pytest.mark.parametrize(
    ("path", "template", "fits"),
    [
        ("/a-b", "/{x}-{y}", True),
        ("/a-b-c", "/{x}-{y}", False),
        ("/a.b..c", "/{x}.{y}", False),
        ("/a", "/{x}", True),
        ("/a-b-c", "/{x}", True),
    ],
)
def test_a_path_that_can_be_split_in_two_ways_is_shown_whole(
    path: str, template: str, *, fits: bool
) -> None:
    found = request_facts(request(url=f"https://bank.example{path}", template=template, body=None))
    assert [fact.name.plain for fact in found] == (
        ["x", "y"][: template.count("{")] if fits else ["path"]
    )


# --- Every argument that is sent is a fact -----------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "header"),
    [
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (25.0, "25.0"),
        (["a", "b"], "a,b"),
        (["a", None, 3], "a,3"),
        ({"k": "v", "n": 1}, "k,v,n,1"),
        ({"k": "v", "n": 1}, "k=v,n=1"),
        ({"k": "é"}, '{"k":"\\xe9"}'),
        ("mars", "mars"),
    ],
)
def test_an_argument_that_travels_in_a_header_is_a_fact_whatever_its_type(
    argument: Json, header: str
) -> None:
    found = request_facts(
        request(headers={"X-Force": header, "Accept": "*/*"}, body=None), {"force": argument}
    )
    assert told(found) == [("X-Force", header, None)]


def test_a_masked_argument_in_a_header_is_a_fact_too() -> None:
    header: Json = {"reference": "•••• (4 characters)", "fingerprint": "ab" * 32}
    (fact,) = request_facts(
        request(headers={"X-Pin": header}, body=None, masked=["arguments.pin"]), {"pin": "…"}
    )
    assert fact.masked
    assert told((fact,)) == [("X-Pin", "•••• (4 characters)", "hidden on purpose, 4 characters")]


def test_filling_up_a_body_hides_none_of_the_arguments() -> None:
    """The attack: 70,000 characters in a note, and the card no longer shows the amount."""
    arguments: dict[str, Json] = {"amount": 9000, "to": "mallory", "note": "x" * 70_000}
    made = request(body=None, body_bytes=70_040, body_sha256="sha-256:" + "e" * 64)
    seen = shown(request=made, arguments=arguments)
    assert ("amount", "9000", None) in told(seen.facts)
    assert ("to", "mallory", None) in told(seen.facts)
    assert any("cannot be shown" in warning for warning in seen.warnings)
    assert "cannot be shown" not in str(shown().warnings), "the control"


def test_every_part_of_a_multipart_body_is_a_fact() -> None:
    parts: list[Json] = [
        {"name": "to", "filename": None, "media_type": "text/plain", "bytes": 7,
         "sha256": "sha-256:" + "a" * 64, "text": "mallory"},
        {"name": "file", "filename": "x\u202egpj.exe", "media_type": "image/png", "bytes": 1234,
         "sha256": "sha-256:" + "b" * 64, "text": None},
    ]  # fmt: skip
    made = request(body=None, body_bytes=1300, body_media_type="multipart/form-data", parts=parts)
    found = request_facts(made, {"to": "mallory"})
    assert told(found)[2:] == [
        ("to", "mallory", None),
        (
            "file",
            "x[U+202E]gpj.exe, image/png, 1,234 bytes",
            "a file, shown by its hash: sha-256:" + "b" * 64,
        ),
    ]


def test_the_headers_of_a_part_are_facts_before_its_text() -> None:
    part: Json = {
        "name": "to", "filename": None, "media_type": "text/plain", "bytes": 7,
        "sha256": "sha-256:" + "a" * 64, "text": "mallory", "headers": {"X-Kind": "wire\u202e"},
    }  # fmt: skip
    made = request(body=None, body_bytes=1300, body_media_type="multipart/form-data", parts=[part])
    assert told(request_facts(made, {"to": "mallory"}))[2:] == [
        ("to: X-Kind", "wire[U+202E]", None),
        ("to", "mallory", None),
    ]


def test_a_credential_that_goes_into_the_query_stands_on_the_card_by_its_reference() -> None:
    credentials: list[Json] = [
        {"in": "query", "name": "api_key", "reference": "${env:KEY}", "fingerprint": "ab" * 32}
    ]
    exact = shown(request=request(credentials=credentials)).exact
    assert exact is not None
    found = [(one.name.plain, one.value.plain, one.reference) for one in exact.headers]
    assert ("api_key (query)", "${env:KEY}", True) in found


# --- A card stays readable, and cheap ----------------------------------------------------------


def test_a_body_of_thousands_of_values_is_one_fact_with_all_of_them() -> None:
    body = json.dumps([{"a": 1}] * 6_000, separators=(",", ":"))
    (fact,) = request_facts(request(body=body))
    assert fact.value.plain == body
    assert fact.note == "more than 500 values, as they are sent"


def test_a_long_list_of_plain_values_is_one_fact_with_all_of_them() -> None:
    body = json.dumps({"to": ["alice", 1, None, 1.50, "2"] * 5, "amount": 9}, indent=1)
    listed, amount = request_facts(request(body=body))
    assert told((listed,)) == [
        ("to", "[" + ", ".join(['"alice"', "1", "null", "1.5", '"2"'] * 5) + "]", "a list of 25")
    ]
    assert told((amount,)) == [("amount", "9", None)]


def test_a_line_of_the_list_costs_no_more_for_a_large_body() -> None:
    full = shown(request=request(body='{"a":"' + "\u202e\u202d" * 9_000 + '"}'))
    line = heading(full.approval, USERS)
    assert (line.facts, line.exact, line.said) == ((), None, None)
    assert (line.title, line.risk, line.who, line.tool) == (
        full.title, full.risk, full.who, full.tool,
    )  # fmt: skip


async def test_a_flood_of_another_clients_requests_pushes_no_card_off_the_list(
    here: Street,
) -> None:
    for number in range(60):
        noisy = f"noisy-{number % 2}"  # one alone may not have so much wait
        await here.open(
            {"type": "offer", "approvers": ["alice"]}, client_id=noisy, expires_in_s=7200
        )
        here.clock.turn(60)  # as often as it may ask
    card = await here.open(expires_in_s=72 * 3600)
    listed = [approval.id for approval in await here.approvals.inbox("alice")]
    assert len(listed) == 61
    assert card.id in listed


# --- Numbers are shown as they are sent --------------------------------------------------------


@pytest.mark.parametrize(
    "number", ["25", "25.0", "25.00", "1e2", "100", "-0", "0", "-0.0", "9007199254740993", "1E400"]
)
def test_a_number_is_shown_as_it_is_written(number: str) -> None:
    assert told(request_facts(request(body=f'{{"amount":{number}}}'))) == [("amount", number, None)]
    assert told(request_facts(request(body=f'{{"amount":"{number}"}}'))) == [
        ("amount", number, "text")
    ]


# --- Letters that pass for others are named ----------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "\u0441\u043e\u0441\u043e",  # all Cyrillic, reads "coco"
        "\u0410\u041225",  # Cyrillic AB, then digits
        "\u039f\u039a",  # Greek OK
        "\U0001d5cc\U0001d5ba\U0001d5cf\U0001d5be",  # mathematical sans-serif "save"
        "\uff12\uff15",  # full-width 25
        "\u212aelvin",  # the unit sign
        "1\u0665",  # an Arabic five after an ASCII one
        "acm\u0435",
        "\u13df\u13aa\u13a2",  # Cherokee that reads "CGT"
    ],
)
def test_a_word_that_reads_as_another_is_warned_of(text: str) -> None:
    assert show(text).mixed == (text,)
    assert show(text).suspect
    assert any(run.alien for run in show(text).runs)


@pytest.mark.parametrize(
    "text",
    [
        "coco", "25", "naïve", "Müller", "m²",
        "\u043f\u0440\u0438\u0432\u0435\u0442, \u0441\u043e \u043c\u043d\u043e\u0439",
        "Ангела", "東京", "café",
        "\u0665\u0666", "Ελλάδα",
    ],
)  # fmt: skip
def test_honest_words_of_any_alphabet_raise_no_warning(text: str) -> None:
    assert not show(text).suspect
