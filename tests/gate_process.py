"""One gate as its own process, to be killed at a failpoint: a person in it approves every card.

    python gate_process.py DIRECTORY BANK_PORT TOOL FAILPOINT|none careful|naive

Makes one call if the store has none, waits until it has ended and the authorization server has
heard, and prints its state. `naive` sends again whatever has no recorded outcome: the control.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from gate_house import Bank, House, house
from gate_parts import ALICE, catalogue
from signoff.approvals.request import Status
from signoff.gate.failpoints import only_at, pass_by
from signoff.sealed import Sealer
from signoff.storage.calls import SqliteCalls
from signoff.storage.sqlite import Database, Tx

NAIVELY = """
UPDATE calls SET state = 'authorized', attempts = 0, lease_until = NULL
WHERE state = 'dispatching'
"""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def approve_all(home: House) -> None:
    with home.approvals.changes.watch("approval", "*") as watch:
        while True:
            for card in await home.approvals.inbox("alice"):
                if card.status is Status.PENDING:
                    await home.approvals.decide(
                        card.id,
                        user_id="alice",
                        digest=card.digest,
                        verdict="approve",
                        reason=None,
                        acr="session",
                    )
            await watch.changed(30)


async def the_call(home: House, tool: str) -> str:
    row = await home.database.fetch_one("SELECT id FROM calls")
    call_id = row["id"] if row is not None else (await home.pay(ALICE, tool)).id
    with home.database.changes.watch("approval", "*") as watch:
        while True:
            call = await home.calls.load(call_id)
            if call is not None and not call.is_open and not await home.calls.untold():
                return call.state.value
            await watch.changed(0.1)


async def main() -> None:
    directory, port, tool, failpoint, care = sys.argv[1:]
    (Path(directory) / "gate.pid").write_text(str(os.getpid()))
    database = Database(Path(directory) / "signoff.db")

    async def forget_the_intent(_: SqliteCalls) -> None:
        def job(tx: Tx) -> None:
            tx.execute(NAIVELY)

        if care == "naive":
            await database.write(job)

    bank = Bank(port=int(port))
    async with (
        database.running(),
        house(
            database,
            bank,
            data_dir=Path(directory),
            sealer=Sealer(b"k" * 32),
            served=catalogue(base_url=bank.base_url),
            reach=pass_by if failpoint == "none" else only_at(failpoint, die),
            before_start=forget_the_intent,
        ) as home,
    ):
        person = asyncio.create_task(approve_all(home))
        state = await the_call(home, tool)
        person.cancel()
    sys.stdout.write(f"{state}\n")


if __name__ == "__main__":
    asyncio.run(main())
