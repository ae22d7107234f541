"""Approvals on a real file: one winner, the clock's edge, and what a transaction brings along."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine
from datetime import timedelta
from typing import Any, Literal, cast

import pytest

from as_parts import Provider, running_provider, tool_call
from conftest import TurnedClock
from signoff.approvals.ports import Decided, Decision, Mismatch, NotYours, TooLate
from signoff.approvals.request import Approval, Status
from signoff.approvals.service import Acknowledged, Limits, Request
from signoff.sealed import Sealer, SealError
from signoff.storage.sqlite import Database

ROUNDS = 1_000
GATE = "signoff-gate"


@pytest.fixture
async def provider(database: Database, sealer: Sealer) -> AsyncGenerator[Provider, None]:
    limits = Limits(pending_per_user=10_000, prompts_per_minute=10_000)
    async with running_provider(database, sealer, limits=limits) as running:
        yield running


async def opened(provider: Provider, call_id: str = "call_1", **changed: Any) -> Acknowledged:
    details = tool_call(call_id, **changed)
    acknowledged = await provider.approvals.open(
        Request(
            client_id=GATE,
            eligible=tuple(cast("list[str]", details["approvers"])),
            scope="openid",
            acr=str(details["acr"]),
            resources=("http://localhost:8420/gate",),
            expires_in=timedelta(seconds=60),
            authorization_details=(details,),
        )
    )
    assert isinstance(acknowledged, Acknowledged)
    return acknowledged


async def decide(
    provider: Provider,
    card: Approval,
    verdict: Literal["approve", "deny"] = "approve",
    **changed: Any,
) -> Decision:
    given: dict[str, Any] = {
        "user_id": "alice",
        "digest": card.digest,
        "reason": None,
        "acr": "session",
    }
    return await provider.approvals.decide(card.id, verdict=verdict, **{**given, **changed})


async def audited(database: Database, subject: str) -> list[str]:
    rows = [json.loads(row["body"]) for row in await database.fetch_all("SELECT body FROM audit")]
    return [row["event"] for row in rows if row["subject"] == subject]


async def test_of_fifty_parallel_decisions_one_wins_with_one_audit_row(
    provider: Provider, database: Database
) -> None:
    card = (await opened(provider)).approval
    decisions = await asyncio.gather(
        *(decide(provider, card, "approve" if n % 2 else "deny") for n in range(50))
    )
    assert Counter(type(decision) for decision in decisions) == {Decided: 1, TooLate: 49}
    (won,) = [d.approval for d in decisions if isinstance(d, Decided)]
    assert all(d.approval == won for d in decisions if isinstance(d, TooLate))
    assert await audited(database, card.id) == ["approval.created", f"approval.{won.status}"]


async def test_approve_against_deny_has_one_winner_in_a_thousand_rounds(
    provider: Provider, database: Database
) -> None:
    cards = [
        acknowledged.approval
        for acknowledged in await asyncio.gather(
            *(opened(provider, f"call_{n}") for n in range(ROUNDS))
        )
    ]
    pairs = await asyncio.gather(
        *(
            asyncio.gather(decide(provider, card, "approve"), decide(provider, card, "deny"))
            for card in cards
        )
    )
    assert {frozenset(type(one) for one in pair) for pair in pairs} == {
        frozenset({Decided, TooLate})
    }
    (row,) = await database.fetch_all("SELECT COUNT(*) AS rows FROM audit")
    assert row["rows"] == 2 * ROUNDS + 1  # and the signing key


async def test_redeem_against_redeem_has_one_winner_in_a_thousand_rounds(
    provider: Provider, clock: TurnedClock
) -> None:
    made = await asyncio.gather(*(opened(provider, f"call_{n}") for n in range(ROUNDS)))
    await asyncio.gather(*(decide(provider, one.approval) for one in made))

    def redeem(one: Acknowledged, attempt: int) -> Coroutine[Any, Any, Approval | None]:
        return provider.approvals.redeem(
            one.auth_req_id,
            client_id=GATE,
            jti=f"{one.approval.id} {attempt}",
            decided_at=clock(),
        )

    pairs = await asyncio.gather(*(asyncio.gather(redeem(one, 1), redeem(one, 2)) for one in made))
    assert {sum(one is not None for one in pair) for pair in pairs} == {1}


@pytest.mark.seed("P2")
@pytest.mark.parametrize(
    ("milliseconds", "status"), [(-1, "approved"), (0, "expired"), (1, "expired")]
)
async def test_a_decision_counts_until_the_last_instant_before_the_end(
    provider: Provider, clock: TurnedClock, milliseconds: int, status: str
) -> None:
    card = (await opened(provider)).approval
    clock.time = card.expires_at + timedelta(milliseconds=milliseconds)
    decision = await decide(provider, card)
    assert isinstance(decision, Decided if status == "approved" else TooLate)
    after = await provider.approvals.load(card.id)
    assert after is not None
    assert after.status == status


async def test_deciding_against_expiring_around_the_end_never_approves_late(
    provider: Provider, clock: TurnedClock
) -> None:
    cards = [(await opened(provider, f"call_{n}")).approval for n in range(100)]
    end = cards[0].expires_at
    clock.time = end - timedelta(milliseconds=50)

    async def race(card: Approval) -> None:
        clock.turn(0.001)
        await asyncio.gather(decide(provider, card), provider.approvals.sweep())

    await asyncio.gather(*map(race, cards))
    after = [await provider.approvals.load(card.id) for card in cards]
    approved = [a for a in after if a is not None and a.status is Status.APPROVED]
    assert all(a.decided_at is not None and a.decided_at < end for a in approved)
    assert {a.status for a in after if a is not None} <= {Status.APPROVED, Status.EXPIRED}
    assert any(a is not None and a.status is Status.EXPIRED for a in after)


async def test_an_expired_request_stays_expired_when_the_wall_clock_steps_back(
    provider: Provider, clock: TurnedClock
) -> None:
    card = (await opened(provider)).approval
    clock.turn(60)
    await provider.approvals.sweep()
    clock.turn(-60)
    assert isinstance(await decide(provider, card), TooLate)


@pytest.mark.parametrize(("milliseconds", "given"), [(-1, True), (0, False), (1, False)])
async def test_a_yes_is_fetched_within_two_minutes_even_past_the_end_of_the_request(
    provider: Provider, clock: TurnedClock, database: Database, milliseconds: int, *, given: bool
) -> None:
    one = await opened(provider)
    clock.turn(59)
    decision = await decide(provider, one.approval)
    assert isinstance(decision, Decided)
    approval = decision.approval
    assert approval.redeem_by is not None
    assert approval.decided_at is not None
    clock.time = approval.redeem_by + timedelta(milliseconds=milliseconds)
    redeemed = await provider.approvals.redeem(
        one.auth_req_id, client_id=GATE, jti="t", decided_at=approval.decided_at
    )
    assert (redeemed is not None) is given
    last = (await audited(database, approval.id))[-1]
    assert last == ("approval.redeemed" if given else "approval.lapsed")


async def test_the_sweep_expires_and_lapses_with_an_audit_row_each_and_wakes_watchers(
    provider: Provider, clock: TurnedClock, database: Database
) -> None:
    waiting = (await opened(provider, "call_1")).approval
    agreed = (await opened(provider, "call_2")).approval
    await decide(provider, agreed)
    assert await provider.approvals.sweep() == []
    clock.turn(120)
    with provider.database.changes.watch("approval", waiting.id) as watch:
        assert sorted(await provider.approvals.sweep()) == sorted([waiting.id, agreed.id])
        assert await watch.changed(30)
    assert (await audited(database, waiting.id))[-1] == "approval.expired"
    assert (await audited(database, agreed.id))[-1] == "approval.lapsed"
    assert await provider.approvals.sweep() == []


async def test_the_sweep_ends_what_no_longer_opens_too(
    provider: Provider, clock: TurnedClock, database: Database
) -> None:
    card = (await opened(provider)).approval
    spoil = "UPDATE approvals SET details = x'00' WHERE id = :id"
    await database.write(lambda tx: tx.execute(spoil, {"id": card.id}))
    with pytest.raises(SealError):
        await provider.approvals.load(card.id)
    clock.turn(60)
    assert await provider.approvals.sweep() == [card.id]


async def test_old_ended_approvals_are_forgotten_and_open_ones_never(
    database: Database, sealer: Sealer, clock: TurnedClock
) -> None:
    limits = Limits(keep=timedelta(seconds=30))
    async with running_provider(database, sealer, limits=limits) as provider:
        ended = (await opened(provider, "call_1")).approval
        waiting = (await opened(provider, "call_2")).approval
        await decide(provider, ended, "deny")
        clock.turn(31)
        await provider.approvals.sweep()
        assert await provider.approvals.load(ended.id) is None
        assert await provider.approvals.load(waiting.id) is not None


@pytest.mark.seed("B14")
async def test_somebody_who_is_not_eligible_sees_and_decides_nothing(provider: Provider) -> None:
    card = (await opened(provider)).approval
    assert await provider.approvals.view(card.id, user_id="bob") is None
    assert await provider.approvals.inbox("bob") == []
    assert await decide(provider, card, user_id="bob") == NotYours()
    assert (
        await provider.approvals.decide(
            "apr_unknown",
            user_id="alice",
            digest=card.digest,
            verdict="approve",
            reason=None,
            acr="session",
        )
        == NotYours()
    )
    assert await provider.approvals.view(card.id, user_id="alice") == card


async def test_a_decision_about_another_card_or_made_too_weakly_does_not_count(
    provider: Provider,
) -> None:
    card = (await opened(provider)).approval
    other = await decide(provider, card, digest="sha-256:" + "0" * 64)
    assert other == Mismatch(approval=card, member="digest")
    strong = (await opened(provider, "call_2", acr="passkey")).approval
    assert await decide(provider, strong) == Mismatch(approval=strong, member="acr")
    assert await decide(provider, strong, acr="gold") == Mismatch(approval=strong, member="acr")
    assert isinstance(await decide(provider, strong, "deny"), Decided)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE approvals SET acr = 'passkey'",
        "UPDATE approvals SET call_id = 'call_2'",
        "UPDATE approval_eligible SET user_id = 'carol' WHERE user_id = 'bob'",
    ],
)
async def test_a_card_changed_in_the_store_is_approved_by_nobody(
    provider: Provider, database: Database, change: str
) -> None:
    card = (await opened(provider, approvers=["alice", "bob"])).approval
    await database.write(lambda tx: tx.execute(change))
    decision = await decide(provider, card, acr="passkey")
    assert isinstance(decision, Mismatch)
    assert decision.member == "digest"


async def test_details_moved_between_two_cards_do_not_open(
    provider: Provider, database: Database
) -> None:
    first = (await opened(provider, "call_1")).approval
    second = (await opened(provider, "call_2")).approval
    move = (
        "UPDATE approvals SET details = (SELECT details FROM approvals WHERE id = :a) WHERE id = :b"
    )
    await database.write(lambda tx: tx.execute(move, {"a": first.id, "b": second.id}))
    with pytest.raises(SealError):
        await decide(provider, second)


async def test_the_inbox_has_what_ends_soonest_first_then_what_is_over(
    provider: Provider, clock: TurnedClock
) -> None:
    cards: list[Approval] = []
    for number in range(4):
        cards.append((await opened(provider, f"call_{number}")).approval)
        clock.turn(1)
    await decide(provider, cards[0])
    await decide(provider, cards[1], "deny", reason="  no  ")
    inbox = await provider.approvals.inbox("alice")
    assert [one.id for one in inbox] == [cards[n].id for n in (2, 3, 1, 0)]
    assert inbox[2].reason == "no"
    assert [one.id for one in await provider.approvals.inbox("alice", limit=3)] == [
        cards[n].id for n in (2, 3, 1)
    ]


async def test_switching_the_only_approver_off_ends_the_request_and_the_others_keep_theirs(
    provider: Provider, database: Database
) -> None:
    alone = (await opened(provider, "call_1")).approval
    caller = {"kind": "local", "issuer": "local", "client_id": "local:http"}
    both = ["alice", "bob"]
    shared = (await opened(provider, "call_2", approvers=both, caller=caller)).approval
    assert await provider.people.disable("alice", by="operator")
    ended = await provider.approvals.load(alone.id)
    assert ended is not None
    assert ended.status is Status.WITHDRAWN
    assert (await audited(database, alone.id))[-1] == "approval.withdrawn"
    assert await provider.approvals.inbox("alice") == []
    assert await provider.approvals.view(shared.id, user_id="alice") is None
    assert await decide(provider, shared) == NotYours()
    assert isinstance(await decide(provider, shared, user_id="bob"), Decided)
    assert await audited(database, "alice") == ["account.disabled"]


async def test_a_client_switched_off_behind_our_back_has_its_requests_decided_by_nobody(
    provider: Provider, database: Database
) -> None:
    card = (await opened(provider)).approval
    switch = "INSERT INTO disabled (id, at) VALUES ('signoff-gate', 0)"
    await database.write(lambda tx: tx.execute(switch))
    decision = await decide(provider, card)
    assert isinstance(decision, TooLate)
    assert decision.approval.status is Status.WITHDRAWN


async def test_switching_somebody_off_ends_their_sessions_and_sign_in_links(
    provider: Provider, database: Database
) -> None:
    await database.write(
        lambda tx: tx.execute("INSERT INTO sessions VALUES ('s', x'01', 'alice', 1, 1)")
    )
    await database.write(
        lambda tx: tx.execute("INSERT INTO login_codes VALUES (x'02', 'alice', 1, 2, NULL)")
    )
    with database.changes.watch("session", "s") as watch:
        await provider.people.disable("alice", by="operator")
        assert await watch.changed(30)
    assert await database.fetch_all("SELECT 1 FROM sessions") == []
    assert await database.fetch_all("SELECT 1 FROM login_codes") == []


async def test_a_request_whose_audit_row_cannot_be_written_is_not_stored(
    provider: Provider, database: Database
) -> None:
    await database.write(lambda tx: tx.execute("ALTER TABLE audit RENAME TO gone"))
    with pytest.raises(Exception, match="audit"):
        await opened(provider)
    assert await database.fetch_all("SELECT 1 FROM approvals") == []
