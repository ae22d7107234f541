"""A spec's security schemes from Python: each goes where the spec says, and nowhere else."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from handler_parts import TOKEN, Person, shop, yes
from signoff.canonical import Json
from signoff.catalog.model import Text
from signoff.catalog.standalone import Outbound, SetupError, from_openapi
from signoff.handler.answers import CallError
from wire import answer


def operation(name: str, *requirements: Json, **more: Json) -> dict[str, Json]:
    return {"operationId": name, "security": list(requirements), "responses": {}, **more}


QUERY_KEY: Json = {"name": "api_key", "in": "query", "schema": {"type": "string"}}
SPEC: dict[str, Json] = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "components": {
        "securitySchemes": {
            "query": {"type": "apiKey", "in": "query", "name": "api_key"},
            "header": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {"type": "http", "scheme": "basic"},
            "oauth": {"type": "oauth2", "flows": {}},
            "cert": {"type": "mutualTLS"},
            "unused": {"type": "http", "scheme": "bearer"},
        }
    },
    "paths": {
        "/query": {"get": operation("query", {"query": []}, parameters=[QUERY_KEY])},
        "/header": {"get": operation("header", {"header": []})},
        "/cookie": {"get": operation("cookie", {"cookie": []})},
        "/bearer": {"get": operation("bearer", {"bearer": []})},
        "/basic": {"get": operation("basic", {"basic": []})},
        "/oauth": {"get": operation("oauth", {"oauth": ["read"]}, {"header": []})},
        "/both": {"post": operation("both", {"query": [], "cookie": []})},
        "/cert": {"get": operation("cert", {"cert": []})},
        "/open": {"get": operation("open")},
    },
}
GIVEN: dict[str, Any] = {
    "query": "k/1+2",
    "header": SecretStr("key-header"),
    "cookie": "key cookie",
    "bearer": lambda outbound: f"{TOKEN}{outbound.tool}",  # pyright: ignore[reportUnknownLambdaType, reportUnknownMemberType]
    "basic": "me:pass:word-1",
}


@pytest.mark.seed("P18")
@pytest.mark.parametrize(
    ("name", "target", "header"),
    [
        ("query", "/v1/query?api_key=k%2F1%2B2", None),
        ("header", "/v1/header", ("X-Key", "key-header")),
        ("cookie", "/v1/cookie", ("Cookie", "sid=key%20cookie")),
        ("bearer", "/v1/bearer", ("Authorization", f"Bearer {TOKEN}bearer")),
        ("basic", "/v1/basic", ("Authorization", "Basic bWU6cGFzczp3b3JkLTE=")),
        ("oauth", "/v1/oauth", ("X-Key", "key-header")),
        ("open", "/v1/open", None),
    ],
)
async def test_a_credential_goes_where_the_spec_says_and_to_who_asks_for_it(
    name: str, target: str, header: tuple[str, str] | None
) -> None:
    async with shop(spec=SPEC, resolve_headers=None, credentials=GIVEN) as (call, wire):
        await call(name, {})
        first, headers = wire.head()

    assert first == f"GET {target} HTTP/1.1"
    secret = [one for one in headers if one[0] in ("X-Key", "Cookie", "Authorization")]
    assert secret == ([header] if header else [])


@pytest.mark.seed("P6")
async def test_no_argument_is_a_credential() -> None:
    async with shop(spec=SPEC, resolve_headers=None, credentials=GIVEN) as (call, wire):
        for name, argument in (("query", "api_key"), ("header", "X-Key"), ("cookie", "sid")):
            [tool] = [one for one in call.tools if one.name == name]
            assert tool.input_schema["properties"] == {}
            with pytest.raises(CallError) as caught:
                await call(name, {argument: "mine"})
            assert caught.value.code == "invalid_arguments"

        assert wire.requests == []


async def test_a_question_names_a_credential_and_shows_none() -> None:
    person = Person(yes)
    async with shop(spec=SPEC, approve=person, resolve_headers=None, credentials=GIVEN) as (
        call,
        wire,
    ):
        await call("both", {})
        first, headers = wire.head()
    [ask] = person.asked

    assert ask.request["credentials"] == [
        {"in": "query", "name": "api_key", "reference": "${resolved}"},
        {"in": "cookie", "name": "sid", "reference": "${resolved}"},
    ]
    assert first == "POST /v1/both?api_key=k%2F1%2B2 HTTP/1.1"
    assert ("Cookie", "sid=key%20cookie") in headers
    shown = json.dumps(dict(ask.request)) + repr(ask) + repr(call.api)
    assert not any(secret in shown for secret in ("k/1", "k%2F1", "key cookie", "key%20cookie"))


async def test_an_echoed_credential_is_taken_out() -> None:
    body = json.dumps({"url": "/query?api_key=k%2F1%2B2", "key": "k/1+2"}).encode()
    async with shop(answer(body=body), spec=SPEC, resolve_headers=None, credentials=GIVEN) as (
        call,
        _,
    ):
        done = await call("query", {})

    assert done.data == {"url": "/query?api_key=[redacted]", "key": "[redacted]"}


async def test_a_requirement_that_nothing_given_meets_sends_nothing() -> None:
    async with shop(spec=SPEC, resolve_headers=None, credentials={"bearer": TOKEN}) as (call, wire):
        with pytest.raises(CallError) as caught:
            await call("oauth", {})
        assert caught.value.code == "auth_required"
        assert "needs the credential oauth (scopes: read)" in str(caught.value)
        assert wire.requests == []

        await call("open", {})
        assert len(wire.requests) == 1


async def test_a_scheme_is_met_by_a_header_that_the_program_names() -> None:
    async with shop(
        spec=SPEC,
        credentials={"bearer": TOKEN},
        own_headers=["X-Key"],
        resolve_headers=lambda _: {"X-Key": "key-header"},
    ) as (call, wire):
        await call("header", {})

        assert ("X-Key", "key-header") in wire.head()[1]


def nothing(_: Outbound) -> Any:
    return None


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("basic", "hunter2"),
        ("basic", ":hunter2"),
        ("basic", "hunter2:"),
        ("header", ""),
        ("header", "hunter2\r\nX: y"),
        ("header", Text(text="hunter2")),
        ("header", 5),
        ("header", nothing),
    ],
    ids=["no colon", "no user", "no password", "empty", "crlf", "text", "number", "none"],
)
async def test_a_credential_that_cannot_be_sent_is_refused_without_its_value(
    name: str, given: Any
) -> None:
    async with shop(spec=SPEC, resolve_headers=None, credentials={name: given}) as (call, wire):
        with pytest.raises(CallError) as caught:
            await call(name, {})

    assert caught.value.code == "headers_failed"
    assert "hunter2" not in str(caught.value)
    assert wire.requests == []


async def test_what_a_credentials_function_raises_is_not_repeated() -> None:
    async def broken(_: Outbound) -> str:
        raise RuntimeError(TOKEN)

    async with shop(spec=SPEC, resolve_headers=None, credentials={"header": broken}) as (call, _):
        with pytest.raises(CallError) as caught:
            await call("header", {})

    assert str(caught.value) == "header failed (RuntimeError)"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("heder", 'the spec has no security scheme "heder", did you mean "header"?'),
        ("cert", "cert is a client certificate; give it in tls"),
        ("unused", "no operation asks for unused; use resolve_headers"),
    ],
)
def test_a_credential_that_would_go_nowhere_is_a_mistake(name: str, said: str) -> None:
    with pytest.raises(SetupError) as caught:
        from_openapi(SPEC, credentials={name: "x"})

    assert str(caught.value) == f"credentials: {said}"
