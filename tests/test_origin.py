"""Which hosts and origins are answered, whatever the route (T06: DNS rebinding)."""

from typing import Any

import pytest

from signoff.origin import App, Message, OriginGuard, Receive, Scope, Send

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
    sent = await asked(
        app, *headers, public_url=public_url, hosts=hosts, kind=kind, path="/", method="GET"
    )
    return (sent[0]["status"] if sent else 0), bool(app.reached)


async def asked(
    app: App,
    *headers: tuple[bytes, bytes],
    path: str,
    method: str,
    public_url: str = f"http://localhost:{PORT}",
    hosts: tuple[str, ...] = (),
    origins: tuple[str, ...] = (),
    kind: str = "http",
) -> list[Message]:
    guard = OriginGuard(app, public_url=public_url, port=PORT, hosts=hosts, origins=origins)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: dict[str, Any] = {
        "type": kind, "method": method, "path": path, "headers": list(headers)
    }  # fmt: skip
    await guard(scope, receive, send)
    return sent


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


# --- Pages of other origins (CORS) -------------------------------------------------------------

APP = b"https://app.example"
INVITED = ("https://app.example", "http://localhost:5173")
DOORS = ["/mcp", "/oauth2/token", "/oauth2/revoke", "/oauth2/register"]
PUBLIC = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-protected-resource/mcp",
    "/oauth2/jwks",
]
CLOSED = [
    *("/", "/approvals", "/approvals/apr_1", "/approvals/apr_1/decision", "/login/x", "/logout"),
    *("/applications", "/oauth2/authorize/decision", "/device", "/static/x"),
    *("/oauth2/bc-authorize", "/oauth2/introspect", "/ciba/authorize", "/ciba/withdraw"),
    *("/m2m/clients", "/bc-authorize", "/oauth/token", "/oauth2/device_authorization"),
    *("/mcp/", "/MCP", "/oauth2/token/", "/oauth2/jwks/x", "/.well-known", "/healthz", "/x/mcp"),
]


