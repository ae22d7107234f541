"""What a call freezes: the exact bytes, its record, and its details."""

import json
from typing import Any

import pytest

from signoff.approvals.details import SCHEMA, check_details, details_digest
from signoff.canonical import Json, sha256_hex
from signoff.catalog.model import Retry
from signoff.catalog.wire import Body, BodyFormat
from signoff.schema import Validator
from signoff.upstream.request import (
    FrozenHeader,
    FrozenRequest,
    RequestError,
    idempotency_key,
)
from upstream_parts import (
    ALICE,
    BANK,
    ENVIRONMENT,
    SEALER,
    frozen,
    parameter,
    references,
    tool,
)

TRANSFER = tool(
    "/accounts/{account}/transfers",
    method="POST",
    parameters=[
        parameter("account", "path"),
        parameter("dry_run", "query"),
        parameter("trace_id", "header", name="X-Trace"),
        parameter("theme", "cookie"),
    ],
    body=Body(
        kind="members", required=True, members={"amount": "amount", "note": "note", "to": "to_id"}
    ),
)
ARGUMENTS: dict[str, Json] = {
    "account": "A 1",
    "to": "B2",
    "amount": 12345678901234567890,
    "dry_run": False,
    "trace_id": "t-1",
    "theme": "dark",
    "note": None,
}


def test_a_call_freezes_to_exactly_these_bytes() -> None:
    request = frozen(TRANSFER, ARGUMENTS, to=BANK, call_id="call_1")
    assert request == FrozenRequest(
        method="POST",
        url="https://bank.example/api/accounts/A%201/transfers?dry_run=false",
        template="/accounts/{account}/transfers",
        headers=(
            FrozenHeader(name="Accept", value="application/json, */*;q=0.1"),
            FrozenHeader(name="Accept-Encoding", value="identity"),
            FrozenHeader(name="User-Agent", value="signoff"),
            FrozenHeader(name="Content-Type", value="application/json"),
            FrozenHeader(
                name="Authorization",
                value=None,
                reference="Bearer ${env:BANK_TOKEN}",
                fingerprint=references().fingerprint("Authorization", BANK.headers[0].parts),
            ),
            FrozenHeader(name="X-On-Behalf-Of", value="alice"),
            FrozenHeader(name="X-Approval", value=None, reference="${approval.token}"),
            FrozenHeader(name="X-Plain", value="as written"),
            FrozenHeader(name="X-Trace", value="t-1"),
            FrozenHeader(name="Cookie", value="theme=dark"),
            FrozenHeader(name="Idempotency-Key", value=idempotency_key(SEALER, "call_1")),
        ),
        body=b'{"to_id":"B2","amount":12345678901234567890,"note":null}',
    )


def test_no_credential_stands_in_the_record_or_the_details() -> None:
    request = frozen(TRANSFER, ARGUMENTS, to=BANK, call_id="call_1")
    shown = json.dumps(request.details()).encode() + request.to_record() + repr(request).encode()
    for secret in ENVIRONMENT.values():
        assert secret.encode() not in shown


def test_a_record_reads_back_whole() -> None:
    secret = tool("/x", method="POST", body=Body(kind="whole", secrets=frozenset({("pin",)})))
    for request in (
        frozen(TRANSFER, ARGUMENTS, to=BANK, call_id="call_1"),
        frozen(tool()),
        frozen(secret, {"body": {"pin": "1234", "ä": "\u2028"}}),
    ):
        assert FrozenRequest.from_record(request.to_record()) == request


def test_the_details_are_what_the_authorization_server_checks() -> None:
    request = frozen(TRANSFER, ARGUMENTS, to=BANK, call_id="call_1").details()
    details: dict[str, Json] = {
        "type": "tool_call",
        "version": 1,
        "call_id": "call_1",
        "nonce": "n",
        "tool": "thing",
        "title": [{"text": "Thing"}],
        "risk": "high",
        "catalogue_digest": sha256_hex(b""),
        "caller": dict(ALICE.as_json()),
        "client_info": {"name": "", "version": ""},
        "approvers": ["alice"],
        "acr": "session",
        "arguments": ARGUMENTS,
        "said": None,
        "repeat_of": None,
        "again": False,
        "request": request,
        "digest": sha256_hex(b""),
    }
    details["digest"] = details_digest(details)
    check_details(details)
    shape: Any = SCHEMA
    assert Validator(shape).violations(details) == []
    assert request["body"] == '{"to_id":"B2","amount":12345678901234567890,"note":null}'
    assert request["body_media_type"] == "application/json"
    assert request["headers"] == {
        "Accept": "application/json, */*;q=0.1",
        "Accept-Encoding": "identity",
        "User-Agent": "signoff",
        "Content-Type": "application/json",
        "Authorization": {
            "reference": "Bearer ${env:BANK_TOKEN}",
            "fingerprint": references().fingerprint("Authorization", BANK.headers[0].parts),
        },
        "X-On-Behalf-Of": "alice",
        "X-Approval": {"reference": "${approval.token}", "fingerprint": None},
        "X-Plain": "as written",
        "X-Trace": "t-1",
        "Cookie": "theme=dark",
        "Idempotency-Key": idempotency_key(SEALER, "call_1"),
    }


def test_a_large_body_is_described_and_never_cut() -> None:
    spec = tool("/x", method="POST", body=Body(kind="whole"))
    details = frozen(spec, {"body": "x" * 70_000}).details()
    assert details["body"] is None
    assert details["body_bytes"] == 70_002
    assert details["body_sha256"] == sha256_hex(b'"' + b"x" * 70_000 + b'"')


