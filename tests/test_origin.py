"""Which hosts and origins are answered, whatever the route (T06: DNS rebinding)."""

from typing import Any

import pytest

from signoff.origin import Message, OriginGuard, Receive, Scope, Send

PORT = 8420


class Asked:
    """The app behind the guard: notes that it was reached."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        self.reached.append(scope["type"])
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"reached"})


async def ask(
    *headers: tuple[bytes, bytes],
    public_url: str = f"http://localhost:{PORT}",
    hosts: tuple[str, ...] = (),
    kind: str = "http",
) -> tuple[int, bool]:
    app = Asked()
    guard = OriginGuard(app, public_url=public_url, port=PORT, hosts=hosts)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: dict[str, Any] = {"type": kind, "method": "GET", "path": "/", "headers": list(headers)}
    await guard(scope, receive, send)
    return (sent[0]["status"] if sent else 0), bool(app.reached)


def host(value: bytes) -> tuple[bytes, bytes]:
    return (b"host", value)


def origin(value: bytes) -> tuple[bytes, bytes]:
    return (b"origin", value)


OURS = host(b"localhost:8420")


@pytest.mark.parametrize(
    "name", [b"localhost:8420", b"127.0.0.1:8420", b"[::1]:8420", b"LOCALHOST:8420"]
)
async def test_our_own_names_are_answered(name: bytes) -> None:
    assert await ask(host(name)) == (200, True)


@pytest.mark.seed("T06")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [host(b"")],
        [host(b"evil.example")],
        [host(b"evil.example:8420")],
        [host(b"localhost")],
        [host(b"localhost:80")],
        [host(b"localhost:84200")],
        [host(b"localhost:8420.evil.example")],
        [host(b"localhost.evil.example:8420")],
        [host(b"evil.example/localhost:8420")],
        [host(b"localhost:8420@evil.example")],
        [host(b"user@localhost:8420")],
        [host(b"localhost:8420,evil.example")],
        [host(b"localhost:8420 ")],
        [host(b"localhost.:8420")],
        [host(b"0.0.0.0:8420")],
        [host(b"127.0.0.2:8420")],
        [host(b"[::]:8420")],
        [host(b"\xff\xfe")],
        [host(b"localhost:8420"), host(b"evil.example")],
        [host(b"evil.example"), host(b"localhost:8420")],
        [host(b"localhost:8420"), host(b"localhost:8420")],
        [(b"x-forwarded-host", b"localhost:8420"), host(b"evil.example")],
    ],
)
async def test_a_foreign_host_is_refused_before_any_route(
    headers: list[tuple[bytes, bytes]],
) -> None:
    assert await ask(*headers) == (421, False)


@pytest.mark.parametrize(
    "value", [b"http://localhost:8420", b"http://127.0.0.1:8420", b"HTTP://LOCALHOST:8420"]
)
async def test_our_own_origin_may_talk_to_us(value: bytes) -> None:
    assert await ask(OURS, origin(value)) == (200, True)


@pytest.mark.seed("T06")
@pytest.mark.parametrize(
    "value",
    [
        b"null",
        b"",
        b"http://evil.example",
        b"http://evil.example:8420",
        b"https://evil.example",
        b"http://localhost",
        b"http://localhost:3000",
        b"http://localhost:8420.evil.example",
        b"http://localhost:8420/",
        b"localhost:8420",
        b"file://",
        b"chrome-extension://abcdef",
        b"http://localhost:8420, http://evil.example",
    ],
)
async def test_a_foreign_origin_is_refused_before_any_route(value: bytes) -> None:
    assert await ask(OURS, origin(value)) == (403, False)


@pytest.mark.seed("T06")
async def test_two_origins_are_none() -> None:
    ours = origin(b"http://localhost:8420")
    assert await ask(OURS, ours, ours) == (403, False)
    assert await ask(OURS, ours, origin(b"http://evil.example")) == (403, False)


async def test_a_public_name_is_answered_and_only_with_its_own_port() -> None:
    public = "https://sign.example"
    assert await ask(host(b"sign.example"), public_url=public) == (200, True)
    assert await ask(host(b"sign.example"), origin(b"https://sign.example"), public_url=public) == (
        200,
        True,
    )
    assert await ask(host(b"sign.example:8420"), public_url=public) == (421, False)
    assert await ask(host(b"www.sign.example"), public_url=public) == (421, False)


async def test_the_plain_http_twin_of_an_https_site_is_another_origin() -> None:
    answer = await ask(
        host(b"sign.example"), origin(b"http://sign.example"), public_url="https://sign.example"
    )
    assert answer == (403, False)


async def test_an_allowed_host_that_is_the_public_one_gets_no_second_scheme() -> None:
    answer = await ask(
        host(b"sign.example"),
        origin(b"http://sign.example"),
        public_url="https://sign.example",
        hosts=("sign.example",),
    )
    assert answer == (403, False)


async def test_an_allowed_host_is_answered() -> None:
    assert await ask(host(b"proxy:9000"), hosts=("Proxy:9000",)) == (200, True)
    assert await ask(host(b"proxy"), hosts=("Proxy:9000",)) == (421, False)


@pytest.mark.parametrize("kind", ["websocket", "other"])
async def test_what_is_not_http_is_not_let_through_unchecked(kind: str) -> None:
    with pytest.raises(RuntimeError):
        await ask(host(b"evil.example"), kind=kind)


async def test_the_lifespan_passes() -> None:
    assert await ask(kind="lifespan") == (0, True)
