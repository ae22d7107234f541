"""The proofs a resource has seen: none is forgotten while it could be taken again."""

from datetime import datetime
from itertools import count

import pytest

from conftest import TurnedClock
from dpop_parts import KeyHolder
from signoff.tokens.dpop import Proofs, Sent
from signoff.tokens.keys import TokenError

URL = "https://api.example/accounts"


def take(
    proofs: Proofs, sent: Sent, holder: KeyHolder, now: datetime, *, sub: str | None = None
) -> None:
    """Take a proof of a token whose subject is the holder's own, or `sub`."""
    jkt = holder.jkt
    proofs.check(sent, access_token="token", jkt=jkt, sub=sub or jkt, now=now)


def fill(proofs: Proofs, holder: KeyHolder, now: datetime, *, sub: str | None = None) -> int:
    """Take as many proofs as there is room for, and return how many there were."""
    for number in count():
        try:
            take(proofs, holder.sent("GET", URL, "token"), holder, now, sub=sub)
        except TokenError as error:
            assert "too many proofs" in str(error)  # noqa: PT017 — the end of the loop
            return number
    raise AssertionError


def holder(clock: TurnedClock) -> KeyHolder:
    return KeyHolder(clock, issuer="https://as.example")


def test_a_flood_of_proofs_brings_no_earlier_one_back(clock: TurnedClock) -> None:
    proofs, victim, loud = Proofs(limit=32), holder(clock), holder(clock)
    stolen = victim.sent("GET", URL, "token")
    take(proofs, stolen, victim, clock())
    for _ in range(8):
        take(proofs, loud.sent("GET", URL, "token"), loud, clock())
    for _ in range(20):
        with pytest.raises(TokenError, match="too many proofs"):
            take(proofs, loud.sent("GET", URL, "token"), loud, clock())
    with pytest.raises(TokenError, match="used before"):
        take(proofs, stolen, victim, clock())


def test_who_sends_many_keeps_nobody_else_out(clock: TurnedClock) -> None:
    proofs, quiet, loud = Proofs(limit=12), holder(clock), holder(clock)
    for _ in range(3):
        take(proofs, loud.sent("GET", URL, "token"), loud, clock())
    with pytest.raises(TokenError, match="too many proofs"):
        take(proofs, loud.sent("GET", URL, "token"), loud, clock())
    take(proofs, quiet.sent("GET", URL, "token"), quiet, clock())


def test_who_sends_many_by_many_keys_keeps_nobody_else_out(clock: TurnedClock) -> None:
    """Whoever may have tokens may have each bound to a key of its own."""
    proofs, quiet = Proofs(limit=400), holder(clock)
    taken = [fill(proofs, holder(clock), clock(), sub="mallory") for _ in range(40)]
    assert sum(taken) == 100
    for _ in range(50):
        take(proofs, quiet.sent("GET", URL, "token"), quiet, clock())


def test_many_who_send_many_leave_room_for_one_more(clock: TurnedClock) -> None:
    proofs, quiet = Proofs(limit=400), holder(clock)
    assert all(fill(proofs, holder(clock), clock()) for _ in range(8))
    for _ in range(5):
        take(proofs, quiet.sent("GET", URL, "token"), quiet, clock())


def test_where_all_the_room_is_taken_nobody_gets_in(clock: TurnedClock) -> None:
    proofs, holders = Proofs(limit=3), [holder(clock) for _ in range(4)]
    for one in holders[:3]:
        take(proofs, one.sent("GET", URL, "token"), one, clock())
    with pytest.raises(TokenError, match="too many proofs"):
        take(proofs, holders[3].sent("GET", URL, "token"), holders[3], clock())


def test_what_is_too_old_to_be_taken_again_makes_room(clock: TurnedClock) -> None:
    proofs, one = Proofs(limit=8), holder(clock)
    old = one.sent("GET", URL, "token")
    take(proofs, old, one, clock())
    take(proofs, one.sent("GET", URL, "token"), one, clock())
    clock.turn(599)
    with pytest.raises(TokenError, match="too many proofs"):
        take(proofs, one.sent("GET", URL, "token"), one, clock())
    clock.turn(1)
    for _ in range(2):
        take(proofs, one.sent("GET", URL, "token"), one, clock())
    with pytest.raises(TokenError, match="not made just now"):
        take(proofs, old, one, clock())
