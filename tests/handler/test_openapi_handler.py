"""The handler sends what the server would send, with the same guarantees, from a plain loop."""

import json
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from handler_parts import SHOP, TOKEN, refused, shop
from signoff.canonical import Json
from signoff.catalog.standalone import SetupError, from_openapi
from signoff.handler.answers import Done
from signoff.handler.openapi import openapi_handler
from signoff.upstream.target import UpstreamError
from tls_parts import contexts
from wire import answer, listening, plain

PROBLEM = answer(
    "409 Conflict",
    b'{"title": "No", "detail": "out of\\nstock", "row": "17", "key": "t0p-s3cret-token/+"}',
    "application/problem+json",
    "Retry-After: 7",
)


@pytest.mark.seed("A46")
async def test_a_call_puts_every_argument_where_the_spec_says() -> None:
    async with shop(answer(body=b'{"ok": true, "big": 9007199254740993}')) as (call, wire):
        done = await call("ship_order", {"id": 7, "to": "Zoë & Co"})
        first, headers = wire.head()

        assert first == "POST /v1/orders/7/ship HTTP/1.1"
        assert dict(headers)["Authorization"] == f"Bearer {TOKEN}"
        assert wire.body() == b'{"to":"Zo\xc3\xab & Co"}'
        assert done == Done(
            status=200,
            data={"ok": True, "big": 9007199254740993},
            text='{"ok": true, "big": 9007199254740993}',
            content=({"type": "text", "text": '{"ok": true, "big": 9007199254740993}'},),
        )

        await call("list_orders", {"state": "a/b ü", "X-Trace": "t-1"})
        first, headers = wire.head()
        assert first == "GET /v1/orders?state=a%2Fb%20%C3%BC HTTP/1.1"
        assert dict(headers)["X-Trace"] == "t-1"


@pytest.mark.seed("A46")
@pytest.mark.parametrize(
    ("sent", "data", "text"),
    [
        (answer("204 No Content", b""), None, "HTTP 204"),
        (answer(body=b"[1, 2]"), [1, 2], "[1, 2]"),
        (answer(body=b"null"), None, "null"),
        (answer(body=b'{"result": [1]}'), {"result": [1]}, '{"result": [1]}'),
        (answer(body=b"plain", media_type="text/plain"), None, "plain"),
        (
            answer(body=b'data: {"n": 1}\n\ndata: two\n\n', media_type="text/event-stream"),
            [{"n": 1}, "two"],
            '[{"n":1},"two"]',
        ),
        (
            answer(body=b"<html>secret stack</html>", media_type="text/html"),
            None,
            "HTTP 200 OK. The answer is an HTML page and is not shown.",
        ),
    ],
    ids=["empty", "list", "null", "object", "text", "events", "page"],
)
async def test_an_answer_is_json_else_text_else_a_sentence(
    sent: bytes, data: Json, text: str
) -> None:
    async with shop(sent) as (call, _):
        done = await call("get_order", {"id": 1})

    assert isinstance(done, Done)
    assert (done.data, done.text) == (data, text)


async def test_a_picture_is_a_content_block() -> None:
    async with shop(answer(body=b"\x89PNG", media_type="image/png")) as (call, _):
        done = await call("get_order", {"id": 1})

    assert isinstance(done, Done)
    assert [block["type"] for block in done.content] == ["image"]
    assert done.data is None


@pytest.mark.seed("A46")
async def test_an_upstreams_error_is_typed_and_repeats_only_what_is_meant_to_be_read() -> None:
    async with shop(PROBLEM) as (call, _):
        error = await refused(call, "get_order", {"id": 1})

    assert (error.code, error.status, error.retry_after_s) == ("upstream_error", 409, 7.0)
    assert str(error) == "HTTP 409 Conflict: out of stock"
    assert error.problem == {"title": "No", "detail": "out of stock"}
    assert not error.may_have_happened


@pytest.mark.seed("P18")
@pytest.mark.parametrize(
    "body",
    [b"<html>Traceback: db password hunter2</html>", b"hunter2 at line 3", b'["hunter2"]', b"\xff"],
    ids=["page", "text", "list", "bytes"],
)
async def test_an_upstreams_error_body_is_not_echoed(body: bytes) -> None:
    async with shop(answer("500 Oops", body, "text/plain")) as (call, _):
        error = await refused(call, "drop_order", {"id": 1})

    assert str(error) == "HTTP 500 Internal Server Error"
    assert (error.code, error.may_have_happened) == ("outcome_unknown", True)


async def test_a_read_that_failed_at_the_upstream_may_be_asked_again() -> None:
    async with shop(answer("500 Oops", b"")) as (call, _):
        error = await refused(call, "get_order", {"id": 1})

    assert (error.code, error.may_have_happened) == ("upstream_error", False)


async def test_a_broken_answer_to_a_change_is_an_unknown_outcome() -> None:
    torn = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}"
    async with shop(torn, closes=True) as (call, wire):
        error = await refused(call, "drop_order", {"id": 1})

    assert (error.code, error.may_have_happened, error.status) == ("outcome_unknown", True, None)
    assert len(wire.requests) == 1


async def test_an_upstream_that_is_not_there_means_nothing_was_sent() -> None:
    async with shop() as (_, wire):
        address = wire.url
    async with openapi_handler(SHOP, base_url=address, approve=_never) as call:
        error = await refused(call, "get_order", {"id": 1})

    assert (error.code, error.may_have_happened) == ("not_sent", False)
    assert str(error).startswith("Nothing was sent: api: the connection was not made")


