"""Answers as they come off the wire: what is read of them, what is cut, and what is taken out."""

import gzip
import zlib

import pytest

from sending import ARGUMENTS, HEADERS, POST, TOKEN, Made
from signoff.upstream.transport import Answered
from wire import answer, listening, plain, then_closed

pytestmark = pytest.mark.usefixtures("each_client")


async def test_a_redirect_is_an_answer_and_is_not_followed(sender: Made) -> None:
    async with listening(plain(answer())) as other:
        moved = answer("302 Found", b"", "text/plain", f"Location: {other.url}/in?token=x")
        async with listening(plain(moved)) as wire:
            bank = sender(wire.url, headers={"Authorization": "Bearer ${env:BANK_TOKEN}"})
            sent = await bank.send(bank.frozen(POST, ARGUMENTS))
    assert sent == Answered(
        status=302, headers=(("content-type", "text/plain"), ("location", "127.0.0.1")), body=b""
    )
    assert other.requests == []


async def test_only_headers_that_may_be_shown_come_back(sender: Made) -> None:
    more = (
        "Set-Cookie: session=abc",
        "Authorization: Bearer x",
        "WWW-Authenticate: Basic",
        "X-Auth-Token: y",
        "Retry-After: 30",
        "X-Request-Id: r-1 s3cret-t0ken/+",
        "Server: nginx",
    )
    async with listening(
        plain(answer("429 Too Many Requests", b"{}", "text/plain", *more))
    ) as wire:
        bank = sender(wire.url, headers={"Authorization": "Bearer ${env:BANK_TOKEN}"})
        sent = await bank.send(bank.frozen())
    assert isinstance(sent, Answered)
    assert sent.headers == (
        ("content-type", "text/plain"),
        ("retry-after", "30"),
        ("x-request-id", "r-1 [redacted]"),
    )


async def test_three_megabytes_are_cut_while_they_stream(sender: Made) -> None:
    body = b"[" + b"1," * 1_500_000 + b"1]"
    async with listening(then_closed(answer(body=body))) as wire:
        bank = sender(wire.url)
        sent = await bank.send(bank.frozen())
    assert isinstance(sent, Answered)
    assert sent.truncated
    assert sent.body == body[:1_048_576]


async def test_an_answer_of_exactly_the_limit_is_whole(sender: Made) -> None:
    async with listening(plain(answer(body=b"x" * 1_000))) as wire:
        bank = sender(wire.url, max_response_bytes=1_000)
        sent = await bank.send(bank.frozen())
    assert isinstance(sent, Answered)
    assert (sent.truncated, len(sent.body)) == (False, 1_000)


def zipped(body: bytes, encoding: str) -> bytes:
    return answer("200 OK", body, "application/json", f"Content-Encoding: {encoding}")


# mtime=0: the bytes are in the names of the cases, which every worker must find alike.
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b'{"a":1}', mtime=0)),
        ("GZIP", gzip.compress(b'{"a":1}', mtime=0)),
        ("deflate", zlib.compress(b'{"a":1}')),
        ("deflate", zlib.compress(b'{"a":1}', wbits=-15)),
        ("identity", b'{"a":1}'),
    ],
)
async def test_an_answer_compressed_unasked_is_read(
    sender: Made, encoding: str, body: bytes
) -> None:
    async with listening(plain(zipped(body, encoding))) as wire:
        bank = sender(wire.url)
        sent = await bank.send(bank.frozen())
    assert isinstance(sent, Answered)
    assert (sent.body, sent.truncated, sent.unread) == (b'{"a":1}', False, None)


async def test_a_gzip_bomb_is_cut_at_the_limit(sender: Made) -> None:
    bomb = gzip.compress(b"\x00" * 50_000_000, compresslevel=9)
    async with listening(plain(zipped(bomb, "gzip"))) as wire:
        bank = sender(wire.url, max_response_bytes=100_000)
        sent = await bank.send(bank.frozen())
    assert isinstance(sent, Answered)
    assert sent.truncated
    assert len(sent.body) == 100_000


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip,br", "x", "gzip"])
async def test_an_encoding_nobody_asked_for_is_not_read(sender: Made, encoding: str) -> None:
    body = b"not gzip" if encoding == "gzip" else gzip.compress(gzip.compress(b"{}"))
    async with listening(plain(zipped(body, encoding))) as wire:
        bank = sender(wire.url)
        sent = await bank.send(bank.frozen())
    assert isinstance(sent, Answered)
    assert sent.body == b""
    assert sent.unread is not None


async def test_credentials_echoed_back_are_taken_out(sender: Made) -> None:
    body = (
        b"s3cret-t0ken/+ s3cret-t0ken%2F%2B czNjcmV0LXQwa2VuLys= eyJ-approval-token another-value"
    )
    async with listening(plain(answer(body=body, media_type="text/plain"))) as wire:
        bank = sender(wire.url, headers=HEADERS)
        sent = await bank.send(bank.frozen(), approval_token=TOKEN)
    assert isinstance(sent, Answered)
    assert sent.body == b"[redacted] [redacted] [redacted] [redacted] another-value"


async def test_a_credential_cut_in_half_by_the_limit_does_not_remain(sender: Made) -> None:
    body = b"x" * 990 + b"s3cret-t0ken/+" + b"y" * 100_000
    async with listening(then_closed(answer(body=body))) as wire:
        bank = sender(wire.url, headers={"A": "${env:BANK_TOKEN}"}, max_response_bytes=1_000)
        sent = await bank.send(bank.frozen())
    assert isinstance(sent, Answered)
    assert sent.body == b"x" * 990 + b"[redacted]"


async def test_a_credential_cut_in_half_inside_a_compressed_answer_does_not_remain(
    sender: Made,
) -> None:
    body = gzip.compress(b"x" * 990 + b"s3cret-t0ken/+" + b"y" * 1_000)
    async with listening(plain(zipped(body, "gzip"))) as wire:
        bank = sender(wire.url, headers={"A": "${env:BANK_TOKEN}"}, max_response_bytes=1_000)
        sent = await bank.send(bank.frozen())
    assert isinstance(sent, Answered)
    assert sent.body == b"x" * 990