class Told:
    """The app behind the guard: notes what it was sent, and answers with headers of its own."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        self.scopes.append(scope)
        headers = [
            (b"www-authenticate", b"Bearer"),
            (b"Set-Cookie", b"a=b"),
            (b"access-control-allow-credentials", b"true"),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def preflight(
    method: bytes, headers: bytes = b"", of: bytes = APP
) -> tuple[tuple[bytes, bytes], ...]:
    asked_for = [(b"access-control-request-method", method)]
    if headers:
        asked_for.append((b"access-control-request-headers", headers))
    return (OURS, origin(of), *asked_for)


def answered(sent: list[Message]) -> tuple[int, dict[bytes, bytes]]:
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize("path", DOORS)
async def test_a_named_origin_may_use_a_door_and_read_why_it_is_refused(path: str) -> None:
    app = Told()
    cookie = (b"cookie", b"signoff-8420=stolen")
    request = (OURS, origin(APP), cookie, (b"authorization", b"Bearer x"))
    status, headers = answered(
        await asked(app, *request, path=path, method="POST", origins=INVITED)
    )
    assert status == 401
    assert headers == {
        b"www-authenticate": b"Bearer",
        b"access-control-allow-origin": APP,
        b"access-control-expose-headers": b"WWW-Authenticate, Mcp-Session-Id, DPoP-Nonce",
        b"vary": b"Origin",
    }
    (scope,) = app.scopes
    assert scope["headers"] == [OURS, origin(APP), (b"authorization", b"Bearer x")]


@pytest.mark.parametrize("path", DOORS)
async def test_a_preflight_is_answered_before_any_route(path: str) -> None:
    app = Told()
    wanted = b"authorization,content-type,mcp-protocol-version,mcp-param-x,x-evil,cookie"
    status, headers = answered(
        await asked(app, *preflight(b"POST", wanted), path=path, method="OPTIONS", origins=INVITED)
    )
    assert status == 204
    assert app.scopes == []
    assert headers == {
        b"access-control-allow-origin": APP,
        b"access-control-allow-methods": b"GET, POST, DELETE" if path == "/mcp" else b"POST",
        b"access-control-allow-headers": (
            b"authorization, content-type, mcp-protocol-version, mcp-param-x"
        ),
        b"access-control-max-age": b"7200",
        b"vary": b"Origin, Access-Control-Request-Headers",
    }


async def test_a_page_of_the_internet_that_is_named_may_reach_this_computer() -> None:
    request = (*preflight(b"POST"), (b"access-control-request-private-network", b"true"))
    for path, status, told in (("/mcp", 204, b"true"), ("/approvals", 403, None)):
        sent = answered(await asked(Told(), *request, path=path, method="OPTIONS", origins=INVITED))
        assert (sent[0], sent[1].get(b"access-control-allow-private-network")) == (status, told)


@pytest.mark.parametrize("path", PUBLIC)
@pytest.mark.parametrize("of", [APP, b"https://anybody.example", b"null"])
async def test_what_is_public_may_be_read_by_any_origin_and_only_read(path: str, of: bytes) -> None:
    request = (OURS, origin(of), (b"cookie", b"signoff-8420=stolen"))
    app = Told()
    status, headers = answered(await asked(app, *request, path=path, method="GET"))
    assert (status, headers) == (
        401,
        {b"www-authenticate": b"Bearer", b"access-control-allow-origin": b"*"},
    )
    assert (b"cookie", b"signoff-8420=stolen") not in app.scopes[0]["headers"]
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, _ = answered(await asked(app, *request, path=path, method=method))
        assert status == 403
    asks = preflight(b"GET", b"mcp-protocol-version", of=of)
    status, headers = answered(await asked(app, *asks, path=path, method="OPTIONS"))
    assert (status, headers[b"access-control-allow-origin"]) == (204, b"*")
    assert headers[b"access-control-allow-methods"] == b"GET, HEAD"
    assert len(app.scopes) == 1


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_no_page_and_nothing_else_is_for_another_origin(path: str, method: str) -> None:
    app = Told()
    for request in ((OURS, origin(APP)), preflight(b"POST")):
        sent = await asked(app, *request, path=path, method=method, origins=INVITED)
        status, headers = answered(sent)
        assert status == 403
        assert not any(name.startswith(b"access-control-") for name in headers)
    assert app.scopes == []


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize(
    "of",
    [
        *(b"https://evil.example", b"null", b"http://app.example", b"https://app.example:444"),
        *(b"https://app.example.evil.example", b"https://app.example/", b"", b"*"),
        *(b"http://localhost:5174", b"https://sub.app.example"),
    ],
)
async def test_a_door_is_shut_to_every_origin_that_was_not_named(path: str, of: bytes) -> None:
    app = Told()
    for request, method in (((OURS, origin(of)), "POST"), (preflight(b"POST", of=of), "OPTIONS")):
        sent = await asked(app, *request, path=path, method=method, origins=INVITED)
        status, headers = answered(sent)
        assert status == 403
        assert not any(name.startswith(b"access-control-") for name in headers)
    assert app.scopes == []


async def test_two_origins_or_a_foreign_host_are_refused_whoever_is_named() -> None:
    app = Told()
    twice = (OURS, origin(APP), origin(APP))
    assert answered(await asked(app, *twice, path="/mcp", method="POST", origins=INVITED))[0] == 403
    rebound = (host(b"evil.example"), origin(APP))
    sent = await asked(app, *rebound, path="/mcp", method="POST", origins=INVITED)
    assert answered(sent)[0] == 421
    assert app.scopes == []


async def test_our_own_pages_are_told_nothing_of_other_origins() -> None:
    request = (OURS, origin(b"http://localhost:8420"), (b"cookie", b"signoff-8420=mine"))
    app = Told()
    sent = await asked(app, *request, path="/mcp", method="POST", origins=INVITED)
    assert b"access-control-allow-origin" not in answered(sent)[1]
    assert (b"cookie", b"signoff-8420=mine") in app.scopes[0]["headers"]


async def test_a_host_manages_its_registration_from_its_own_origin() -> None:
    path = "/oauth2/register/client_x"
    asks = preflight(b"DELETE", b"authorization")
    status, headers = answered(
        await asked(Told(), *asks, path=path, method="OPTIONS", origins=INVITED)
    )
    assert (status, headers[b"access-control-allow-methods"]) == (204, b"GET, PUT, DELETE")
    sent = await asked(Told(), OURS, origin(APP), path=path, method="POST", origins=INVITED)
    assert answered(sent)[0] == 403


@pytest.mark.parametrize(
    "of", [b"https://shop.example", b"null", APP, b"http://evil.example:8420", b""]
)
async def test_any_page_may_send_people_here_to_sign_in_and_brings_no_cookie(of: bytes) -> None:
    app = Told()
    request = (OURS, origin(of), (b"cookie", b"signoff-8420=stolen"))
    sent = await asked(app, *request, path="/oauth2/authorize", method="POST")
    assert answered(sent) == (401, {b"www-authenticate": b"Bearer"})
    assert [name for name, _ in app.scopes[0]["headers"]] == [b"host", b"origin"]
