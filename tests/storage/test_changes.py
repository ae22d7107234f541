"""The feed of changes: none is missed between reading and waiting."""

import asyncio

import pytest

from signoff.storage.changes import Feed
from signoff.storage.sqlite import Database, Tx


async def test_a_change_between_reading_and_waiting_is_not_missed() -> None:
    feed = Feed()
    with feed.watch("call", "c1") as watch:
        feed.publish([("call", "c1")])
        assert await watch.changed(0)
        assert not await watch.changed(0)


async def test_a_change_while_waiting_wakes() -> None:
    feed = Feed()
    with feed.watch("call", "c1") as watch:
        waiting = asyncio.create_task(watch.changed(30))
        await asyncio.sleep(0)
        feed.publish([("call", "c1")])
        assert await waiting


async def test_every_watcher_of_a_record_wakes_and_nobody_else() -> None:
    feed = Feed()
    with (
        feed.watch("call", "c1") as first,
        feed.watch("call", "c1") as second,
        feed.watch("call", "*") as every,
        feed.watch("call", "c2") as other,
        feed.watch("approval", "c1") as another_kind,
    ):
        feed.publish([("call", "c1")])
        woken = [await watch.changed(0) for watch in (first, second, every, other, another_kind)]

    assert woken == [True, True, True, False, False]


async def test_a_wait_that_timed_out_misses_nothing_afterwards() -> None:
    feed = Feed()
    with feed.watch("call", "c1") as watch:
        assert not await watch.changed(0)
        feed.publish([("call", "c1"), ("call", "c1")])
        assert await watch.changed(0)
        assert not await watch.changed(0)


async def test_nothing_is_kept_of_a_watch_that_ended() -> None:
    feed = Feed()
    with pytest.raises(RuntimeError), feed.watch("call", "c1"), feed.watch("call", "c1"):
        raise RuntimeError
    feed.publish([("call", "c1")])

    assert feed._watches == {}  # pyright: ignore[reportPrivateUsage] — a leak shows only here


async def test_a_change_is_published_after_it_can_be_read(database: Database) -> None:
    count = 300

    def add(tx: Tx) -> None:
        tx.execute(
            "INSERT INTO meta (key, value) VALUES ('n', 1)"
            " ON CONFLICT (key) DO UPDATE SET value = value + 1"
        )
        tx.changed("n", "n")

    async def read() -> int:
        row = await database.fetch_one("SELECT value FROM meta WHERE key = 'n'")
        return 0 if row is None else int(row["value"])

    async def follow() -> None:
        with database.changes.watch("n", "n") as watch:
            while await read() < count:
                # Each wait must end by a change: a missed one would hang here.
                assert await watch.changed(60)

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(follow())
        for _ in range(count):
            group.create_task(database.write(add))


async def test_a_change_that_was_undone_is_not_published(database: Database) -> None:
    def work(tx: Tx) -> None:
        tx.changed("n", "n")
        raise ValueError("no")

    with database.changes.watch("n", "n") as watch:
        with pytest.raises(ValueError, match="no"):
            await database.write(work)
        assert not await watch.changed(0)
