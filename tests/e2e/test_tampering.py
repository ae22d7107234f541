"""What is stored between a yes and its sending is checked to the byte, or nothing is sent."""

import contextlib
import signal
import sqlite3
from contextlib import closing

import httpx2
import pytest

from harness import House, Launch, Server, StartBank, catalogue, transfer, until
from ports import free_port
from scripted_person import ScriptedPerson
from signoff.client.session import ClientError


def change_one_byte(server: Server, column: str) -> str:
    """Flip one bit in the middle of the newest call's sealed column; return the call's id."""
    with closing(sqlite3.connect(server.data_dir / "signoff.db", timeout=20)) as database:
        call_id, sealed = database.execute(
            f"SELECT id, {column} FROM calls ORDER BY opened_at DESC LIMIT 1"  # noqa: S608 — a name of ours
        ).fetchone()
        changed = bytearray(sealed)
        changed[len(changed) // 2] ^= 1
        database.execute(
            f"UPDATE calls SET {column} = ? WHERE id = ?",  # noqa: S608 — a name of ours
            (bytes(changed), call_id),
        )
        database.commit()
    return str(call_id)


async def refusals(server: Server, call_id: str) -> list[str]:
    """Return the audit events about this call that say refused."""
    rows = await server.operate("audit.tail", lines=200)
    return [row["event"] for row in rows if row["subject"] == call_id and "refused" in row["event"]]


@pytest.mark.parametrize(("column", "amount"), [("request", 100), ("details", 101)])
async def test_one_changed_byte_while_a_person_is_asked_is_refused_after_the_yes(
    house: House, column: str, amount: int
) -> None:
    asked = await house.server.ask(transfer(amount))
    call_id = change_one_byte(house.server, column)
    await house.alice.approve(asked.card)
    outcome = await asked.work
    assert outcome.state == "failed"
    assert "What was approved no longer holds" in outcome.text
    assert "Nothing was sent" in outcome.text
    assert house.bank.count(amount) == 0
    assert await refusals(house.server, call_id) == ["call.refused"]

    async def told() -> bool:
        return "Stopped before it was sent" in await house.alice.page(asked.card)

    await until(told)


async def test_one_changed_byte_between_the_yes_and_the_sending_is_refused(
    bank: StartBank, launch: Launch
) -> None:
    port = free_port()
    books = await bank(f"http://localhost:{port}")
    server = await launch(catalogue(books.url), port=port, SIGNOFF_FAILPOINT="after_authorized")
    alice = await ScriptedPerson(server.url).sign_in(await server.login_link())
    asked = await server.ask(transfer(103))
    with contextlib.suppress(httpx2.TransportError):
        await alice.approve(asked.card)
    assert server.process is not None
    assert await server.process.wait() == -signal.SIGKILL
    with pytest.raises(ClientError):
        await asked.work
    call_id = change_one_byte(server, "request")
    server.environment = {}
    await server.start()

    async def refused() -> list[str]:
        return await refusals(server, call_id)

    assert await until(refused) == ["call.refused"]
    assert books.count(103) == 0
    assert "no longer holds" in (await server.call(transfer(103))).text
    await alice.close()


async def test_another_catalogue_after_the_yes_is_refused(bank: StartBank, launch: Launch) -> None:
    port = free_port()
    books = await bank(f"http://localhost:{port}")
    server = await launch(catalogue(books.url), port=port)
    alice = await ScriptedPerson(server.url).sign_in(await server.login_link())
    asked = await server.ask(transfer(104))
    await server.end()
    server.config.write_text(server.config.read_text().replace("timeout: 10s", "timeout: 11s"))
    with contextlib.suppress(ClientError):
        await asked.work
    await server.start()
    work = await server.ask(transfer(104))
    assert work.card == asked.card
    await alice.approve(asked.card)
    outcome = await work.work
    assert outcome.state == "failed"
    assert "the catalogue changed since the approval" in outcome.text
    assert books.count(104) == 0
    await alice.close()
