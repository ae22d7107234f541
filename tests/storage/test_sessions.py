"""Sign-in links work once and in time; sessions end when they should, in every read."""

import asyncio
from datetime import timedelta

import pytest

from conftest import TurnedClock
from signoff.approvals.sessions import IDLE, LIFETIME, DeviceKey
from signoff.storage.sessions import DisabledUserError, Reach, Sessions
from signoff.storage.sqlite import Database

# The base point of P-256 (SEC 2 §2.4.2): a public key whoever's it is.
KEY = DeviceKey.from_point(
    bytes.fromhex("6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"),
    bytes.fromhex("4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"),
)


async def switch_off(database: Database, user_id: str) -> None:
    await database.write(
        lambda tx: tx.execute(
            "INSERT INTO disabled (id, at) VALUES (:id, :at)", {"id": user_id, "at": tx.now_us}
        )
    )


@pytest.fixture
def sessions(database: Database) -> Sessions:
    return Sessions(database)


async def test_a_link_signs_in_its_user_with_the_key_it_came_with(sessions: Sessions) -> None:
    code = await sessions.create_login_code("alice")
    assert await sessions.link_user(code)
    signed_in = await sessions.sign_in(code, device_key=KEY)
    assert signed_in is not None
    found = await sessions.find(signed_in.token)
    assert found == signed_in.session
    assert (signed_in.session.user_id, signed_in.session.device_key) == ("alice", KEY)


async def test_a_link_user_once(sessions: Sessions) -> None:
    code = await sessions.create_login_code("alice")
    assert await sessions.sign_in(code, device_key=None) is not None
    assert await sessions.sign_in(code, device_key=None) is None
    assert not await sessions.link_user(code)


async def test_fifty_uses_of_one_link_at_once_make_one_session(sessions: Sessions) -> None:
    code = await sessions.create_login_code("alice")
    used = await asyncio.gather(*(sessions.sign_in(code, device_key=None) for _ in range(50)))
    assert sum(one is not None for one in used) == 1


async def test_a_link_is_dead_after_ten_minutes(sessions: Sessions, clock: TurnedClock) -> None:
    code = await sessions.create_login_code("alice")
    clock.turn(600)
    assert not await sessions.link_user(code)
    assert await sessions.sign_in(code, device_key=None) is None


@pytest.mark.parametrize("code", ["", "x", "a" * 10_000, "' OR 1=1 --"])
async def test_an_unknown_code_signs_nobody_in(sessions: Sessions, code: str) -> None:
    assert await sessions.sign_in(code, device_key=None) is None


async def test_looking_at_a_link_does_not_use_it_up(sessions: Sessions) -> None:
    code = await sessions.create_login_code("alice")
    for _ in range(3):
        assert await sessions.link_user(code)
    assert await sessions.sign_in(code, device_key=None) is not None


async def test_neither_code_nor_cookie_stands_in_the_file(
    sessions: Sessions, database: Database
) -> None:
    code = await sessions.create_login_code("alice")
    signed_in = await sessions.sign_in(code, device_key=KEY)
    assert signed_in is not None
    stored = database.path.read_bytes() + database.path.with_name("signoff.db-wal").read_bytes()
    assert code.encode() not in stored
    assert signed_in.token.encode() not in stored
    assert signed_in.token not in repr(signed_in)


async def test_a_session_ends_after_thirty_idle_days(
    sessions: Sessions, clock: TurnedClock
) -> None:
    signed_in = await sessions.sign_in(await sessions.create_login_code("alice"), device_key=None)
    assert signed_in is not None
    clock.turn((IDLE - timedelta(minutes=1)).total_seconds())
    assert await sessions.find(signed_in.token) is not None, "it was idle for less"
    clock.turn((IDLE - timedelta(minutes=1)).total_seconds())
    assert await sessions.find(signed_in.token) is not None, "being seen starts the time anew"
    clock.turn(IDLE.total_seconds())
    assert await sessions.find(signed_in.token) is None


async def test_a_session_ends_after_ninety_days_however_often_it_is_seen(
    sessions: Sessions, database: Database, clock: TurnedClock
) -> None:
    signed_in = await sessions.sign_in(await sessions.create_login_code("alice"), device_key=KEY)
    assert signed_in is not None
    assert signed_in.lifetime == LIFETIME == timedelta(days=90)
    for _ in range(89):
        clock.turn(86_400)
        assert await sessions.find(signed_in.token) is not None
    clock.turn(86_399)
    assert await sessions.find(signed_in.token) is not None
    assert await Reach(database).signed_in(["alice"]) == {"alice"}
    clock.turn(1)
    assert await sessions.find(signed_in.token) is None
    assert await Reach(database).signed_in(["alice"]) == set()
    await sessions.sign_in(await sessions.create_login_code("alice"), device_key=KEY)
    assert len(await database.fetch_all("SELECT id FROM sessions")) == 1


async def test_the_operator_may_have_sessions_end_sooner(
    database: Database, clock: TurnedClock
) -> None:
    brief = timedelta(hours=8)
    sessions, reach = Sessions(database, lifetime=brief), Reach(database, lifetime=brief)
    signed_in = await sessions.sign_in(await sessions.create_login_code("alice"), device_key=KEY)
    assert signed_in is not None
    assert signed_in.lifetime == brief
    clock.turn(brief.total_seconds() - 1)
    assert await sessions.find(signed_in.token) is not None
    clock.turn(1)
    assert await sessions.find(signed_in.token) is None
    assert await reach.signed_in(["alice"]) == set()


async def test_a_session_that_was_ended_is_gone_with_its_key(
    sessions: Sessions, database: Database
) -> None:
    signed_in = await sessions.sign_in(await sessions.create_login_code("alice"), device_key=KEY)
    assert signed_in is not None
    with database.changes.watch("session", signed_in.session.id) as watch:
        await sessions.end(signed_in.session.id, by="alice")
        await sessions.end(signed_in.session.id, by="alice")
        assert await watch.changed(30)
    assert await sessions.find(signed_in.token) is None
    assert await database.fetch_all("SELECT * FROM device_keys") == []
    ended = await database.fetch_all(
        "SELECT 1 FROM audit WHERE CAST(body AS TEXT) LIKE '%session.ended%'"
    )
    assert len(ended) == 1


async def test_a_disabled_user_has_no_link_no_sign_in_and_no_session(
    sessions: Sessions, database: Database
) -> None:
    signed_in = await sessions.sign_in(await sessions.create_login_code("alice"), device_key=KEY)
    assert signed_in is not None
    code = await sessions.create_login_code("alice")
    await switch_off(database, "alice")
    assert await sessions.find(signed_in.token) is None
    assert not await sessions.link_user(code)
    assert await sessions.sign_in(code, device_key=KEY) is None
    with pytest.raises(DisabledUserError, match="alice"):
        await sessions.create_login_code("alice")
    assert await Reach(database).signed_in(["alice"]) == set()


async def test_who_can_be_reached_has_a_live_session_with_a_device_key(
    sessions: Sessions, database: Database, clock: TurnedClock
) -> None:
    reach = Reach(database)
    await sessions.sign_in(await sessions.create_login_code("alice"), device_key=KEY)
    await sessions.sign_in(await sessions.create_login_code("bob"), device_key=None)
    assert await reach.signed_in(["alice", "bob", "carol"]) == {"alice"}
    assert await reach.signed_in(["bob"]) == set()
    clock.turn(IDLE.total_seconds())
    assert await reach.signed_in(["alice"]) == set()
