"""No argument sets what is not its own: the path, a header, a cookie, the operator's words."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.canonical import Json
from signoff.catalog.model import Retry
from signoff.catalog.wire import Body, Parameter
from signoff.identity import Caller
from signoff.upstream.request import (
    FrozenHeader,
    RequestError,
    UpstreamError,
)
from upstream_parts import BANK, frozen, parameter, tool, upstream

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