def test_the_idempotency_key_belongs_to_the_call() -> None:
    first = frozen(TRANSFER, ARGUMENTS, call_id="call_1")
    assert first == frozen(TRANSFER, ARGUMENTS, call_id="call_1")
    assert first.headers[-1] != frozen(TRANSFER, ARGUMENTS, call_id="call_2").headers[-1]
    names = [header.name for header in frozen(TRANSFER, ARGUMENTS, call_id=None).headers]
    assert "Idempotency-Key" not in names


def test_the_idempotency_header_is_the_one_the_operator_names() -> None:
    spec = tool("/x", method="POST", retry=Retry(kind="idempotency_key", header="X-Once"))
    assert frozen(spec, call_id="c").headers[-1] == FrozenHeader(
        name="X-Once", value=idempotency_key(SEALER, "c")
    )


# Bodies


def whole(
    content_type: str = "application/json", how: BodyFormat = "json", *, required: bool = False
) -> Any:
    body = Body(kind="whole", content_type=content_type, format=how, required=required)
    return tool("/x", method="POST", body=body)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, b"null"),
        ({}, b"{}"),
        ([], b"[]"),
        ("", b'""'),
        (0, b"0"),
        (10**30, b"1" + b"0" * 30),
        (0.1, b"0.1"),
        ({"b": 1, "a": {"z": None}}, b'{"b":1,"a":{"z":null}}'),
        ("ä\u202e/", '"ä\u202e/"'.encode()),
    ],
)
def test_a_whole_body_is_compact_json_in_the_order_it_came(value: Json, expected: bytes) -> None:
    assert frozen(whole(), {"body": value}).body == expected


def test_an_absent_body_is_absent_unless_it_is_required() -> None:
    assert frozen(whole()).body is None
    optional = tool("/x", method="POST", body=Body(kind="members", members={"a": "a"}))
    assert frozen(optional).body is None
    assert not [one for one in frozen(optional).headers if one.name == "Content-Type"]
    needed = tool("/x", method="POST", body=Body(kind="members", required=True, members={"a": "a"}))
    assert frozen(needed).body == b"{}"
    with pytest.raises(RequestError, match="body: is required"):
        frozen(whole(required=True))


def test_null_is_dropped_for_parameters_and_sent_in_a_body() -> None:
    spec = tool(
        "/x",
        method="POST",
        parameters=[
            parameter("q", "query"),
            parameter("h", "header", name="X-H"),
            parameter("c", "cookie"),
        ],
        body=Body(kind="members", members={"b": "b"}),
    )
    request = frozen(spec, {"q": None, "h": None, "c": None, "b": None})
    assert request.url == "https://bank.example/api/x"
    assert request.body == b'{"b":null}'
    assert {header.name for header in request.headers} == {
        "Accept",
        "Accept-Encoding",
        "User-Agent",
        "Content-Type",
    }


def test_other_media_types_of_text_are_sent_and_unknown_ones_refused() -> None:
    form = whole("application/x-www-form-urlencoded", "form")
    pairs: Json = {"a": "b c", "n": 1}
    assert frozen(form, {"body": pairs}).body == b"a=b%20c&n=1"
    assert frozen(whole("text/plain; charset=utf-8", "text"), {"body": "ä"}).body == "ä".encode()
    assert (
        frozen(whole("application/merge-patch+json"), {"body": {"a": None}}).body == b'{"a":null}'
    )
    refused: list[tuple[BodyFormat, Json]] = [
        ("multipart", [1]),
        ("multipart", "a=1"),
        ("binary", "not base64!"),
        ("binary", {"a": 1}),
        ("text", {"a": 1}),
        ("form", "a=1"),
        ("form", [1]),
        ("xml", {"a": 1}),
    ]
    for how, value in refused:
        with pytest.raises(RequestError, match="body: "):
            frozen(whole("application/x", how), {"body": value})


def test_open_members_travel_under_their_own_names() -> None:
    body = Body(kind="members", members={"id_body": "id"}, open_members=True)
    spec = tool("/x/{id}", method="POST", parameters=[parameter("id", "path")], body=body)
    assert frozen(spec, {"id": "p", "id_body": 1, "extra": 2}).body == b'{"id":1,"extra":2}'


def test_an_open_member_cannot_replace_a_declared_one() -> None:
    body = Body(kind="members", members={"amount_body": "amount"}, open_members=True)
    spec = tool("/x", method="POST", body=body)
    for order in (("amount_body", "amount"), ("amount", "amount_body")):
        with pytest.raises(RequestError, match="a second time"):
            frozen(spec, dict.fromkeys(order, 1))


@pytest.mark.parametrize(
    "body", [Body(), Body(kind="members", members={"a": "a"}), Body(kind="whole")]
)
def test_an_argument_without_a_place_is_refused(body: Body) -> None:
    with pytest.raises(RequestError, match="sneaky: is not an argument"):
        frozen(tool("/x", method="POST", body=body), {"sneaky": 1})


@pytest.mark.parametrize("value", ["\ud800", {"a": "\udfff"}, float("inf"), float("nan")])
def test_a_body_that_is_not_json_text_is_refused(value: Json) -> None:
    with pytest.raises(RequestError):
        frozen(whole(), {"body": value})
