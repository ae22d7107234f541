"""What goes wrong between two processes: either may die, and the network between them may be cut.

Each test leaves both processes running. Transfers are told apart by their amounts.
"""

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from assistants import over_http, text
from harness import Server, transfer, until
from ports import free_port
from signoff.client.session import ClientError
from two_processes import Split, gate_catalogue, made_key, registered, split


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Split, None]:
    """Both processes; a transfer is never sent again."""
    async with split(tmp_path_factory.mktemp("two")) as here:
        yield here


async def killed(server: Server) -> None:
    assert server.process is not None
    async with asyncio.timeout(30):
        assert await server.process.wait() == -signal.SIGKILL


def ended(two: Split, amount: int) -> Callable[[], Awaitable[Any]]:
    async def end() -> Any:
        return await two.end_of(amount)

    return end


async def test_the_sidecar_dies_while_a_person_is_asked_and_the_same_card_comes_back(
    two: Split,
) -> None:
    asked = await two.gate.ask(transfer(21))
    await two.sidecar.end(signal.SIGKILL)
    await two.sidecar.start()
    assert asked.card in await two.alice.waiting()
    await two.alice.approve(asked.card)
    assert (await asked.work).state == "done"
    assert two.bank.count(21) == 1


async def test_the_gate_dies_while_a_person_is_asked_and_the_yes_after_it_is_not_lost(
    two: Split,
) -> None:
    asked = await two.gate.ask(transfer(22))
    await two.gate.end(signal.SIGKILL)
    with pytest.raises(ClientError):
        await asked.work
    await two.gate.start()
    # The poll of the dead process is still held at the sidecar, and hears of it first.
    await two.alice.approve(asked.card)
    call = await until(ended(two, 22))
    assert (call["state"], two.bank.count(22)) == ("succeeded", 1)


@pytest.mark.parametrize(
    ("failpoint", "amount", "state", "entries"),
    [
        ("after_redeem", 31, "succeeded", 1),
        ("after_claim", 33, "succeeded", 1),
        ("after_intent", 35, "outcome_unknown", 0),
        ("after_answer", 36, "outcome_unknown", 1),
    ],
)
async def test_the_gate_dies_after_the_yes_and_never_pays_twice(
    two: Split, failpoint: str, amount: int, state: str, entries: int
) -> None:
    await two.gate.end()
    await two.gate.start(SIGNOFF_FAILPOINT=failpoint)
    asked = await two.gate.ask(transfer(amount))
    await two.alice.approve(asked.card)
    await killed(two.gate)
    with pytest.raises(ClientError):
        await asked.work
    await two.gate.start()
    call = await until(ended(two, amount))
    assert (call["state"], two.bank.count(amount)) == (state, entries)


async def test_a_person_finds_out_at_the_sidecar_what_the_gate_does_not_know(two: Split) -> None:
    """Comes after the kills above: the transfer of 36 was booked, and nobody knows."""
    card = await until(card_of(two, 36, "may or may not have happened"))
    page = await two.alice.page(card)
    field = {
        name: re.findall(rf'name="{name}" value="([^"]*)"', page)[-1] for name in ("csrf", "digest")
    }
    form = await two.alice.form(card)
    answer = await two.alice.http.post(
        f"/approvals/{card}/reconcile",
        data={**field, "done": "yes", "proof": two.alice.proof(form, "done")},
    )
    assert answer.status_code == 303, answer.text
    assert "alice marked it as done" in await two.alice.page(card)

    async def heard() -> bool:
        call = await two.end_of(36)
        return call is not None and call["state"] == "succeeded"

    await until(heard, within_s=40)
    assert two.bank.count(36) == 1


async def test_the_page_catches_up_when_the_sidecar_was_away_as_the_call_ended(
    two: Split,
) -> None:
    await two.gate.end()
    await two.gate.start(SIGNOFF_FAILPOINT="after_outcome")
    asked = await two.gate.ask(transfer(41))
    await two.alice.approve(asked.card)
    await killed(two.gate)
    with pytest.raises(ClientError):
        await asked.work
    await two.sidecar.end(signal.SIGKILL)
    await two.gate.start()
    assert (await two.end_of(41) or {})["state"] == "succeeded"
    await two.sidecar.start()

    async def told() -> bool:
        return "it succeeded" in await two.alice.page(asked.card)

    await until(told, within_s=60)
    assert two.bank.count(41) == 1


