"""What a call freezes: the exact bytes, and nothing an argument should not set."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.approvals.details import SCHEMA, check_details, details_digest
from signoff.canonical import Json, sha256_hex
from signoff.catalog.model import Retry
from signoff.catalog.wire import Body, BodyFormat, Parameter
from signoff.identity import Caller
from signoff.schema import Validator
from signoff.upstream.request import (
    FrozenHeader,
    FrozenRequest,
    RequestError,
    UpstreamError,
    idempotency_key,
    mask_arguments,
)
from upstream_parts import ALICE, ENVIRONMENT, SEALER, frozen, parameter, references, tool, upstream

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
BANK = upstream(
    headers={
        "Authorization": "Bearer ${env:BANK_TOKEN}",
        "X-On-Behalf-Of": "${caller.sub}",
        "X-Approval": "${approval.token}",
        "X-Plain": "as written",
    }
)


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


# T52, paths that climb


@pytest.mark.parametrize(
    "attack", ["..", "%2e%2e", "a/b", "", "..;", "a?b", "a#b", "%252e%252e%252f"]
)
def test_a_path_argument_cannot_leave_its_segment(attack: str) -> None:
    with pytest.raises(RequestError) as caught:
        frozen(tool("/users/{id}/profile", parameters=[parameter("id", "path")]), {"id": attack})
    assert caught.value.argument == "id"


@pytest.mark.parametrize(
    ("template", "arguments"),
    [
        ("/a/{x}{y}/b", {"x": "a", "y": ".."}),
        ("/a/.{x}/b", {"x": "%2e"}),
        ("/a/%2e{x}", {"x": "."}),
    ],
)
def test_dots_put_together_from_pieces_are_refused(
    template: str, arguments: dict[str, Json]
) -> None:
    parameters = [parameter(name, "path") for name in arguments]
    with pytest.raises(RequestError):
        frozen(tool(template, parameters=parameters), arguments)


@pytest.mark.parametrize("value", ["a", "ä ö", "100%", "a.b", "..."])
def test_every_path_keeps_the_base_and_the_number_of_segments(value: str) -> None:
    template = "/users/{id}/profile"
    request = frozen(tool(template, parameters=[parameter("id", "path")]), {"id": value})
    parts = urlsplit(request.url)
    assert (parts.scheme, parts.netloc) == ("https", "bank.example")
    assert parts.path.startswith("/api/users/")
    assert parts.path.count("/") == "/api".count("/") + template.count("/")


@pytest.mark.parametrize("template", ["/../admin", "/a/../../b", "/%2e%2e/admin", "x", ""])
def test_a_template_that_leaves_the_base_is_refused(template: str) -> None:
    with pytest.raises((RequestError, UpstreamError)):
        frozen(tool(template))


def test_a_template_without_its_parameter_is_refused() -> None:
    with pytest.raises(UpstreamError, match="no parameter fills"):
        frozen(tool("/x/{id}"))
    with pytest.raises(RequestError, match="has no place"):
        frozen(tool("/x", parameters=[parameter("id", "path")]), {"id": "1"})
    with pytest.raises(RequestError, match="id: is required"):
        frozen(tool("/x/{id}", parameters=[parameter("id", "path")]), {"id": None})


def test_a_question_mark_in_a_template_stays_in_the_path() -> None:
    assert frozen(tool("/x?action=y")).url == "https://bank.example/api/x%3Faction=y"


def test_a_url_that_is_too_long_names_the_argument() -> None:
    spec = tool("/x", parameters=[parameter("a", "query"), parameter("b", "query")])
    with pytest.raises(RequestError, match="b: makes the URL longer"):
        frozen(spec, {"a": "1", "b": "x" * 40_000})


# T53, queries that grow


def test_two_parameters_cannot_set_one_query_name() -> None:
    parameters = [parameter("to", "query"), parameter("extra", "query")]
    with pytest.raises(RequestError, match="extra: sets 'to' a second time"):
        frozen(tool("/x", parameters=parameters), {"to": "alice", "extra": {"to": "mallory"}})


OBJECT_SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "f": {"$ref": "#/$defs/filter"},
        "open": {
            "type": "object",
            "properties": {"a": {}},
            "additionalProperties": {"type": "string"},
        },
    },
    "$defs": {"filter": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


@pytest.mark.parametrize("more", [{"style": "deepObject"}, {"style": "form", "explode": True}])
def test_object_keys_come_only_from_the_schema(more: dict[str, Any]) -> None:
    spec = tool("/x", parameters=[parameter("f", "query", **more)], input_schema=OBJECT_SCHEMA)
    assert "name" in frozen(spec, {"f": {"name": "x"}}).url
    with pytest.raises(RequestError, match="f: has the key 'admin', which is not declared"):
        frozen(spec, {"f": {"name": "x", "admin": "1"}})


def test_object_keys_are_open_where_the_schema_says_so() -> None:
    spec = tool("/x", parameters=[parameter("open", "query")], input_schema=OBJECT_SCHEMA)
    assert frozen(spec, {"open": {"a": "1", "b": "2"}}).url.endswith("?a=1&b=2")


# T54, headers that are not theirs

PROTECTED = [
    "Host",
    "host",
    "Content-Length",
    "content-type",
    "Content-Encoding",
    "Transfer-Encoding",
    "TE",
    "Trailer",
    "Connection",
    "Keep-Alive",
    "Upgrade",
    "Expect",
    "Authorization",
    "AUTHORIZATION",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Cookie",
    "Set-Cookie",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Whatever",
    "X_Forwarded_For",
    "X-Real-IP",
    "X-HTTP-Method-Override",
    "X-Method",
    "X-Original-Method",
    "X-Method-Override",
    "X_HTTP_METHOD_OVERRIDE",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Idempotency-Key",
    "idempotency_key",
    "Accept",
    "Accept-Encoding",
    "User-Agent",
    "Origin",
    "Referer",
    "Sec-Fetch-Site",
    "",
    "X Y",
    "X:Y",
    "X\r\nHost",
    "Ä",
]


@pytest.mark.parametrize("name", PROTECTED)
def test_an_argument_never_sets_a_protected_header(name: str) -> None:
    spec = tool("/x", parameters=[parameter("h", "header", name=name)])
    with pytest.raises(RequestError, match=r"^h: "):
        frozen(spec, {"h": "x"})


def test_an_argument_never_sets_the_operators_headers_or_our_key() -> None:
    for name in ("X-On-Behalf-Of", "x-on-behalf-of", "X_On_Behalf_Of", "X-Plain"):
        spec = tool("/x", parameters=[parameter("h", "header", name=name)])
        with pytest.raises(RequestError, match="a second time"):
            frozen(spec, {"h": "mallory"}, to=BANK)
    once = tool(
        "/x",
        parameters=[parameter("h", "header", name="x_once")],
        retry=Retry(kind="idempotency_key", header="X-Once"),
    )
    for call_id in ("c", None):
        with pytest.raises(RequestError, match="may not set"):
            frozen(once, {"h": "1"}, call_id=call_id)


def test_two_arguments_never_set_one_header() -> None:
    parameters = [parameter("a", "header", name="X-A"), parameter("b", "header", name="x_a")]
    with pytest.raises(RequestError, match=r"^b: "):
        frozen(tool("/x", parameters=parameters), {"a": "1", "b": "2"})


@pytest.mark.parametrize(
    "value",
    [
        "a\r\nX-Admin: 1",
        "a\nb",
        "a\rb",
        "a\x00b",
        "a\tb",
        "\x7f",
        "ä",
        "\u2028",
        " a",
        "a ",
        "\x85",
    ],
)
def test_a_header_value_outside_visible_ascii_is_refused_by_name(value: str) -> None:
    spec = tool("/x", parameters=[parameter("h", "header", name="X-H")])
    with pytest.raises(RequestError, match=r"^h: holds characters"):
        frozen(spec, {"h": value})


@pytest.mark.parametrize("value", ["a; admin=1", "a\tb", "ä", 'a"b', "a,b", "a=b"])
def test_a_cookie_value_adds_no_cookie(value: str) -> None:
    request = frozen(tool("/x", parameters=[parameter("c", "cookie")]), {"c": value})
    cookie = request.headers[-1]
    assert cookie.name == "Cookie"
    assert cookie.value is not None
    assert cookie.value.startswith("c=")
    assert not set(cookie.value[2:]) & set(';=, "')


def test_a_cookie_argument_never_joins_the_operators_cookies() -> None:
    bank = upstream(headers={"Cookie": "session=${env:BANK_TOKEN}"})
    with pytest.raises(RequestError, match=r"^c: "):
        frozen(tool("/x", parameters=[parameter("c", "cookie")]), {"c": "1"}, to=bank)


# What a caller sends is never a reference (T62)

REFERENCE_TEXTS = ["${env:BANK_TOKEN}", "${file:/etc/passwd}", "${caller.sub}", "${approval.token}"]


@pytest.mark.parametrize("text", REFERENCE_TEXTS)
def test_an_argument_that_looks_like_a_reference_goes_through_literally(text: str) -> None:
    spec = tool(
        "/x",
        method="POST",
        parameters=[parameter("h", "header", name="X-H")],
        body=Body(kind="whole"),
    )
    request = frozen(spec, {"h": text, "body": text})
    assert request.headers[-1] == FrozenHeader(name="X-H", value=text)
    assert request.body == json.dumps(text).encode()


def test_a_caller_whose_name_looks_like_a_reference_is_refused() -> None:
    mallory = Caller(kind="oauth", issuer="i", client_id="c", sub="${env:BANK_TOKEN}")
    with pytest.raises(UpstreamError, match=r"\$\{caller\.sub\} holds characters"):
        frozen(tool(), to=BANK, caller=mallory)
    with pytest.raises(UpstreamError, match="has no sub"):
        frozen(tool(), to=BANK, caller=Caller(kind="oauth", issuer="i", client_id="c"))


# The operator's side


@pytest.mark.parametrize(
    "base_url",
    [
        "ftp://bank.example",
        "bank.example",
        "https://",
        "https://user:pass@bank.example",
        "https://bank.example/api?key=1",
        "https://bank.example/api#x",
        "https://bank.example/a/../b",
        "https://bank.example/%2e%2e/b",
        "https://bank.example:99999",
        "https://bank.example:0",
        "https://bänk.example",
        "https://bank.example/a b",
        "https://[::1",
        "",
    ],
)
def test_a_base_url_that_is_no_base_is_refused_by_its_setting(base_url: str) -> None:
    with pytest.raises(UpstreamError, match=r"upstreams\.bank\.base_url: "):
        frozen(tool(), to=upstream(base_url))


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://bank.example", "https://bank.example/things"),
        ("https://bank.example/", "https://bank.example/things"),
        ("http://127.0.0.1:8000/api/", "http://127.0.0.1:8000/api/things"),
        ("https://[::1]:8443/v1", "https://[::1]:8443/v1/things"),
        ("app:signoff.demo.bank:app", "http://bank/things"),
    ],
)
def test_a_base_url_is_used_as_written(base_url: str, expected: str) -> None:
    assert frozen(tool(), to=upstream(base_url)).url == expected


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "${env:MISSING}"}, {"X-A": "${file:/does/not/exist}"}, {"X-A": "a\r\nb"}],
)
def test_an_operators_header_that_cannot_be_sent_is_named(headers: dict[str, str]) -> None:
    with pytest.raises(UpstreamError, match=r"upstreams\.bank\.headers\."):
        frozen(tool(), to=upstream(headers=headers))


def test_the_operators_headers_replace_our_defaults() -> None:
    request = frozen(tool(), to=upstream(headers={"accept": "text/csv", "USER-AGENT": "acme/1"}))
    assert [(header.name, header.value) for header in request.headers] == [
        ("Accept-Encoding", "identity"),
        ("accept", "text/csv"),
        ("USER-AGENT", "acme/1"),
    ]


# Masking

LOGIN = tool(
    "/login/{tenant}",
    method="POST",
    parameters=[
        parameter("tenant", "path", secret=True),
        parameter("otp", "query", secret=True),
        parameter("key", "header", name="X-Key", secret=True),
        parameter("sid", "cookie", secret=True),
    ],
    body=Body(
        kind="members",
        members={"password": "pass", "card": "card", "who": "who", "cards": "cards"},
        secrets=frozenset({("pass",), ("card", "number"), ("cards", "number")}),
    ),
    secret_arguments=frozenset({"who"}),
)
HIDDEN: dict[str, Json] = {
    "tenant": "TENANTSECRET",
    "otp": "OTPSECRET",
    "key": "KEYSECRET",
    "sid": "SIDSECRET",
    "password": "PASSWORDSECRET",
    "card": {"number": 4111111111111111, "name": "Alice"},
    "cards": [{"number": "CARDSECRET"}, {"name": "Bob"}],
    "who": ["WHOSECRET"],
}


def test_masked_values_are_sent_but_never_shown() -> None:
    request = frozen(LOGIN, HIDDEN, call_id="call_1")
    details = request.details()
    shown = json.dumps(details, ensure_ascii=False)
    assert "SECRET" not in shown
    assert "4111" not in shown
    assert details["url"] == (
        "https://bank.example/api/login/•••• (12 characters)?otp=•••• (9 characters)"
    )
    assert json.loads(str(details["body"])) == {
        "pass": "•••• (14 characters)",
        "card": {"number": "•••• (16 characters)", "name": "Alice"},
        "cards": [{"number": "•••• (10 characters)"}, {"name": "Bob"}],
        "who": "•••• (13 characters)",
    }
    assert details["masked"] == [
        "arguments.card.number",
        "arguments.cards.number",
        "arguments.key",
        "arguments.otp",
        "arguments.password",
        "arguments.sid",
        "arguments.tenant",
        "arguments.who",
    ]
    assert request.url == "https://bank.example/api/login/TENANTSECRET?otp=OTPSECRET"
    for name, content in (("url_sha256", request.url.encode()), ("body_sha256", request.body)):
        assert str(details[name]).startswith("hmac-sha-256:")
        assert sha256_hex(content or b"") not in shown
    assert b"PASSWORDSECRET" in (request.body or b"")
    headers: Any = details["headers"]
    assert headers["X-Key"]["reference"] == "•••• (9 characters)"
    assert headers["Cookie"]["reference"] == "sid=•••• (9 characters)"
    assert ("X-Key", "KEYSECRET") in [(one.name, one.value) for one in request.headers]
    assert ("Cookie", "sid=SIDSECRET") in [(one.name, one.value) for one in request.headers]


def test_the_digest_changes_with_a_masked_header() -> None:
    one = frozen(LOGIN, HIDDEN, call_id="call_1").details()
    other = frozen(LOGIN, HIDDEN | {"key": "KEYSECREX"}, call_id="call_1").details()
    assert one["headers"] != other["headers"]


def test_the_hashes_of_a_masked_request_differ_by_call_and_cannot_be_guessed() -> None:
    """A PIN has 10,000 values: whoever sees a plain hash of the request tries them all."""
    spec = tool("/x", method="POST", body=Body(kind="whole", secrets=frozenset({("pin",)})))
    hashes: set[str] = set()
    for call_id in ("call_1", "call_2"):
        details = frozen(spec, {"body": {"pin": "1234"}}, call_id=call_id).details()
        hashes |= {str(details["url_sha256"]), str(details["body_sha256"])}
        for pin in range(10_000):
            assert details["body_sha256"] != sha256_hex(f'{{"pin":"{pin:04}"}}'.encode())
    assert len(hashes) == 4


def test_the_hashes_of_a_masked_request_are_found_again_from_its_record() -> None:
    spec = tool("/x", method="POST", body=Body(kind="whole", secrets=frozenset({("pin",)})))
    request = frozen(spec, {"body": {"pin": "1234"}}, call_id="call_1")
    again = FrozenRequest.from_record(request.to_record())
    assert again.details() == request.details()
    changed = replace(again, body=b'{"pin":"1235"}')
    assert changed.details()["body_sha256"] != request.details()["body_sha256"]


def test_nothing_is_masked_where_no_secret_was_given() -> None:
    spec = tool("/x", method="POST", body=Body(kind="whole", secrets=frozenset({("pin",)})))
    request = frozen(spec, {"body": {"name": "x"}})
    assert request.masked == ()
    assert request.details()["body"] == '{"name":"x"}'


def test_a_secret_inside_a_whole_body_is_masked_by_its_path() -> None:
    body = Body(kind="whole", argument="payload", secrets=frozenset({("user", "pin")}))
    spec = tool("/x", method="POST", body=body)
    arguments: dict[str, Json] = {"payload": {"user": {"pin": "1234", "name": "x"}}}
    details = frozen(spec, arguments).details()
    assert details["body"] == '{"user":{"pin":"•••• (4 characters)","name":"x"}}'
    assert details["masked"] == ["arguments.payload.user.pin"]
    masked = json.dumps(mask_arguments(spec, arguments, call_id="c", sealer=SEALER))
    assert "1234" not in masked


def test_secrets_of_members_without_names_of_their_own_are_masked() -> None:
    body = Body(kind="whole", argument="payload", secrets=frozenset({("keys", "*"), ("pin",)}))
    spec = tool("/x", method="POST", body=body)
    arguments: dict[str, Json] = {"payload": [{"keys": {"a": "SECRET"}, "pin": "SECRET", "x": 1}]}
    details = frozen(spec, arguments).details()

    assert details["body"] == (
        '[{"keys":{"a":"•••• (6 characters)"},"pin":"•••• (6 characters)","x":1}]'
    )
    assert details["masked"] == ["arguments.payload.keys.*", "arguments.payload.pin"]


def test_undeclared_members_of_a_body_are_masked_when_they_are_secret() -> None:
    body = Body(kind="members", members={}, secrets=frozenset({("*",)}), open_members=True)
    spec = tool("/x", method="POST", body=body)
    details = frozen(spec, {"anything": "SECRET"}).details()

    assert "SECRET" not in json.dumps(details)
    assert details["masked"] == ["arguments.*"]


def test_masked_arguments_tell_length_and_a_hash_of_this_call_only() -> None:
    masked: Any = mask_arguments(LOGIN, HIDDEN, call_id="call_1", sealer=SEALER)
    assert "SECRET" not in json.dumps(masked)
    assert masked["password"].startswith("•••• (14 characters) #")
    assert masked["card"]["name"] == "Alice"
    assert masked == mask_arguments(LOGIN, HIDDEN, call_id="call_1", sealer=SEALER)
    assert masked != mask_arguments(LOGIN, HIDDEN, call_id="call_2", sealer=SEALER)
    assert mask_arguments(tool(), {"a": 1}, call_id="c", sealer=SEALER) == {"a": 1}


NAMES: list[Parameter] = [
    parameter("p", "path"),
    parameter("q", "query"),
    parameter("h", "header", name="X-H"),
    parameter("c", "cookie"),
]


@given(st.fixed_dictionaries(dict.fromkeys("pqhc", st.text(min_size=1, max_size=20))))
def test_whatever_arguments_hold_the_request_keeps_its_shape(arguments: dict[str, str]) -> None:
    spec = tool("/a/{p}/b", parameters=NAMES)
    try:
        request = frozen(spec, dict(arguments))
    except RequestError:
        return
    assert request.url.isascii()
    assert request.url.isprintable()
    parts = urlsplit(request.url)
    assert parts.netloc == "bank.example"
    assert parts.path.split("/")[:3] + parts.path.split("/")[4:] == ["", "api", "a", "b"]
    assert parts.query.count("&") == 0
    assert parts.query.count("=") == 1
    assert parts.fragment == ""
    assert [header.name for header in request.headers][3:] == ["X-H", "Cookie"]
    assert all((header.value or "").isprintable() for header in request.headers)
