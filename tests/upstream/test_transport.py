"""Sending, judged by the bytes a plain socket received, and by how each failure is told."""

import asyncio
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from sending import ARGUMENTS, HEADERS, POST, TOKEN, Made
from signoff.catalog.model import Upstream
from signoff.upstream.client import HttpClient
from signoff.upstream.exchange import Incoming
from signoff.upstream.target import UpstreamError
from signoff.upstream.transport import Answered, Changed, NotSent, Unknown
from tls_parts import contexts
from upstream_parts import ENVIRONMENT, frozen, parameter, references, tool, upstream
from wire import Script, answer, listening, plain, then_closed

pytestmark = pytest.mark.usefixtures("each_client")


async def test_the_wire_carries_what_was_frozen_and_nothing_more(sender: Made) -> None:
    async with listening(plain(answer())) as wire:
        bank = sender(wire.url + "/api", headers=HEADERS)
        request = bank.frozen(POST, ARGUMENTS, call_id="call_1")
        sent = await bank.send(request, approval_token=TOKEN)
    assert sent == Answered(status=200, headers=(("content-type", "application/json"),), body=b"{}")
    key = next(one.value for one in request.headers if one.name == "Idempotency-Key")
    assert wire.requests == [
        (
            "POST /api/transfers/a%20b?q%5Bx%5D=%5B%5D HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{wire.port}\r\n"
            "Accept: application/json, */*;q=0.1\r\n"
            "Accept-Encoding: identity\r\n"
            "User-Agent: signoff\r\n"
            "Content-Type: application/json\r\n"
            "Authorization: Bearer s3cret-t0ken/+\r\n"
            "X-Approval: eyJ-approval-token\r\n"
            f"Idempotency-Key: {key}\r\n"
            "Connection: close\r\n"
            "Content-Length: 12\r\n"
            '\r\n{"amount":5}'
        ).encode()
    ]
    assert request.url == f"{wire.url}/api/transfers/a%20b?q%5Bx%5D=%5B%5D"
    assert request.body == b'{"amount":5}'


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_a_request_without_a_body_carries_host_and_the_frozen_headers_only(
    sender: Made, method: str
) -> None:
    content = answer(body=b"") if method == "HEAD" else answer()
    async with listening(plain(content)) as wire:
        bank = sender(wire.url)
        await bank.send(bank.frozen(tool("/x", method=method)), fresh=False)
    assert wire.requests == [
        (
            f"{method} /x HTTP/1.1\r\nHost: 127.0.0.1:{wire.port}\r\n"
            "Accept: application/json, */*;q=0.1\r\nAccept-Encoding: identity\r\n"
            "User-Agent: signoff\r\n\r\n"
        ).encode()
    ]


@pytest.mark.parametrize(
    "value",
    ["%", "%41", "%zz", "a'b(c)!*", "~", "ä", "{x}", "^`|", "<>", '"', "a b", "&=+#", "\u202e"],
)
async def test_the_request_target_is_the_frozen_one_byte_for_byte(sender: Made, value: str) -> None:
    spec = tool("/x:y/{id}/@z", parameters=[parameter("id", "path"), parameter("q", "query")])
    arguments = {"id": value.replace("#", ""), "q": value}
    async with listening(plain(answer())) as wire:
        bank = sender(wire.url + "/A%20b")
        request = bank.frozen(spec, arguments)
        await bank.send(request, fresh=False)
    line = wire.requests[0].split(b"\r\n")[0].decode()
    assert line == f"GET {request.url.removeprefix(wire.url)} HTTP/1.1"


async def test_allowed_sends_share_a_connection_and_gated_ones_never(sender: Made) -> None:
    async with listening(plain(answer())) as wire:
        bank = sender(wire.url)
        async with bank.transports() as transports:
            for _ in range(3):
                await transports.send(bank.frozen(), bank.upstream, fresh=False)
            assert wire.connections == 1
            for _ in range(3):
                await transports.send(bank.frozen(), bank.upstream, fresh=True)
            assert wire.connections == 4