async def test_without_the_sidecar_the_gate_starts_says_why_and_goes_on_when_it_is_there(
    two: Split,
) -> None:
    await two.sidecar.end(signal.SIGKILL)
    await two.gate.end()
    await two.gate.start()
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        ready = await http.get(f"{two.gate.url}/readyz")
    unreached = f"the authorization server {two.sidecar.url} cannot be reached"
    assert ready.text == f"ready, without approvals: {unreached}"
    assert f"No approval can be asked for yet: {unreached}" in two.gate.log.read_text()
    async with over_http(two.gate, name="impatient") as client:
        read = await client.call_tool("list_accounts", {})
        assert not read.is_error, "what asks nobody goes on"
        result = await client.call_tool("transfer_funds", transfer(51))
        assert result.structured_content is not None
        assert f"nobody can be asked now: {unreached}" in result.structured_content["next"]
        await two.sidecar.start()
        (card,) = await until(two.alice.waiting, within_s=60)
        await two.alice.approve(card)

        async def done() -> bool:
            again = await client.call_tool(
                "call_status", {"call_id": result.structured_content["call_id"]}
            )
            return not again.is_error and "pending" not in text(again)

        await until(done)
    assert two.bank.count(51) == 1


async def test_a_gate_whose_key_nobody_registered_asks_nobody_and_says_so(
    two: Split, tmp_path: Path
) -> None:
    await made_key(tmp_path / "other" / "data")
    port = free_port()
    client_id = two.gate.config.read_text().split("client_id: ")[1].split()[0]
    document = gate_catalogue(two.bank.url, port, two.sidecar, client_id)
    other = await launched(two, tmp_path / "other", document, port)
    outcome = await other.call(transfer(61))
    assert outcome.state == "failed"
    assert "does not accept this gate's key: register it there" in outcome.text
    assert (await two.alice.waiting(), two.bank.count(61)) == ([], 0)
    await other.end(signal.SIGKILL)


async def test_a_person_whom_the_sidecar_does_not_know_cannot_be_asked(
    two: Split, tmp_path: Path
) -> None:
    jwks = await made_key(tmp_path / "other" / "data")
    client_id = await registered(two.sidecar, jwks)
    port = free_port()
    document = gate_catalogue(two.bank.url, port, two.sidecar, client_id)
    document["users"].append({"id": "carol"})
    document["auth"] = {"local_user": "carol"}
    other = await launched(two, tmp_path / "other", document, port)
    outcome = await other.call(transfer(62))
    assert outcome.state == "failed"
    assert f"carol is no user at {two.sidecar.url}, or cannot be asked there" in outcome.text
    await other.end(signal.SIGKILL)


async def test_two_gates_ask_the_same_person_and_each_gets_its_own_answer(
    two: Split, tmp_path: Path
) -> None:
    jwks = await made_key(tmp_path / "other" / "data")
    client_id = await registered(two.sidecar, jwks)
    port = free_port()
    document = gate_catalogue(two.bank.url, port, two.sidecar, client_id)
    other = await launched(two, tmp_path / "other", document, port)
    asked = [await server.ask(transfer(71)) for server in (two.gate, other)]
    assert asked[0].card != asked[1].card
    await two.alice.deny(asked[0].card)
    await two.alice.approve(asked[1].card)
    assert [(await one.work).state for one in asked] == ["failed", "done"]
    assert two.bank.count(71) == 1
    await two.sidecar.command("clients", "disable", client_id)
    outcome = await other.call(transfer(72))
    assert "does not accept this gate's key" in outcome.text
    await other.end(signal.SIGKILL)


async def test_a_yes_of_somebody_switched_off_while_the_gate_was_dead_sends_nothing(
    two: Split,
) -> None:
    """The last one: Alice is no more."""
    await two.gate.end()
    await two.gate.start(SIGNOFF_FAILPOINT="after_authorized")
    asked = await two.gate.ask(transfer(81))
    await two.alice.approve(asked.card)
    await killed(two.gate)
    with pytest.raises(ClientError):
        await asked.work
    await two.sidecar.command("users", "disable", "alice")
    await two.gate.start()
    call = await until(ended(two, 81))
    assert (call["state"], call["note"]) == ("refused", "the approval was taken back")
    assert two.bank.count(81) == 0


async def launched(two: Split, home: Path, document: Any, port: int) -> Server:
    """Start one more gate, whose data directory with its key is there already."""
    server = await two.launch(document, port=port, name=str(home), role="mcp", up=False)
    with contextlib.suppress(FileNotFoundError):
        server.log.unlink()
    return await server.start()


def card_of(two: Split, amount: int, said: str) -> Callable[[], Awaitable[str | None]]:
    async def found() -> str | None:
        page = (await two.alice.http.get("/approvals")).text
        for card in dict.fromkeys(re.findall(r"/approvals/(apr_[\w-]+)", page)):
            text_ = await two.alice.page(card)
            if said in text_ and f">{amount}<" in text_:
                return card
        return None

    return found
