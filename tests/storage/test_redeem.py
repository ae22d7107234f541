"""The statement that consumes a yes holds by itself, whatever was checked before it."""

from typing import Any

import pytest

from as_parts import Provider, running_provider
from conftest import TurnedClock
from signoff.approvals.request import REDEEM_WITHIN
from signoff.sealed import Sealer
from signoff.storage import approval_rows as rows
from signoff.storage.clock import to_us
from signoff.storage.sqlite import Database, Tx


async def redeemed(
    database: Database, provider: Provider, *, first: str = "", **changed: Any
) -> bool:
    """Approve a card, run `first` against its row, then the bare statement; did it take?"""
    card = await provider.decide(await provider.asked())
    assert card.decided_at is not None
    params: dict[str, Any] = {
        "id": card.id,
        "client_id": "signoff-gate",
        "jti": "jti-1",
        "decided_at": to_us(card.decided_at),
    }

    def job(tx: Tx) -> bool:
        if first:
            tx.execute(first, {"id": card.id, "now": tx.now_us})
        return tx.one(rows.REDEEM, {"now": tx.now_us, **params, **changed}) is not None

    return await database.write(job)


@pytest.mark.seed("CIBA-37")
async def test_a_yes_that_stands_is_consumed(database: Database, provider: Provider) -> None:
    assert await redeemed(database, provider)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(
            "UPDATE approvals SET status = 'redeemed', token_jti = 'other' WHERE id = :id",
            id="used already",
        ),
        pytest.param("UPDATE approvals SET status = 'lapsed' WHERE id = :id", id="lapsed"),
        pytest.param(
            "UPDATE approvals SET status = 'denied', redeem_by = NULL WHERE id = :id", id="denied"
        ),
        pytest.param("UPDATE approvals SET redeem_by = :now WHERE id = :id", id="its last instant"),
        pytest.param("UPDATE approvals SET decided_by = 'bob' WHERE id = :id", id="not eligible"),
        pytest.param(
            "DELETE FROM approval_eligible WHERE approval_id = :id", id="eligible no more"
        ),
        pytest.param(
            "INSERT INTO disabled (id, at) VALUES ('alice', :now)", id="the approver is off"
        ),
        pytest.param(
            "INSERT INTO disabled (id, at) VALUES ('signoff-gate', :now)", id="the client is off"
        ),
    ],
)
async def test_the_statement_refuses_what_changed_after_the_look(
    database: Database, provider: Provider, first: str
) -> None:
    assert not await redeemed(database, provider, first=first)


async def test_the_statement_refuses_another_client(database: Database, provider: Provider) -> None:
    assert not await redeemed(database, provider, client_id="client_other")


async def test_the_statement_refuses_another_decision_of_the_same_card(
    database: Database, provider: Provider
) -> None:
    assert not await redeemed(database, provider, decided_at=1)


async def test_the_statement_takes_a_yes_until_the_last_instant(
    database: Database, provider: Provider, clock: TurnedClock
) -> None:
    at = to_us(clock() + REDEEM_WITHIN)
    assert await redeemed(database, provider, now=at - 1)


async def test_the_statement_refuses_a_yes_after_it_lapsed(
    database: Database, provider: Provider, clock: TurnedClock
) -> None:
    assert not await redeemed(database, provider, now=to_us(clock() + REDEEM_WITHIN))


@pytest.fixture
async def provider(database: Database, sealer: Sealer) -> Any:
    async with running_provider(database, sealer) as running:
        yield running