@pytest.mark.parametrize("fresh", [True, False])
async def test_the_hook_runs_once_connected_and_before_the_first_byte(
    sender: Made, fresh: bool
) -> None:
    seen: list[tuple[int, int]] = []
    async with listening(plain(answer())) as wire:
        bank = sender(wire.url)

        async def hook() -> None:
            seen.append((wire.connections, len(wire.requests)))

        async with bank.transports() as transports:
            for _ in range(2):
                await transports.send(
                    bank.frozen(), bank.upstream, fresh=fresh, before_first_byte=hook
                )
    assert [requests for _, requests in seen] == [0, 1]
    assert len(wire.requests) == 2


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(
    "error", [PermissionError("fenced out"), TimeoutError("db"), asyncio.CancelledError("stop")]
)
async def test_a_hook_that_raises_sends_nothing_and_its_error_comes_out(
    sender: Made, fresh: bool, error: BaseException
) -> None:
    async def hook() -> None:
        raise error

    async with listening(plain(answer())) as wire:
        bank = sender(wire.url)
        async with bank.transports() as transports:
            with pytest.raises(type(error)) as caught:
                await transports.send(
                    bank.frozen(POST, ARGUMENTS), bank.upstream, fresh=fresh, before_first_byte=hook
                )
            assert caught.value is error or isinstance(error, asyncio.CancelledError)
            # The connection is not left half used.
            await transports.send(bank.frozen(), bank.upstream, fresh=fresh)
    assert [request.split(b" ")[0] for request in wire.requests] == [b"GET"]


async def test_the_deadline_never_cuts_the_hook(sender: Made) -> None:
    gone_by = asyncio.Event()
    async with listening(plain(answer())) as wire:
        bank = sender(wire.url, timeout_s=0.2)

        async def hook() -> None:
            loop = asyncio.get_running_loop()
            loop.call_later(0.4, gone_by.set)  # longer than the whole deadline
            await gone_by.wait()

        sent = await bank.send(bank.frozen(), before_first_byte=hook)
    assert isinstance(sent, Answered)


async def test_a_connection_that_closes_while_the_hook_runs_is_not_tried_on_another(
    sender: Made,
) -> None:
    """The intent is stored; what became of the bytes behind it, nobody claims to know."""

    async with listening(plain(answer())) as wire:
        bank = sender(wire.url)

        async def hook() -> None:
            await wire.drop()

        sent = await bank.send(bank.frozen(POST, ARGUMENTS), before_first_byte=hook)
    assert isinstance(sent, Unknown)
    assert wire.requests == []


async def test_a_client_that_never_asks_the_hook_fails_closed(
    sender: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def careless(*_: object, **__: object) -> Incoming:
        return Incoming(status=200, headers=[], body=b"{}", cut=False)

    bank = sender("http://127.0.0.1:9")
    monkeypatch.setattr(HttpClient, "exchange", careless)
    sent = await bank.send(bank.frozen())
    assert sent == Unknown(reason="bank answered before the request was recorded as sent")


async def test_a_refused_connection_is_not_sent(sender: Made) -> None:
    async with listening(plain(b"")) as wire:
        bank = sender(wire.url)
    ran: list[int] = []

    async def hook() -> None:
        ran.append(1)

    sent = await bank.send(bank.frozen(), before_first_byte=hook)
    assert isinstance(sent, NotSent)
    assert sent.reason.startswith("bank: the connection was not made")
    assert ran == []


async def test_an_unknown_host_is_not_sent(sender: Made) -> None:
    bank = sender("http://no-such-host.invalid")
    assert isinstance(await bank.send(bank.frozen()), NotSent)


async def test_a_connection_that_never_opens_is_not_sent(sender: Made) -> None:
    # The TLS handshake gets no answer, which is still before the first byte.
    server = await asyncio.start_server(_never, "127.0.0.1", 0)
    async with server:
        bank = sender(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=0.2)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with bank.transports(tls=context) as transports:
            sent = await transports.send(bank.frozen(), bank.upstream, fresh=True)
    assert sent == NotSent(reason="bank: no connection within 0.2 s")


async def _never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=[
        "nothing",
        "half head",
        "half body",
        "half chunk",
        "noise",
        "negative",
        "two",
        "huge head",
    ],
)
async def test_an_answer_that_breaks_off_leaves_the_outcome_unknown(
    sender: Made, content: bytes, fresh: bool
) -> None:
    async with listening(then_closed(content)) as wire:
        bank = sender(wire.url)
        sent = await bank.send(bank.frozen(POST, ARGUMENTS), fresh=fresh)
        assert isinstance(sent, Unknown)
        assert len(wire.requests) == 1


def dripping(first: bytes) -> tuple[Script, asyncio.Event]:
    """Return a script that writes one byte after `first` and then waits to be released."""
    release = asyncio.Event()

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(first + b" ")
        await writer.drain()
        await release.wait()

    return script, release


