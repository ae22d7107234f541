"""Hosts on one machine share one server, and survive its end; a stop loses nobody's call."""

import asyncio
import json
import os
import signal
from dataclasses import replace
from typing import Any

import httpx2
from mcp import Client

from assistants import over_http, over_stdio, stdio_arguments, text
from harness import ROOT, Bank, House, Launch, Server, StartBank, catalogue, transfer, until
from ports import free_port
from scripted_person import ScriptedPerson
from signoff.desk.lock import owner_pid


async def opened(bank: StartBank, launch: Launch) -> tuple[Server, Bank, ScriptedPerson]:
    port = free_port()
    books = await bank(f"http://localhost:{port}")
    server = await launch(catalogue(books.url), port=port)
    return server, books, await ScriptedPerson(server.url).sign_in(await server.login_link())


def called(client: Client, amount: int) -> "asyncio.Task[Any]":
    return asyncio.create_task(client.call_tool("transfer_funds", transfer(amount)))


async def waiting(alice: ScriptedPerson, number: int) -> set[str]:
    """Return the cards once there are `number` of them, whoever serves the page by then."""

    async def found() -> set[str] | None:
        try:
            cards = set(await alice.waiting())
        except httpx2.TransportError:
            return None
        return cards if len(cards) == number else None

    return await until(found)


async def test_two_hosts_survive_the_kill_of_the_server_that_holds_their_calls(
    bank: StartBank, launch: Launch
) -> None:
    server, books, alice = await opened(bank, launch)
    async with over_stdio(server, name="one") as one, over_stdio(server, name="two") as two:
        works = called(one, 130), called(two, 131)
        # Both hosts are the same local caller; what they ask for differs.
        cards = await waiting(alice, 2)
        before = owner_pid(server.data_dir)
        assert server.process is not None
        assert before == server.process.pid
        await server.end(signal.SIGKILL)
        assert await waiting(alice, 2) == cards  # one of the hosts' processes took over
        assert owner_pid(server.data_dir) != before
        for card in cards:
            await alice.approve(card)
        results = await asyncio.gather(*works)
        assert [result.is_error for result in results] == [False, False]
        assert (books.count(130), books.count(131)) == (1, 1)
        again = await two.call_tool("transfer_funds", transfer(130))
        assert '"repeat": true' in text(again)
        assert books.count(130) == 1
    await alice.close()


async def test_a_host_goes_on_when_the_host_whose_process_served_it_is_killed(
    bank: StartBank, launch: Launch
) -> None:
    port = free_port()
    books = await bank(f"http://localhost:{port}")
    server = await launch(catalogue(books.url), port=port, up=False)
    first_gone = asyncio.Event()

    async def first() -> None:
        async with over_stdio(server, name="first") as client:
            await client.list_tools()
            began.set()
            await first_gone.wait()

    began = asyncio.Event()
    owner = asyncio.create_task(first())
    await began.wait()
    pid = owner_pid(server.data_dir)
    assert pid is not None
    async with over_stdio(server, name="second") as second:
        alice = await ScriptedPerson(server.url).sign_in(await server.login_link())
        work = called(second, 132)
        (card,) = await waiting(alice, 1)
        os.kill(pid, signal.SIGKILL)
        assert await waiting(alice, 1) == {card}
        assert owner_pid(server.data_dir) != pid
        await alice.approve(card)
        assert not (await work).is_error
        assert books.count(132) == 1
        await alice.close()
    first_gone.set()
    await asyncio.wait({owner})


async def test_a_host_with_another_catalogue_is_refused_in_words_its_user_sees(
    house: House,
) -> None:
    other = house.server.config.with_name("other.yaml")
    other.write_text(house.server.config.read_text().replace("timeout: 10s", "timeout: 11s"))
    command = stdio_arguments(replace(house.server, config=other))
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    out, err = await process.communicate(
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}\n'
    )
    assert process.returncode == 3
    answer = json.loads(out)
    assert answer["id"] == 1
    assert "different catalogue" in answer["error"]["message"]
    assert answer["error"]["message"] in err.decode()
    assert "Traceback" not in err.decode()


async def test_sigterm_hands_every_waiter_back_at_once_and_the_calls_go_on_after_the_restart(
    bank: StartBank, launch: Launch
) -> None:
    server, books, alice = await opened(bank, launch)
    async with over_http(server) as client:
        works = [called(client, 140 + number) for number in range(3)]
        cards = await waiting(alice, 3)
        async with asyncio.timeout(20):  # far below any wait budget
            assert await server.end(signal.SIGTERM) == 0
        results = await asyncio.gather(*works)
    members = [dict(result.structured_content or {}) for result in results]
    assert [member["status"] for member in members] == ["pending"] * 3
    await server.start()
    assert await waiting(alice, 3) == cards
    for card in cards:
        await alice.approve(card)
    async with over_http(server) as client:
        for member in members:
            result = await client.call_tool("call_status", {"call_id": member["call_id"]})
            assert not result.is_error
    assert [books.count(140 + number) for number in range(3)] == [1, 1, 1]
    await alice.close()
