"""Default grants at the gate: what they cover goes and is audited, what they do not reach asks."""

import json
from pathlib import Path

import pytest

from gate_house import Bank, house
from gate_parts import ALICE, INFO, NOTE, PAY, READ, catalogue
from signoff.catalog.model import DefaultGrants, Policy
from signoff.gate.answers import Finished, Waiting
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database


async def test_a_granted_change_goes_at_once_and_its_audit_names_the_grant(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    policy = Policy(grants={"bank": DefaultGrants(capabilities=("note",))})
    served = catalogue(base_url=bank.base_url, tools=(NOTE,), policy=policy)
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, served=served) as home:
        answer = await home.call(ALICE, "note")
        rows = await database.fetch_all("SELECT body FROM audit ORDER BY seq")

    assert isinstance(answer, Finished)
    assert answer.call is None
    assert len(bank.heads) == 1
    events = {row["event"]: row for row in (json.loads(row["body"]) for row in rows)}
    assert events["call.allowed"]["details"]["rule"] == "grant:bank"
    assert events["capability.executed"]["details"]["rule"] == "grant:bank"


@pytest.mark.parametrize(
    "grants",
    [
        DefaultGrants(everything=True),
        DefaultGrants(methods=("POST", "GET")),
        DefaultGrants(capabilities=("*", "pa?")),
        DefaultGrants(),
    ],
    ids=["true", "methods", "patterns", "none"],
)
async def test_a_risky_change_asks_whatever_is_granted_around_it(
    grants: DefaultGrants, database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    served = catalogue(base_url=bank.base_url, tools=(PAY,), policy=Policy(grants={"bank": grants}))
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, served=served) as home:
        assert isinstance(await home.call(), Waiting)

        assert bank.heads == []


async def test_a_read_that_is_not_granted_asks(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    policy = Policy(grants={"bank": DefaultGrants(methods=("HEAD",))})
    served = catalogue(base_url=bank.base_url, tools=(READ,), policy=policy)
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, served=served) as home:
        answer = await home.gate.call(ALICE, INFO, "balance", {"account": "checking"}, said=None)

        assert isinstance(answer, Waiting)
        assert bank.heads == []