@pytest.mark.parametrize(
    ("first", "after"),
    [(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", ", after status 200"), (b"HTTP/1.1", "")],
)
async def test_a_slow_answer_ends_at_the_deadline_as_unknown(
    sender: Made, first: bytes, after: str
) -> None:
    script, release = dripping(first)
    async with listening(script) as wire:
        bank = sender(wire.url, timeout_s=0.2)
        sent = await bank.send(bank.frozen())
        release.set()
    assert sent == Unknown(reason="bank: no full answer within 0.2 s" + after)


async def test_a_byte_now_and_then_does_not_move_the_deadline(sender: Made) -> None:
    """One byte each 50 ms: a timeout per read would never end it."""
    over = asyncio.Event()

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not over.is_set() and not writer.is_closing():
            writer.write(b"x")
            try:
                async with asyncio.timeout(0.05):
                    await over.wait()
            except TimeoutError:
                continue

    async with listening(script) as wire:
        bank = sender(wire.url, timeout_s=0.3)
        sent = await bank.send(bank.frozen())
        over.set()
    assert sent == Unknown(reason="bank: no full answer within 0.3 s, after status 200")


async def test_a_cancelled_send_is_cancelled(sender: Made) -> None:
    script, release = dripping(b"HTTP")
    async with listening(script) as wire:
        bank = sender(wire.url)
        begun = asyncio.Event()

        async def hook() -> None:
            begun.set()

        task = asyncio.create_task(bank.send(bank.frozen(), before_first_byte=hook))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()


async def test_a_credential_that_changed_since_the_approval_is_not_sent(sender: Made) -> None:
    async with listening(plain(answer())) as wire:
        bank = sender(wire.url, headers=HEADERS)
        request = bank.frozen(call_id="c")
        rotated = references(ENVIRONMENT | {"BANK_TOKEN": "rotated-token"})
        async with bank.transports(references=rotated) as transports:
            sent = await transports.send(request, bank.upstream, fresh=True, approval_token=TOKEN)
    assert sent == Changed(reason="a credential changed since the approval")
    assert wire.requests == []


async def test_a_missing_credential_or_approval_token_is_not_sent(sender: Made) -> None:
    async with listening(plain(answer())) as wire:
        bank = sender(wire.url, headers=HEADERS)
        request = bank.frozen()
        sent = await bank.send(request, approval_token=None)
        assert isinstance(sent, NotSent)
        assert "${approval.token}" in sent.reason
        async with bank.transports(references=references({})) as transports:
            sent = await transports.send(request, bank.upstream, fresh=True, approval_token=TOKEN)
        assert isinstance(sent, NotSent)
        assert "BANK_TOKEN is not set" in sent.reason
    assert wire.requests == []


@pytest.mark.parametrize("token", ["a\r\nX: 1", "a\x00b", "ä", "a\n"])
async def test_a_token_that_a_header_cannot_carry_is_not_sent(sender: Made, token: str) -> None:
    async with listening(plain(answer())) as wire:
        bank = sender(wire.url, headers=HEADERS)
        sent = await bank.send(bank.frozen(), approval_token=SecretStr(token))
        assert isinstance(sent, NotSent)
        assert token not in sent.reason
    assert wire.requests == []


async def test_an_upstream_that_moved_or_went_since_the_approval_gets_nothing(sender: Made) -> None:
    async with listening(plain(answer())) as wire, listening(plain(answer())) as other:
        bank = sender(wire.url + "/api")
        for url in (other.url + "/api", wire.url, wire.url + "/apiary", wire.url + "/v2/api"):
            request = frozen(tool(), to=upstream(url))
            assert isinstance(await bank.send(request), Changed)
        stranger = Upstream(name="stranger", base_url=wire.url)
        async with bank.transports() as transports:
            assert isinstance(await transports.send(bank.frozen(), stranger, fresh=True), Changed)
    assert wire.requests == []
    assert other.requests == []


async def test_no_proxy_setting_of_the_environment_is_read(
    sender: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(plain(answer())) as proxy, listening(plain(answer())) as wire:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        bank = sender(wire.url)
        for fresh in (True, False):
            assert isinstance(await bank.send(bank.frozen(), fresh=fresh), Answered)
    assert proxy.requests == []


async def test_a_certificate_nobody_vouches_for_is_not_sent_to(
    sender: Made, tmp_path: Path
) -> None:
    server, trusting = contexts(tmp_path)
    async with listening(plain(answer()), tls=server) as wire:
        bank = sender(f"https://127.0.0.1:{wire.port}")
        sent = await bank.send(bank.frozen())
        assert isinstance(sent, NotSent)
        assert "certificate" in sent.reason
        assert wire.requests == []
        async with bank.transports(tls=trusting) as transports:
            sent = await transports.send(bank.frozen(), bank.upstream, fresh=True)
        assert isinstance(sent, Answered)


async def test_verification_cannot_be_switched_off(sender: Made) -> None:
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lax.check_hostname = False
    lax.verify_mode = ssl.CERT_NONE
    unnamed = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unnamed.check_hostname = False
    for tls in (lax, unnamed):
        with pytest.raises(UpstreamError, match="always verified"):
            async with sender("https://bank.example").transports(tls=tls):
                pytest.fail("opened")
