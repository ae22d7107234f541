"""The outbox: at least once, in order for each subject, later when it fails, not for ever."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from conftest import TurnedClock
from signoff.canonical import Json
from signoff.storage.outbox import MAX_ATTEMPTS, Message, Outbox, backoff_s
from signoff.storage.sqlite import Database, Tx

KIND = "approval.opened"


async def enqueue(database: Database, *subjects: str, kind: str = KIND) -> None:
    def work(tx: Tx) -> None:
        for subject in subjects:
            tx.enqueue(kind, subject, {"of": subject})

    await database.write(work)


async def due(outbox: Outbox, kind: str = KIND) -> list[str]:
    return [message.subject for message in await outbox.due(kind)]


class Channel:
    """Takes messages; fails as often as it is told to."""

    def __init__(self, *, failures: Mapping[str, int] | None = None, until: int = 1) -> None:
        self.taken: list[str] = []
        self.enough = asyncio.Event()
        self._failures = dict(failures or {})
        self._until = until

    async def deliver(self, subject: str, payload: Mapping[str, Json]) -> None:
        assert payload == {"of": subject}
        if self._failures.get(subject, 0) > 0:
            self._failures[subject] -= 1
            raise ConnectionError(subject)
        self.taken.append(subject)
        if len(self.taken) >= self._until:
            self.enough.set()


async def drained(outbox: Outbox, channel: Channel) -> None:
    draining = asyncio.create_task(outbox.drain(KIND, channel.deliver))
    async with asyncio.timeout(60):
        await channel.enough.wait()
        while await outbox.due(KIND):  # noqa: ASYNC110 — done comes after the delivery
            await asyncio.sleep(0.001)
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining


async def test_messages_are_due_in_the_order_they_came(database: Database) -> None:
    await enqueue(database, "c", "a", "b")
    await enqueue(database, "x", kind="other")

    assert await Outbox(database).due(KIND) == [
        Message(
            id=number, kind=KIND, subject=subject, lane=KIND, payload={"of": subject}, attempts=0
        )
        for number, subject in enumerate(("c", "a", "b"), start=1)
    ]


async def test_a_message_that_is_done_is_forgotten(database: Database) -> None:
    await enqueue(database, "a", "b")
    outbox = Outbox(database)
    await outbox.done((await outbox.due(KIND))[0])

    assert await due(outbox) == ["b"]


async def test_a_message_waits_for_an_earlier_one_of_its_subject(
    database: Database, clock: TurnedClock
) -> None:
    await enqueue(database, "a", "b", "a")
    outbox = Outbox(database)
    first = (await outbox.due(KIND))[0]
    assert await due(outbox) == ["a", "b"]

    assert await outbox.later(first)
    assert await due(outbox) == ["b"]

    clock.turn(1)
    again = (await outbox.due(KIND))[-1]  # behind what never failed
    assert (again.id, again.attempts) == (first.id, 1)
    await outbox.done(again)
    assert [message.id for message in await outbox.due(KIND)] == [2, 3]


async def test_a_failed_message_waits_longer_each_time_and_is_given_up(
    database: Database, clock: TurnedClock
) -> None:
    await enqueue(database, "a")
    outbox = Outbox(database)
    waits: list[float] = []
    for _ in range(MAX_ATTEMPTS - 1):
        (message,) = await outbox.due(KIND)
        assert await outbox.later(message)
        wait = backoff_s(message.attempts + 1)
        clock.turn(wait - 0.001)
        assert await due(outbox) == []
        clock.turn(0.001)
        waits.append(wait)
    (message,) = await outbox.due(KIND)
    assert not await outbox.later(message)

    clock.turn(timedelta(days=1).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 64]
    assert await due(outbox) == []
    (row,) = await database.fetch_all("SELECT body FROM audit")
    assert b'"event":"message.given_up"' in row["body"]
    assert b'"subject":"a"' in row["body"]


async def test_the_wait_is_bounded() -> None:
    assert [backoff_s(attempts) for attempts in (0, 1, 9, 10, 500)] == [1, 1, 256, 300, 300]


async def test_a_message_that_somebody_else_put_off_is_put_off_once(database: Database) -> None:
    await enqueue(database, "a")
    outbox = Outbox(database)
    (message,) = await outbox.due(KIND)

    assert await outbox.later(message)
    assert not await outbox.later(message)

    (row,) = await database.fetch_all("SELECT attempts FROM outbox")
    assert row["attempts"] == 1


async def test_a_message_whose_change_was_undone_never_leaves(database: Database) -> None:
    def work(tx: Tx) -> None:
        tx.enqueue(KIND, "a", {})
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(work)

    assert await due(Outbox(database)) == []


async def test_what_waits_and_what_comes_is_delivered(database: Database) -> None:
    await enqueue(database, "a", "b")
    channel = Channel(until=4)
    async with asyncio.TaskGroup() as group:
        group.create_task(drained(Outbox(database), channel))
        await enqueue(database, "c")
        await enqueue(database, "d")

    assert channel.taken == ["a", "b", "c", "d"]
    assert await database.fetch_all("SELECT 1 FROM outbox") == []


async def test_a_delivery_that_fails_is_tried_again_and_holds_nobody_up(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await enqueue(database, "a", "b", "c")
    channel = Channel(failures={"a": 2}, until=3)

    await drained(Outbox(database, backoff_s=lambda _: 0.0), channel)

    assert sorted(channel.taken) == ["a", "b", "c"]
    assert channel.taken[0] == "b"
    assert caplog.text.count("approval.opened of a was not delivered") == 2


async def test_a_message_behind_one_that_is_given_up_still_leaves(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await enqueue(database, "a")
    await enqueue(database, "b")
    channel = Channel(failures={"a": 1_000}, until=1)

    await drained(Outbox(database, backoff_s=lambda _: 0.0), channel)

    assert channel.taken == ["b"]
    (row,) = await database.fetch_all("SELECT body FROM audit")
    assert b'"event":"message.given_up"' in row["body"]
    assert caplog.text.count("approval.opened of a was not delivered") == MAX_ATTEMPTS


async def test_a_crash_between_delivery_and_done_delivers_again(database: Database) -> None:
    await enqueue(database, "a")
    channel = Channel()
    (message,) = await Outbox(database).due(KIND)
    await channel.deliver(message.subject, message.payload)  # and here the process ended

    await drained(Outbox(database), channel)

    assert channel.taken == ["a", "a"]


class Doors:
    """Endpoints: each takes one delivery at a time, or fails, or answers nothing."""

    def __init__(self, *, silent: frozenset[str] = frozenset()) -> None:
        self.taken: list[str] = []
        self.inside: Counter[str] = Counter()
        self.most_at_once = 0
        self.silent = silent
        self.news = asyncio.Event()
        self.released = asyncio.Event()

    async def deliver(self, subject: str, payload: Mapping[str, Json]) -> None:
        door = str(payload["lane"])
        assert not self.inside[door], f"two deliveries to {door} at once"
        self.inside[door] += 1
        self.most_at_once = max(self.most_at_once, self.inside.total())
        self.news.set()
        try:
            if door in self.silent:
                await self.released.wait()
            await asyncio.sleep(0)
            self.taken.append(subject)
        finally:
            self.inside[door] -= 1
            self.news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                self.news.clear()
                await self.news.wait()


async def to_doors(database: Database, *messages: tuple[str, str]) -> None:
    """Enqueue messages by subject and door."""

    def work(tx: Tx) -> None:
        for subject, door in messages:
            tx.enqueue(KIND, subject, {"lane": door})

    await database.write(work)


@asynccontextmanager
async def draining(outbox: Outbox, doors: Doors) -> AsyncGenerator[None, None]:
    work = asyncio.create_task(outbox.drain(KIND, doors.deliver))
    try:
        yield
    finally:
        doors.released.set()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_a_door_that_does_not_answer_delays_no_other(database: Database) -> None:
    doors = Doors(silent=frozenset({"dead"}))
    await to_doors(database, ("d1", "dead"), ("d2", "dead"), ("a1", "a"), ("b1", "b"))
    async with draining(Outbox(database), doors):
        await doors.until(lambda: set(doors.taken) == {"a1", "b1"})
        await to_doors(database, ("a2", "a"))
        await doors.until(lambda: "a2" in doors.taken)
        assert doors.inside["dead"] == 1


async def test_one_door_is_told_one_thing_after_the_other_in_order(database: Database) -> None:
    doors = Doors()
    await to_doors(database, *((f"m{number}", "one") for number in range(50)))
    async with draining(Outbox(database), doors):
        await doors.until(lambda: len(doors.taken) == 50)
    assert doors.taken == [f"m{number}" for number in range(50)]
    assert doors.most_at_once == 1


async def test_no_more_doors_are_told_at_once_than_the_bound(database: Database) -> None:
    names = [f"d{number}" for number in range(30)]
    doors = Doors(silent=frozenset(names))
    await to_doors(database, *((f"to-{name}", name) for name in names))
    async with draining(Outbox(database, at_once=4), doors):
        await doors.until(lambda: doors.inside.total() == 4)
        doors.released.set()
        await doors.until(lambda: len(doors.taken) == 30)
    assert doors.most_at_once == 4


async def test_doors_that_fail_leave_half_of_the_places_to_others(database: Database) -> None:
    dead = [f"dead{number}" for number in range(20)]
    doors = Doors(silent=frozenset(dead))
    failed = asyncio.Event()

    async def deliver(subject: str, payload: Mapping[str, Json]) -> None:
        if subject.startswith("first") and not failed.is_set():
            raise ConnectionError(subject)
        await doors.deliver(subject, payload)

    await to_doors(database, *((f"first-{name}", name) for name in dead))
    outbox = Outbox(database, at_once=4, backoff_s=lambda _: 3600.0)
    work = asyncio.create_task(outbox.drain(KIND, deliver))
    async with asyncio.timeout(60):
        while await outbox.due(KIND):  # noqa: ASYNC110 — every first one fails
            await asyncio.sleep(0.001)
    failed.set()
    await to_doors(database, *((f"next-{name}", name) for name in dead))
    await doors.until(lambda: doors.inside.total() == 2)
    await to_doors(database, *((f"m{number}", f"good{number}") for number in range(10)))
    await doors.until(lambda: len(doors.taken) == 10)
    assert {subject[0] for subject in doors.taken} == {"m"}
    doors.released.set()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_a_stop_lets_what_is_on_its_way_arrive_and_begins_nothing_more(
    database: Database,
) -> None:
    doors = Doors(silent=frozenset({"slow"}))
    await to_doors(database, ("s1", "slow"), ("s2", "slow"))
    work = asyncio.create_task(Outbox(database).drain(KIND, doors.deliver))
    await doors.until(lambda: doors.inside["slow"] == 1)
    work.cancel()
    await asyncio.sleep(0)
    doors.released.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert doors.taken == ["s1"]
    rows = await database.fetch_all("SELECT subject FROM outbox")
    assert [row["subject"] for row in rows] == ["s2"]


async def test_a_store_that_takes_no_writes_is_not_asked_in_a_hurry(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    doors = Doors()
    await to_doors(database, ("a", "one"))
    await database.write(
        lambda tx: tx.execute(
            "CREATE TRIGGER kept BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'kept'); END"
        )
    )
    async with draining(Outbox(database), doors):
        await doors.until(lambda: doors.taken == ["a"])
        await to_doors(database, ("b", "two"))
        await doors.until(lambda: "b" in doors.taken)
        assert doors.taken == ["a", "b"]
    assert "the outbox waits for the store" in caplog.text
