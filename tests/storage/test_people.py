"""Who is switched off: kept in memory, and never older than the last change."""

import asyncio
import sqlite3

import pytest

from signoff.storage.people import SqlitePeople
from signoff.storage.sessions import Sessions
from signoff.storage.sqlite import Database
from signoff.storage.user_codes import SqliteUserCodes


async def test_what_is_kept_follows_every_change(database: Database) -> None:
    people = SqlitePeople(database)
    assert await people.disabled() == frozenset()
    await people.disable("alice", by="operator")
    assert await people.disabled() == {"alice"}
    await people.disable("bob", by="operator")
    await people.enable("alice", by="operator")
    assert await people.disabled() == {"bob"}


async def test_another_door_to_the_store_sees_the_change_too(database: Database) -> None:
    reader = SqlitePeople(database)
    assert await reader.disabled() == frozenset()
    await SqlitePeople(database).disable("alice", by="operator")
    assert await reader.disabled() == {"alice"}


async def test_a_change_whose_caller_left_is_seen(database: Database) -> None:
    people = SqlitePeople(database)
    assert await people.disabled() == frozenset()
    with database.changes.watch("disabled", "alice") as watch:
        change = asyncio.create_task(people.disable("alice", by="operator"))
        await asyncio.sleep(0)
        change.cancel()
        await asyncio.gather(change, return_exceptions=True)
        while "alice" not in await people.disabled():
            assert await watch.changed(30)


async def test_reads_beside_a_change_never_hide_it(database: Database) -> None:
    people = SqlitePeople(database)

    async def read() -> None:
        for _ in range(50):
            await people.disabled()

    for number in range(20):
        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            group.create_task(people.disable(f"user{number}", by="operator"))
        assert f"user{number}" in await people.disabled()


async def test_it_is_not_read_again_while_nothing_changes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = SqlitePeople(database)
    await people.disable("alice", by="operator")
    assert await people.disabled() == {"alice"}

    async def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(database, "fetch_all", refuse)
    assert await people.disabled() == {"alice"}


async def test_a_start_that_ends_nothing_writes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Sessions(database).create_login_code("alice")

    async def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(database, "write", refuse)
    await SqlitePeople(database).keep_only({"alice", "bob"})


async def test_nobody_is_served_while_what_somebody_has_cannot_be_ended(
    database: Database,
) -> None:
    await Sessions(database).create_login_code("alice")
    await refusing(database)
    with pytest.raises(sqlite3.IntegrityError, match="disk full"):
        await SqlitePeople(database).keep_only({"bob"})
    rows = await database.fetch_all("SELECT user_id FROM login_codes")
    assert [row["user_id"] for row in rows] == ["alice"], "all of it or nothing"


async def test_the_user_code_of_somebody_who_is_gone_is_no_later_persons(
    database: Database,
) -> None:
    codes = SqliteUserCodes(database)
    for user in ("alice", "bob"):
        await codes.keep(user, salt=b"salt", hash=b"hash", by="operator")
        assert await codes.count(user, "client_x", most=1)
    await SqlitePeople(database).keep_only({"bob"})
    assert (await codes.load("alice"), await codes.load("bob")) == (None, (b"salt", b"hash"))
    # The wrong tries are of the code that is gone, and those of another's stay.
    assert await codes.count("alice", "client_x", most=1)
    assert not await codes.count("bob", "client_x", most=1)


async def refusing(database: Database) -> None:
    """Let no audit row be written any more."""
    trigger = """
    CREATE TEMP TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(FAIL, 'disk full'); END
    """
    await database.write(lambda tx: tx.execute(trigger))
