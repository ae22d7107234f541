"""Headers that the program gives: for each call anew, never overridden, never shown."""

import asyncio
import json
import logging
from typing import Any

import pytest
from pydantic import SecretStr

from handler_parts import TOKEN, refused, shop
from signoff.catalog.model import Text
from signoff.catalog.standalone import Outbound
from wire import answer


@pytest.mark.seed("P6")
async def test_no_argument_is_or_becomes_the_credentials_header() -> None:
    async with shop() as (call, wire):
        [tool] = [one for one in call.tools if one.name == "list_orders"]
        assert set(tool.input_schema["properties"]) == {"state", "X-Trace", "X-Tenant"}  # pyright: ignore[reportArgumentType]
        for name in ("Authorization", "authorization", "Host", "Cookie"):
            error = await refused(call, "list_orders", {name: "Bearer mine"})
            assert error.code == "invalid_arguments"

        assert wire.requests == []


@pytest.mark.seed("P6")
async def test_an_argument_cannot_override_a_header_that_the_program_gives() -> None:
    async def tenant(_: Outbound) -> dict[str, str | Text]:
        return {"x_tenant": Text(text="acme"), "Authorization": f"Bearer {TOKEN}"}

    async with shop(resolve_headers=tenant) as (call, wire):
        error = await refused(call, "list_orders", {"X-Tenant": "other"})
        assert error.code == "invalid_arguments"
        assert str(error) == (
            "list_orders: X-Tenant: may not set the header X-Tenant a second time"
        )
        assert wire.requests == []

        await call("list_orders", {})
        assert dict(wire.head()[1])["x_tenant"] == "acme"


@pytest.mark.seed("P6")
async def test_a_header_that_the_program_names_beforehand_is_no_argument() -> None:
    async with shop(own_headers=["X-Tenant"]) as (call, _):
        [tool] = [one for one in call.tools if one.name == "list_orders"]

    assert set(tool.input_schema["properties"]) == {"state", "X-Trace"}  # pyright: ignore[reportArgumentType]


@pytest.mark.seed("A44")
async def test_headers_are_resolved_for_each_call_with_its_own_context() -> None:
    seen: list[Outbound] = []

    async def mine(outbound: Outbound) -> dict[str, SecretStr]:
        seen.append(outbound)
        return {"X-Api-Key": SecretStr(outbound.context["key"])}

    async with shop(resolve_headers=mine) as (call, wire):
        await asyncio.gather(
            *(call("get_order", {"id": n}, {"key": f"key-of-{n}"}) for n in range(1, 9))
        )
        sent = {wire.head(at)[0].split()[1]: dict(wire.head(at)[1])["X-Api-Key"] for at in range(8)}

    assert sent == {f"/v1/orders/{n}": f"key-of-{n}" for n in range(1, 9)}
    assert {(one.tool, one.method, one.url) for one in seen} == {
        ("get_order", "GET", f"{wire.url}/v1/orders/{n}") for n in range(1, 9)
    }


def test_headers_may_be_resolved_by_a_plain_function() -> None:
    async def run() -> list[tuple[str, str]]:
        async with shop(resolve_headers=lambda _: {"X-Api-Key": "k-123"}) as (call, wire):
            await call("get_order", {"id": 1})
            return wire.head()[1]

    assert ("X-Api-Key", "k-123") in asyncio.run(run())


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil"},
        {"Content-Length": "0"},
        {"Bad Name": "x"},
        {"X-A": "line\r\nX-B: y"},
        {"X-A": ""},
        {"X-A": 5},
        {"X-A": "${env:HOME}"},
        {"X-A": "one", "x_a": "two"},
        {"X-A": "ü"},
    ],
    ids=["host", "length", "name", "crlf", "empty", "number", "reference", "twice", "not ascii"],
)
async def test_headers_that_cannot_be_sent_are_refused_without_their_value(
    headers: dict[str, Any],
) -> None:
    async with shop(resolve_headers=lambda _: {**headers, "X-Key": TOKEN}) as (call, wire):
        error = await refused(call, "get_order", {"id": 1})

    assert error.code == "headers_failed"
    assert wire.requests == []


async def test_what_resolve_headers_raises_is_not_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_: Outbound) -> dict[str, str]:
        raise KeyError(TOKEN)

    with caplog.at_level(logging.DEBUG):
        async with shop(resolve_headers=broken) as (call, wire):
            error = await refused(call, "get_order", {"id": 1})

    assert (error.code, str(error)) == ("headers_failed", "resolve_headers failed (KeyError)")
    assert error.__cause__ is None
    assert TOKEN not in caplog.text
    assert wire.requests == []


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, TOKEN),
        ({"X-Api-Key": TOKEN}, TOKEN),
        ({"Cookie": f"theme=dark; session={TOKEN}"}, TOKEN),
        ({"Authorization": "Basic dXNlcjpwYXNzd29yZC0x"}, "password-1"),
    ],
    ids=["bearer", "key", "cookie", "basic"],
)
async def test_a_credential_that_an_upstream_echoes_is_taken_out(
    headers: dict[str, str], secret: str
) -> None:
    body = json.dumps({"seen": f"<{secret}>"}).encode()
    async with shop(
        answer(body=body),
        answer("400 Bad Request", json.dumps({"detail": secret}).encode()),
        resolve_headers=lambda _: headers,
    ) as (call, wire):
        done = await call("get_order", {"id": 1})
        assert done.data == {"seen": "<[redacted]>"}
        error = await refused(call, "get_order", {"id": 1})
        assert error.problem == {"detail": "[redacted]"}
        for name, value in headers.items():
            assert (name, value) in wire.head()[1]


async def test_a_text_that_is_no_secret_stays_in_answers() -> None:
    async with shop(
        answer(body=b'{"tenant": "acme"}'),
        resolve_headers=lambda _: {"X-Org": Text(text="acme")},
    ) as (call, _):
        assert (await call("get_order", {"id": 1})).data == {"tenant": "acme"}


async def test_no_value_is_kept_when_a_call_has_ended() -> None:
    async with shop() as (call, _):
        await call("get_order", {"id": 1})
        await call("drop_order", {"id": 1})
        await refused(call, "list_orders", {"nope": 1})

        assert call._resolver._values == {}  # pyright: ignore[reportPrivateUsage]
