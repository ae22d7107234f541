"""HTTP to an application in this process: the same as over a socket, cancellation included."""

import asyncio

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from signoff.gate.in_process import InProcess
from signoff.origin import App, Message, Receive, Scope, Send

URL = "http://localhost:8420/a%20b/c?d=1&e=%2F"


async def asked(app: App, **request: object) -> httpx2.Response:
    options = {"content": b"x=1", "headers": {"X-One": "1"}, **request}
    sent = httpx2.Request("POST", URL, **options)  # pyright: ignore[reportArgumentType]
    return await InProcess(app).handle_async_request(sent)


async def test_the_application_sees_the_request_as_it_was_made() -> None:
    async def show(request: Request) -> JSONResponse:
        return JSONResponse({
            "method": request.method,
            "path": request.scope["path"],
            "raw_path": request.scope["raw_path"].decode(),
            "query": request.scope["query_string"].decode(),
            "one": request.headers["x-one"],
            "body": (await request.body()).decode(),
            "peer": request.client and request.client.host,
        })

    answer = await asked(Starlette(routes=[Route("/{any:path}", show, methods=["POST"])]))
    assert answer.json() == {
        "method": "POST",
        "path": "/a b/c",
        "raw_path": "/a%20b/c",
        "query": "d=1&e=%2F",
        "one": "1",
        "body": "x=1",
        "peer": "gate",
    }


async def test_an_answer_in_parts_comes_whole_with_its_status_and_headers() -> None:
    async def parts(_: Request) -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"", b"b"]), 201, {"X-Two": "2"})

    answer = await asked(Starlette(routes=[Route("/{any:path}", parts, methods=["POST"])]))
    assert (answer.status_code, answer.content, answer.headers["x-two"]) == (201, b"ab", "2")


async def test_a_failure_of_the_application_is_a_500_that_tells_nothing() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("secret")

    answer = await asked(fail)
    assert (answer.status_code, answer.content) == (500, b"")


async def test_whoever_is_cancelled_cancels_the_application() -> None:
    entered, ended = asyncio.Event(), asyncio.Event()

    async def hold(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive, send
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    exchange = asyncio.create_task(asked(hold))
    await entered.wait()
    exchange.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exchange
    assert ended.is_set()


async def test_the_peer_leaves_only_after_the_answer() -> None:
    heard: list[Message] = []

    async def listen(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        heard.append(await receive())
        leaving = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        assert not leaving.done()
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})
        heard.append(await leaving)

    assert (await asked(listen)).status_code == 204
    assert [message["type"] for message in heard] == ["http.request", "http.disconnect"]
