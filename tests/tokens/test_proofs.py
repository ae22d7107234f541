"""The proofs a resource has seen: none is forgotten while it could be taken again."""

from datetime import datetime

import pytest

from conftest import TurnedClock
from dpop_parts import KeyHolder
from signoff.tokens.dpop import Proofs, Sent
from signoff.tokens.keys import TokenError

URL = "https://api.example/accounts"


def take(proofs: Proofs, sent: Sent, holder: KeyHolder, now: datetime) -> None:
    proofs.check(sent, access_token="token", jkt=holder.jkt, now=now)


def holder(clock: TurnedClock) -> KeyHolder:
    return KeyHolder(clock, issuer="https://as.example")


def test_a_flood_of_proofs_brings_no_earlier_one_back(clock: TurnedClock) -> None:
    proofs, victim, loud = Proofs(limit=10, of_key=8), holder(clock), holder(clock)
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
    proofs, quiet, loud = Proofs(limit=100, of_key=3), holder(clock), holder(clock)
    for _ in range(3):
        take(proofs, loud.sent("GET", URL, "token"), loud, clock())
    with pytest.raises(TokenError, match="too many proofs"):
        take(proofs, loud.sent("GET", URL, "token"), loud, clock())
    take(proofs, quiet.sent("GET", URL, "token"), quiet, clock())


def test_where_all_the_room_is_taken_nobody_gets_in(clock: TurnedClock) -> None:
    proofs, holders = Proofs(limit=3, of_key=1), [holder(clock) for _ in range(4)]
    for one in holders[:3]:
        take(proofs, one.sent("GET", URL, "token"), one, clock())
    with pytest.raises(TokenError, match="too many proofs"):
        take(proofs, holders[3].sent("GET", URL, "token"), holders[3], clock())


def test_what_is_too_old_to_be_taken_again_makes_room(clock: TurnedClock) -> None:
    proofs, one = Proofs(limit=2, of_key=2), holder(clock)
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
