"""The audit chain: every way to tamper with it is named, also a cut tail behind a signed head."""

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from conftest import TurnedClock
from memory_keys import MemoryKeys
from signoff.audit import AuditEvent, Broken, Intact, link
from signoff.storage.audit_log import HeadFile, parts, read_head, tail, verify_log
from signoff.storage.clock import utc_now
from signoff.storage.sqlite import Database
from signoff.tokens.keyring import Keyring
from signoff.tokens.keys import KeySet, TokenError
from signoff.tokens.verify import AuditHead

ROWS = 25


@pytest.fixture
async def keyring(clock: TurnedClock) -> Keyring:
    # The real store audits each key, and here the rows are counted.
    ring = Keyring(MemoryKeys(), now=clock)
    await ring.maintain()
    return ring


@pytest.fixture
async def written(database: Database) -> Database:
    def happened(number: int) -> AuditEvent:
        return AuditEvent(event="call.claimed", subject=f"call_{number}", actor="alice")

    events = [happened(number) for number in range(1, ROWS + 1)]
    await asyncio.gather(*(database.write(lambda tx, e=e: tx.audit(e)) for e in events))
    return database


def tamper(database: Database, *statements: str) -> None:
    with closing(sqlite3.connect(database.path, timeout=5)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


async def test_an_untouched_log_holds_whatever_the_size_of_its_parts(written: Database) -> None:
    (last,) = await tail(written.fetch_all, 1)
    for size in (1, 7, ROWS - 1, ROWS, ROWS + 1, 1000):
        found = await verify_log(written.fetch_all, size=size)
        assert found == Intact(rows=ROWS, head=last.hash)
        assert [len(part) async for part in parts(written.fetch_all, size=size)] == [
            size for _ in range(ROWS // size)
        ] + ([ROWS % size] if ROWS % size else [])


async def test_an_empty_log_holds(database: Database) -> None:
    assert await verify_log(database.fetch_all) == Intact(rows=0, head=b"\x00" * 32)
    assert await tail(database.fetch_all, 5) == []


async def test_the_tail_is_the_newest_rows_oldest_first(written: Database) -> None:
    assert [row.seq for row in await tail(written.fetch_all, 3)] == [ROWS - 2, ROWS - 1, ROWS]


@pytest.mark.seed("T72")
@pytest.mark.parametrize("size", [1, 10, 1000])
@pytest.mark.parametrize(
    ("statements", "seq", "words"),
    [
        (
            ["UPDATE audit SET body = CAST(replace(body, 'call_12', 'call_21') AS BLOB)"],
            12,
            "changed",
        ),
        (["UPDATE audit SET hash = zeroblob(32) WHERE seq = 12"], 12, "changed"),
        (["UPDATE audit SET prev = zeroblob(32) WHERE seq = 12"], 12, "does not follow"),
        (["DELETE FROM audit WHERE seq = 12"], 12, "missing"),
        (["DELETE FROM audit WHERE seq = 1"], 1, "missing"),
        (["DELETE FROM audit WHERE seq BETWEEN 3 AND 9"], 3, "missing"),
        (
            [
                "DELETE FROM audit WHERE seq = 12",
                "UPDATE audit SET seq = seq - 1 WHERE seq > 12",
            ],
            12,
            "does not follow",
        ),
        (
            [
                "UPDATE audit SET seq = 1000 WHERE seq = 12",
                "UPDATE audit SET seq = 12 WHERE seq = 13",
                "UPDATE audit SET seq = 13 WHERE seq = 1000",
            ],
            12,
            "does not follow",
        ),
        (
            ["INSERT INTO audit SELECT 0, body, prev, zeroblob(5) FROM audit WHERE seq = 1"],
            1,
            "missing",
        ),
        (
            ["INSERT INTO audit SELECT 26, body, hash, zeroblob(5) FROM audit WHERE seq = 25"],
            26,
            "changed",
        ),
        (
            ["INSERT INTO audit SELECT 26, body, prev, zeroblob(5) FROM audit WHERE seq = 25"],
            26,
            "does not follow",
        ),
    ],
)
async def test_a_row_that_was_tampered_with_is_named(
    written: Database, statements: list[str], seq: int, words: str, size: int
) -> None:
    tamper(written, *statements)

    found = await verify_log(written.fetch_all, size=size)

    assert isinstance(found, Broken)
    assert found.seq == seq
    assert words in found.reason


@pytest.mark.seed("T72")
@pytest.mark.parametrize("left", [0, 1, 10, ROWS - 1])
async def test_a_cut_tail_is_found_against_the_signed_head(
    written: Database, keyring: Keyring, tmp_path: Path, left: int
) -> None:
    head = HeadFile(tmp_path, written, keyring)
    assert await head.write()
    tamper(written, f"DELETE FROM audit WHERE seq > {left}")  # noqa: S608 — our own number

    assert await verify_log(written.fetch_all, head=head.load(), size=4) == Broken(
        seq=left + 1,
        reason=f"is missing: the log ends at row {left}, its signed head is row {ROWS}",
    )


@pytest.mark.seed("T72")
async def test_a_log_written_anew_is_found_against_the_signed_head(
    written: Database, keyring: Keyring, tmp_path: Path
) -> None:
    head = HeadFile(tmp_path, written, keyring)
    await head.write()
    tamper(written, "DELETE FROM audit")
    for _ in range(ROWS + 5):
        event = AuditEvent(event="call.claimed", subject="call_1", actor="bobby")
        await written.write(lambda tx, event=event: tx.audit(event))

    assert isinstance(await verify_log(written.fetch_all), Intact)
    assert await verify_log(written.fetch_all, head=head.load(), size=4) == Broken(
        seq=ROWS, reason="is not the row whose hash was signed"
    )


async def test_a_log_that_grew_past_its_head_holds(
    written: Database, keyring: Keyring, tmp_path: Path
) -> None:
    head = HeadFile(tmp_path, written, keyring)
    await head.write()
    event = AuditEvent(event="call.claimed", subject="call_99", actor="alice")
    await written.write(lambda tx: tx.audit(event))

    for size in (1, 5, 1000):
        found = await verify_log(written.fetch_all, head=head.load(), size=size)
        assert isinstance(found, Intact)
        assert found.rows == ROWS + 1


@pytest.mark.seed("T72")
async def test_a_cut_log_gets_no_new_head(
    written: Database, keyring: Keyring, tmp_path: Path
) -> None:
    head = HeadFile(tmp_path, written, keyring)
    await head.write()
    signed = head.path.read_text()
    tamper(written, "DELETE FROM audit WHERE seq > 20")

    assert not await head.write()
    for _ in range(10):
        event = AuditEvent(event="call.claimed", subject="call_x", actor="alice")
        await written.write(lambda tx, event=event: tx.audit(event))
    assert not await head.write()

    assert head.path.read_text() == signed


async def test_the_head_of_an_empty_log_is_a_head(
    database: Database, keyring: Keyring, tmp_path: Path
) -> None:
    head = HeadFile(tmp_path, database, keyring)

    assert head.load() is None
    assert await head.write()
    assert head.load() == AuditHead(seq=0, head=b"\x00" * 32)
    assert isinstance(await verify_log(database.fetch_all, head=head.load()), Intact)
    assert stat.S_IMODE(head.path.stat().st_mode) == 0o600
    assert not head.path.with_name("audit.head.new").exists()


@pytest.mark.parametrize("content", [b"", b"x", b"a.b.c", b"\xff" * 100, b"e" * 20_000])
async def test_a_head_that_is_none_is_refused_and_kept(
    written: Database, keyring: Keyring, tmp_path: Path, content: bytes
) -> None:
    head = HeadFile(tmp_path, written, keyring)
    head.path.write_bytes(content)

    with pytest.raises(TokenError):
        head.load()
    with pytest.raises(TokenError):
        await head.write()
    assert head.path.read_bytes() == content


async def test_a_head_signed_by_another_key_is_refused(
    written: Database, keyring: Keyring, tmp_path: Path
) -> None:
    head = HeadFile(tmp_path, written, keyring)
    await head.write()
    stranger = Keyring(MemoryKeys(), now=utc_now)
    await stranger.maintain()

    with pytest.raises(TokenError):
        read_head(head.path, keys=stranger.public)
    with pytest.raises(TokenError):
        read_head(head.path, keys=KeySet(()))


async def test_the_head_is_written_at_once_and_when_the_server_stops(
    written: Database, keyring: Keyring, tmp_path: Path
) -> None:
    head = HeadFile(tmp_path, written, keyring)
    keeping = asyncio.create_task(head.keep(every_s=3600))
    while not head.path.exists():  # noqa: ASYNC110 — a file has no event
        await asyncio.sleep(0.001)
    event = AuditEvent(event="call.claimed", subject="call_99", actor="alice")
    await written.write(lambda tx: tx.audit(event))
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping

    assert head.load() == AuditHead(seq=ROWS + 1, head=(await tail(written.fetch_all, 1))[0].hash)


async def test_a_head_that_cannot_be_written_ends_nothing(
    written: Database, keyring: Keyring, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    head = HeadFile(tmp_path / "nowhere", written, keyring)
    keeping = asyncio.create_task(head.keep(every_s=0.001))
    while len(caplog.records) < 3:  # noqa: ASYNC110 — a log has no event
        await asyncio.sleep(0.001)
    assert not keeping.done()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


async def test_a_row_of_the_store_is_a_link_of_the_chain(
    written: Database, clock: TurnedClock
) -> None:
    (last,) = await tail(written.fetch_all, 1)
    event = AuditEvent(event="call.claimed", subject=f"call_{ROWS}", actor="alice")

    assert last == link(event, seq=ROWS, at=clock(), prev=last.prev)
