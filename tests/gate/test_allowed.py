"""Calls that policy lets go without a person: at once, once, and never without an audit row."""

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from gate_house import Bank, House, audit, house, no_audit, refusal, text
from gate_parts import ALICE, INFO, NOTE, catalogue
from signoff.catalog.model import Policy, PolicyRule
from signoff.gate.answers import Finished
from signoff.sealed import Sealer
from signoff.storage.sqlite import Database, Tx


async def test_an_allowed_read_goes_at_once_and_is_written_nowhere(home: House) -> None:
    answer = await home.gate.call(ALICE, INFO, "balance", {"account": "checking"}, said=None)
    assert isinstance(answer, Finished)
    assert answer.call is None
    assert home.bank.heads[0].startswith("GET /accounts/checking HTTP/1.1\r\n")
    assert await audit(home) == []


async def test_an_allowed_change_is_audited_before_and_after(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    policy = Policy(rules=(PolicyRule(id="notes", effect="allow", capability="note"),))
    served = catalogue(base_url=bank.base_url, tools=(NOTE,), policy=policy)
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, served=served) as home:
        answer = await home.call(ALICE, "note")
        assert isinstance(answer, Finished)
        assert await audit(home) == ["call.allowed", "capability.executed"]
        assert len(bank.heads) == 1


async def test_an_allowed_change_that_cannot_be_audited_is_not_sent(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    policy = Policy(defaults={"*": "allow"})
    served = catalogue(base_url=bank.base_url, tools=(NOTE,), policy=policy)
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, served=served) as home:
        await no_audit(database)
        assert refusal(await home.call(ALICE, "note")).startswith("unavailable")
        assert bank.heads == []


@pytest.mark.parametrize("fault", ["hang", "close"])
async def test_an_allowed_change_whose_end_cannot_be_audited_is_told_as_unknown(
    database: Database,
    bank: Bank,
    tmp_path: Path,
    sealer: Sealer,
    fault: Literal["hang", "close"],
) -> None:
    served = catalogue(
        base_url=bank.base_url, tools=(NOTE,), policy=Policy(defaults={"*": "allow"})
    )
    bank.fault = fault
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, served=served) as home:
        await spoil_second_audit(database)
        calling = asyncio.create_task(home.call(ALICE, "note"))
        await bank.arrived.wait()
        bank.go_on.set()
        answer = await calling
    assert isinstance(answer, Finished), "a refusal says that nothing was sent"
    assert answer.result.is_error
    assert "It may have taken effect" in text(answer)
    assert len(bank.heads) == 1


async def test_an_allowed_change_that_did_not_leave_is_told_so_though_it_cannot_be_audited(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    served = catalogue(
        base_url="http://127.0.0.1:9", tools=(NOTE,), policy=Policy(defaults={"*": "allow"})
    )
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, served=served) as home:
        await spoil_second_audit(database)
        answer = await home.call(ALICE, "note")
    assert isinstance(answer, Finished)
    assert answer.result.is_error
    assert "othing was sent" in text(answer)


async def spoil_second_audit(database: Database) -> None:
    def job(tx: Tx) -> None:
        tx.execute(
            "CREATE TEMP TRIGGER no_end BEFORE INSERT ON audit "
            "WHEN CAST(NEW.body AS TEXT) LIKE '%capability.executed%' "
            "BEGIN SELECT RAISE(FAIL, 'disk full'); END"
        )

    await database.write(job)


async def test_a_client_that_leaves_does_not_cut_an_allowed_change_in_half(
    database: Database, bank: Bank, tmp_path: Path, sealer: Sealer
) -> None:
    policy = Policy(defaults={"*": "allow"})
    served = catalogue(base_url=bank.base_url, tools=(NOTE,), policy=policy)
    bank.fault = "hang"
    async with house(database, bank, data_dir=tmp_path, sealer=sealer, served=served) as home:
        request = asyncio.create_task(home.call(ALICE, "note"))
        await bank.arrived.wait()
        request.cancel()
        bank.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert await audit(home) == ["call.allowed", "capability.executed"]