@pytest.mark.seed("P18")
async def test_an_upstream_that_does_not_answer_is_given_up_in_time() -> None:
    async with shop(b"", timeout_s=0.1) as (call, wire):
        error = await refused(call, "drop_order", {"id": 1})

        assert (error.code, error.may_have_happened) == ("outcome_unknown", True)
        assert len(wire.requests) == 1


async def test_a_redirect_is_not_followed_and_not_repeated() -> None:
    moved = answer("302 Found", b"", "text/plain", "Location: http://169.254.169.254/?t=abc")
    async with shop(moved) as (call, wire):
        error = await refused(call, "get_order", {"id": 1})

    assert (error.code, error.status) == ("upstream_error", 302)
    assert "169.254" not in str(error)
    assert len(wire.requests) == 1


async def test_an_answer_beyond_the_cap_is_cut() -> None:
    long = json.dumps([{"n": n} for n in range(500)]).encode()
    async with shop(answer(body=long), max_response_bytes=1_024) as (call, _):
        done = await call("get_order", {"id": 1})

    assert isinstance(done, Done)
    assert done.is_cut
    assert isinstance(done.data, list)
    assert 0 < len(done.data) < 500


@pytest.mark.seed("P5")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"id": "lots", "to": "x"}, "id: .* \\(type\\)"),
        ({"to": "x"}, "required"),
        ({"id": 1}, "required"),
        ({"id": 1, "to": "x", "more": 1}, "additionalProperties"),
        ({"id": 1, "to": float("nan")}, "NaN"),
        ({"id": 1, "to": {1, 2}}, "serializable"),
        ({"id": 1, "to": "\ud800"}, "surrogate"),
    ],
    ids=["type", "no path", "no body", "unknown", "nan", "not json", "surrogate"],
)
async def test_arguments_that_the_schema_does_not_allow_reach_nobody(
    arguments: dict[str, Any], said: str
) -> None:
    async with shop(approve=_never) as (call, wire):
        error = await refused(call, "ship_order", arguments)

    assert error.code == "invalid_arguments"
    assert re.search(said, str(error))
    assert wire.requests == []


async def test_a_tool_that_is_not_there_is_an_error_of_its_own() -> None:
    async with shop() as (call, wire):
        error = await refused(call, "list_orders ", {})

    assert error.code == "unknown_tool"
    assert wire.requests == []


async def test_a_server_that_the_spec_chose_is_guarded() -> None:
    async def metadata(host: str, port: int) -> list[str]:
        del host, port
        return ["169.254.169.254"]

    spec: dict[str, Json] = {
        **SHOP,
        "paths": {
            "/x": {
                "servers": [{"url": "https://files.example"}],
                "get": {"operationId": "x", "responses": {}},
            }
        },
    }
    async with shop(
        spec=spec,
        approve=None,
        resolve=metadata,
        allow_servers={"https://files.example": True},
    ) as (call, wire):
        error = await refused(call, "x", {})

    assert error.code == "not_sent"
    assert "private" in str(error)
    assert wire.requests == []


def test_a_spec_does_not_choose_where_calls_go() -> None:
    with pytest.raises(SetupError, match=r"base_url is needed.*https://spec\.example/v1"):
        openapi_handler(SHOP, approve=_never)


@pytest.mark.parametrize("url", ["ftp://x", "https://u:p@x", "https://x?y", "x", ""])
def test_a_base_url_is_an_http_address(url: str) -> None:
    with pytest.raises(SetupError):
        openapi_handler(SHOP, base_url=url, approve=_never)


def test_a_compiled_api_has_said_its_options_already() -> None:
    api = from_openapi(SHOP, base_url="https://shop.example")
    with pytest.raises(SetupError, match="own_headers: say it to from_openapi"):
        openapi_handler(api, approve=_never, own_headers=["X-A"])


async def test_a_handler_is_used_inside_async_with() -> None:
    call = openapi_handler(SHOP, base_url="https://shop.example", approve=_never)
    with pytest.raises(SetupError, match="async with"):
        await call("get_order", {"id": 1})
    async with shop() as (call, _):
        pass
    with pytest.raises(SetupError, match="async with"):
        await call("get_order", {"id": 1})


async def test_a_read_over_a_connection_that_closed_is_sent_again() -> None:
    async with shop() as (call, wire):
        await call("get_order", {"id": 1})
        await wire.drop()
        await call("get_order", {"id": 2})

    assert wire.connections == 2


async def _never(ask: object) -> Any:
    raise AssertionError(f"nobody should be asked: {ask}")


async def test_a_certificate_is_verified_and_the_programs_own_authority_counts(
    tmp_path: Path,
) -> None:
    server, trusting = contexts(tmp_path)
    async with listening(plain(answer(body=b"[1]")), tls=server) as wire:
        address = f"https://127.0.0.1:{wire.port}"
        async with openapi_handler(SHOP, base_url=address, approve=_never) as call:
            error = await refused(call, "get_order", {"id": 1})
        assert error.code == "not_sent"
        assert "certificate" in str(error)
        assert wire.requests == []

        made = openapi_handler(SHOP, base_url=address, approve=_never, tls=trusting)
        async with made as call:
            done = await call("get_order", {"id": 1})
        assert done.data == [1]


async def test_a_context_that_verifies_nothing_is_refused() -> None:
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lax.check_hostname = False
    lax.verify_mode = ssl.CERT_NONE
    made = openapi_handler(SHOP, base_url="https://shop.example", approve=_never, tls=lax)

    with pytest.raises(UpstreamError, match="always verified"):
        await made.__aenter__()
