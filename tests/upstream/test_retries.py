"""What is sent again, and everything that is not."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from signoff.catalog.model import Retry
from signoff.upstream.retries import ATTEMPTS, pause_before_next, retry_after_s
from signoff.upstream.sent import Answered, Changed, NotSent, Sent, Unknown
from signoff.upstream.transport import Transports
from upstream_parts import frozen, references, tool, upstream
from wire import Script, Wire, answer, listening, plain

pytestmark = pytest.mark.usefixtures("each_client")

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BUSY = answer("503 Busy", b"", "text/plain", "Retry-After: 0")


def answered(status: int, retry_after: str | None = None) -> Answered:
    headers = () if retry_after is None else (("retry-after", retry_after),)
    return Answered(status=status, headers=headers, body=b"")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("9" * 40, 1e9),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("\u0661", None),
        (None, None),
    ],
)
def test_retry_after_is_read(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, now=NOW) == seconds


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_not_now_is_asked_again_within_the_deadline(status: int) -> None:
    def pause(retry_after: str | None, left_s: float, attempt: int = 1) -> float | None:
        sent = answered(status, retry_after)
        return pause_before_next(sent, attempt=attempt, left_s=left_s, now=NOW)

    assert pause("2", 10) == 2.0
    assert pause(None, 10) == 0.1
    assert pause("6", 10) is None  # too little would be left for the answer
    assert pause("3600", 10) is None
    assert pause(None, 0.1) is None
    assert pause("0", 10, ATTEMPTS) is None


@pytest.mark.parametrize(
    "sent",
    [
        *(answered(status, "0") for status in (200, 204, 301, 400, 401, 404, 409, 500, 501, 505)),
        NotSent(reason="a credential is missing"),
        Changed(reason="x"),
        Unknown(reason="x"),
        Unknown(reason="x", stale=True),
    ],
)
def test_nothing_else_is_asked_again(sent: Sent) -> None:
    assert pause_before_next(sent, attempt=1, left_s=10, now=NOW) is None


def each(*contents: bytes) -> Script:
    """Return a script that answers each request with the next content, the last one for ever."""
    left = list(contents)

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return script


async def send_all(
    wire: Wire, tmp_path: Path, spec: Any, *, fresh: bool = False, times: int = 1
) -> list[Sent]:
    to = upstream(wire.url)
    async with Transports([to], data_dir=tmp_path, references=references()) as transports:
        return [
            await transports.send(frozen(spec, {}, to=to), to, fresh=fresh) for _ in range(times)
        ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_an_idempotent_call_is_repeated_until_it_is_answered(
    method: str, tmp_path: Path
) -> None:
    good = answer(body=b"") if method == "HEAD" else answer()
    async with listening(each(BUSY, BUSY, good)) as wire:
        (sent,) = await send_all(wire, tmp_path, tool(method=method))
    assert isinstance(sent, Answered)
    assert sent.status == 200
    assert len(wire.requests) == 3
    assert len(set(wire.requests)) == 1


async def test_a_post_is_repeated_only_where_the_operator_declares_it_natural(
    tmp_path: Path,
) -> None:
    for retry, count in (
        (Retry(), 1),
        (Retry(kind="idempotency_key"), 1),
        (Retry(kind="natural"), 2),
    ):
        async with listening(each(BUSY, answer())) as wire:
            await send_all(wire, tmp_path, tool(method="POST", retry=retry))
        assert len(wire.requests) == count


async def test_a_gated_send_is_never_repeated_here(tmp_path: Path) -> None:
    for method in ("GET", "PUT", "DELETE"):
        async with listening(each(BUSY, answer())) as wire:
            (sent,) = await send_all(wire, tmp_path, tool(method=method), fresh=True)
        assert isinstance(sent, Answered)
        assert sent.status == 503
        assert len(wire.requests) == 1


async def test_attempts_end(tmp_path: Path) -> None:
    async with listening(plain(BUSY)) as wire:
        (sent,) = await send_all(wire, tmp_path, tool())
    assert isinstance(sent, Answered)
    assert sent.status == 503
    assert len(wire.requests) == ATTEMPTS


def closing_after_first() -> Script:
    """Answer a connection's first request; close at its second without a word."""
    seen: set[asyncio.StreamWriter] = set()  # and not their ids, which come again

    async def script(writer: asyncio.StreamWriter) -> None:
        if writer in seen:
            writer.close()
            return
        seen.add(writer)
        writer.write(answer())
        await writer.drain()

    return script


async def test_a_kept_connection_that_turns_out_closed_costs_a_read_nothing(tmp_path: Path) -> None:
    async with listening(closing_after_first()) as wire:
        sent = await send_all(wire, tmp_path, tool(), times=2)
    assert all(isinstance(one, Answered) for one in sent)
    assert wire.connections == 2
    assert len(wire.requests) == 3


async def test_a_connection_that_closed_while_it_was_kept_is_not_used(tmp_path: Path) -> None:
    async with listening(plain(answer())) as wire:
        to = upstream(wire.url)
        spec = tool(method="POST")
        async with Transports([to], data_dir=tmp_path, references=references()) as transports:
            for _ in range(2):
                sent = await transports.send(frozen(spec, {}, to=to), to, fresh=False)
                assert isinstance(sent, Answered)
                await wire.drop()
    assert wire.connections == 2


async def test_a_change_on_a_kept_connection_that_closes_stays_unknown(tmp_path: Path) -> None:
    async with listening(closing_after_first()) as wire:
        first, second = await send_all(wire, tmp_path, tool(method="POST"), times=2)
    assert isinstance(first, Answered)
    assert isinstance(second, Unknown)
    assert len(wire.requests) == 2


async def test_a_connection_that_is_not_made_is_tried_again_and_then_told(tmp_path: Path) -> None:
    async with listening(plain(answer())) as wire:
        gone = wire.url
    to = upstream(gone)
    async with Transports([to], data_dir=tmp_path, references=references()) as transports:
        sent = await transports.send(frozen(tool(), {}, to=to), to, fresh=False)
    assert isinstance(sent, NotSent)
    assert sent.transient
